"""Every reason for which a photo is refused, one class a code.

`handlens.photo` re-exports these names. A `detail` is one sentence for a person about what is wrong with the
photo; the photo's name is kept apart in `photo`, because a result row and a problem document have their own
field for it.
"""

from __future__ import annotations

from handlens.errors import HandlensError


class PhotoError(HandlensError):
    """A photo that cannot be used: `photo` is its name, `code` the kind of failure, `detail` the sentence."""

    code = "photo-error"

    def __init__(self, photo: str, detail: str) -> None:
        super().__init__(detail)
        self.photo = photo

    def __reduce__(self) -> tuple[type[PhotoError], tuple[str, str]]:
        # The default would rebuild the error from `detail` alone and fail; worker processes send errors back.
        return type(self), (self.photo, self.detail)


class PhotoNotFoundError(PhotoError):
    """No file has this name."""

    code = "not-found"


class NotAFileError(PhotoError):
    """The path is a directory, a pipe, a socket or a device."""

    code = "not-a-file"


class PhotoPermissionError(PhotoError):
    """The file exists and may not be read."""

    code = "permission-denied"


class UnreadableFileError(PhotoError):
    """The operating system or the file object failed while the bytes were read."""

    code = "unreadable-file"


class EmptyFileError(PhotoError):
    """There are no bytes at all."""

    code = "empty-file"


class NotAnImageError(PhotoError):
    """The bytes are no image: text, a web page, a document, an archive, a video, noise."""

    code = "not-an-image"


class UnsupportedFormatError(PhotoError):
    """The bytes are an image of a format that Handlens does not read."""

    code = "unsupported-format"


class TruncatedImageError(PhotoError):
    """The file ends before the picture does."""

    code = "truncated-image"


class CorruptImageError(PhotoError):
    """The decoder failed on damaged data in mid-file."""

    code = "corrupt-image"


class ImageTooLargeError(PhotoError):
    """The bytes, the pixels or a side pass the limit."""

    code = "image-too-large"


class ImageTooSmallError(PhotoError):
    """The photo, or the part of it that the crop keeps, is too small to show a specimen."""

    code = "image-too-small"


class BadCropError(PhotoError):
    """The crop is empty, reaches outside the photo or is not four whole numbers."""

    code = "bad-crop"


class BadRotationError(PhotoError):
    """The rotation is no multiple of 90 degrees."""

    code = "bad-rotation"


class BadArrayError(PhotoError):
    """The array has a shape, a type or values that no photo has, or the object is no photo source at all."""

    code = "bad-array"
