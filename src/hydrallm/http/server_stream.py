"""One request and its answer, as a handler sees them.

Reading: the body arrives in pieces. :meth:`ServerStream.body` collects them all, :meth:`ServerStream.chunk` hands them
out one read at a time, and the client's socket is not read while more than ``HIGH_WATER`` bytes wait to be taken.

Writing: ``respond`` for a whole answer, or ``start``, any number of ``write`` (each followed by ``drain``) and then
either ``finish`` (the answer is complete) or ``cut`` (it is not, and the client must see that: RFC 9112 section 8).
"""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING, cast

from hydrallm.errors import BodyTooLargeError, OverloadError, RequestError
from hydrallm.http import wire
from hydrallm.http.buffered import STEP
from hydrallm.http.decoding import Decoder, DecodingError, decoder

if TYPE_CHECKING:
    from hydrallm.http.server_connection import ServerConnection
    from hydrallm.message import Headers, Response

HIGH_WATER = 256 * 1024
"""Unread bytes of a request's body beyond which the client's socket is not read."""

DECODE_STEP = 4 << 20
"""Bytes that are decoded at a stretch, in some 10 to 20 ms, before others have their turn."""


class Ending(enum.StrEnum):
    """Why the task that answers a request was cancelled."""

    CLIENT_LEFT = "client_left"
    """The client closed its connection."""
    REFUSED = "refused"
    """The rest of the request was malformed, too long or too slow; the connection has answered that."""
    STOPPED = "stopped"
    """The server itself dropped the connection."""


