"""HTTP/1.1 as the provider speaks it: requests read strictly, responses put together from their parts.

Strict, because the provider is also a witness: a request that is ambiguous (RFC 9112, section 6.3) is refused and
remembered instead of being understood somehow.
"""

from __future__ import annotations

import asyncio
import http
import re
import sys
import zlib
from typing import TYPE_CHECKING

import msgspec

from hydrallm.message import Headers, header

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from hydrallm.faults.script import Encoding

MAX_HEAD = 64 * 1024

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e]+) HTTP/1\.([01])")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)[ \t]*")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n]*)?")


class BadRequestError(Exception):
    """The peer's request is not one.

    Attributes:
        status: what to answer before closing.
    """

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        super().__init__(reason)


class Head(msgspec.Struct, frozen=True):
    """A request up to its empty line; header names in lower case."""

    method: bytes
    target: bytes
    headers: Headers
    keep_alive: bool
    length: int | None
    chunked: bool


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the next request's head, or None at the end of the connection.

    Raises:
        BadRequestError: it is malformed, ambiguous or over :data:`MAX_HEAD` bytes.
    """
    try:
        block = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadRequestError(400, f"the connection ended inside a head: {error.partial[:80]!r}") from None
        return None
    except asyncio.LimitOverrunError:
        raise BadRequestError(431, f"the head is over {MAX_HEAD} bytes") from None
    first, *lines = block[:-4].split(b"\r\n")
    request_line = _REQUEST_LINE.fullmatch(first)
    if request_line is None:
        raise BadRequestError(400, f"bad request line {first[:80]!r}")
    headers = [_field(line) for line in lines]
    method, target, minor = request_line.groups()
    length, chunked = _framing(headers)
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (minor == b"1" and not hosts):
        raise BadRequestError(400, f"{len(hosts)} Host headers")
    options = (header(headers, b"connection") or b"").lower()
    keep_alive = b"close" not in options if minor == b"1" else b"keep-alive" in options
    return Head(method, target, headers, keep_alive, length, chunked)


def _field(line: bytes) -> tuple[bytes, bytes]:
    field = _FIELD.fullmatch(line)
    if field is None:
        raise BadRequestError(400, f"bad header line {line[:80]!r}")
    return field[1].lower(), field[2]


def _framing(headers: Headers) -> tuple[int | None, bool]:
    """Return the announced length and whether the body is chunked; both absent means no body."""
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    if len(lengths) > 1 or (lengths and codings):
        raise BadRequestError(400, "more than one body framing")
    if lengths and not re.fullmatch(rb"[0-9]{1,15}", lengths[0]):
        raise BadRequestError(400, f"bad Content-Length {lengths[0]!r}")
    if codings and [value.lower() for value in codings] != [b"chunked"]:
        raise BadRequestError(501, f"unknown Transfer-Encoding {codings!r}")
    return (int(lengths[0]) if lengths else None), bool(codings)


async def read_body(reader: asyncio.StreamReader, head: Head, limit: int) -> bytes:
    """Return the body that ``head`` announces.

    Raises:
        BadRequestError: it ends early, its chunks are malformed, or it is over ``limit`` bytes.
    """
    try:
        if head.chunked:
            return await _read_chunks(reader, limit)
        if (head.length or 0) > limit:
            raise BadRequestError(413, f"a body of {head.length} bytes; the limit is {limit}")
        return await reader.readexactly(head.length or 0)
    except asyncio.IncompleteReadError:
        raise BadRequestError(400, "the connection ended inside a body") from None


async def _read_chunks(reader: asyncio.StreamReader, limit: int) -> bytes:
    body = bytearray()
    while True:
        line = (await reader.readuntil(b"\r\n"))[:-2]
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise BadRequestError(400, f"bad chunk size {line[:80]!r}")
        size = int(match[1], 16)
        if len(body) + size > limit:
            raise BadRequestError(413, f"a chunked body over {limit} bytes")
        if size == 0:
            break
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise BadRequestError(400, "a chunk is longer than its size says")
    while (await reader.readuntil(b"\r\n")) != b"\r\n":
        pass  # trailers are of no interest here
    return bytes(body)


def response_head(status: int, headers: Iterable[tuple[bytes, bytes]], version: str = "1.1") -> bytes:
    """Return a status line and header section, the empty line included."""
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/{version} {status} {phrase}".encode(), *(name + b": " + value for name, value in headers)]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk; it must not be empty, for an empty chunk ends a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def coded(pieces: Iterable[bytes], encoding: Encoding) -> list[bytes]:
    """Return ``pieces`` in a content coding, each flushed so that it can be decoded as soon as it arrives.

    The end of the coding is part of the last piece. ``deflate`` is the zlib format (RFC 9110, section 8.4.1.2).
    """
    compress, finish = _CODERS[encoding]()
    result = [compress(piece) for piece in pieces]
    tail = finish()
    if tail:
        result = [*result[:-1], (result[-1] if result else b"") + tail]
    return result


_Coder = tuple["Callable[[bytes], bytes]", "Callable[[], bytes]"]


def _identity() -> _Coder:
    return bytes, bytes


def _zlib(wbits: int) -> _Coder:
    coder = zlib.compressobj(wbits=wbits)
    return (lambda piece: coder.compress(piece) + coder.flush(zlib.Z_SYNC_FLUSH)), coder.flush


def _zstd() -> _Coder:
    coder = zstd.ZstdCompressor()
    return (lambda piece: coder.compress(piece, mode=zstd.ZstdCompressor.FLUSH_BLOCK)), coder.flush


_CODERS: dict[Encoding, Callable[[], _Coder]] = {
    "identity": _identity,
    "gzip": lambda: _zlib(16 + zlib.MAX_WBITS),
    "deflate": lambda: _zlib(zlib.MAX_WBITS),
    "zstd": _zstd,
}
