"""Requests to one origin over kept-alive connections.

A server may close an idle connection at any moment, also at the very moment in which a request is on its way to it. So
if a *reused* connection ends before a single byte came back, the request is sent once more, on a fresh connection. That
is not an attempt in the sense of the policy: nothing was learned about the upstream. It must end at once, though: what
answers a request on a closed connection is a FIN or a reset, within a round trip. An upstream that ends the connection
later than that has most likely begun to work on the request.

The idle connection used last is taken first, so that the pool shrinks to what the load needs.

Where only so many connections may be in use, a request waits for its turn (:mod:`hydrallm.http.queue`). A connection is
in use from the moment it is sought to the moment it is idle or gone.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from hydrallm.errors import ConnectError, CutError, SaturatedError, SilenceError
from hydrallm.http import wire
from hydrallm.http.buffered import Buffered
from hydrallm.http.client_connection import ClientConnection
from hydrallm.http.dial import Route, dial
from hydrallm.http.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hydrallm.http.client_stream import ClientStream
    from hydrallm.message import Request

IDLE_LIMIT = 50.0
"""Seconds; under the 60 s after which common load balancers drop an idle connection."""

STALE_WINDOW = 1.0
"""Seconds after a request was written in which the end of its connection means that it came too late."""

WARM = 2.0
"""Seconds; a connection that idled no longer than this is hardly stale: servers give them five and more."""

MAX_IDLE = 512


class Upload:
    """A request body that is streamed: it can be sent once.

    Args:
        read: returns the next piece; empty at the end.
        length: bytes of the whole, where known.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes]], length: int | None) -> None:
        self.read = read
        self.length = length


