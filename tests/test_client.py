"""`handlens.client` against a real service: the answers and errors of the Python door."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from conftest import ROOT
from handlens.client import (
    BadAnswerError,
    BodyTooLargeError,
    Client,
    InternalError,
    NotAvailableError,
    OverloadedError,
    ServiceError,
    ServiceTimeoutError,
    TooManyRequestsError,
    UnauthorisedError,
    UnreachableError,
)
from handlens.errors import HandlensError, UsageError
from handlens.evidence import BadEvidenceError, Evidence, Hardness
from handlens.explain import explain
from handlens.identification import Identification
from handlens.identifier import Identifier, UnknownLabelError
from handlens.minerals import UnknownMineralError
from handlens.photo import BadCropError, Crop, ImageTooLargeError, PhotoError, PhotoNotFoundError, TruncatedImageError
from handlens.service import create_app
from handlens.service.keys import new_key
from handlens.service.settings import Settings
from service.running import JPEG, HeldIdentifier, drawn, encoded, running

GREEN = encoded(drawn((40, 160, 60)))
EVIDENCE = Evidence.of({"hardness": "5.5±1", "streak": "white", "gravity": "2.5-3.5", "acid": "none"})
UNTIL = 30.0


@pytest.fixture(scope="module")
def address(identifier: Identifier) -> Iterator[str]:
    with running(create_app(identifier)) as base:
        yield base


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Client]:
    with Client(address) as connected:
        yield connected


def the_error(call: Callable[[], object]) -> HandlensError:
    with pytest.raises(HandlensError) as caught:
        call()
    return caught.value


# The answers


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"top": 2, "among": ["origin-ten", "citrino", "quartz, smoky"], "crop": Crop(10, 20, 200, 150), "rotate": -90},
        {"evidence": EVIDENCE, "lang": "es", "specimen": "stone 7", "name": "a b.jpg"},
        {"evidence": Evidence.of({"streak": "#c8b46e", "magnet": "strong", "gravity": "5"})},
    ],
)
def test_identify_is_that_of_the_python_door(client: Client, identifier: Identifier, asked: Any) -> None:
    answer = client.identify(JPEG, **asked)
    local = identifier.identify(JPEG, **asked)
    assert answer.as_dict() == local.as_dict()
    assert isinstance(answer, Identification)
    assert type(answer.decision) is type(local.decision)
    assert (answer.evidence, answer.contradictions, answer.next_test, answer.hazards) == (
        local.evidence,
        local.contradictions,
        local.next_test,
        local.hazards,
    )


def test_photos_of_one_specimen_from_files(client: Client, identifier: Identifier, tmp_path: Path) -> None:
    paths = [tmp_path / "vorn é.jpg", tmp_path / "back.png"]
    paths[0].write_bytes(JPEG)
    paths[1].write_bytes(encoded(drawn((40, 160, 60)), "PNG"))
    local = identifier.identify(paths, name=[path.name for path in paths]).as_dict()
    assert client.identify(paths).as_dict() == local
    with paths[0].open("rb") as file:
        assert client.identify([file, str(paths[1])]).as_dict() == local


def test_a_name_that_is_no_text_is_sent_as_far_as_it_is_one(client: Client) -> None:
    assert client.identify(JPEG, name="a/\udcff\nb.jpg").photo == "b.jpg"
    assert client.identify(JPEG, name="C:\\photos\\c.jpg").photo == "c.jpg"
    assert client.identify(JPEG, name="\udcff").photo == "photo"


def test_measured_values_have_the_digits_that_the_service_takes(client: Client) -> None:
    answer = client.identify(JPEG, evidence=Evidence(hardness=Hardness.near(10 / 3, 1 / 3)))
    assert answer.evidence == Evidence(hardness=Hardness.near(3.3333, 0.3333))


def test_scores_and_heat_map(client: Client, identifier: Identifier) -> None:
    answer = client.identify(JPEG, crop=Crop(10, 20, 200, 150), scores=True, explain=True)
    seen = identifier.fused(JPEG, crop=Crop(10, 20, 200, 150))
    logits, novelty = seen.logits, seen.novelty
    assert answer.scores is not None
    assert list(answer.scores.values()) == pytest.approx(identifier.probabilities(logits).tolist(), rel=1e-6)
    if novelty is None:
        assert answer.novelty is None
    else:
        assert answer.novelty is not None
        assert answer.novelty.as_dict() == pytest.approx(novelty.as_dict(), rel=1e-6)
    local = explain(identifier, JPEG, crop=Crop(10, 20, 200, 150)).as_dict()
    document = answer.as_dict()
    assert document.keys() >= {"scores", "explanation"}
    assert document["explanation"]["box"] == local["box"] == [10, 20, 200, 150]
    assert np.array(document["explanation"]["heat"]) == pytest.approx(np.array(local["heat"]), abs=1e-4)


def test_reweigh_is_identify_with_the_evidence(client: Client, identifier: Identifier) -> None:
    scored = client.identify([JPEG, GREEN], name=["a.jpg", "b.jpg"], scores=True, specimen="stone 7")
    asked: Any = {"evidence": EVIDENCE, "top": 3, "among": ["quartz", "calcite"], "lang": "es"}
    local = identifier.identify([JPEG, GREEN], name=["a.jpg", "b.jpg"], specimen="stone 7", **asked)
    assert client.reweigh(scored, **asked).as_dict() == local.as_dict()
    assert scored.scores is not None
    again = client.reweigh(scored.scores, photos=["x.jpg"], evidence={"hardness": "3"}).as_dict()
    assert again["photo"] == "x.jpg"
    assert again["evidence"] == {"hardness": "3±0.5"}
    for wrong in (client.identify(JPEG), {"quartz": 1.0}, dict.fromkeys(scored.scores, float("nan"))):
        assert isinstance(the_error(partial(client.reweigh, wrong)), UsageError)


def test_a_batch_is_identify_each(client: Client, identifier: Identifier, tmp_path: Path) -> None:
    missing = tmp_path / "missing.jpg"
    photos: list[Path | bytes] = [JPEG, b"text", missing, GREEN, JPEG[:300], tmp_path, JPEG]
    asked: Any = {"top": 2, "among": ["origin-ten"], "lang": "es"}
    local = [as_told(one) for one in identifier.identify_each(photos, **asked)]
    assert [as_told(one) for one in client.identify_batch(iter(photos), **asked)] == local
    small = client.identify_batch(photos, **asked, most_photos=2, most_bytes=2**16 + len(JPEG) + 4000)
    assert [as_told(one) for one in small] == local
    assert [type(one) for one in client.identify_batch([missing, missing])] == [PhotoNotFoundError] * 2
    assert list(client.identify_batch([])) == []


def as_told(one: Identification | HandlensError) -> Any:
    if isinstance(one, HandlensError):
        assert isinstance(one, PhotoError)
        return type(one), one.photo, one.detail
    return one.as_dict()


def test_a_batch_is_read_and_answered_bit_by_bit(tiny: Identifier) -> None:
    held = HeldIdentifier(tiny.bundle)
    taken: list[int] = []

    def photos() -> Iterator[bytes]:
        for number in range(6):
            taken.append(number)
            yield b"text" if number == 0 else JPEG

    with running(create_app(held)) as base, Client(base) as client:
        outcomes = client.identify_batch(photos(), most_photos=2)
        assert isinstance(next(outcomes), PhotoError)
        assert held.photos <= 1
        assert len(taken) <= 3
        held.go_on.set()
        assert len(list(outcomes)) == 5
    assert len(taken) == 6


REFUSING = """
from http.server import BaseHTTPRequestHandler, HTTPServer

