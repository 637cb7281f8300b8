"""One connection to an upstream: what the parser says, turned into a stream.

A connection carries one request at a time and goes back to its pool when the answer is complete and the upstream will
take another. Four things llhttp and httptools leave to us:

* ``should_keep_alive`` is right only inside ``on_message_complete``;
* interim answers (100, 102, 103) complete a message too, and are passed over;
* after a HEAD the parser would take the next answer for a body, so such a connection is not used again;
* a body delimited by the end of the connection has no end that the parser would report.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import httptools

from hydrallm.errors import CutError, RemoteProtocolError, UpstreamError
from hydrallm.http import wire
from hydrallm.http.client_stream import ClientStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.http.buffered import Buffered
    from hydrallm.message import Headers

MAX_HEADERS = 500
MAX_HEAD = 64 * 1024
"""More than any provider sends, and less than the clients of this world can read."""

_INFORMATIONAL = 200
_HIGHEST = 599
"""There is no class of statuses beyond (RFC 9110 section 15)."""
_SWITCHING_PROTOCOLS = 101


class ClientConnection(asyncio.Protocol):
    """The client's side of one connection.

    Args:
        loop: the running loop.
        release: called with the connection when it may carry another request.
        lost: called with the connection when it is gone.
        buffered: bounds what is held of answers.

    Attributes:
        in_use: whether it has a place in the endpoint's queue.
    """

    __slots__ = (
        "__weakref__", "_head_size", "_headers", "_in_head", "_interim", "_lost", "_parser", "_read_size", "_release",
        "_sending", "_stream", "_to_eof", "_transport", "_writable", "buffered", "idle_since", "in_use", "loop",
        "reading_paused", "requests", "write_paused",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        release: Callable[[ClientConnection], None],
        lost: Callable[[ClientConnection], None],
        buffered: Buffered,
    ) -> None:
        self.loop = loop
        self.buffered = buffered
        self.in_use = False
        self.requests = 0
        self.reading_paused = False
        self.write_paused = False
        self.idle_since = 0.0
        self._release = release
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._stream: ClientStream | None = None
        self._headers: Headers = []
        self._head_size = 0
        self._read_size = 0
        self._in_head = True
        self._interim = False
        self._to_eof = False
        self._sending = False
        self._writable: asyncio.Future[None] | None = None

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the connection stands, TLS included."""
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        stream = self._stream
        if stream is None or stream.complete:
            self.abort()  # an idle upstream has nothing to say; whatever this is must not answer the next request
            return
        stream.began = True
        self._read_size = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(RemoteProtocolError("the upstream switched protocols, unasked"))
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, UpstreamError) else RemoteProtocolError(repr(cause)))
        except httptools.HttpParserError as error:
            if self._stream is stream and not stream.complete:
                self._fail(RemoteProtocolError(f"the upstream's answer is not HTTP: {error}"))
            else:
                self.abort()
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD:
                self._fail(_head_too_big())

    def eof_received(self) -> bool:
        """End a body that only the end of the connection delimits."""
        if self._to_eof and self._stream is not None:
            self._stream.feed_end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what was under way."""
        if self._stream is not None and not self._stream.complete:
            when = "inside its answer" if self._stream.began else "before it answered"
            why = f" ({exc})" if exc is not None else ""
            self._stream.fail(CutError(f"the upstream closed the connection {when}{why}"))
        # What holds this in a circle would keep it, and a request's body with it, until the collector comes by.
        self._parser = None
        self._stream = None
        self._transport = None
        self.resume_writing()
        self._lost(self)

    def pause_writing(self) -> None:
        """Note that the upstream takes less than it is sent."""
        self.write_paused = True

    def resume_writing(self) -> None:
        """Note that the upstream takes bytes again."""
        self.write_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # -- parser callbacks --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self._stream is None or self._stream.complete:
            raise RemoteProtocolError("the upstream sent an answer to nothing")
        self._in_head = True
        self._head_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; trailers are passed over."""
        if self._in_head:
            self._headers.append((name.lower(), value))
            if len(self._headers) > MAX_HEADERS:
                raise RemoteProtocolError(f"the upstream sent more than {MAX_HEADERS} header lines")

    def on_headers_complete(self) -> None:
        """Hand the head to the stream, unless it is an interim one."""
        self._in_head = False
        if self._head_size + self._read_size > MAX_HEAD:  # only a head that came with much else has to be measured
            size = sum([len(name) + len(value) + 4 for name, value in self._headers])
            if size > MAX_HEAD:
                raise _head_too_big()
        status = self._parser.get_status_code()
        if status == _SWITCHING_PROTOCOLS or status > _HIGHEST:
            raise RemoteProtocolError(f"the upstream's status is {status}, which nobody asked for")
        self._interim = status < _INFORMATIONAL
        headers, self._headers = self._headers, []  # whoever is done with them is then the last who holds them
        if self._interim:
            return
        stream = cast("ClientStream", self._stream)
        length: int | None = None
        chunked = False
        for name, value in headers:
            if name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                if chunked or value.strip().lower() != b"chunked":
                    raise RemoteProtocolError("the upstream's Transfer-Encoding is not chunked")
                chunked = True
        head_only = stream.method == b"HEAD" or status in wire.NO_BODY
        self._to_eof = not (chunked or head_only) and length is None
        stream.to_eof = self._to_eof
        stream.feed_head(status, headers, length)
        if stream.method == b"HEAD":
            stream.feed_end()
            self.abort()

    def on_body(self, data: bytes) -> None:
        """Hand a piece of the body to the stream."""
        if self._stream is not None and not self._stream.complete:
            self._stream.feed(data)

    def on_message_complete(self) -> None:
        """End the answer, and give the connection back if it can carry another."""
        if self._interim or self._stream is None or self._stream.complete:
            return
        unsent = self._sending or self.write_paused
        reusable = self._parser.should_keep_alive() and not unsent
        self._stream.feed_end()
        if reusable and self._transport is not None and not self._transport.is_closing():
            self.resume_reading()
            self._release(self)
        elif unsent:
            self.abort()  # closing would wait until the upstream has taken what it no longer wants
        elif self._transport is not None:
            self._transport.close()

    # -- for the client ----------------------------------------------------------------------------------------------

    def begin(self, method: bytes, head: bytes, body: bytes, *, more: bool = False) -> ClientStream:
        """Send a request and return its stream.

        Args:
            method: of the request.
            head: as it goes over the wire.
            body: likewise.
            more: whether pieces of the body will follow, by ``write`` and at last ``end``.
        """
        self.requests += 1
        self._in_head = True
        self._to_eof = False
        self._sending = more
        self._stream = stream = ClientStream(self, method)
        if self._transport is None or self._transport.is_closing():
            stream.fail(CutError("the upstream closed the connection before it was used"))
        elif len(body) > wire.JOIN_LIMIT:
            self._transport.write(head)
            self._transport.write(body)
        else:
            self._transport.write(head + body)
        return stream

    def write(self, data: bytes) -> None:
        """Send a piece of a request's body."""
        if self._transport is not None:
            self._transport.write(data)

    async def drain(self) -> None:
        """Wait while the upstream takes less than it is sent, and stands."""
        while self.write_paused:
            self._writable = self.loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None

    def end(self) -> None:
        """Note that the request is sent; until then its answer does not free the connection for another."""
        self._sending = False

    @property
    def usable(self) -> bool:
        """Whether the connection stands."""
        return self._transport is not None and not self._transport.is_closing()

    def pause_reading(self) -> None:
        """Stop reading: the caller has not taken what is here."""
        if not self.reading_paused and self._transport is not None:
            self.reading_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        if self.reading_paused:
            self.reading_paused = False
            if self._transport is not None:
                self._transport.resume_reading()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: UpstreamError) -> None:
        if self._stream is not None:
            self._stream.fail(error)
        self.abort()


def _head_too_big() -> RemoteProtocolError:
    return RemoteProtocolError(f"the upstream's headers are over {MAX_HEAD} bytes")
