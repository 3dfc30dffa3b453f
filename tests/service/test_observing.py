"""Request ids, logs and metrics: what is there, who may see it, and what must never be in it."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import re
from collections.abc import Iterator

import httpx
import pytest

from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.keys import new_key
from handlens.service.logs import JsonFormatter, log_config
from handlens.service.settings import Settings
from service.running import JPEG, check_problem, client_of, metric, wait_for_metric

SECRET_NAME = "grandmothers-kitchen-48.2082N.jpg"


# Request ids.


@pytest.mark.parametrize("given", ["abc-1.2_X", "a" * 64])
def test_a_sane_request_id_is_kept(client: httpx.Client, given: str) -> None:
    assert client.get("/livez", headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", [b"", b"a" * 65, b"a b", b"\xe4", b'"><script>', b"a/b"])
def test_another_is_replaced(client: httpx.Client, given: bytes) -> None:
    answer = client.get("/livez", headers={b"x-request-id": given})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-request-id"])


@pytest.mark.parametrize("path", ["/", "/nowhere", "/v1/model", "/v1/identify", "/v1/minerals/names?lang=xx"])
def test_every_answer_has_one_of_its_own(client: httpx.Client, path: str) -> None:
    first, second = (client.get(path).headers["x-request-id"] for _ in range(2))
    assert first != second


# Logs.


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What goes to standard error with `log_format` json."""
    stream = io.StringIO()
    config = log_config("json")
    config["handlers"]["stderr"]["stream"] = stream
    names = [*config["loggers"]]
    before = {name: (log.handlers[:], log.level, log.propagate) for name in names if (log := logging.getLogger(name))}
    logging.config.dictConfig(config)
    yield stream
    for name, (handlers, level, propagate) in before.items():
        log = logging.getLogger(name)
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)


def read_lines(logged: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in logged.getvalue().splitlines()]


def test_a_request_is_one_line_without_anything_of_the_photo(tiny: Identifier, logged: io.StringIO) -> None:
    with client_of(create_app(tiny, Settings(log_format="json"))) as client:
        headers = {"x-request-id": "mine-1", "user-agent": "secret-agent"}
        data = {"among": "quartz", "crop": "1,2,30,40", "test": "acid=vigorous"}
        files = {"photos": (SECRET_NAME, JPEG)}
        assert client.post("/v1/identify", data=data, files=files, headers=headers).status_code == 200
        assert client.post("/v1/identify", files={"photos": (SECRET_NAME, JPEG[:200])}).status_code == 400
        assert client.get("/v1/minerals/quartz?lang=es").status_code == 200
        assert client.get("/secret-path?secret=query").status_code == 404
        assert client.request("SECRET", "/livez").status_code == 405
    lines = read_lines(logged)
    first, broken, mineral, nowhere, method = lines
    assert set(first) == {*("time", "level", "request_id", "method", "route", "status", "ms", "queue_ms", "client")}
    assert first["request_id"] == "mine-1"
    assert (first["method"], first["route"], first["status"]) == ("POST", "/v1/identify", 200)
    assert isinstance(first["queue_ms"], float)
    assert isinstance(first["ms"], float)
    assert first["ms"] >= first["queue_ms"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(first["time"]))
    assert broken["status"] == 400
    assert broken["code"] in {"truncated-image", "corrupt-image"}
    assert mineral["route"] == "/v1/minerals/{name}"
    assert mineral["queue_ms"] is None
    assert (nowhere["route"], nowhere["status"], nowhere["code"]) == ("(none)", 404, "not-found")
    assert method["method"] == "OTHER"
    assert len({line["client"] for line in lines}) == 1
    text = logged.getvalue()
    for secret in (SECRET_NAME, "kitchen", "secret", "127.0.0.1", "1,2,30,40", "vigorous", "SECRET", "quartz"):
        assert secret not in text


class Failing(Identifier):
    def fused(self, *_arguments: object, **_others: object) -> object:  # type: ignore[override]
        raise RuntimeError(f"cannot read {SECRET_NAME}")


def test_a_failure_is_logged_by_kind_and_place(tiny: Identifier, logged: io.StringIO) -> None:
    with client_of(create_app(Failing(tiny.bundle), Settings(log_format="json"))) as client:
        answer = client.post("/v1/identify", files={"photos": (SECRET_NAME, JPEG)}, headers={"x-request-id": "mine-2"})
        check_problem(answer, 500, "internal-error")
        assert answer.headers["x-request-id"] == "mine-2"
    failure, request = read_lines(logged)
    assert failure["level"] == "error"
    assert "mine-2" in str(failure["message"])
    assert "RuntimeError" in str(failure["message"])
    assert "test_observing.py" in str(failure["message"])
    assert request["status"] == 500
    assert "kitchen" not in logged.getvalue()