LINE = b'{"photo": "photo", "error": {"type": "not-an-image", "detail": "No."}}\\n'

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        lines = LINE * body.count(b'name="photos"')
        self.send_response(200)
        self.send_header("content-length", str(len(lines)))
        self.end_headers()
        self.wfile.write(lines)

    def log_message(self, *arguments):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


def test_a_batch_of_any_length_takes_the_memory_of_one_request() -> None:
    """Against a server of another process, so that only the client's memory is seen."""
    photos, size = 40, 2**20
    command = [sys.executable, "-c", REFUSING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        with Client(f"http://127.0.0.1:{server.stdout.readline().strip()}") as client:
            tracemalloc.start()
            outcomes = client.identify_batch((bytes(size) for _ in range(photos)), most_bytes=4 * size)
            assert sum(1 for _ in outcomes) == photos
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        server.terminate()
    assert peak < 10 * size


def test_predict_names_one_of_the_ten(client: Client, identifier: Identifier, tiny: Identifier) -> None:
    best = identifier.identify(JPEG, among=["origin-ten"]).candidates[0].name
    assert client.predict(JPEG) == {"amethyst": "Quartz (Var: Amethyst)"}.get(best, best.capitalize())
    assert isinstance(the_error(lambda: client.predict(JPEG[:300])), TruncatedImageError)
    with running(create_app(tiny)) as base, Client(base) as other:
        assert isinstance(the_error(lambda: other.predict(JPEG)), NotAvailableError)


def test_the_knowledge_base_and_the_model(client: Client, identifier: Identifier) -> None:
    minerals = client.minerals()
    assert [one["name"] for one in minerals] == [one.name for one in identifier.minerals]
    assert client.search("amatista", limit=3)[0]["name"] == "amethyst"
    assert client.mineral("cuarzo")["name"] == "quartz"
    assert client.mineral("Quartz (Var: Amethyst)")["name"] == "amethyst"
    assert client.names("es")["quartz"] == "cuarzo"
    assert client.words("es")["titles"]["streak"] == "raya"
    assert client.model()["labels"] == list(identifier.bundle.labels)
    assert client.ready()


@pytest.mark.parametrize("name", ["quarz", "words", "names", "a/b", "", "..", "?search=a"])
def test_a_mineral_that_is_not_known(client: Client, name: str) -> None:
    error = the_error(lambda: client.mineral(name))
    assert isinstance(error, UnknownMineralError)
    assert ("quartz" in error.near) == (name == "quarz")


# The errors


@pytest.mark.parametrize(
    ("photo", "asked"),
    [
        (JPEG[:300], {}),
        (b"text", {}),
        (b"", {}),
        (bytes(25 * 2**20 + 1), {}),
        (Path("nowhere") / "a.jpg", {}),
        (JPEG, {"crop": Crop(300, 0, 100, 100)}),
        (JPEG, {"rotate": 45}),
        (JPEG, {"among": ["cheese"]}),
        (JPEG, {"among": ["cheese, smoked"]}),
        (JPEG, {"among": []}),
        (JPEG, {"among": [" "]}),
        (JPEG, {"top": 0}),
        (JPEG, {"lang": "fr"}),
        ([], {}),
        ([JPEG] * 6, {}),
        ([JPEG, JPEG], {"name": "a.jpg"}),
        (3, {}),
    ],
)
def test_errors_are_those_of_the_python_door(client: Client, identifier: Identifier, photo: Any, asked: Any) -> None:
    error = the_error(lambda: client.identify(photo, **asked))
    local = the_error(lambda: identifier.identify(photo, **asked))
    if asked.get("among") == [" "]:
        assert type(error) is UsageError  # a name that is blank is none in a form
        return
    assert type(error) is type(local)
    assert error.code == local.code
    if isinstance(local, PhotoError):
        assert isinstance(error, PhotoError)
        assert error.photo == local.photo


def test_the_photo_that_is_broken_is_named(client: Client) -> None:
    error = the_error(lambda: client.identify([JPEG, JPEG[:300]], name=["a.jpg", "b.jpg"]))
    assert isinstance(error, TruncatedImageError)
    assert error.photo == "b.jpg"
    assert isinstance(the_error(lambda: client.identify(JPEG, crop=Crop(-1, 0, 9, 9))), BadCropError)


def test_a_label_that_the_model_does_not_know(tiny: Identifier) -> None:
    with running(create_app(tiny)) as base, Client(base) as client:
        assert isinstance(the_error(lambda: client.identify(JPEG, among=["wulfenite"])), UnknownLabelError)
        assert isinstance(
            the_error(lambda: next(client.identify_batch([JPEG], among=["wulfenite"]))), UnknownLabelError
        )


@pytest.mark.parametrize("given", [{"hardness": "hard"}, {"smell": "bad"}, {"acid": "some"}])
def test_evidence_that_makes_no_sense(client: Client, given: dict[str, str]) -> None:
    assert isinstance(the_error(lambda: client.identify(JPEG, evidence=given)), BadEvidenceError)
    scores = client.identify(JPEG, scores=True)
    assert isinstance(the_error(lambda: client.reweigh(scores, evidence=given)), BadEvidenceError)


def test_a_key_is_sent_and_never_shown(tiny: Identifier) -> None:
    key, line = new_key()
    with running(create_app(tiny, Settings(keys=(line,)))) as base:
        with Client(base, key=key) as client:
            assert client.identify(JPEG).photo == "photo"
            assert key not in repr(client) + repr(vars(client)) + repr(client._transport._http.headers)
        wrong = "hlk_wrong"
        for given in (wrong, None):
            with Client(base, key=given) as client:
                for call in (partial(client.identify, JPEG), partial(next, client.identify_batch([JPEG]))):
                    error = the_error(call)
                    assert isinstance(error, UnauthorisedError)
                    assert (error.code, error.status, error.told) == ("unauthorised", 401, "unauthorised")
                    assert wrong not in str(error) + repr(error)
    for odd in ("two words", "", "line\n", "ключ"):
        error = the_error(partial(Client, "http://127.0.0.1:1", key=odd))
        assert isinstance(error, UsageError)
        assert not odd or odd not in str(error)


def test_a_share_that_is_used_up_is_waited_for(tiny: Identifier) -> None:
    settings = Settings(requests_per_minute=60, burst=1)
    with running(create_app(tiny, settings)) as base:
        with Client(base, retries=0) as hasty:
            hasty.identify(JPEG)
            error = the_error(lambda: hasty.identify(JPEG))
            assert isinstance(error, TooManyRequestsError)
            assert error.retry_after == 1
        with Client(base) as client:
            began = time.monotonic()
            assert client.identify(JPEG).photo == "photo"
            assert time.monotonic() - began >= 0.9
            # The bucket owes for the first request when the second one is sent.
            assert len(list(client.identify_batch([JPEG] * 4, most_photos=2))) == 4


def test_nobody_waits_longer_than_the_most(tiny: Identifier) -> None:
    settings = Settings(requests_per_minute=2, burst=1)
    with running(create_app(tiny, settings)) as base, Client(base, max_wait=5) as client:
        client.identify(JPEG)
        began = time.monotonic()
        error = the_error(lambda: client.identify(JPEG))
        assert isinstance(error, TooManyRequestsError)
        assert error.retry_after is not None
        assert error.retry_after > 5
        assert time.monotonic() - began < 5


def test_a_full_service_is_asked_again(tiny: Identifier) -> None:
    held = HeldIdentifier(tiny.bundle)
    settings = Settings(max_concurrent=1, max_queue=0)
    with running(create_app(held, settings)) as base, Client(base, retries=0) as hasty, Client(base) as client:
        first = threading.Thread(target=lambda: hasty.identify(JPEG))
        first.start()
        assert held.begun.acquire(timeout=UNTIL)
        error = the_error(lambda: hasty.identify(JPEG))
        assert isinstance(error, OverloadedError)
        assert (error.status, error.retry_after) == (503, 2)
        assert not client.ready()
        threading.Timer(1, held.go_on.set).start()
        assert client.identify(JPEG).photo == "photo"
        first.join(UNTIL)


def test_a_photo_is_too_much_for_the_service(tiny: Identifier) -> None:
    with running(create_app(tiny, Settings(max_body_bytes=3000))) as base, Client(base) as client:
        assert isinstance(the_error(lambda: client.identify(JPEG)), BodyTooLargeError)
        assert isinstance(the_error(lambda: client.identify(bytes(26 * 2**20))), ImageTooLargeError)


class Failing(Identifier):
    """An identifier that fails as nobody expected."""

    def answer(self, *_arguments: Any, **_others: Any) -> Identification:
        raise RuntimeError("secret path of the server")


def test_a_service_that_fails_is_not_the_fault_of_the_photo(tiny: Identifier) -> None:
    with running(create_app(Failing(tiny.bundle, threads=1))) as base, Client(base) as client:
        for error in (the_error(lambda: client.identify(JPEG)), next(client.identify_batch([JPEG]))):
            assert isinstance(error, InternalError)
            assert "secret" not in str(error)


def test_who_stops_early_stops_the_service(tiny: Identifier) -> None:
    held = HeldIdentifier(tiny.bundle)
    with running(create_app(held, Settings(max_concurrent=1))) as base, Client(base) as client:
        outcomes = client.identify_batch([b"text", *[JPEG] * 20])
        assert isinstance(next(outcomes), PhotoError)
        assert held.begun.acquire(timeout=UNTIL)
        outcomes.close()
        time.sleep(0.5)  # the service hears of it
        held.go_on.set()
        assert client.identify(JPEG).photo == "photo"
        time.sleep(1)  # in which all of them would be done
        assert held.photos <= 3


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}") as client:
        for call in (
            lambda: client.identify(JPEG),
            lambda: next(client.identify_batch([JPEG])),
            client.ready,
        ):
            error = the_error(call)
            assert isinstance(error, UnreachableError)
            assert f"http://127.0.0.1:{port}" in str(error)
        assert isinstance(the_error(lambda: client.identify("no such file.jpg")), PhotoNotFoundError)


