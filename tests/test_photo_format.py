"""What a file's own structure says, read without decoding it."""

from __future__ import annotations

import pytest

from handlens.photo_format import jpeg_scans

# Where the search goes on with another block, and the last of those.
BORDERS = [1 << 12, 1 << 14, 3 << 14, 7 << 14, 15 << 14, 31 << 14, 47 << 14]
SCAN = b"\xff\xda\x00\x02"


@pytest.mark.parametrize("length", [0, 1, *(border + beside for border in BORDERS for beside in range(-8, 8))])
def test_a_marker_is_found_wherever_the_data_before_it_ends(length: int) -> None:
    entropy = (b"\xff\x00\xff\xd3\x12" * (length // 5 + 1))[:length]
    if entropy.endswith(b"\xff"):
        entropy = entropy[:-1] + b"\x12"
    photo = b"\xff\xd8" + SCAN + entropy
    assert jpeg_scans(photo + SCAN + b"\x12" + b"\xff\xd9") == (2, True)
    assert jpeg_scans(photo + b"\xff\xff\xd9") == (1, True)  # a fill byte before the marker
    assert jpeg_scans(photo + b"\xff") == (1, False)
    assert jpeg_scans(photo) == (1, False)
