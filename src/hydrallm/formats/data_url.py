"""``data:`` URLs, by which OpenAI's formats carry images and files.

PURE. RFC 2397. The canonical form keeps the bytes in base64 and their type beside them
(:class:`~hydrallm.formats.canonical.Source`), so it never has such a URL.
"""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

_UNSAID = "text/plain"
"""The media type of a URL that does not say one (RFC 2397, section 2)."""

_IMAGES = (
    ("iVBOR", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lG", "image/gif"),
    ("UklG", "image/webp"),
)
"""What images begin with, in base64."""


def split_data_url(url: str) -> tuple[str, str] | None:
    """Return the media type of a ``data:`` URL, without parameters, and its bytes in base64; None for other URLs."""
    if url[:5].lower() != "data:":
        return None
    head, comma, data = url[5:].partition(",")
    if not comma:
        return None
    media_type, *parameters = (field.strip() for field in head.split(";"))
    if "base64" not in (parameter.lower() for parameter in parameters):
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return media_type.lower() or _UNSAID, data


def data_url(media_type: str, data: str) -> str:
    """Return the URL of ``data``, which is in base64."""
    return f"data:{media_type};base64,{data}"


def image_type(data: str) -> str:
    """Return the media type of the image that ``data``, in base64, begins like; PNG if like none."""
    return next((media_type for start, media_type in _IMAGES if data.startswith(start)), "image/png")