def test_a_service_that_does_not_answer_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(base, timeout=0.3) as client:
            error = the_error(lambda: client.identify(JPEG))
    assert isinstance(error, ServiceTimeoutError)
    assert base in str(error)


@pytest.mark.parametrize(
    "given", ["", "127.0.0.1:8000", "ftp://a", "http://", "http://me:pw@a", "http://a/?key=pw", "http://a:x"]
)
def test_an_address_that_makes_no_sense(given: str) -> None:
    error = the_error(lambda: Client(given))
    assert isinstance(error, UsageError)
    assert "pw" not in str(error)


class Other(BaseHTTPRequestHandler):
    """A server that is not the service: it answers by the first part of the path, and counts."""

    asked: list[str]
    answers: dict[str, tuple[int, dict[str, str], bytes]]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, headers, body = self.answers[self.path.split("/")[1]]
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def other() -> Iterator[tuple[str, type[Other]]]:
    class Counting(Other):
        asked: list[str] = []  # noqa: RUF012
        answers = {  # noqa: RUF012
            "away": (307, {"location": "/elsewhere/"}, b""),
            "elsewhere": (200, {}, b"{}"),
            "proxy": (502, {"content-type": "text/html"}, b"<html>"),
            "busy": (503, {"retry-after": "0"}, b"busy"),
            "dated": (503, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"busy"),
            "silent": (503, {}, b"busy"),
            "odd": (503, {"retry-after": "soon"}, b"busy"),
            "text": (200, {}, b"hello"),
            "empty": (200, {}, b"{}"),
            "list": (200, {}, b"[]"),
            "liar": (400, {"content-type": "application/problem+json"}, b"[]"),
            "new": (
                418,
                {"content-type": "application/problem+json"},
                b'{"code": "teapot", "detail": "I am a teapot."}',
            ),
        }

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", Counting
    server.shutdown()
    server.server_close()
    thread.join(UNTIL)


