"""A server, upstreams and raw peers on loopback, for both event loops.

Every test here runs twice: on uvloop, as in production, and on the standard library's loop; what costs much names one
in ``@pytest.mark.asyncio(loop_factories=...)``. What the server answers is read by h11, which knows nothing of llhttp.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import h11
import pytest

from hydrallm.http.client import Client
from hydrallm.http.dial import Route
from hydrallm.http.server import Server
from hydrallm.message import Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from hydrallm.errors import RequestError
    from hydrallm.http.limits import Limits
    from hydrallm.http.server import Handler
    from hydrallm.http.server_stream import ServerStream

PATIENCE = 50.0
"""Seconds after which something has hung."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if sys.platform != "win32":
        factories["uvloop"] = importlib.import_module("uvloop").new_event_loop
    return factories


class Reply(NamedTuple):
    """An answer as h11 read it."""

    status: int
    headers: dict[str, str]
    body: bytes
    interim: list[int]
    """The statuses of the 1xx answers before it."""
    complete: bool
    """Whether the framing says that the body ended."""


class Peer:
    """A client that is nothing but a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._rest = b""

    @classmethod
    async def connect(cls, port: int, **options: Any) -> Self:  # noqa: ANN401 - open_connection's own
        where = () if "sock" in options else ("127.0.0.1", port)
        return cls(*await asyncio.open_connection(*where, **options))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def send_apart(self, *pieces: bytes) -> None:
        """Send ``pieces`` so that the other side, which runs on this loop, reads each by itself, until it closes."""
        for piece in pieces:
            if self.writer.transport.is_closing():
                return
            self.writer.write(piece)
            for _ in range(3):  # loopback delivers inside send(); the next turn of the loop polls and reads
                await asyncio.sleep(0)

    async def reply(self, method: str = "GET") -> Reply:
        """Return the next answer."""
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        connection.send(h11.Request(method=method, target="/", headers=[("host", "x"), ("content-length", "0")]))
        connection.send(h11.EndOfMessage())
        if self._rest:
            connection.receive_data(self._rest)  # an empty one would mean the end
        self._rest = b""
        interim: list[int] = []
        head: h11.Response | None = None
        body = bytearray()
        complete = True
        while True:
            try:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    await self._more(connection)
                    continue
            except (h11.RemoteProtocolError, ConnectionResetError):
                if head is None:
                    raise
                complete = False
                break
            if isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                assert isinstance(event, h11.EndOfMessage)
                self._rest = connection.trailing_data[0]
                break
        assert head is not None
        headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
        return Reply(head.status_code, headers, bytes(body), interim, complete)

    async def _more(self, connection: h11.Connection) -> None:
        async with asyncio.timeout(PATIENCE):
            connection.receive_data(await self.reader.read(65536))

    async def ask(self, data: bytes, method: str = "GET") -> Reply:
        await self.send(data)
        return await self.reply(method)

    async def ending(self) -> tuple[bytes, str]:
        """Return all that still comes, and whether a FIN or a reset ended it."""
        received = bytearray(self._rest)
        self._rest = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while data := await self.reader.read(65536):
                    received += data
            except ConnectionResetError:
                return bytes(received), "rst"
        return bytes(received), "fin"

    def leave(self, how: str) -> None:
        """Go away: ``fin`` closes, ``half`` closes the sending side only, ``rst`` resets."""
        ways: dict[str, Callable[[], None]] = {"fin": self.writer.close, "half": self.writer.write_eof}
        ways.get(how, partial(reset, self.writer))()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


async def until(condition: Callable[[], object]) -> None:
    """Wait, turn of the loop by turn, until ``condition`` holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - no event tells of it: it is the state of what is tested
            await asyncio.sleep(0.001)


class Site:
    """A running server.

    Attributes:
        faults: what its handler raised unexpectedly.
        served: the requests that reached the handler.
        refused: what the server itself refused.
        subjects: the requests that were refused, in the same order; None where there was no complete head.
    """

    until = staticmethod(until)

    def __init__(self, handler: Handler, limits: Limits | None) -> None:
        self.faults: list[BaseException | None] = []
        self.served: list[ServerStream] = []
        self.refused: list[RequestError] = []
        self.subjects: list[ServerStream | None] = []
        self.port = 0
        self._handler = handler
        self._broken: Exception | None = None
        self.server = Server(self._serve, self._refuse, self._on_fault, limits)

    async def _serve(self, stream: ServerStream) -> None:
        self.served.append(stream)
        await self._handler(stream)

    def _refuse(self, error: RequestError, stream: ServerStream | None) -> Response:
        self.refused.append(error)
        self.subjects.append(stream)
        if self._broken is not None:
            raise self._broken
        return Response(error.status, [(b"content-type", b"text/plain")], str(error).encode())

    def _on_fault(self, stream: ServerStream) -> None:
        self.faults.append(sys.exc_info()[1])

    async def start(self) -> Self:
        [(_, self.port)] = await self.server.listen("127.0.0.1", 0)
        return self

    def refuse_with(self, error: Exception | None) -> None:
        """Make every refusal fail with ``error``; None: no longer."""
        self._broken = error


