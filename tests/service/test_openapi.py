"""The OpenAPI document: complete, with examples that are valid, and kept by the service (schemathesis)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from handlens.identifier import Identifier
from handlens.service import create_app
from handlens.service.settings import Settings

HOOKS = Path(__file__).with_name("schemathesis_hooks.py")


@pytest.fixture(scope="module")
def document(identifier: Identifier) -> Any:
    """With all that a setting can add."""
    return create_app(identifier, Settings(metrics=True, keys=("sha256:" + "0" * 64,))).openapi()


def contents(document: Any) -> Iterator[tuple[str, Any]]:
    """Every body of a request or an answer, with where it is."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            where = f"{method} {path}"
            parts = {"body": operation.get("requestBody", {}), **operation["responses"]}
            for part, holder in parts.items():
                for media_type, content in holder.get("content", {}).items():
                    yield f"{where}: {part} {media_type}", content


def test_every_body_and_answer_has_a_valid_example(document: Any) -> None:
    schemas = document["components"]["schemas"]
    seen = 0
    for where, content in contents(document):
        own = schemas.get(content["schema"].get("$ref", "").rpartition("/")[2], {})
        example = content.get("example", own.get("example"))
        assert example is not None, where
        schema = content["schema"] | {"components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(example)
        seen += 1
    assert seen > 40


def test_every_problem_is_of_its_status(document: Any) -> None:
    for where, content in contents(document):
        if "problem+json" in where:
            assert f": {content['example']['status']} " in where


def test_every_parameter_has_an_example(document: Any) -> None:
    parameters = [
        parameter
        for item in document["paths"].values()
        for operation in item.values()
        for parameter in operation.get("parameters", ())
    ]
    assert len(parameters) >= 5
    for parameter in parameters:
        schema = parameter["schema"]
        assert schema["examples"], parameter["name"]
        for example in schema["examples"]:
            jsonschema.Draft202012Validator(schema).validate(example)


def test_the_service_keeps_to_its_document(address: str, client: httpx.Client, tmp_path: Path) -> None:
    """All checks of schemathesis on all routes: what it must take is taken, what it must refuse is refused as said."""
    found = subprocess.run(
        [
            *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"),
            f"{address}/openapi.json",
            *("--max-examples", "10", "--seed", "1", "--generation-database", "none", "--no-color"),
            *("--report", "json", "--report-json-path", str(tmp_path / "report.json")),
        ],
        cwd=tmp_path,
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert found.returncode == 0, found.stdout[-8000:] + found.stderr[-2000:]
    assert (tmp_path / "report.json").is_file()
    routes = len([1 for item in client.get("/openapi.json").json()["paths"].values() for _ in item])
    assert f"Selected: {routes}/{routes}" in found.stdout
    assert f"Tested: {routes}" in found.stdout
