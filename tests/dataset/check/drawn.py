"""Drawn pictures unlike any other seed's, their copies, cards of text, and workspaces as `download` leaves them."""

from __future__ import annotations

import hashlib
import io
import os
import signal
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from handlens.dataset.check.inspect import Inspection, inspect_file
from handlens.dataset.manifest import Row, TableInfo
from handlens.dataset.workspace import Workspace

WIDTH, HEIGHT = 320, 240


def picture(seed: int) -> Image.Image:
    """Coloured clouds with grain: of every size some detail, and unlike any other seed's."""
    rng = np.random.default_rng(seed)
    whole = np.zeros((HEIGHT, WIDTH, 3))
    for cells, strength in ((4, 60), (12, 35), (60, 30)):
        noise = rng.normal(0, 1, (cells, cells * 4 // 3, 3)).astype(np.float32)
        layers = [
            np.asarray(Image.fromarray(noise[:, :, c]).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
            for c in range(3)
        ]
        whole += strength * np.stack(layers, axis=-1)
    return Image.fromarray((whole + 120).clip(0, 255).astype(np.uint8))


def encoded(im: Image.Image, kind: str = "JPEG", quality: int = 90) -> bytes:
    out = io.BytesIO()
    im.save(out, kind, **({"quality": quality} if kind == "JPEG" else {}))
    return out.getvalue()


def resized(im: Image.Image) -> Image.Image:
    return im.resize((im.width // 2, im.height // 2), Image.Resampling.LANCZOS)


def cropped(im: Image.Image) -> Image.Image:
    """Without 4 % on the left and 3 % below."""
    return im.crop((round(im.width * 0.04), 0, im.width, round(im.height * 0.97)))


def mirrored(im: Image.Image) -> Image.Image:
    return im.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def card(lines: Iterable[str] = ("FLUORITE", "Rogerley Mine, England", "Museum no. 4711")) -> Image.Image:
    """A printed label that fills the picture."""
    im = Image.new("RGB", (480, 320), (238, 232, 215))
    draw, font = ImageDraw.Draw(im), ImageFont.load_default(32)
    for number, line in enumerate(lines):
        draw.text((40, 50 + 80 * number), line, fill=(30, 25, 40), font=font)
    return im


def row(workspace: Workspace, number: int, label: str, data: bytes, ending: str = "jpg", **more: str | None) -> Row:
    """The row of a downloaded file, which is written where `download` would put it."""
    sha256 = hashlib.sha256(data).hexdigest()
    file = f"images/{sha256[:2]}/{sha256}.{ending}"
    path = workspace.root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    made = Row(
        id=hashlib.sha256(f"https://photos.example/{number}".encode()).hexdigest()[:16],
        label=label,
        status="fetched",
        url=f"https://photos.example/{number}",
        file=file,
        sha256=sha256,
        bytes=len(data),
    )
    return replace(made, **more)  # type: ignore[arg-type]


def downloaded(root: Path, photos: Iterable[tuple[str, bytes]]) -> Workspace:
    """A workspace whose table of `download` has these photos, a label and the bytes of a file each."""
    workspace = Workspace(root)
    rows = [row(workspace, number, label, data) for number, (label, data) in enumerate(photos)]
    workspace.write(rows, TableInfo("download", {}))
    return workspace


def lethal(sha256: str, path: Path) -> Inspection:
    """Inspects a file, and kills its own process where the name says so."""
    if path.name.startswith("lethal"):
        os.kill(os.getpid(), signal.SIGKILL)
    return inspect_file(sha256, path)