class Client:
    """The connections to one origin.

    Args:
        route: where the origin is and how it is reached.
        idle_limit: seconds after which an idle connection is closed.
        max_connections: how many there may be; None for as many as are wanted.
        queue_timeout: seconds for which a request waits for one of them; None for as long as it has to connect.
        buffered: bounds what is held of answers.
    """

    def __init__(
        self,
        route: Route,
        idle_limit: float = IDLE_LIMIT,
        *,
        max_connections: int | None = None,
        queue_timeout: float | None = None,
        buffered: Buffered | None = None,
    ) -> None:
        self.route = route
        self.queue = Queue(max_connections or sys.maxsize)
        self._idle_limit = idle_limit
        self._queue_timeout = queue_timeout
        self._buffered = buffered or Buffered()
        self._loop = asyncio.get_running_loop()
        self.connections: set[ClientConnection] = set()
        self._idle: list[ClientConnection] = []
        self._reaper: asyncio.TimerHandle | None = None
        # A plain-HTTP origin behind a proxy is asked for in absolute form (RFC 9112 section 3.2.2).
        forwarded = route.proxy is not None and route.tls is None
        self._prefix = b"http://" + route.authority if forwarded else b""
        self._host = b" HTTP/1.1\r\nhost: " + route.authority + b"\r\n"
        if forwarded and route.proxy is not None and route.proxy.authorization:
            self._host += b"proxy-authorization: " + route.proxy.authorization + b"\r\n"

    async def request(
        self,
        request: Request,
        *,
        expires: float,
        connect_timeout: float,
        upload: Upload | None = None,
        resend: bool = True,
    ) -> ClientStream:
        """Send ``request`` and return its stream once the head of the answer is there.

        The caller owns the stream and must close it.

        Args:
            request: what to send.
            expires: the loop's time by which the whole answer must be there, unless the caller changes the clock.
            connect_timeout: seconds in which a new connection must stand.
            upload: the body, where it is streamed; the clock starts when it is through. It may go on beside the answer.
            resend: whether it may be sent again if a reused connection turns out to be stale. One that may not goes on
                a connection that was in use a moment ago, or on a fresh one.

        Raises:
            SaturatedError: no connection became free, or none could be made for want of something on this side.
            ConnectError: no connection was made, nothing was sent.
            UpstreamError: the answer's head did not come.
            Exception: what ``upload.read`` raised.
        """
        head = self._head(request, upload)
        if not self.queue.take():
            await self._queued(expires, connect_timeout)
        # An upload can be sent only once, so it is not risked on a connection that may have gone stale.
        connection = self._take(self._idle_limit if resend else WARM) if upload is None else None
        if connection is not None:
            stream = await self._try(connection, request, head, expires, None)
            if stream is not None:
                return stream
            if not resend:
                raise CutError("the upstream closed the connection before it answered")
            if not self.queue.take():
                await self._queued(expires, connect_timeout)
        connection = await self._open(expires, connect_timeout)
        stream = await self._try(connection, request, head, expires, upload)
        if stream is None:
            raise CutError("the upstream closed the connection before it answered")
        return stream

    async def _try(
        self,
        connection: ClientConnection,
        request: Request,
        head: bytes,
        expires: float,
        upload: Upload | None,
    ) -> ClientStream | None:
        """Return the stream with its head, or None if the connection turned out to be stale."""
        reused = connection.requests > 0
        began = self._loop.time()
        stream = connection.begin(request.method, head, request.body, more=upload is not None)
        try:
            if upload is not None:
                await stream.upload(self._send(connection, upload, expires - began))
                expires += self._loop.time() - began
            stream.expire_at(expires)
            await stream.head()
        except BaseException as error:
            stream.close()
            stale = reused and not stream.began and isinstance(error, CutError)
            if stale and self._loop.time() - began < STALE_WINDOW:
                return None
            raise
        return stream

    async def _send(self, connection: ClientConnection, upload: Upload, patience: float) -> None:
        while data := await upload.read():
            connection.write(data if upload.length is not None else wire.chunk(data))
            if connection.write_paused:
                try:
                    async with asyncio.timeout(patience):
                        await connection.drain()
                except TimeoutError as error:
                    raise SilenceError(f"the upstream took nothing of the body for {patience:g} s") from error
        if upload.length is None:
            connection.write(wire.LAST_CHUNK)
        connection.end()

    def _head(self, request: Request, upload: Upload | None) -> bytes:
        framing = b"\r\n"
        if upload is not None:
            chunked = upload.length is None
            framing = b"transfer-encoding: chunked\r\n\r\n" if chunked else _content_length(upload.length or 0)
        elif request.body or request.method not in {b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"DELETE"}:
            framing = _content_length(len(request.body))
        return b"".join(
            (
                request.method,
                b" ",
                self._prefix,
                request.target,
                self._host,
                wire.header_block(request.headers),
                framing,
            )
        )

    # -- the pool ----------------------------------------------------------------------------------------------------

    def _take(self, max_idle: float) -> ClientConnection | None:
        """Return the connection that was in use last, unless that is longer ago than ``max_idle`` seconds."""
        while self._idle and self._loop.time() - self._idle[-1].idle_since <= max_idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.in_use = True
                return connection
        return None

    async def _queued(self, expires: float, connect_timeout: float) -> None:
        """Wait for a place."""
        patience = connect_timeout if self._queue_timeout is None else self._queue_timeout
        began = self._loop.time()
        try:
            await self.queue.wait(min(expires, began + patience))
        except TimeoutError as error:
            waited = self._loop.time() - began
            places = self.queue.places
            message = (
                f"none of the {places} connections to {self.route} (max_connections) became free in {waited:.1f} s"
            )
            raise SaturatedError(message) from error

    async def _open(self, expires: float, connect_timeout: float) -> ClientConnection:
        """Make a connection, for which there is a place."""
        try:
            connection = await self._dial(expires, connect_timeout)
        except BaseException:
            self.queue.leave()
            raise
        if connection.usable:
            connection.in_use = True
            self.connections.add(connection)
        else:  # it has been lost again already
            self.queue.leave()
        return connection

    async def _dial(self, expires: float, connect_timeout: float) -> ClientConnection:
        if len(self._idle) > self.queue.free:  # the idle ones are of no use to this request, and one is too many now
            self._idle.pop(0).abort()
        limit = self._loop.time() + connect_timeout
        try:
            async with asyncio.timeout_at(min(limit, expires)):
                return await dial(self.route, self._new)
        except TimeoutError as error:
            if expires < limit:
                raise SilenceError("the time for this attempt ran out before a connection was made") from error
            raise ConnectError(f"no connection to {self.route} within {connect_timeout:g} s") from error

    def _new(self) -> ClientConnection:
        return ClientConnection(self._loop, self._release, self._lost, self._buffered)

    def _release(self, connection: ClientConnection) -> None:
        connection.in_use = False
        self.queue.leave()
        if len(self._idle) >= MAX_IDLE:
            connection.abort()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = self._loop.call_later(self._idle_limit, self._reap)

    def _lost(self, connection: ClientConnection) -> None:
        self.connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.in_use:
            connection.in_use = False
            self.queue.leave()

    def _reap(self) -> None:
        """Close what has idled too long; the list is in the order of release, the oldest first."""
        oldest = self._loop.time() - self._idle_limit
        count = sum(connection.idle_since <= oldest for connection in self._idle)
        for connection in self._idle[:count]:
            connection.abort()
        del self._idle[:count]
        self._reaper = None
        if self._idle:
            self._reaper = self._loop.call_at(self._idle[0].idle_since + self._idle_limit, self._reap)

    def close(self) -> None:
        """Close every connection at once."""
        if self._reaper is not None:
            self._reaper.cancel()
        for connection in list(self.connections):
            connection.abort()


def _content_length(length: int) -> bytes:
    return b"content-length: %d\r\n\r\n" % length
