"""Listening sockets, the sweep over slow connections, and the drain at the end.

Slow senders, idle connections and clients that do not read are found by one sweep a second over all connections, not
by a timer each: a request that takes its normal course never touches a timer.
"""

from __future__ import annotations

import asyncio
import email.utils
from typing import TYPE_CHECKING

from hydrallm.http.buffered import Buffered
from hydrallm.http.capacity import files_exhausted
from hydrallm.http.crowd import Crowd
from hydrallm.http.limits import Limits
from hydrallm.http.listening import BACKLOG, bind
from hydrallm.http.server_connection import ServerConnection
from hydrallm.http.server_stream import Ending
from hydrallm.http.sweep import sweep

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Sequence

    from hydrallm.errors import RequestError
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.message import Response

    Handler = Callable[[ServerStream], Awaitable[None]]
    Refuse = Callable[[RequestError, ServerStream | None], Response]
    OnFault = Callable[[ServerStream], None]


class Server:
    """An HTTP/1.1 server on any number of listening sockets.

    Args:
        handler: answers one request; cancelled if the client leaves.
        refuse: gives a refusal of the server's own (malformed HTTP, a limit) its shape.
        on_fault: called inside an ``except`` block when the handler raised something unexpected.
        limits: sizes and times.
        buffered: bounds the request bodies that are held.

    Attributes:
        on_exhausted: called about once a second while no file can be opened, so that no client can connect.
    """

    def __init__(
        self,
        handler: Handler,
        refuse: Refuse,
        on_fault: OnFault,
        limits: Limits | None = None,
        buffered: Buffered | None = None,
    ) -> None:
        self.handler = handler
        self.refuse = refuse
        self.on_fault = on_fault
        self.limits = limits or Limits()
        self.loop = asyncio.get_running_loop()
        self.buffered = buffered or Buffered()
        self.on_exhausted: Callable[[], None] | None = None
        self.crowd = Crowd(self.limits.max_connections, self.limits.spare_connections, self.limits.idle_for)
        self.connections = self.crowd.connections
        self.draining = False
        self.ending = Ending.CLIENT_LEFT
        """Why a connection that is lost now is lost."""
        self.date = _date()
        self._servers: list[asyncio.Server] = []
        self._empty: asyncio.Future[None] | None = None
        self._swept = self.loop.time()
        self._sweeper = self.loop.call_later(self.limits.sweep_interval, self._sweep)

    async def listen(self, host: str, port: int) -> list[tuple[str, int]]:
        """Open ``host`` and ``port`` (0: any free one) and accept connections.

        Returns:
            The addresses bound: several where a name stands for more than one.

        Raises:
            StartError: if the address cannot be bound; the message is one line for a person.
        """
        return await self.accept(bind(host, port)[0])

    async def accept(self, sockets: Sequence[socket.socket]) -> list[tuple[str, int]]:
        """Accept connections on sockets that listen already, and return the addresses they are bound to.

        The sockets are the server's from now on: the drain closes them.
        """
        addresses = [sock.getsockname()[:2] for sock in sockets]
        for sock in sockets:
            create = self.loop.create_server(lambda: ServerConnection(self), sock=sock, backlog=BACKLOG)
            self._servers.append(await create)
        return addresses

    async def drain(self, grace: float) -> int:
        """Stop accepting, close idle connections, let the others end.

        Args:
            grace: seconds to wait for them; what is left then is dropped.

        Returns:
            How many connections had to be dropped.
        """
        self.draining = True
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            if connection.idle:
                connection.close()
        if self.connections:
            self._empty = self.loop.create_future()
            timer = self.loop.call_later(grace, self._give_up)
            try:
                await self._empty
            finally:
                timer.cancel()
        dropped = len(self.connections)
        await self.stop()
        return dropped

    def _give_up(self) -> None:
        if self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    async def stop(self) -> None:
        """Drop everything at once, and wait until the handlers have noticed."""
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        self.abort()
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)

    def abort(self) -> None:
        """Drop everything at once."""
        self.ending = Ending.STOPPED
        self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()

    def connection_closed(self) -> None:
        """Note that a connection is gone; the drain ends with the last one."""
        if self._empty is not None and not self._empty.done() and not self.connections:
            self._empty.set_result(None)

    def _sweep(self) -> None:
        now = self.loop.time()
        elapsed, self._swept = now - self._swept, now
        self.date = _date()
        self._sweeper = self.loop.call_later(self.limits.sweep_interval, self._sweep)
        for connection in list(self.connections):
            sweep(connection, now, elapsed)
        if files_exhausted():
            self._make_room(now)

    def _make_room(self, now: float) -> None:
        """Give some of the open files back: those of idle connections.

        The event loop tells nobody that it cannot accept. uvloop drops new connections one by one, the standard
        library's loop leaves them waiting and tries again every second.
        """
        for _ in range(self.limits.spare_connections):
            if not self.crowd.make_room(now):
                break
        if self.on_exhausted is not None:
            self.on_exhausted()


def _date() -> bytes:
    return email.utils.formatdate(usegmt=True).encode()
