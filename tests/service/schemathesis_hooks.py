"""Makes what schemathesis sends as valid as the schema alone cannot say: real pictures, known names, true scores.

Only bodies that are meant to be accepted are changed; which fields they have stays as generated.
"""

from __future__ import annotations

import base64
import io
from typing import Any, Final

import numpy as np
import schemathesis
from PIL import Image
from schemathesis.generation import GenerationMode

from handlens.bundle import open_bundle

SIDE: Final = 64
TEXTS: Final = {
    "hardness": "3±0.5",
    "streak": "white",
    "gravity": "2.7",
    "among": "quartz, calcita",
    "crop": f"0,0,{SIDE},{SIDE // 2}",
}
TESTS: Final = ("acid=none", "magnet=weak", "lustre=vitreous")


def _picture() -> str:
    """A BMP of small numbers only, so that it is a text, which is what the schema calls a file."""
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 128, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "BMP", dpi=(1, 1))
    return out.getvalue().decode("ascii")


PICTURE: Final = _picture()
LABELS: Final = open_bundle().labels
MORE_VIEWS: Final = open_bundle().thorough is not None


@schemathesis.hook
def before_call(context: Any, case: schemathesis.Case[Any], kwargs: Any) -> None:
    meta = case.meta
    if meta is None or meta.generation.mode is not GenerationMode.POSITIVE or not isinstance(case.body, dict):
        return
    body: dict[str, Any] = dict(case.body)  # its values are shared between cases
    body |= {name: text for name, text in TEXTS.items() if isinstance(body.get(name), str)}
    # As a form has them; here they would count as no numbers.
    body |= {name: int(body[name]) for name in ("top", "rotate") if str(body.get(name, "")).lstrip("-").isdigit()}
    if isinstance(body.get("test"), list):
        body["test"] = list(TESTS[: len(body["test"])])
    if "image_base64" in body:
        body["image_base64"] = base64.b64encode(PICTURE.encode()).decode()
    if "scores" in body and isinstance(body["scores"], dict):
        body["scores"] = dict.fromkeys(LABELS, 1 / len(LABELS))
    elif isinstance(body.get("photos"), list):
        if case.path == "/v1/identify" and str(body.get("explain")) == "1":
            body["photos"] = body["photos"][:1]  # the heat map is of one photo
        body["photos"] = [PICTURE] * len(body["photos"])
    if "thorough" in body and not MORE_VIEWS:
        body["thorough"] = "0"
    case.body = body