def test_a_wrong_form_is_not_quoted_in_the_log(tiny: Identifier, logged: io.StringIO) -> None:
    with client_of(create_app(tiny, Settings(log_format="json"))) as client:
        form = {"content-type": "multipart/form-data; boundary=edge"}
        assert client.post("/v1/identify", content=b"--kitchen", headers=form).status_code == 422
    assert [line["status"] for line in read_lines(logged)] == [422]
    assert "kitchen" not in logged.getvalue()


def test_the_other_formats_log_no_requests(tiny: Identifier) -> None:
    for log_format in ("text", "none"):
        loggers = log_config(log_format)["loggers"]
        assert loggers["handlens.requests"]["level"] == "CRITICAL"
    assert log_config("text")["loggers"]["handlens.service"]["level"] == "WARNING"
    assert log_config("none")["loggers"]["handlens.service"]["level"] == "ERROR"


def test_a_line_is_json_whatever_is_in_it() -> None:
    record = logging.LogRecord("name", logging.WARNING, "", 0, 'a "quoted"\n%s', ("line",), None)
    assert json.loads(JsonFormatter().format(record))["message"] == 'a "quoted"\nline'
    assert "\n" not in JsonFormatter().format(record)


# Metrics.


def test_the_metrics_count_what_happens(tiny: Identifier) -> None:
    with client_of(create_app(tiny, Settings(metrics=True))) as client:
        files = {"photos": (SECRET_NAME, JPEG)}
        for _ in range(2):
            assert client.post("/v1/identify", files=files).status_code == 200
        assert client.post("/v1/identify", files={"photos": ("a", b"x")}).status_code == 415
        for path in ("/nowhere", "/else"):
            assert client.get(path).status_code == 404
        wait_for_metric(client, 'handlens_requests_total{method="POST",route="/v1/identify",status="200"}', 2)
        assert metric(client, 'handlens_requests_total{method="GET",route="(none)",status="404"}') == 2
        assert metric(client, 'handlens_refusals_total{reason="not-an-image"}') == 1
        for stage in ("queue", "work", "total"):
            assert metric(client, f'handlens_seconds_count{{stage="{stage}"}}') == 3
        total, work = (metric(client, f'handlens_seconds_sum{{stage="{stage}"}}') for stage in ("total", "work"))
        assert total > work > 0
        assert metric(client, "handlens_queue_length") == 0
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert f'name="{tiny.bundle.name}"' in answer.text
        assert SECRET_NAME not in answer.text
        assert "/nowhere" not in answer.text
        assert "/metrics" not in client.get("/openapi.json").json()["paths"]


def test_two_services_count_apart(tiny: Identifier) -> None:
    for _ in range(2):
        with client_of(create_app(tiny, Settings(metrics=True))) as client:
            client.get("/livez")
            wait_for_metric(client, 'handlens_requests_total{method="GET",route="/livez",status="200"}', 1)


def test_there_are_none_unless_they_are_asked_for(client: httpx.Client) -> None:
    check_problem(client.get("/metrics"), 404, "not-found")


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded"])
def test_without_keys_they_are_for_this_machine_only(tiny: Identifier, header: str) -> None:
    settings = Settings(metrics=True, trusted_proxies=("127.0.0.1",))
    with client_of(create_app(tiny, settings), settings) as client:
        assert client.get("/metrics").status_code == 200
        check_problem(client.get("/metrics", headers={"x-forwarded-for": "192.0.2.1"}), 403, "forbidden")
    # A proxy that was not set up makes everybody look as if from here.
    with client_of(create_app(tiny, Settings(metrics=True))) as client:
        check_problem(client.get("/metrics", headers={header: "127.0.0.1"}), 403, "forbidden")


def test_with_keys_they_need_one(tiny: Identifier) -> None:
    key, line = new_key()
    with client_of(create_app(tiny, Settings(metrics=True, keys=(line,)))) as client:
        answer = client.get("/metrics")
        check_problem(answer, 401, "unauthorised")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert client.get("/metrics", headers={"authorization": f"Bearer {key}"}).status_code == 200
