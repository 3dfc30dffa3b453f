"""The OpenAPI document as a page of plain HTML.

Swagger UI and ReDoc fetch their scripts from another host and need inline ones; this page needs no script at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

__all__ = ["docs_html"]

_METHODS: Final = ("get", "put", "post", "delete", "patch")
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="page/style.css">
</head>
<body class="docs">
<header class="bar">
<a class="brand" href="./"><img src="page/icon.svg" alt="" width="28" height="28">Handlens</a>
</header>
<main>
<h1>{title}</h1>
<p>{description}</p>
<p>The same as a document for programs: <a href="openapi.json">openapi.json</a>.</p>
{operations}
</main>
</body>
</html>
"""


def docs_html(openapi: Mapping[str, Any]) -> str:
    """The page for an OpenAPI 3.1 document; every text of the document is escaped."""
    operations = [
        _operation(method, path, item[method], openapi["components"]["schemas"])
        for path, item in openapi["paths"].items()
        for method in _METHODS
        if method in item
    ]
    info = openapi["info"]
    return _PAGE.format(
        title=escape(f"{info['title']} {info['version']}"),
        description=escape(info.get("description", "")),
        operations="\n".join(operations),
    )


def _operation(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    heading = f"<h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
    parts = [heading, f"<p>{escape(operation.get('summary', ''))}</p>"]
    fields = [*_parameters(operation), *_body_fields(operation)]
    if fields:
        parts.append(_table(("Field", "Kind", "Meaning"), fields))
    responses = operation.get("responses", {})
    for title, body in (("Body", operation.get("requestBody", {})), ("Answer", responses.get("200", {}))):
        for example in _examples(body, schemas):
            parts.append(f"<h3>{title}</h3><pre><code>{escape(example)}</code></pre>")
    rows = [
        (status, ", ".join(answer.get("content", ())), answer["description"]) for status, answer in responses.items()
    ]
    parts.append(_table(("Status", "Content", "Meaning"), rows))
    return f'<section class="card">{"".join(parts)}</section>'


def _parameters(operation: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        kind = " or ".join(schema["enum"]) if "enum" in schema else schema.get("type", "")
        yield parameter["name"], f"{parameter['in']}, {kind}", parameter.get("description", "")


def _body_fields(operation: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content["schema"]
        for name, field in schema.get("properties", {}).items():
            kind = "file" if field.get("items", {}).get("format") == "binary" else field.get("type", "")
            needed = ", required" if name in schema.get("required", ()) else ""
            yield name, f"{media_type}, {kind}{needed}", field.get("description", "")


def _examples(body: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    for content in body.get("content", {}).values():
        schema = schemas.get(content["schema"].get("$ref", "").rpartition("/")[2], {})
        example = content.get("example", schema.get("example"))
        if example is not None:
            yield example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)


def _table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    titles = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'
