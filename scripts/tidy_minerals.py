"""Rewrites src/handlens/minerals/minerals.json in its one form: records by name, a property a line, in a fixed order.

python scripts/tidy_minerals.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from handlens.minerals.properties import Properties

FILE: Final = Path(__file__).resolve().parent.parent / "src" / "handlens" / "minerals" / "minerals.json"
_ORDER: Final = [*Properties.__dataclass_fields__]


def main() -> int:
    FILE.write_text(tidy(json.loads(FILE.read_text("utf-8"))), "utf-8")
    return 0


def tidy(records: list[dict[str, Any]]) -> str:
    """The text of the file."""
    return "[\n" + ",\n".join(_record(one) for one in sorted(records, key=lambda one: str(one["name"]))) + "\n]\n"


def _record(record: dict[str, Any]) -> str:
    names = json.dumps({key: value for key, value in record.items() if key != "properties"}, ensure_ascii=False)
    properties = record.get("properties")
    if not properties:
        return names
    lines = [f'  "{key}": {json.dumps(properties[key], ensure_ascii=False)}' for key in _ORDER if key in properties]
    return f'{names[:-1]}, "properties": {{\n' + ",\n".join(lines) + "}}"


if __name__ == "__main__":
    sys.exit(main())