@pytest.mark.parametrize(
    ("path", "kind", "times", "status"),
    [
        ("away", BadAnswerError, 1, 307),
        ("proxy", ServiceError, 1, 502),
        ("busy", OverloadedError, 3, 503),
        ("dated", OverloadedError, 3, 503),
        ("silent", OverloadedError, 1, 503),
        ("odd", OverloadedError, 1, 503),
        ("text", BadAnswerError, 1, None),
        ("empty", BadAnswerError, 1, None),
        ("list", BadAnswerError, 1, None),
        ("liar", ServiceError, 1, 400),
        ("new", ServiceError, 1, 418),
    ],
)
def test_what_is_not_the_service_is_told_and_only_asked_again_where_it_wishes(
    other: tuple[str, type[Other]], path: str, kind: type[ServiceError], times: int, status: int | None
) -> None:
    base, server = other
    with Client(f"{base}/{path}/") as client:
        error = the_error(lambda: client.identify(JPEG, name="a.jpg"))
        assert type(error) is kind
        assert isinstance(error, ServiceError)
        assert error.status == status
        assert error.told == ("teapot" if path == "new" else "")
        assert server.asked == [f"/{path}/v1/identify"] * times
        assert isinstance(the_error(lambda: next(client.identify_batch([JPEG]))), kind)
        if path != "empty":
            assert isinstance(the_error(client.model), kind)


