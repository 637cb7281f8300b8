"""How large an image is, and how long a PDF: as much of a file as tells it.

PURE. The formats are those that models take: PNG (https://www.w3.org/TR/png-3/#11IHDR), JPEG (ITU-T T.81, B.2.2), GIF
(GIF89a, section 18), WebP (RFC 9649) and PDF (ISO 32000-1, 7.7.3). What is wrong with a file is not said here; its
size is then not known.
"""

from __future__ import annotations

import re
import struct

HEADER = 256 * 1024
"""Bytes at the beginning of an image that are enough: before the size of a JPEG are its thumbnail and its colours."""

_NO_SIZE = frozenset({0xC4, 0xC8, 0xCC})  # tables, among the markers of frames: SOF0 to SOF15 are 0xC0 to 0xCF
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment

ENDS = 64 * 1024
"""Bytes at each end of a PDF that are enough: its root is the first that is written, or the last."""

_MOST_PAGES = 1000

# The root of the tree of pages counts those below it; so does each branch. A file made for the web counts them at once.
_COUNTED = (
    (re.compile(rb"/Type\s{0,9}/Pages\b"), re.compile(rb"/Count\s{1,9}(\d{1,6})\b")),
    (re.compile(rb"/Linearized\b"), re.compile(rb"/N\s{1,9}(\d{1,6})\b")),
)


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and the height of an image, in pixels, or None if they are not to be found.

    Args:
        data: the file, or its first :data:`HEADER` bytes.
    """
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            size = struct.unpack_from(">II", data, 16)
        elif data.startswith((b"GIF87a", b"GIF89a")):
            size = struct.unpack_from("<HH", data, 6)
        elif data.startswith(b"\xff\xd8"):
            size = _jpeg(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            size = _webp(data)
        else:
            return None
    except (struct.error, IndexError):  # it ends before that
        return None
    width, height = size
    return (width, height) if width and height else None


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _ALONE:
            at += 2
        elif 0xC0 <= marker <= 0xCF and marker not in _NO_SIZE:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return 0, 0


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return _u24(data, 24) + 1, _u24(data, 27) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _u24(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 3], "little")


def pdf_pages(data: bytes) -> int | None:
    """Return how many pages a PDF has, or None if that is not to be found: it may be in a compressed part.

    Args:
        data: the file, or its first and last :data:`ENDS` bytes.
    """
    counts = [
        int(count[1])
        for object_ in data.split(b"endobj")
        for kind, counted in _COUNTED
        if kind.search(object_) and (count := counted.search(object_))
    ]
    return min(max(counts), _MOST_PAGES) or None if counts else None