class ServerStream:
    """A request being received and answered.

    Attributes:
        method: the method token.
        path: the raw path, as sent, starting with one slash.
        query: the raw query, without the question mark.
        headers: the client's headers, names in lower case.
        host: the value of Host (or of an absolute request target); empty if there is none (HTTP/1.0).
        identity: the id that the handler has given to its answer; empty before the handler has begun.
        ended_by: why the task that answers it was cancelled; None while it was not.
        status: the status sent; 0 before the answer has begun.
        bytes_sent: bytes of the answer's body handed to the transport.
    """

    __slots__ = (
        "_bodiless",
        "_chunked",
        "_chunks",
        "_close",
        "_connection",
        "_continue",
        "_unread",
        "_waiter",
        "bytes_sent",
        "complete",
        "ended_by",
        "finished",
        "headers",
        "held",
        "host",
        "http11",
        "identity",
        "keep_alive",
        "length",
        "method",
        "path",
        "progress",
        "query",
        "received",
        "slow_for",
        "status",
        "swept",
    )

    def __init__(self, connection: ServerConnection, method: bytes, headers: Headers) -> None:
        self._connection = connection
        self.method = method
        self.path = b"/"
        self.query = b""
        self.headers = headers
        self.host = b""
        self.http11 = True
        self.keep_alive = True
        self.length: int | None = 0
        """Of the request's body as sent; None where it is chunked."""
        self.complete = False
        """Whether the request's last byte has arrived."""
        self.received = 0
        self.progress = 0
        """What ``received`` was when bytes last came."""
        self.swept = -1
        """What ``received`` was when the server last looked for slow senders; -1 before it has."""
        self.slow_for = 0.0
        self.identity = ""
        self.ended_by: Ending | None = None
        self.status = 0
        self.finished = False
        self.bytes_sent = 0
        self.held = 0
        """Bytes reserved for the body, until :meth:`release`."""
        self._chunks: list[bytes] = []
        self._unread = 0
        self._waiter: asyncio.Future[None] | None = None
        self._continue = False
        self._bodiless = False
        self._chunked = False
        self._close = False

    @property
    def peer(self) -> str:
        """The client's address, without its port; empty for a Unix socket."""
        return self._connection.peer

    @property
    def date(self) -> bytes:
        """The current time as a Date header has it."""
        return self._connection.server.date

    # -- the request's body ------------------------------------------------------------------------------------------

    def expect_continue(self) -> None:
        """Note that the client waits for ``100 Continue`` before it sends its body (RFC 9110 section 10.1.1)."""
        self._continue = True

    @property
    def continue_owed(self) -> bool:
        """Whether the client still waits for ``100 Continue``: its body has no reason to come."""
        return self._continue

    def feed(self, data: bytes) -> None:
        """Take a piece of the body from the connection."""
        self._chunks.append(data)
        self.received += len(data)
        self._unread += len(data)
        if self._unread > HIGH_WATER and self._waiter is None:
            self._connection.pause_reading()
        self._wake()

    def feed_end(self) -> None:
        """Note that the request is complete."""
        self.complete = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def check_length(self) -> None:
        """Check the length that the body is announced to have, or has by now.

        Raises:
            BodyTooLargeError: if it is over the limit.
        """
        limit = self._connection.limits.max_body
        if (self.length or self.received) > limit:
            raise BodyTooLargeError(f"the request body is over server.max_body, {limit} bytes")

    async def chunk(self) -> bytes:
        """Return what has arrived of the body, waiting for at least one byte; empty when it is complete.

        Raises:
            BodyTooLargeError: if the body is over the limit, as soon as that is known, so that no more of it is taken.
            RuntimeError: the answer is finished, so that no more of the body will come.
        """
        self.check_length()
        while not self._chunks:
            if self.complete:
                return b""
            if self.finished:
                raise RuntimeError("no more of a request's body is read once its answer is finished")
            if self._continue:
                self._continue = False
                if self.status == 0:  # an interim answer cannot follow the final one
                    self._connection.write(wire.CONTINUE)
            self._connection.resume_reading()
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._unread = 0
        return data

    async def body(self) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLargeError: if it is over the limit.
            OverloadError: there is no memory left to hold it in.
        """
        if (size := self.length or self.received) > STEP:
            self.check_length()
            self._reserve(size)
        parts: list[bytes] = []
        while data := await self.chunk():
            if self.complete and not parts:  # the usual case: it came with the head
                return data
            parts.append(data)
            if self.received > self.held + STEP:
                self._reserve(self.received)
        return b"".join(parts)

    def _reserve(self, size: int) -> None:
        """Reserve memory until ``size`` bytes are reserved; an announced length at once, so that all of it can come.

        A body of no more than ``STEP`` needs none: it is small, and there are only so many requests.
        """
        buffered = self._connection.server.buffered
        if not buffered.reserve(size - self.held):
            message = f"{buffered.held} bytes of requests and answers are held, of server.max_buffered {buffered.limit}"
            raise OverloadError("server.max_buffered", message, close=True)
        self.held = size

    def release(self) -> None:
        """Give back what was reserved: nobody holds the body any more."""
        self._connection.server.buffered.release(self.held)
        self.held = 0

    def forget(self) -> None:
        """Let go of the request, of which only the answer is left."""
        self.headers = []
        if self.held:
            self.release()

    async def decoded_body(self, coding: bytes) -> bytes:
        """Return the whole body with its content coding undone.

        Args:
            coding: the value of Content-Encoding.

        Raises:
            BodyTooLargeError: if it is over the limit, before or after decoding.
            OverloadError: there is no memory left to hold it in.
            RequestError: 415 if the coding is not known, 400 if the bytes are not of that coding.
        """
        if coding.strip().lower() in {b"", b"identity"}:
            return await self.body()
        codec = decoder(coding)
        if codec is None:
            shown = coding.decode("latin-1")
            message = f"the request's Content-Encoding {shown!r} is not known; send gzip, deflate, zstd or none"
            raise RequestError(415, message, close=True)
        limit = self._connection.limits.max_body
        plain = bytearray()
        try:
            while data := await self.chunk():
                await self._decode(codec, data, plain, limit)
            codec.finish()
        except DecodingError as error:
            shown = coding.decode("latin-1")
            raise RequestError(400, f"the request body is not valid {shown}: {error}", close=True) from error
        return bytes(plain)

    async def _decode(self, codec: Decoder, data: bytes, plain: bytearray, limit: int) -> None:
        pause = len(plain) + DECODE_STEP
        for piece in codec.feed(data):
            plain += piece
            if len(plain) > limit:
                raise BodyTooLargeError(f"the request body decodes to more than server.max_body, {limit} bytes")
            if len(plain) > self.held + STEP:
                self._reserve(len(plain))
            if len(plain) >= pause:
                pause = len(plain) + DECODE_STEP
                await asyncio.sleep(0)

    # -- the answer --------------------------------------------------------------------------------------------------

    def respond(self, response: Response) -> None:
        """Send a whole answer."""
        body = response.body
        self.start(response.status, response.headers, length=len(body), first=body)
        self.finish()

    def start(self, status: int, headers: Headers, *, length: int | None, first: bytes = b"") -> None:
        """Begin the answer.

        Args:
            status: 200 to 599.
            headers: names in lower case, without Content-Length, Transfer-Encoding and Connection.
            length: bytes of the body, where known.
            first: the first piece of the body, sent together with the head.
        """
        self.status = status
        self._bodiless = bodiless = self.method == b"HEAD" or status in wire.NO_BODY
        self._close = not self.keep_alive or not self.complete or self._connection.server.draining
        head = [wire.STATUS_LINES[status], wire.header_block(headers)]
        if length is not None:
            if status not in wire.NO_BODY:
                head.append(b"content-length: %d\r\n" % length)
        elif bodiless:
            pass
        elif self.http11:
            self._chunked = True
            head.append(b"transfer-encoding: chunked\r\n")
        else:
            self._close = True  # the end of the connection is the end of the body
        if self._close:
            head.append(b"connection: close\r\n")
        elif not self.http11:
            head.append(b"connection: keep-alive\r\n")
        head.append(b"\r\n")
        if first and not bodiless:
            self.bytes_sent += len(first)
            if len(first) > wire.JOIN_LIMIT and not self._chunked:
                self._connection.write(b"".join(head))
                self._connection.write(first)
                return
            head.append(wire.chunk(first) if self._chunked else first)
        self._connection.write(b"".join(head))

    def write(self, data: bytes) -> None:
        """Send a piece (not empty) of the body; nothing is sent where an answer has none (HEAD, 204, 304)."""
        if self._bodiless:
            return
        self.bytes_sent += len(data)
        self._connection.write(wire.chunk(data) if self._chunked else data)

    async def drain(self) -> None:
        """Wait while the client takes less than it is sent."""
        if self._connection.write_paused:
            await self._connection.writable()

    def finish(self) -> None:
        """End the answer: it is complete."""
        if self._chunked:
            self._connection.write(wire.LAST_CHUNK)
        self.finished = True
        if self._close:
            self._connection.close()
            self._wake()

    def cut(self) -> None:
        """End the answer unfinished, so that the client sees that it is."""
        self.finished = True
        self._connection.cut(reset=not self._chunked and not self.http11)

    @property
    def task(self) -> asyncio.Task[None]:
        """The task that answers this request."""
        return cast("asyncio.Task[None]", self._connection.task)
