"""Fails when no test ran, or when real photographs are beside the clone and a test of them was skipped."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

REAL_PHOTOS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "photos"


def main(results: str) -> int:
    """Reads pytest's JUnit file and prints the plain counts."""
    cases = list(ElementTree.parse(results).iter("testcase"))
    skipped = {f"{case.get('classname')}.{case.get('name')}": case.find("skipped") for case in cases}
    reasons = {name: str(skip.get("message")) for name, skip in skipped.items() if skip is not None}
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    passed = len(cases) - failed - len(reasons)
    print(f"{passed} passed, {failed} failed, {len(reasons)} skipped")
    if passed == 0:
        print("no test ran", file=sys.stderr)
        return 1
    if REAL_PHOTOS.is_dir():
        missed = [name for name, reason in reasons.items() if "real photos" in reason]
        for name in missed:
            print(f"{name} was skipped although the real photographs are here", file=sys.stderr)
        return 1 if missed else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
