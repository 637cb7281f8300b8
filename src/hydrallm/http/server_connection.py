"""One client connection: what the parser says, turned into streams, and a task for each.

Requests are answered strictly one after the other. A client may pipeline: what it sends ahead is parsed and kept, up to
``Limits.max_pipelined`` bytes; beyond that it is thrown away and the connection is closed after the answer in hand,
which tells the client that the rest was not looked at (RFC 9112 section 9.3.2). The socket is read meanwhile: that is
how a client that leaves is noticed.

A client that leaves, by FIN or RST, cancels the task at once: the handler is at an ``await`` (or will be at its next
one) and lets go of what it holds. A half-closed connection counts as left, as it does for Go's and nginx's servers.

The socket is not read while a handler leaves much of a body untaken. On Linux the kernel is then asked whether the
client has left (:class:`~hydrallm.http.tcp.Departure`); elsewhere that is noticed when the reading goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import httptools

from hydrallm.errors import RequestError
from hydrallm.http import tcp, wire
from hydrallm.http.request_head import check_size, check_whole, malformed, read_headers, read_target, read_version
from hydrallm.http.server_stream import Ending, ServerStream

if TYPE_CHECKING:
    from hydrallm.http.server import Server
    from hydrallm.message import Headers, Response


class ServerConnection(asyncio.Protocol):
    """The server's side of one connection."""

    __slots__ = (
        "__weakref__", "_boundary", "_departure", "_discarding", "_head_size", "_headers", "_in_head", "_parser",
        "_read_size", "_refusal", "_stream", "_transport", "_url", "_waiting", "_writable", "blocked_since",
        "closing_since", "head_since", "idle_since", "limits", "loop", "peer", "reading_paused", "receiving", "server",
        "surplus", "taken_at", "task", "unsent_seen", "write_paused",
    )  # fmt: skip

    def __init__(self, server: Server) -> None:
        self.server = server
        self.loop = server.loop
        self.limits = server.limits
        self.peer = ""
        self.task: asyncio.Task[None] | None = None
        self.write_paused = False
        self.reading_paused = False
        self.head_since: float | None = None
        self.idle_since: float | None = None
        self.blocked_since: float | None = None
        self.closing_since: float | None = None
        self.surplus = False
        """Whether it is one too many."""
        self.unsent_seen = 0
        """What ``unsent`` was when the server last looked for clients that take nothing."""
        self.taken_at = 0.0
        """When it was last seen to have shrunk."""
        self.receiving: ServerStream | None = None
        """The stream whose body is arriving."""
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._stream: ServerStream | None = None
        """The stream being answered."""
        self._waiting: list[ServerStream] = []
        self._refusal: tuple[RequestError, ServerStream | None] | None = None
        """What is refused, and of which request; None where no head was complete."""
        self._discarding = False
        self._in_head = True
        self._boundary = False
        """Whether a request ended in what is being read, so that a head begins inside it."""
        self._head_size = 0
        self._read_size = 0
        self._url = b""
        self._headers: Headers = []
        self._writable: asyncio.Future[None] | None = None
        self._departure: tcp.Departure | None = None

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the connection is accepted."""
        self._transport = cast("asyncio.Transport", transport)
        self.peer = tcp.peer(self._transport)
        self.head_since = now = self.loop.time()
        self.server.crowd.join(self, now)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._discarding:
            return
        stream = self.receiving
        self._boundary = False
        self._read_size = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # refused in on_headers_complete
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, RequestError):
                raise
            self.refuse(error.__context__)
        except httptools.HttpParserError as error:
            self.refuse(malformed(error, data))
        if self._in_head:
            self._bound_head(len(data))
        elif stream is not None and stream is self.receiving:
            self._bound_framing(stream, len(data))

    def eof_received(self) -> bool:
        """Take a FIN for what it nearly always is: the client has left."""
        if self._stream is not None and not self._stream.finished:
            self.abort()  # closing would first wait until what is written has been taken
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Cancel what was being done for this client."""
        self.server.crowd.leave(self)
        self._discarding = True
        if self._stream is not None and not self._stream.finished and self.task is not None:
            self._stream.ended_by = self._stream.ended_by or self.server.ending
            self.task.cancel()
        self._waiting.clear()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._departure is not None:
            self._departure.cancel()
        self._parser = None  # it holds this connection: nothing else would break the circle before the collector does
        self._transport = None
        self.server.connection_closed()

    def pause_writing(self) -> None:
        """Note that the client takes less than it is sent."""
        self.write_paused = True
        self.blocked_since = self.loop.time()

    def resume_writing(self) -> None:
        """Note that the client takes bytes again."""
        self.write_paused = False
        self.blocked_since = None
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # -- parser callbacks --------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        self._head_size = 0
        self._url = b""

    def on_url(self, url: bytes) -> None:
        """Collect the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header; what comes after the head is a trailer, which nobody here wants."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Make a stream of the head, and begin to answer it if it is its turn."""
        if self._discarding:
            return  # what was sent ahead turned out to be too much earlier in this very read
        self._in_head = False
        self.head_since = None
        self.idle_since = None
        self.server.crowd.idle.pop(self, None)
        headers, self._headers = self._headers, []  # whoever is done with them is then the last who holds them
        self.receiving = stream = ServerStream(self, self._parser.get_method(), headers)
        read_target(stream, self._url)
        check_whole(self._url, headers, self._head_size + self._read_size, self.limits)
        if self.surplus:
            self.server.crowd.check(self)
        read_version(stream, self._parser.get_http_version())
        read_headers(stream)
        if self._stream is None:
            self._begin(stream)
        else:
            self._waiting.append(stream)

    def on_body(self, data: bytes) -> None:
        """Hand a piece of the body to its stream."""
        stream = self.receiving
        if stream is not None:
            stream.feed(data)
            if stream is not self._stream:
                self._bound_pipeline()

    def on_message_complete(self) -> None:
        """End the request, not the answer."""
        self._boundary = True
        if self.reading_paused:
            self.resume_reading()  # nothing more of this body can come, and the client may leave
        if self.receiving is not None:
            stream, self.receiving = self.receiving, None
            stream.feed_end()
            if stream is not self._stream:
                self._bound_pipeline()

    def _bound_pipeline(self) -> None:
        """Throw away what a client sent ahead once it is too much; see the module's docstring."""
        held = sum([stream.received + 512 for stream in self._waiting])
        if held > self.limits.max_pipelined and self._stream is not None:
            self._waiting.clear()
            self.receiving = None
            self._discarding = True
            self._stream.keep_alive = False

    def _bound_head(self, size: int) -> None:
        """Bound a head that is still arriving; where it began inside this read, its part of ``size`` is not known."""
        if self._discarding:
            return
        self._head_size += 1 if self._boundary else size
        self.server.crowd.idle.pop(self, None)
        try:
            check_size(len(self._headers), self._head_size, self.limits)
        except RequestError as error:
            self.refuse(error)
        else:
            self.head_since = self.head_since or self.loop.time()

    def _bound_framing(self, stream: ServerStream, size: int) -> None:
        """Bound what arrives of a chunked body and is none of it: trailers, extensions, leading zeros."""
        if stream.received != stream.progress:
            stream.progress = stream.received
            self._head_size = 0
            return
        self._head_size += size
        if self._head_size > self.limits.max_head:
            message = f"chunk extensions or trailers are over {self.limits.max_head} bytes"
            self.refuse(RequestError(431, message, close=True))

    # -- one stream after the other ----------------------------------------------------------------------------------

    def _begin(self, stream: ServerStream) -> None:
        self._stream = stream
        self.task = self.loop.create_task(self._serve(stream))

    async def _serve(self, stream: ServerStream) -> None:
        try:
            await self.server.handler(stream)
        except asyncio.CancelledError:
            if stream.ended_by is None:
                raise
        except Exception:  # noqa: BLE001 - the last line of defence: one exchange fails, the server lives on
            self.server.on_fault(stream)
            self._answer_fault(stream)
        finally:
            self._ended(stream)

    def _answer_fault(self, stream: ServerStream) -> None:
        if stream.status == 0 and self._transport is not None:
            stream.keep_alive = False
            stream.respond(self.server.refuse(RequestError(500, "an internal error; the log has its details"), stream))

    def _ended(self, stream: ServerStream) -> None:
        self.task = None
        self._stream = None
        if self._transport is None:
            return
        if not stream.finished:
            stream.cut()
        elif self.closing_since is not None or self._transport.is_closing():
            pass  # the answer said that it is the last
        elif self._waiting:
            self._begin(self._waiting.pop(0))
        elif self._refusal is not None:
            self._answer_refusal()
        elif self.server.draining or self._discarding:
            self.close()
        else:
            self.idle_since = self.server.crowd.idle[self] = self.loop.time()

    def refuse(self, error: RequestError) -> None:
        """Stop reading this client; answer ``error`` when the requests before it have been answered."""
        self._discarding = True
        self._in_head = False
        stream = self.receiving
        self._refusal = (error, stream)
        if stream is not None:
            # A malformed body will never be complete: the task that answers its request has nothing to wait for.
            self.receiving = None
            if stream is self._stream and self.task is not None:
                self._abandon(stream, error)
                return
            with contextlib.suppress(ValueError):
                self._waiting.remove(stream)
        if self._stream is None:
            self._answer_refusal()

    def _abandon(self, stream: ServerStream, error: RequestError) -> None:
        if stream.status:
            stream.cut()
        else:
            stream.finished = True
            stream.status = error.status
            self._stream = None
            self._answer_refusal()
        stream.ended_by = Ending.REFUSED
        if self.task is not None:
            self.task.cancel()

    def turn_away(self, error: RequestError) -> None:
        """Answer ``error``, whatever the client wants, and close; what it has sent by then may hide the answer."""
        self._refusal = (error, None)
        self._answer_refusal(linger=False)

    def _answer_refusal(self, *, linger: bool = True) -> None:
        refusal, self._refusal = self._refusal, None
        if refusal is None or self._transport is None:
            return
        response: Response = self.server.refuse(*refusal)
        head = wire.STATUS_LINES[response.status] + wire.header_block(response.headers)
        self.write(b"%bcontent-length: %d\r\nconnection: close\r\n\r\n%b" % (head, len(response.body), response.body))
        self.close(linger=linger)

    # -- the transport, for streams ----------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes; nothing happens on a connection that is lost or closing, and the task has been told of either."""
        if self._transport is not None and self.closing_since is None:
            self._transport.write(data)

    async def writable(self) -> None:
        """Wait until the client takes bytes again."""
        while self.write_paused and self._transport is not None:
            self._writable = self.loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None

    def pause_reading(self) -> None:
        """Stop reading: the handler has not taken what is here."""
        if not self.reading_paused and self._transport is not None:
            self.reading_paused = True
            self._transport.pause_reading()
            self._departure = tcp.Departure(self.loop, self._transport, self.abort)

    def resume_reading(self) -> None:
        """Read again."""
        if self.reading_paused and self._transport is not None:
            self.reading_paused = False
            self._transport.resume_reading()
            if self._departure is not None:
                self._departure.cancel()

    def close(self, *, linger: bool = False) -> None:
        """Close once everything is sent.

        Args:
            linger: send the FIN but go on reading (and discarding) for a while. A socket closed with bytes unread is
                reset, and a reset destroys the answer that the client has not read yet (RFC 9112 section 9.6).
        """
        if self._transport is None or self.closing_since is not None:
            return
        self.closing_since = self.loop.time()
        sending = self._discarding or (self._stream is not None and not self._stream.complete)
        self._discarding = True
        if linger or sending or self.receiving is not None:
            self.resume_reading()
            with contextlib.suppress(OSError, RuntimeError):
                self._transport.write_eof()
                return
        self._transport.close()

    def cut(self, *, reset: bool) -> None:
        """End the connection inside an answer: after what was written, or by a reset where only that shows the cut."""
        if self._transport is None:
            return
        if reset:
            tcp.reset(self._transport)
            return
        self.closing_since = self.closing_since or self.loop.time()
        self._transport.close()

    def abort(self) -> None:
        """Drop the connection, sent or not."""
        if self._transport is not None:
            self._transport.abort()

    # -- for the server ----------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nothing is being received or answered."""
        return self._stream is None and not self._waiting and not self.mid_head

    @property
    def mid_head(self) -> bool:
        """Whether a part of a head has arrived."""
        return self._in_head and self._head_size > 0

    @property
    def unsent(self) -> int:
        """Bytes that the client has not taken yet, as far as the transport knows."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0
