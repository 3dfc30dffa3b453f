"""The multipart form of `POST /v1/identify` → photos, and what `Identifier` is asked of them.

The form is parsed by Starlette's parser, with one change: a photo stays in memory, whatever its size, and is never
spooled to a file. The limit on the body bounds what that takes.
"""

from __future__ import annotations

import re
from collections.abc import Set
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from handlens.errors import UsageError
from handlens.evidence import Evidence
from handlens.evidence_fields import evidence_of_fields
from handlens.identifier import DEFAULT_TOP, MOST_PHOTOS
from handlens.minerals import Language
from handlens.photo import BadCropError, BadRotationError, Crop
from handlens.service.problems import UnsupportedMediaTypeError
from handlens.service.settings import Settings

__all__ = ["IdentifyForm", "among_names", "photo_name", "read_identify_form"]

_FIELDS: Final = frozenset(
    {
        "photos",
        "top",
        "among",
        "crop",
        "rotate",
        "thorough",
        "hardness",
        "streak",
        "gravity",
        "test",
        "lang",
        "scores",
        "explain",
    }
)
_LONGEST_NAME: Final = 150
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class IdentifyForm:
    """The photos of one specimen and how to look at them.

    `thorough`: in more ways than usual. `scores`: whether every label's score is asked for; `explain`: whether the heat
    map of the one photo is.
    """

    photos: tuple[bytes, ...]
    names: tuple[str, ...]
    top: int
    among: tuple[str, ...] | None
    crop: Crop | None
    rotate: int
    thorough: bool
    evidence: Evidence | None
    lang: Language
    scores: bool
    explain: bool


class _MemoryParser(MultiPartParser):
    spool_max_size = 0  # for a SpooledTemporaryFile: never roll over to a file


async def read_identify_form(
    request: Request, settings: Settings, *, fields: Set[str] = _FIELDS, most_photos: int = MOST_PHOTOS
) -> IdentifyForm:
    """Reads and checks the form, which may have these fields and so many photos.

    A text field that is blank counts as not given. Raises UsageError for a form that is broken, has fields that are
    unknown, doubled or no numbers, has no photo or too many, or asks to explain several;
    UnsupportedMediaTypeError where the body is no multipart form; BadCropError, BadRotationError and BadEvidenceError.
    """
    if request.query_params:
        raise UsageError("The parameters belong into the form, not into the address.")
    form = await _parse(request, settings, most_photos)
    try:
        _check_fields(form, fields)
        uploads = _chosen_photos(form, most_photos)
        photos = tuple([await upload.read() for upload in uploads])
        names = tuple(photo_name(upload.filename) for upload in uploads)
    finally:
        await form.close()
    return IdentifyForm(
        photos=photos,
        names=names,
        top=_top(_text(form, "top")),
        among=among_names(_text(form, "among")),
        crop=_crop(_text(form, "crop"), names[0]),
        rotate=_rotate(_text(form, "rotate"), names[0]),
        thorough=_flag("thorough", _text(form, "thorough")),
        evidence=evidence_of_fields(
            hardness=_text(form, "hardness"),
            streak=_text(form, "streak"),
            gravity=_text(form, "gravity"),
            tests=[text for text in _texts(form, "test") if text.strip()],
        ),
        lang=_lang(_text(form, "lang")),
        scores=_flag("scores", _text(form, "scores")),
        explain=_explain(_text(form, "explain"), len(photos)),
    )


def among_names(text: str | None) -> tuple[str, ...] | None:
    """The names of a field `among`, separated by commas; None where it is not given."""
    if text is None:
        return None
    return tuple(name for part in text.split(",") if (name := part.strip()))


def photo_name(filename: str | None) -> str:
    """What answers call an uploaded photo: the base name of its file without what cannot be printed, or "photo"."""
    base = re.split(r"[/\\]", filename or "")[-1]
    name = "".join(character for character in base if character.isprintable()).strip()[:_LONGEST_NAME]
    return name if name.strip(".") else "photo"


async def _parse(request: Request, settings: Settings, most_photos: int) -> FormData:
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        raise UnsupportedMediaTypeError("Send the photo as multipart/form-data, in the field photos.")
    try:
        async with aclosing(request.stream()) as stream:
            return await _MemoryParser(
                request.headers,
                stream,
                max_files=most_photos,
                max_fields=settings.max_fields,
                max_part_size=settings.max_field_bytes,
            ).parse()
    except MultiPartException as error:
        raise UsageError(f"The form cannot be read: {error.message}") from None
    except ValueError:  # a charset that is none, or the parser's own complaint
        raise UsageError("The form cannot be read: it is no valid multipart/form-data.") from None


def _check_fields(form: FormData, fields: Set[str]) -> None:
    for name, value in form.multi_items():
        if name not in fields:
            known = ", ".join(sorted(fields))
            raise UsageError(f"The form has a field {name[:40]!r}; the fields are {known}.")
        if isinstance(value, UploadFile) != (name == "photos"):
            raise UsageError(f"The field {name} must be {'a file' if name == 'photos' else 'a text'}.")


def _chosen_photos(form: FormData, most_photos: int) -> list[UploadFile]:
    uploads = [value for value in form.getlist("photos") if isinstance(value, UploadFile)]
    # What a browser sends for a file field in which nothing was chosen.
    chosen = [upload for upload in uploads if upload.filename or upload.size]
    if not chosen:
        raise UsageError(f"The form has no photo: send 1 to {most_photos} files in the field photos.")
    return chosen


def _text(form: FormData, name: str) -> str | None:
    values = _texts(form, name)
    if len(values) > 1:
        raise UsageError(f"The field {name} is there {len(values)} times; send it once.")
    return next(iter(values), "").strip() or None


def _texts(form: FormData, name: str) -> list[str]:
    return [value for value in form.getlist(name) if isinstance(value, str)]


def _top(text: str | None) -> int:
    if text is None:
        return DEFAULT_TOP
    if not _WHOLE.fullmatch(text) or int(text) < 1:
        raise UsageError("top must be a whole number, 1 or more.")
    return int(text)


def _crop(text: str | None, photo: str) -> Crop | None:
    if text is None:
        return None
    try:
        return Crop.parse(text)
    except BadCropError as error:
        raise BadCropError(photo, error.detail) from None


def _rotate(text: str | None, photo: str) -> int:
    if text is None:
        return 0
    if not _WHOLE.fullmatch(text):
        raise BadRotationError(photo, "The rotation must be a multiple of 90 degrees, for example 90.")
    return int(text)


def _lang(text: str | None) -> Language:
    if text not in (None, "en", "es"):
        raise UsageError("lang must be en or es.")
    return "es" if text == "es" else "en"


def _explain(text: str | None, photos: int) -> bool:
    wanted = _flag("explain", text)
    if wanted and photos > 1:
        raise UsageError(f"explain is of one photo; the form has {photos}.")
    return wanted


def _flag(name: str, text: str | None) -> bool:
    if text not in (None, "0", "1"):
        raise UsageError(f"{name} must be 0 or 1.")
    return text == "1"
