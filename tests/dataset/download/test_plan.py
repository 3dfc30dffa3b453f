"""What a run says before and after."""

from __future__ import annotations

from dataset.download.conftest import quick, write_list
from dataset.loopback import PHOTOS, Loopback, photo
from handlens.dataset.download import (
    DownloadSettings,
    DownloadSummary,
    HostSettings,
    Plan,
    download,
    failure_table,
    plan,
)
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace


def test_the_plan_says_whom_for_what_and_how_long(workspace: Workspace) -> None:
    urls = [f"https://photos.example/{number}.jpg" for number in range(7200)]
    urls += [f"https://other.example/{number}.jpg" for number in range(30)]
    urls += ["http://unread.example/1.jpg", "https://photos.example/5.jpg"]
    rows = [Row(f"{place:016x}", "quartz", "listed", url=url) for place, url in enumerate(urls)]
    workspace.write([*rows, Row("f" * 16, "gold", "listed", path="/photos/a.jpg")], TableInfo("filter", {}))
    settings = DownloadSettings(
        contact="me@example.org",
        hosts={
            "photos.example": HostSettings(terms_acknowledged=True, rate=2, concurrency=2),
            "other.example": HostSettings(terms_acknowledged=True),
        },
    )
    made = plan(workspace, settings)
    assert [(host.host, host.to_ask) for host in made.hosts] == [
        ("photos.example", 7200),
        ("other.example", 30),
        ("unread.example", 1),
    ]
    assert made.local == 1
    assert made.unacknowledged == ("unread.example",)
    assert made.seconds == 7201 / 2
    assert [host.seconds for host in made.hosts] == [7201 / 2, 31, None]
    lines = list(made.lines())
    assert "7,230 URLs of 2 hosts" in lines[0]
    assert "+me@example.org" in lines[0]
    assert "60 min" in lines[1]
    assert lines[2] == "1 photos of own folders to bring in"
    assert "NOT ASKED" in lines[-1]
    assert "unread.example" in lines[-1]
    assert not workspace.table("download").exists()


def test_a_plan_asks_nobody_and_knows_what_is_there(server: Loopback, workspace: Workspace) -> None:
    server.pages |= {f"/{number}.jpg": photo(PHOTOS[number]) for number in range(3)}
    write_list(workspace, [server.url(f"/{number}.jpg") for number in range(4)])
    assert plan(workspace, quick()).hosts[0].to_ask == 4
    assert not server.log
    download(workspace, quick())
    server.forget()
    (host,) = plan(workspace, quick()).hosts
    assert (host.listed, host.fetched, host.to_ask) == (4, 3, 0)
    (host,) = plan(workspace, quick(), refresh=True).hosts
    assert host.to_ask == 4
    assert not server.log


def test_failures_are_counted_by_reason_with_what_they_mean() -> None:
    summary = DownloadSummary({"fetched": 5, "failed": 1203}, {"http-404": 1200, "timeout": 3})
    lines = failure_table(summary).splitlines()
    assert lines[1].split()[:3] == ["1,200", "http-404", "no"]
    assert lines[2].split()[:4] == ["3", "timeout", "next", "run"]
    assert (summary.rows, summary.later) == (1208, 3)
    assert failure_table(DownloadSummary({"fetched": 5}, {})) == ""


def test_a_plan_of_own_folders_speaks_of_no_hosts() -> None:
    assert list(Plan((), 3, None).lines()) == ["3 photos of own folders to bring in"]