def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


Serve = Callable[..., Awaitable[Site]]
Connect = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def complaints() -> AsyncIterator[list[dict[str, Any]]]:
    """What the loop reported: exceptions nobody caught. There must be none."""
    found: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: found.append(context))
    yield found
    assert found == []


@pytest.fixture
async def serve(complaints: list[dict[str, Any]]) -> AsyncIterator[Serve]:
    """Starts servers; at the end of the test each must let go of every connection and task."""
    before = asyncio.all_tasks()
    sites: list[Site] = []

    async def start(handler: Handler, limits: Limits | None = None) -> Site:
        sites.append(await Site(handler, limits).start())
        return sites[-1]

    yield start
    for site in sites:
        site.server.abort()
        await until(lambda connections=site.server.connections: not connections)  # type: ignore[misc]
    tasks = asyncio.all_tasks() - before - {asyncio.current_task()}
    if tasks:
        _, left = await asyncio.wait(tasks, timeout=PATIENCE)
        assert not left, "tasks were left behind"


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Opens raw connections, and closes them at the end."""
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(port: int, **options: Any) -> Peer:  # noqa: ANN401 - open_connection's own
            peer = await Peer.connect(port, **options)
            stack.push_async_callback(peer.close)
            return peer

        yield open_one


class Upstream:
    """A scripted upstream: what it does with each connection is a coroutine."""

    def __init__(self, script: Script) -> None:
        self.accepted = 0
        """How many connections there have been."""
        self.heads: list[bytes] = []
        """The request heads that its scripts read."""
        self.port = 0
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, **options: Any) -> Self:  # noqa: ANN401 - start_server's own
        where: dict[str, Any] = {"host": "127.0.0.1", "port": 0} | options
        self._server = await asyncio.start_server(self._accepted, **where)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        task = asyncio.ensure_future(self._run(Call(self, self.accepted, reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, call: Call) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._script(call)
        finally:
            call.writer.close()

    until = staticmethod(until)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Call:
    """One connection, as an upstream's script sees it; the upstream's first has the number 1."""

    def __init__(
        self, upstream: Upstream, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.reader, self.writer = reader, writer
        self._upstream = upstream

    async def head(self) -> bytes:
        """Read a request's head."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        self._upstream.heads.append(head)
        return head

    async def request(self) -> bytes:
        """Read a request whose body has a known length; return the body."""
        head = await self.head()
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
        return await self.reader.readexactly(length)

    async def send(self, *pieces: bytes) -> None:
        """Send ``pieces``, each in a segment of its own."""
        for piece in pieces:
            if self.writer.transport.is_closing():
                raise ConnectionResetError
            self.writer.write(piece)
            await self.writer.drain()
            for _ in range(3):
                await asyncio.sleep(0)

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        reset(self.writer)


Script = Callable[[Call], Coroutine[None, None, None]]
Upstreams = Callable[..., Awaitable[tuple[Upstream, Client]]]


StartUpstream = Callable[..., Awaitable[Upstream]]


@pytest.fixture
async def start_upstream(complaints: list[dict[str, Any]]) -> AsyncIterator[StartUpstream]:
    """Starts scripted upstreams."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(script: Script, **options: Any) -> Upstream:  # noqa: ANN401 - start_server's own
            upstream = await Upstream(script).start(**options)
            stack.push_async_callback(upstream.stop)
            return upstream

        yield start


@pytest.fixture
async def client_of() -> AsyncIterator[Callable[..., Client]]:
    """Makes clients; at the end none may have a connection left in its books."""
    async with contextlib.AsyncExitStack() as stack:

        def make(route: Route, **options: Any) -> Client:  # noqa: ANN401 - Client's own
            client = Client(route, **options)
            stack.push_async_callback(closed, client)
            return client

        yield make


@pytest.fixture
def upstreams(start_upstream: StartUpstream, client_of: Callable[..., Client]) -> Upstreams:
    """Starts a scripted upstream and a client of it."""

    async def start(script: Script, **options: Any) -> tuple[Upstream, Client]:  # noqa: ANN401 - Client's own
        upstream = await start_upstream(script)
        return upstream, client_of(Route("127.0.0.1", upstream.port, b"127.0.0.1:%d" % upstream.port), **options)

    return start


async def closed(client: Client) -> None:
    client.close()
    await until(lambda: not client.connections)
