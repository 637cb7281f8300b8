"""The provider itself: it listens on loopback, reads requests, performs a script, and remembers.

A script is one reply for everything; a sequence of replies, one a request, the last one repeated; a mapping from path
patterns (``fnmatch``) to either; or a function from what was received to a reply. See :mod:`hydrallm.faults.script`.

::

    async with Provider([Fail(status=429), Answer()]) as provider:
        ...  # point a client at provider.url
        assert len(provider.received) == 2

It is built on asyncio streams. The protocol under them is subclassed for one purpose: to note, the moment the event
loop learns of it, that the peer has closed, while the provider is busy or silent. That is how a test measures the time
from a client's leaving to the upstream's being told.
"""

from __future__ import annotations

import asyncio
import fnmatch
import ipaddress
import itertools
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import msgspec

from hydrallm.faults import answers, wire
from hydrallm.faults.script import Answer, Fail, Reply
from hydrallm.faults.steps import End, Pause, steps
from hydrallm.message import Headers

if TYPE_CHECKING:
    import ssl

Replies = Reply | Sequence[Reply]

MAX_BODY = 64 * 1024 * 1024


class Connection(asyncio.StreamReaderProtocol):
    """One accepted connection.

    Attributes:
        number: 1 for the provider's first.
        closed_at: the loop's time when the connection was seen to end, by the peer's FIN or reset or by the
            provider itself; None while it stands.
        sent: bytes handed to the transport so far.
    """

    def __init__(self, number: int, accepted: Callable[[Connection, asyncio.StreamWriter], None]) -> None:
        self._loop_of_connection = asyncio.get_running_loop()
        self.number = number
        self.closed_at: float | None = None
        self.sent = 0
        self.closed = asyncio.Event()
        self.reader = asyncio.StreamReader(limit=wire.MAX_HEAD)
        super().__init__(self.reader, lambda _reader, writer: accepted(self, writer))

    def eof_received(self) -> bool | None:
        """Note the peer's FIN."""
        self._note_close()
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection, whoever caused it."""
        self._note_close()
        super().connection_lost(exc)

    def _note_close(self) -> None:
        if self.closed_at is None:
            self.closed_at = self._loop_of_connection.time()
            self.closed.set()


class Received(msgspec.Struct, frozen=True, eq=False):
    """A request that arrived whole.

    Attributes:
        method: as sent.
        target: path and query, as sent.
        headers: names in lower case, in the order they were sent.
        body: without its transfer coding; a content coding is left on.
        at: the loop's time when the last byte was read.
        connection: the connection it came on; requests that share its ``number`` shared the connection.
        repeat: 1 for the first request on that connection, 2 for the second, ...
        keep_alive: whether the peer wants to keep the connection for another request.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: bytes
    at: float
    connection: Connection
    repeat: int
    keep_alive: bool

    @property
    def path(self) -> str:
        """The target's path, percent-encoding as sent."""
        return self.target.decode("latin-1").partition("?")[0]

    @property
    def closed_at(self) -> float | None:
        """The loop's time when the connection ended, or None."""
        return self.connection.closed_at

    async def wait_closed(self) -> float:
        """Wait until the connection has ended; return the loop's time when that was seen."""
        await self.connection.closed.wait()
        assert self.connection.closed_at is not None  # noqa: S101 - set before the event, for mypy
        return self.connection.closed_at


Script = Reply | Sequence[Reply] | Mapping[str, Replies] | Callable[[Received], Reply]