# The whole


class Noting:
    """A layer around the service that notes what it is asked for."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.asked: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.asked.add((scope["method"].lower(), scope["path"]))
        await self.app(scope, receive, send)


def test_every_route_has_a_method(identifier: Identifier) -> None:
    """A route that is new needs a method here and in the client; health and metrics are for those who run a service."""
    app = create_app(identifier, Settings(metrics=True))
    noting = Noting(app)
    with running(noting) as base, Client(base) as client:
        scored = client.identify(JPEG, scores=True)
        client.reweigh(scored)
        list(client.identify_batch([JPEG]))
        client.predict(JPEG)
        client.minerals()
        client.search("quartz")
        client.mineral("quartz")
        client.names()
        client.words()
        client.model()
    routes = {(method, path) for path, item in app.openapi()["paths"].items() for method in item}
    routes -= {("get", path) for path in ("/livez", "/readyz", "/metrics", "/", "/docs", "/page/{name}")}
    assert len(routes) >= 9
    asked = {(method, re.sub("/quartz$", "/{name}", path)) for method, path in noting.asked}
    assert asked == routes


def test_importing_needs_no_httpx_and_its_absence_is_told() -> None:
    code = (
        "import sys, handlens, handlens.client as c; assert 'httpx' not in sys.modules; sys.modules['httpx'] = None\n"
        "try: c.Client('http://127.0.0.1:1')\n"
        "except handlens.MissingExtraError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "httpx is not installed: pip install 'handlens[client]'\n"


def test_the_example_of_the_page_runs(
    address: str, drawn_pictures: list[Path], tmp_path: Path, monkeypatch: Any
) -> None:
    page = (ROOT / "docs" / "client.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert examples
    for name in ("front.png", "back.png"):
        (tmp_path / name).write_bytes(drawn_pictures[0].read_bytes())
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(JPEG)
    (tmp_path / "photos" / "b.jpg").write_bytes(b"text")
    monkeypatch.chdir(tmp_path)
    printed: list[Any] = []
    for example in examples:
        assert "http://127.0.0.1:8000" in example
        code = compile(example.replace("http://127.0.0.1:8000", address), "docs/client.md", "exec")
        exec(code, {"print": lambda *words: printed.append(words)})
    assert any("not-an-image" in words for words in printed)


def test_the_page_names_every_error() -> None:
    from handlens import client

    page = (ROOT / "docs" / "client.md").read_text("utf-8")
    kinds = [one for name in client.__all__ if name.endswith("Error") and (one := getattr(client, name))]
    assert len(kinds) > 10
    for kind in kinds:
        assert f"`{kind.__name__}`" in page
        assert kind is ServiceError or f"`{kind.code}`" in page
