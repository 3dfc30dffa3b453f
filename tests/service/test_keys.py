"""API keys: what needs one, what is told without one, how they are kept."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from handlens.errors import UsageError
from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.keys import Keys, new_key
from handlens.service.settings import Settings
from service.running import JPEG, check_problem, client_of, connected, read_answer

KEY, LINE = new_key()
OTHER, OTHER_LINE = new_key()
PHOTO = {"photos": ("a.jpg", JPEG)}


@pytest.fixture(scope="module")
def locked(tiny: Identifier, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(f"# of the museum\n\n{OTHER_LINE}  # until May\n", encoding="utf-8")
    with client_of(create_app(tiny, Settings(keys=(LINE,), keys_file=path))) as client:
        yield client


def bearer(key: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"authorization": f"{scheme} {key}"}


def test_a_new_key_is_long_and_its_line_is_its_hash() -> None:
    assert len(KEY) >= 43
    assert f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}" == LINE
    assert KEY != OTHER


@pytest.mark.parametrize("path", ["/v1/identify", "/v1/identify/batch", "/v1/reweigh", "/predict/", "/predict"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer"}, bearer(KEY + "x"), bearer(KEY, "Basic"), bearer(LINE), {"authorization": KEY}],
)
def test_inference_without_a_key_is_refused(locked: httpx.Client, path: str, headers: dict[str, str]) -> None:
    answer = locked.post(path, files=PHOTO, headers=headers)
    detail = check_problem(answer, 401, "unauthorised")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["x-request-id"]
    assert KEY not in detail


def test_every_key_is_admitted(locked: httpx.Client) -> None:
    for key in (KEY, OTHER):
        assert locked.post("/v1/identify", files=PHOTO, headers=bearer(key)).status_code == 200
        assert locked.post("/v1/identify", files=PHOTO, headers=bearer(key, "bearer")).status_code == 200


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/", "/page/style.css", "/docs", "/openapi.json", "/v1/model", "/v1/minerals"]
)
def test_the_rest_stays_open(locked: httpx.Client, path: str) -> None:
    assert locked.get(path).status_code == 200
    assert locked.get(path, headers=bearer("wrong")).status_code == 200


def test_the_body_is_not_read_without_a_key(locked: httpx.Client) -> None:
    with connected(str(locked.base_url)) as connection:
        connection.sendall(
            b"POST /v1/identify HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\nexpect: 100-continue\r\n\r\n"
        )
        check_problem(read_answer(connection), 401, "unauthorised")


def test_every_hash_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(first: str, second: str) -> bool:
        compared.append(first)
        return first == second

    monkeypatch.setattr(hmac, "compare_digest", compare)
    keys = Keys(line.removeprefix("sha256:") for line in (LINE, OTHER_LINE))
    assert keys.holder(f"Bearer {KEY}")
    assert len(compared) == 2


def test_the_document_says_that_a_key_is_needed(locked: httpx.Client, client: httpx.Client) -> None:
    document = locked.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {"key": {"type": "http", "scheme": "bearer"}}
    for path in ("/v1/identify", "/v1/identify/batch", "/v1/reweigh", "/predict/"):
        assert document["paths"][path]["post"]["security"] == [{"key": []}]
        assert "401" in document["paths"][path]["post"]["responses"]
    assert "security" not in document["paths"]["/v1/model"]["get"]
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


@pytest.mark.parametrize(
    ("text", "said"), [("", "holds no key"), ("# none\n", "holds no key"), pytest.param(KEY, "line 1", id="no hash")]
)
def test_a_keys_file_that_would_open_the_service_is_refused(
    tiny: Identifier, tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        create_app(tiny, Settings(keys_file=path))
    assert KEY not in caught.value.detail
    with pytest.raises(UsageError, match="cannot be read"):
        create_app(tiny, Settings(keys_file=tmp_path / "none"))
