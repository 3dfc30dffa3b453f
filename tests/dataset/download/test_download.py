"""Every way in which the web can answer, and what the row says then."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from dataset.download.conftest import ends, quick, told, write_list
from dataset.loopback import (
    PHOTOS,
    Answer,
    Loopback,
    bomb,
    changing,
    drawn_photo,
    drip,
    encoded,
    endless,
    first,
    packed,
    photo,
    redirect,
    reset,
    some_photos,
    status,
    text,
    without_length,
    wrong_length,
)
from handlens._version import __version__
from handlens.dataset.download import DownloadSettings, HostSettings, download, failure_table
from handlens.dataset.errors import BadConfigError
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace

HUGE_PNG = (
    b"\x89PNG\r\n\x1a\n"
    + (ihdr := struct.pack(">I4sIIBBBBB", 13, b"IHDR", 60_000, 60_000, 8, 2, 0, 0, 0))
    + struct.pack(">I", zlib.crc32(ihdr[4:]))
    + struct.pack(">I4s", 5000, b"IDAT")
    + bytes(5000)
)
MUCH = encoded(Image.effect_noise((900, 700), 90), "JPEG", quality=95)
"""Larger than what is kept in memory."""

Ways = dict[str, tuple[Answer, str, str | None, int]]


def the_ways(server: Loopback, photos: list[bytes]) -> Ways:
    """By path: the answer, the status and reason the row must end with, and how often the path may be asked for."""
    wide = redirect(server.url("/wide", "127.0.0.99"))
    return {
        "/good.jpg": (photo(photos[0]), "fetched", None, 1),
        "/a-png-named.jpg": (photo(encoded(Image.new("RGB", (30, 20)), "PNG")), "fetched", None, 1),
        "/much.jpg": (photo(MUCH), "fetched", None, 1),
        "/packed.jpg": (packed(photos[1]), "fetched", None, 1),
        "/chunked-once-cut.jpg": (first(1, reset(photos[2]), photo(photos[2])), "fetched", None, 2),
        "/moved.jpg": (redirect("/good.jpg"), "fetched", None, 1),
        "/500-once.jpg": (first(1, status(500), photo(photos[3])), "fetched", None, 2),
        "/429-once.jpg": (first(1, status(429, Retry_After="1"), photo(photos[4])), "fetched", None, 2),
        "/no-length.jpg": (without_length(photos[5]), "fetched", None, 1),
        "/no-length-once-cut.jpg": (
            first(1, without_length(photos[6][:-50]), without_length(photos[6])),
            "fetched",
            None,
            2,
        ),
        "/ends-early-there.jpg": (photo(photos[7][:-50]), "fetched", None, 2),
        "/other-agent.jpg": (photo(photos[8], X_Robots_Tag="otherbot: noai, noindex"), "fetched", None, 1),
        "/404-noindex.jpg": (status(404, X_Robots_Tag="noindex"), "failed", "http-404", 1),
        "/403.jpg": (status(403), "failed", "http-403", 1),
        "/410.jpg": (status(410), "failed", "http-410", 1),
        "/500.jpg": (status(500), "failed", "http-500", 3),
        "/429.jpg": (status(429, Retry_After="0"), "failed", "http-429", 3),
        "/204.jpg": (status(204), "failed", "http-204", 1),
        "/304.jpg": (status(304), "failed", "http-304", 1),
        "/loop.jpg": (redirect("/loop.jpg"), "failed", "redirects", 6),
        "/nowhere.jpg": (redirect("ftp://example.org/a.jpg"), "failed", "redirects", 1),
        "/to-others.jpg": (wide, "refused", "terms", 1),
        "/drip.jpg": (drip(photos[0]), "failed", "timeout", 3),
        "/reset.jpg": (reset(), "failed", "connection", 6),  # the client itself repeats a lost GET on an old connection
        "/cut.jpg": (reset(photos[1]), "failed", "cut-short", 3),
        "/too-long.jpg": (wrong_length(photos[1], 10), "failed", "cut-short", 3),
        "/page.jpg": (text("<!DOCTYPE html><html>" + "x" * 9000, "image/jpeg"), "failed", "not-an-image", 1),
        "/svg.jpg": (text("<svg xmlns='http://www.w3.org/2000/svg'></svg>"), "failed", "unsupported-format", 1),
        "/empty.jpg": (photo(b""), "failed", "empty-file", 1),
        "/bomb.jpg": (bomb(), "refused", "too-large", 1),
        "/endless.jpg": (endless(), "refused", "too-large", 1),
        "/announced.jpg": (wrong_length(photos[1], 10**9), "refused", "too-large", 1),
        "/brotli.jpg": (packed(photos[1], "br"), "failed", "encoding", 1),
        "/no-gzip.jpg": (packed(photos[1], "deflate"), "failed", "encoding", 1),
        "/huge.jpg": (photo(HUGE_PNG), "refused", "too-many-pixels", 1),
        "/noai.jpg": (photo(photos[1], X_Robots_Tag="noai"), "refused", "noai", 1),
        "/noimageai.jpg": (photo(photos[1], X_Robots_Tag="handlens: noimageai"), "refused", "noai", 1),
        "/noindex.jpg": (photo(photos[1], X_Robots_Tag="otherbot: all, handlens: noindex"), "refused", "noindex", 1),
        "/redirect-noai.jpg": (redirect("/good.jpg", X_Robots_Tag="noai"), "refused", "noai", 1),
        "/private/a.jpg": (photo(photos[1]), "refused", "robots", 0),
        "/to-private.jpg": (redirect("/private/a.jpg"), "refused", "robots", 1),
    }


@pytest.fixture
def ways(server: Loopback) -> Ways:
    made = the_ways(server, some_photos(9))
    server.pages = {path: answer for path, (answer, _, _, _) in made.items()}
    server.pages["/robots.txt"] = text("User-agent: handlens\nDisallow: /private/\n\nUser-agent: *\nDisallow: /\n")
    return made


def test_every_way_of_answering_ends_in_its_state(server: Loopback, workspace: Workspace, ways: Ways) -> None:
    write_list(workspace, [server.url(path) for path in ways])
    settings = quick(timeout=0.4, total_timeout=0.8, max_attempts=3, max_bytes=1_000_000)
    summary = download(workspace, settings)
    assert dict(zip(ways, ends(workspace), strict=True)) == {
        path: (end, why) for path, (_, end, why, _) in ways.items()
    }

    asked = Counter(entry.path for entry in server.asked())
    for path, (_, _, _, most) in ways.items():
        more = path in ("/good.jpg",)  # the redirects lead there
        assert asked[path] <= most + more, path
    assert asked["/wide"] == 0
    assert Counter(entry.path for entry in server.log)["/robots.txt"] == 1
    assert {entry.headers["User-Agent"] for entry in server.log} == {f"handlens/{__version__} (+tests@example.org)"}

    assert summary.rows == len(ways)
    assert summary.by_status == Counter(end for _, end, _, _ in ways.values())
    assert summary.by_reason == Counter(why for _, _, why, _ in ways.values() if why)
    assert [line.split()[1] for line in failure_table(summary).splitlines()[1:]] == list(summary.by_reason)
    assert not list(workspace.images.glob(".*"))  # no part file is left


def test_a_fetched_row_and_its_file(server: Loopback, workspace: Workspace) -> None:
    server.pages["/../../evil name.php"] = photo(MUCH)
    write_list(workspace, [server.url("/a"), server.url("/b.PNG"), server.url("/gone")])
    server.pages |= {"/a": photo(PHOTOS[0]), "/b.PNG": photo(MUCH)}
    download(workspace, quick())
    small, large, gone = workspace.rows("download")
    for row, content in ((small, PHOTOS[0]), (large, MUCH)):
        sha256 = hashlib.sha256(content).hexdigest()
        assert row.sha256 == sha256
        assert row.file == f"images/{sha256[:2]}/{sha256}.jpg"
        assert (workspace.root / row.file).read_bytes() == content
        assert row.bytes == len(content)
        assert row.fetched_at is not None
        assert row.fetched_at.endswith("Z")
        assert row.licence == "CC BY 4.0"
    assert (gone.file, gone.sha256, gone.bytes, gone.fetched_at, gone.author) == (None, None, None, None, "author 2")


@pytest.mark.parametrize(
    ("image_format", "extension"),
    [("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("TIFF", "tif"), ("BMP", "bmp"), ("AVIF", "avif")],
)
def test_the_extension_is_that_of_the_content(
    server: Loopback, workspace: Workspace, image_format: str, extension: str
) -> None:
    server.pages["/photo.jpg"] = photo(encoded(Image.new("RGB", (40, 30), (90, 20, 10)), image_format))
    write_list(workspace, [server.url("/photo.jpg")])
    download(workspace, quick())
    (row,) = workspace.rows("download")
    assert row.file is not None
    assert row.file.endswith(f".{extension}")


def test_equal_content_is_one_file_and_an_url_listed_twice_is_asked_for_once(
    server: Loopback, workspace: Workspace
) -> None:
    server.pages |= {"/a.jpg": photo(PHOTOS[0]), "/b.jpg": photo(PHOTOS[0])}
    write_list(workspace, [server.url("/a.jpg"), server.url("/b.jpg"), server.url("/a.jpg#top"), server.url("/a.jpg")])
    download(workspace, quick())
    rows = list(workspace.rows("download"))
    assert len({row.file for row in rows}) == 1
    assert [row.author for row in rows] == ["author 0", "author 1", "author 2", "author 3"]
    assert Counter(entry.path for entry in server.asked()) == {"/a.jpg": 1, "/b.jpg": 1}
    assert len([path for path in workspace.images.rglob("*") if path.is_file()]) == 1


def test_a_host_whose_terms_are_not_acknowledged_is_asked_nothing(server: Loopback, workspace: Workspace) -> None:
    server.pages["/a.jpg"] = photo(PHOTOS[0])
    write_list(workspace, [server.url("/a.jpg"), server.url("/a.jpg", "127.0.0.2")])
    download(workspace, quick(acknowledged=["127.0.0.1"]))
    assert ends(workspace) == [("fetched", None), ("refused", "terms")]
    assert not server.asked("127.0.0.2", robots=True)
    assert len(server.asked()) == 1

    download(workspace, quick())  # the settings have changed: those rows are tried again, and no others
    assert ends(workspace) == [("fetched", None), ("fetched", None)]
    assert [entry.host for entry in server.asked()] == ["127.0.0.1", "127.0.0.2"]


def test_private_addresses_are_refused_unless_allowed(server: Loopback, workspace: Workspace) -> None:
    server.pages["/a.jpg"] = photo(PHOTOS[0])
    hosts = ["127.0.0.1", "localhost", "127.1"]
    write_list(workspace, [server.url("/a.jpg", host) for host in hosts])
    download(workspace, quick(acknowledged=hosts, allow_private=False))
    assert ends(workspace) == [("refused", "private-address")] * 3
    assert not server.log


def test_a_finished_workspace_asks_nothing(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {"/a.jpg": photo(PHOTOS[0]), "/page.jpg": text("<html>")}
    write_list(workspace, [server.url("/a.jpg"), server.url("/gone.jpg"), server.url("/page.jpg")])
    before = download(workspace, quick())
    table = workspace.table("download").read_bytes()
    server.forget()
    after = download(workspace, quick(rate=5, contact="other@example.org"))
    assert not server.log
    assert (after.by_status, after.by_reason) == (before.by_status, before.by_reason)
    assert workspace.table("download").read_bytes() == table


def test_what_failed_for_now_is_asked_for_by_the_next_run(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {"/a.jpg": photo(PHOTOS[0]), "/b.jpg": status(500), "/gone.jpg": status(404)}
    write_list(workspace, [server.url(path) for path in ("/a.jpg", "/b.jpg", "/gone.jpg")])
    assert download(workspace, quick(max_attempts=2)).later == 1
    assert [entry.path for entry in server.asked()].count("/b.jpg") == 2
    server.forget()
    server.pages["/b.jpg"] = photo(PHOTOS[1])
    summary = download(workspace, quick(max_attempts=2))
    assert [entry.path for entry in server.asked()] == ["/b.jpg"]
    assert ends(workspace) == [("fetched", None), ("fetched", None), ("failed", "http-404")]
    assert (summary.photos, summary.later) == (1, 0)


def test_refresh_asks_with_conditions_and_keeps_what_is_there(server: Loopback, workspace: Workspace) -> None:
    paths = ["/same.jpg", "/new.jpg", "/gone.jpg", "/withdrawn.jpg", "/lost.jpg"]
    server.pages |= {path: changing(PHOTOS[place], f'"{place}"') for place, path in enumerate(paths)}
    write_list(workspace, [server.url(path) for path in paths])
    download(workspace, quick())
    old = list(workspace.rows("download"))
    server.forget()
    server.pages |= {
        "/new.jpg": changing(PHOTOS[9], '"new"'),
        "/gone.jpg": status(404),
        "/withdrawn.jpg": photo(PHOTOS[3], X_Robots_Tag="noai"),
    }
    (workspace.root / str(old[4].file)).unlink()
    download(workspace, quick(), refresh=True)
    new = list(workspace.rows("download"))
    assert [entry.status for entry in sorted(server.asked(), key=lambda entry: paths.index(entry.path))] == [
        304,
        200,
        404,
        200,
        200,
    ]
    asked = {entry.path: entry.headers for entry in server.asked()}
    assert asked["/same.jpg"]["If-None-Match"] == '"0"'
    assert asked["/same.jpg"]["If-Modified-Since"] == "Tue, 01 Oct 2024 10:00:00 GMT"
    assert "If-None-Match" not in asked["/lost.jpg"]
    assert [row.status for row in new] == ["fetched", "fetched", "fetched", "refused", "fetched"]
    assert new[0] == old[0]
    assert new[1].sha256 == hashlib.sha256(PHOTOS[9]).hexdigest()
    assert new[2] == old[2]
    assert (workspace.root / str(new[4].file)).is_file()


def test_another_list_asks_for_what_is_new_alone(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[number]) for number in range(4)}
    write_list(workspace, [server.url("/0.jpg"), server.url("/1.jpg")])
    download(workspace, quick())
    write_list(workspace, [server.url("/2.jpg"), server.url("/1.jpg")], name="another")
    download(workspace, quick())
    assert Counter(entry.path for entry in server.asked()) == {"/0.jpg": 1, "/1.jpg": 1, "/2.jpg": 1}
    assert [row.sha256 for row in workspace.rows("download")] == [
        hashlib.sha256(PHOTOS[number]).hexdigest() for number in (2, 1)
    ]


def test_rows_that_are_no_address_fail_alone(server: Loopback, workspace: Workspace) -> None:
    server.pages["/a.jpg"] = photo(PHOTOS[0])
    odd = ["", "no address", "ftp://127.0.0.1/a.jpg", "http://user:secret@127.0.0.1/a.jpg", "http://127.0.0.1:99999/",
           "javascript:alert(1)", "file:///etc/passwd", "http://[::1/", "http://a b/"]  # fmt: skip
    write_list(workspace, [*odd, server.url("/a.jpg")])
    download(workspace, quick())
    assert ends(workspace) == [("failed", "bad-url")] * len(odd) + [("fetched", None)]


def test_photos_of_own_folders_need_no_contact(workspace: Workspace, drawn_pictures: list[Path]) -> None:
    folder = workspace.root.parent / "own"
    folder.mkdir()
    (folder / "photo.bin").write_bytes(PHOTOS[0])
    (folder / "copy.jpg").write_bytes(PHOTOS[0])
    (folder / "link.jpg").symlink_to(drawn_pictures[0])
    (folder / "text.jpg").write_text("no photo")
    (folder / "large.jpg").write_bytes(PHOTOS[0] + bytes(10**6))
    names = ["photo.bin", "copy.jpg", "link.jpg", "text.jpg", "gone.jpg", "large.jpg", "."]
    rows = [Row(f"{place:016x}", "quartz", "listed", path=str(folder / name)) for place, name in enumerate(names)]
    workspace.write(rows, TableInfo("filter", {}))
    download(workspace, DownloadSettings(max_bytes=900_000))
    assert ends(workspace) == [
        ("fetched", None),
        ("fetched", None),
        ("fetched", None),
        ("failed", "not-an-image"),
        ("failed", "not-found"),
        ("refused", "too-large"),
        ("failed", "not-a-file"),
    ]
    photo, copy, link = list(workspace.rows("download"))[:3]
    assert photo.file == copy.file
    assert (workspace.root / str(photo.file)).read_bytes() == PHOTOS[0]
    linked = workspace.root / str(link.file)
    assert linked.suffix == ".png"
    assert not linked.is_symlink()
    assert linked.read_bytes() == drawn_pictures[0].read_bytes()


def test_a_contact_is_needed_to_ask(server: Loopback, workspace: Workspace) -> None:
    write_list(workspace, [server.url("/a.jpg")])
    with pytest.raises(BadConfigError, match="contact"):
        download(workspace, quick(contact=None))
    assert not server.log


def test_limits_that_are_raised_let_rows_in(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {"/a.jpg": photo(MUCH), "/b.jpg": photo(drawn_photo(1, (400, 300)))}
    write_list(workspace, [server.url("/a.jpg"), server.url("/b.jpg")])
    download(workspace, quick(max_bytes=50_000, max_pixels=10_000))
    assert ends(workspace) == [("refused", "too-large"), ("refused", "too-many-pixels")]
    download(workspace, quick())
    assert ends(workspace) == [("fetched", None), ("fetched", None)]


def test_the_same_list_gives_the_same_table(server: Loopback, tmp_path: Path) -> None:
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[number]) for number in range(8)}
    tables = []
    for name in "ab":
        workspace = Workspace(tmp_path / name)
        write_list(workspace, [server.url(f"/{number}.jpg") for number in range(9)])
        download(workspace, quick())
        tables.append(told(workspace))
    assert tables[0] == tables[1]


def test_a_row_that_has_a_host_of_its_own_settings(server: Loopback, workspace: Workspace) -> None:
    server.pages["/a.jpg"] = photo(PHOTOS[0])
    write_list(workspace, [server.url("/a.jpg")])
    settings = quick(hosts={"127.0.0.1": HostSettings(terms_acknowledged=True, rate=50, concurrency=1)})
    assert download(workspace, settings).by_status == {"fetched": 1}
