"""AWS event-stream frames: whole frames out of bytes as they come, and the one frame that is sent.

PURE. A stream of ``application/vnd.amazon.eventstream`` is one frame after the other and nothing between them::

    total length, headers length   4 bytes each   ) the prelude
    CRC-32 of these 8 bytes        4 bytes        )
    headers                        name (1 length byte), type byte, value; one after the other
    payload                        all that is left of the total length
    CRC-32 of all before it        4 bytes

All integers are big-endian. There is no mark between frames: where one ends is only known from its length, so whoever
believes a wrong length is lost for good. That is why the prelude has a checksum of its own, and why a stream is over
once a checksum is wrong ("If either checksum is invalid, the stream MUST be terminated").

A frame's bytes are kept as they came: what is passed on is what was received, checksums included.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_TYPE = b"application/vnd.amazon.eventstream"

# The largest that a service may send. The specification has clients believe it; a proxy that holds a frame until it is
# whole has to know what it is in for.
MAX_HEADERS = 128 * 1024
MAX_PAYLOAD = 24 * 1024 * 1024

_PRELUDE = struct.Struct("!III")
_CHECKSUM = struct.Struct("!I")
_OVERHEAD = _PRELUDE.size + _CHECKSUM.size

# Bytes of a header's value by its type: true, false, byte, short, integer, long, timestamp, UUID.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
_BYTE_ARRAY = 6
_STRING = 7


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One message of the stream; its checksums were right.

    Attributes:
        raw: the whole of it, as it came.
        headers: the block of headers, for :func:`read_headers`.
        payload: what it carries.
    """

    raw: bytes
    headers: bytes
    payload: bytes


class HeadersError(ValueError):
    """A block of headers does not follow the format, though its checksum was right."""


class FrameDecoder:
    """Cuts a stream into frames, however its bytes are split.

    Attributes:
        broken: why nothing more can be read; empty while it can.
    """

    __slots__ = ("_pending", "_wanted", "broken")

    def __init__(self) -> None:
        self._pending = bytearray()
        self._wanted = 0  # bytes that must be there before it makes sense to look at them again
        self.broken = ""

    def feed(self, data: bytes) -> list[Frame]:
        """Take what has arrived; return the frames that are whole now.

        A frame that arrives alone and whole keeps ``data`` itself as its ``raw``.
        """
        if self._pending:
            self._pending += data
            if len(self._pending) < self._wanted:
                return []
            data = bytes(self._pending)
            self._pending.clear()
        frames: list[Frame] = []
        size = len(data)
        at = 0
        self._wanted = _PRELUDE.size
        while size - at >= _PRELUDE.size and not self.broken:
            total, headers, checksum = _PRELUDE.unpack_from(data, at)
            if zlib.crc32(data[at : at + 8]) != checksum:
                self.broken = "the checksum of a frame's prelude is wrong"
            elif headers > MAX_HEADERS or not headers + _OVERHEAD <= total <= headers + _OVERHEAD + MAX_PAYLOAD:
                self.broken = f"a frame announces {total} bytes, {headers} of them headers, which cannot be"
            elif (end := at + total) > size:
                self._wanted = total
                break
            # The second checksum covers the first: the sum of the prelude's 8 bytes is where it goes on from.
            elif zlib.crc32(data[at + 8 : end - 4], checksum) != _CHECKSUM.unpack_from(data, end - 4)[0]:
                self.broken = "the checksum of a frame is wrong"
            else:
                raw = data if total == size else data[at:end]
                start = _PRELUDE.size + headers
                frames.append(Frame(raw, raw[_PRELUDE.size : start], raw[start:-4]))
                at = end
        if at < size and not self.broken:
            self._pending += data[at:]
        return frames


def read_headers(block: bytes) -> dict[str, str]:
    """Return the headers that are strings, by name; headers of other types are skipped.

    Raises:
        HeadersError: an unknown type, a name that appears twice, text that is not UTF-8, or a value that is cut.
    """
    found: dict[str, str] = {}
    seen: set[bytes] = set()
    at = 0
    while at < len(block):
        name, at = _take(block, at + 1, block[at])
        kind = _take(block, at, 1)[0][0]
        at += 1
        size = _SIZES.get(kind)
        if kind in {_BYTE_ARRAY, _STRING}:
            length, at = _take(block, at, 2)
            size = int.from_bytes(length, "big")
        if size is None:
            raise HeadersError(f"a header has the unknown type {kind}")
        value, at = _take(block, at, size)
        if not name or name in seen:
            raise HeadersError("a header has no name" if not name else "a header appears twice")
        seen.add(name)
        if kind == _STRING:
            found[_text(name)] = _text(value)
    return found


def encode_frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a frame.

    Args:
        headers: names of 1 to 255 bytes, values of at most 65,535 bytes in UTF-8.
        payload: at most :data:`MAX_PAYLOAD` bytes.
    """
    block = b"".join(map(_encode_header, headers, headers.values()))
    prelude = struct.pack("!II", _OVERHEAD + len(block) + len(payload), len(block))
    frame = b"".join((prelude, _CHECKSUM.pack(zlib.crc32(prelude)), block, payload))
    return frame + _CHECKSUM.pack(zlib.crc32(frame))


def _encode_header(name: str, value: str) -> bytes:
    raw_name, raw_value = name.encode(), value.encode()
    return struct.pack(f"!B{len(raw_name)}sBH", len(raw_name), raw_name, _STRING, len(raw_value)) + raw_value


def _take(block: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(block):
        raise HeadersError("a header is cut")
    return block[at:end], end


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise HeadersError("a header is not UTF-8") from None