class Provider:
    """A simulated provider; use it as an async context manager, or call :meth:`start` and :meth:`stop`.

    Attributes:
        received: every request that arrived whole, in order.
        rejected: why the requests were refused that were not HTTP or over a limit; empty if the peer is sane.
        connections: how many connections were accepted.
        in_flight: how many requests are being answered now.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        """Prepare a provider.

        Args:
            script: what to answer; right answers if None.
            host: an address of the loopback interface.
            port: 0 for any free port, which is then kept over :meth:`stop` and :meth:`start`.
            tls: serve TLS with this server-side context.
            max_body: the largest request body in bytes; larger ones get 413 and a close.

        Raises:
            ValueError: ``host`` is not a loopback address.
        """
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"the simulated provider serves loopback only, not {host}")
        self.received: list[Received] = []
        self.rejected: list[str] = []
        self.connections = 0
        self.in_flight = 0
        self._choose = _chooser(Answer() if script is None else script)
        self._host, self._port, self._tls, self._max_body = host, port, tls, max_body
        self._server: asyncio.Server | None = None
        self._open: dict[Connection, tuple[asyncio.StreamWriter, asyncio.Task[None]]] = {}
        self._arrivals = asyncio.Condition()

    @property
    def port(self) -> int:
        """The port; 0 until the first start if none was given."""
        return self._port

    @property
    def url(self) -> str:
        """``http://127.0.0.1:PORT``, without a path."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self._port}"

    @property
    def open_connections(self) -> int:
        """How many connections stand now."""
        return sum(connection.closed_at is None for connection in self._open)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. After a :meth:`stop`, on the same port again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, self._host, self._port, ssl=self._tls, backlog=1024)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Die: stop listening and reset every connection, in the middle of whatever it was doing."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = [task for _, task in self._open.values()]
        for writer, task in self._open.values():
            _reset(writer)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def play(self, script: Script) -> None:
        """Answer the requests that arrive from now on by another script."""
        self._choose = _chooser(script)

    async def wait_received(self, count: int = 1) -> Received:
        """Wait until ``count`` requests have arrived in all, and return the last of those."""
        async with self._arrivals:
            await self._arrivals.wait_for(lambda: len(self.received) >= count)
        return self.received[count - 1]

    def _connection(self) -> Connection:
        self.connections += 1
        return Connection(self.connections, self._accepted)

    def _accepted(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(connection, writer))
        self._open[connection] = writer, task
        task.add_done_callback(lambda _: self._open.pop(connection, None))

    async def _serve(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        try:
            for repeat in itertools.count(1):
                received = await self._read(connection, writer, repeat)
                if received is None or not await self._reply(received, writer):
                    break
        except wire.BadRequestError as error:
            self.rejected.append(str(error))
            writer.write(wire.response_head(error.status, [(b"content-length", b"0"), (b"connection", b"close")]))
        except ConnectionError:
            pass  # the peer left while it was being answered: connection.closed_at says when
        finally:
            writer.close()

    async def _read(self, connection: Connection, writer: asyncio.StreamWriter, repeat: int) -> Received | None:
        head = await wire.read_head(connection.reader)
        if head is None:
            return None
        if (b"expect", b"100-continue") in [(name, value.lower()) for name, value in head.headers]:
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await wire.read_body(connection.reader, head, self._max_body)
        now = asyncio.get_running_loop().time()
        received = Received(head.method, head.target, head.headers, body, now, connection, repeat, head.keep_alive)
        async with self._arrivals:
            self.received.append(received)
            self._arrivals.notify_all()
        return received

    async def _reply(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        """Perform the script's reply; return whether the connection is kept for another request."""
        self.in_flight += 1
        try:
            return await self._perform(received, writer)
        finally:
            self.in_flight -= 1

    async def _perform(self, received: Received, writer: asyncio.StreamWriter) -> bool:
        number = len(self.received)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in received.headers}
        asked = answers.question(received.method.decode(), received.path, headers, received.body, number)
        for step in steps(self._choose(received), asked):
            match step:
                case bytes():
                    data = step if received.method != b"HEAD" else step[: step.find(b"\r\n\r\n") + 4]
                    writer.write(data)
                    received.connection.sent += len(data)
                    await writer.drain()
                    if received.method == b"HEAD":
                        break
                case Pause():
                    await _pause(received.connection, step.seconds)
                case End("rst"):
                    _reset(writer)
                    return False
                case End():
                    return False
        return received.keep_alive


async def _pause(connection: Connection, seconds: float | None) -> None:
    """Wait for ``seconds``, or for ever, but not longer than the peer stays.

    Raises:
        ConnectionResetError: the peer has left.
    """
    try:
        await asyncio.wait_for(connection.closed.wait(), seconds)
    except TimeoutError:
        return
    raise ConnectionResetError("the peer left during a pause")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset: a linger time of zero makes close() send RST instead of FIN."""
    sock: Any = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() != -1:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _chooser(script: Script) -> Callable[[Received], Reply]:
    """Return the function that picks the reply to a request."""
    if isinstance(script, Mapping):
        routes = [(pattern, _chooser(replies)) for pattern, replies in script.items()]
        missing = Fail(status=404, message="The simulated provider's script has no such path.")

        def routed(received: Received) -> Reply:
            for pattern, choose in routes:
                if fnmatch.fnmatchcase(received.path, pattern):
                    return choose(received)
            return missing

        return routed
    if isinstance(script, Sequence):
        if not script:
            raise ValueError("a script needs at least one reply")
        left = itertools.chain(script, itertools.repeat(script[-1]))
        return lambda _: next(left)
    if isinstance(script, Reply):
        return lambda _: script
    return script
