"""Content codings (RFC 9110 section 8.4.1), decoded incrementally and within a bound.

A few kilobytes of gzip can stand for gigabytes, so a decoder is never asked for more than a bounded piece at a time
and the caller counts what came out.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Protocol

from hydrallm.errors import HydraError

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 256 * 1024

MAX_PARTS = 10_000
"""Members or frames in one body. Each costs a new decoder, and no bound on the output sees the empty ones. Those who
compress in parts make them 64 KB and larger."""


class DecodingError(HydraError):
    """The coded bytes are damaged or incomplete."""


class Decoder(Protocol):
    """Turns coded bytes into plain ones."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` decodes to, at most ``PIECE`` bytes at a time.

        Raises:
            DecodingError: if the bytes are not of this coding.
        """

    def finish(self) -> None:
        """Say that the input has ended.

        Raises:
            DecodingError: if it ended inside a coded stream.
        """


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._inner = zlib.decompressobj(wbits)
        self._empty = True
        self._parts = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            self._empty = False
            if self._inner.eof:  # gzip members may follow one another (RFC 1952 section 2.2)
                self._parts = _one_more(self._parts)
                self._inner = zlib.decompressobj(self._wbits)
            try:
                piece = self._inner.decompress(data, PIECE)
            except zlib.error as error:
                raise DecodingError(str(error)) from error
            if piece:
                yield piece
            data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail

    def finish(self) -> None:
        if not self._empty and not self._inner.eof:
            raise DecodingError("the compressed data is incomplete")


class _Deflate(_Zlib):
    """``deflate`` is a zlib stream by the book; many senders leave the zlib wrapper out, so both are taken."""

    def __init__(self) -> None:
        super().__init__(zlib.MAX_WBITS)
        self._first = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._empty and data:
            self._first += data
            if len(self._first) < 2:  # the zlib header is two bytes
                return
            data, self._first = self._first, b""
            wrapped = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
            self._wbits = zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
            self._inner = zlib.decompressobj(self._wbits)
        yield from super().feed(data)

    def finish(self) -> None:
        if self._first:
            raise DecodingError("the compressed data is incomplete")
        super().finish()


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstd.ZstdDecompressor()
        self._empty = True
        self._parts = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or not self._inner.needs_input:
            self._empty = False
            if self._inner.eof:  # frames may follow one another (RFC 8878 section 3.1)
                data = self._inner.unused_data + data
                if not data:
                    return
                self._parts = _one_more(self._parts)
                self._inner = zstd.ZstdDecompressor()
            try:
                piece = self._inner.decompress(data, PIECE)
            except zstd.ZstdError as error:
                raise DecodingError(str(error)) from error
            data = b""
            if piece:
                yield piece

    def finish(self) -> None:
        if not self._empty and not self._inner.eof:
            raise DecodingError("the compressed data is incomplete")


def _one_more(parts: int) -> int:
    if parts >= MAX_PARTS:
        raise DecodingError(f"more than {MAX_PARTS} compressed parts in one body")
    return parts + 1


def decoder(coding: bytes) -> Decoder | None:
    """Return a decoder for a Content-Encoding's value; None where the coding is not known (or is a list of several)."""
    match coding.strip().lower():
        case b"gzip" | b"x-gzip":
            return _Zlib(zlib.MAX_WBITS | 16)
        case b"deflate":
            return _Deflate()
        case b"zstd":
            return _Zstd()
        case _:
            return None
