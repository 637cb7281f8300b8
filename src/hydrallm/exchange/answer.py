"""An upstream's answer while it is being received.

On generation paths a compressed answer is decoded, so that it can be looked at: the upstream was asked for ``identity``
and compresses all the same, or something between us and it does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.errors import RemoteProtocolError
from hydrallm.formats.json_value import is_json
from hydrallm.http.buffered import STEP
from hydrallm.http.decoding import Decoder, DecodingError, decoder

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from hydrallm.http.client_stream import ClientStream


class Answer:
    """The status, headers and body of an upstream's answer.

    Args:
        upstream: the stream it comes from; the answer owns it.
        decode: whether a content coding is undone.

    Attributes:
        decoded: whether there was one. The upstream's Content-Length and Content-Encoding then mean nothing any more.
        opaque: whether there is one that was not undone, so that the body cannot be looked at.
    """

    __slots__ = ("_decoder", "_ended", "_media_type", "_pieces", "decoded", "opaque", "upstream")

    def __init__(self, upstream: ClientStream, *, decode: bool) -> None:
        self._media_type = coding = b""
        for name, value in upstream.headers:
            if name == b"content-type":
                self._media_type = value.partition(b";")[0].strip().lower()
            elif name == b"content-encoding":
                coding = value
        self.upstream = upstream
        self._decoder: Decoder | None = decoder(coding) if coding and decode else None
        self._pieces: Iterator[bytes] = iter(())
        self._ended = False
        self.decoded = self._decoder is not None
        self.opaque = bool(coding) and not self.decoded and coding.strip().lower() != b"identity"

    @property
    def is_json(self) -> bool:
        """Whether the body says it is JSON."""
        return self._media_type == b"application/json" or self._media_type.endswith(b"+json")

    @property
    def is_text(self) -> bool:
        """Whether the body may be JSON: it says so, it says nothing, or it says that it is some text."""
        return self.is_json or not self._media_type or self._media_type.startswith(b"text/")

    @property
    def complete(self) -> bool:
        """Whether all of the body has been taken, once a piece or the whole of it was."""
        return self._ended if self.decoded else self.upstream.complete

    @property
    def length(self) -> int | None:
        """Bytes of the whole body, where the upstream announced them."""
        return None if self.decoded else self.upstream.length

    def is_cut_json(self, body: bytes) -> bool:
        """Return whether ``body``, all that came, says it is JSON and does not parse.

        A body that only the end of the connection delimits is complete for HTTP wherever that comes (RFC 9112 section
        8), so there this is the one sign that something is missing.
        """
        if not (self.complete and self.is_json):
            return False
        if self.opaque:
            return False
        try:
            msgspec.json.decode(body, type=msgspec.Raw)
        except (msgspec.DecodeError, RecursionError):
            return not is_json(body)
        return False

    def chunk(self) -> Coroutine[Any, Any, bytes]:
        """Return the next piece of the body; empty at its end.

        Raises:
            UpstreamError: the reason why the rest will not come.
        """
        return self.upstream.chunk() if self._decoder is None else self._decode(self._decoder)

    def gather(self, limit: int) -> Coroutine[Any, Any, bytes]:
        """Return the body so far, once it is complete or no more of it may be held (``complete`` tells which).

        Args:
            limit: bytes that are held at most; fewer where there is no memory for so many.

        Raises:
            UpstreamError: the reason why the rest will not come.
        """
        return self.upstream.gather(limit) if self._decoder is None else self._gather(limit)

    async def _decode(self, decoder: Decoder) -> bytes:
        try:
            while not self._ended:
                if (piece := next(self._pieces, None)) is not None:
                    return piece
                data = await self.upstream.chunk()
                if data:
                    self._pieces = decoder.feed(data)
                else:
                    decoder.finish()
                    self._ended = True
        except DecodingError as error:
            raise RemoteProtocolError(f"the upstream's compressed body is damaged: {error}") from error
        return b""

    async def _gather(self, limit: int) -> bytes:
        body = bytearray()
        most = min(limit, STEP)
        while len(body) <= most and (data := await self.chunk()):
            body += data
            missing = min(len(body) + STEP, limit) - most
            if most < len(body) <= limit and self.upstream.reserve(missing):
                most += missing
        if not self._ended:
            self.upstream.release()  # what is here is not held, but passed on
        return bytes(body)

    def close(self) -> None:
        """Let go of it, complete or not."""
        self.upstream.close()
