"""Backpressure in both directions, and the drain."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import TYPE_CHECKING

import pytest

from hydrallm.http.limits import Limits
from hydrallm.http.server_stream import HIGH_WATER
from hydrallm.message import Response

if TYPE_CHECKING:
    from tests.http.conftest import Connect, Peer, Serve

    from hydrallm.http.server_stream import ServerStream

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
KERNEL = 12 << 20
"""More than the kernel holds of a loopback connection, both sides' buffers together."""


async def settled(value: list[int]) -> int:
    """Return ``value[0]`` once it has not moved for a while."""
    while True:
        before = value[0]
        await asyncio.sleep(0.05)  # an observation: that nothing moves takes time to see
        if value[0] == before:
            return before


async def test_a_client_that_does_not_read_pauses_the_handler(serve: Serve, connect: Connect) -> None:
    written = [0]
    piece = b"x" * 65536

    async def handler(stream: ServerStream) -> None:
        stream.start(200, [], length=None)
        for _ in range(1000):
            stream.write(piece)
            written[0] += len(piece)
            await stream.drain()
        stream.finish()

    site = await serve(handler)
    peer = await connect(site.port, limit=65536)
    await peer.send(GET)
    assert 0 < await settled(written) < KERNEL
    reply = await peer.reply()
    assert (len(reply.body), reply.complete) == (65_536_000, True), "nothing was lost by pausing"


async def test_a_handler_that_does_not_read_pauses_the_client(serve: Serve, connect: Connect) -> None:
    go_on = asyncio.Event()

    async def handler(stream: ServerStream) -> None:
        await go_on.wait()
        size = 0
        while data := await stream.chunk():
            size += len(data)
        stream.respond(Response(200, [], b"%d" % size))

    site = await serve(handler)
    peer = await connect(site.port)
    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n")
    sent = [0]

    async def upload() -> None:
        for _ in range(600):
            await peer.send(b"x" * 100_000)
            sent[0] += 100_000

    uploading = asyncio.ensure_future(upload())
    assert await settled(sent) < KERNEL
    [stream] = site.served
    assert stream.received < 1 << 20, "a high-water mark and one read"
    go_on.set()
    await uploading
    assert (await peer.reply()).body == b"60000000"


async def test_a_body_that_ends_while_it_is_not_read_leaves_the_connection_usable(
    serve: Serve, connect: Connect
) -> None:
    """Its last read both fills what is held of it and completes it."""
    go_on = asyncio.Event()

    async def handler(stream: ServerStream) -> None:
        await go_on.wait()
        stream.respond(Response(200, [], b"%d" % len(await stream.body())))

    site = await serve(handler)
    peer = await connect(site.port)
    size = HIGH_WATER + 20_000
    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
    await site.until(lambda: site.served and site.served[0].complete)
    go_on.set()
    assert (await peer.reply()).body == b"%d" % size
    assert (await asyncio.wait_for(peer.ask(GET), 5)).body == b"0"


async def test_a_body_read_in_small_steps_comes_whole(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        size = 0
        for count in itertools.count():
            data = await stream.chunk()
            if not data:
                break
            size += len(data)
            for _ in range(count % 5):
                await asyncio.sleep(0)
        stream.respond(Response(200, [], b"%d" % size))

    peer = await connect((await serve(handler)).port)
    for _ in range(2):
        await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 5_000_000)
        assert (await peer.reply()).body == b"5000000"


async def test_a_slow_reader_gets_the_end_of_its_last_answer(serve: Serve, connect: Connect) -> None:
    """The wait for a refused client to stop sending must not cut an answer short that is still being taken."""
    body = b"x" * 40_000  # too little for the transport to ask for a pause

    async def handler(stream: ServerStream) -> None:
        stream.respond(Response(200, [], body))

    site = await serve(handler, Limits(linger=0.05, sweep_interval=0.01))
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    sock.connect(("127.0.0.1", site.port))
    sock.setblocking(False)
    peer = await connect(0, sock=sock, limit=1024)
    await site.until(lambda: site.server.connections)
    [connection] = site.server.connections
    assert connection._transport is not None  # noqa: SLF001 - only to make the kernel's buffer small
    theirs = connection._transport.get_extra_info("socket")  # noqa: SLF001 - as above
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
    await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    await site.until(lambda: site.served and site.served[0].finished)
    assert not connection.write_paused
    await asyncio.sleep(0.2)  # many sweeps with something left to send, and the client asleep
    received, ended = await peer.ending()
    assert received.endswith(b"\r\n\r\n" + body)
    assert ended == "fin"


# -- the drain -------------------------------------------------------------------------------------------------------


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_a_drain_closes_idle_connections_and_lets_running_ones_end(serve: Serve, connect: Connect) -> None:
    go_on = asyncio.Event()

    async def handler(stream: ServerStream) -> None:
        if stream.path == b"/slow":
            stream.start(200, [], length=None, first=b"be")
            await go_on.wait()
            stream.write(b"gun")
            stream.finish()
        else:
            stream.respond(Response(200, []))

    site = await serve(handler)
    fresh, idle, running, late = [await connect(site.port) for _ in range(4)]
    await idle.ask(GET)
    await running.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await late.send(b"POST / HTTP/1.1\r\nHost: x\r\nConte")
    await site.until(lambda: len(site.served) == 2 and len(site.server.connections) == 4)
    drain = asyncio.ensure_future(site.server.drain(10))
    assert await idle.ending() == (b"", "fin")
    assert await fresh.ending() == (b"", "fin")
    assert await refused(site.port)
    reply = await late.ask(b"nt-Length: 0\r\n\r\n")
    assert (reply.status, reply.headers["connection"]) == (200, "close"), "what has begun to arrive is served"
    assert not drain.done()
    go_on.set()
    reply = await running.reply()
    assert (reply.body, reply.complete) == (b"begun", True)
    assert await running.ending() == (b"", "fin"), "a kept-alive connection is closed after its answer"
    assert await drain == 0
    assert site.server.connections == set()


async def test_a_drain_ends_when_its_time_is_up(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.start(200, [], length=None, first=b"begun")
        await asyncio.get_running_loop().create_future()

    site = await serve(handler)
    peers: list[Peer] = [await connect(site.port) for _ in range(3)]
    for peer in peers:
        await peer.send(GET)
    await site.until(lambda: len(site.served) == 3)
    assert await site.server.drain(0.05) == 3
    for peer in peers:
        reply = await peer.reply()
        assert (reply.body, reply.complete) == (b"begun", False)
    await site.until(lambda: not site.server.connections)


async def test_a_drain_of_nothing_ends_at_once(serve: Serve) -> None:
    site = await serve(wait_not)
    assert await asyncio.wait_for(site.server.drain(60), 1) == 0


async def wait_not(stream: ServerStream) -> None:
    stream.respond(Response(200, []))


async def test_requests_sent_ahead_are_still_answered_in_a_drain(serve: Serve, connect: Connect) -> None:
    """Those that wait when the drain begins; after the first answer the connection closes and says so."""
    go_on = asyncio.Event()

    async def handler(stream: ServerStream) -> None:
        await go_on.wait()
        stream.respond(Response(200, []))

    site = await serve(handler)
    peer = await connect(site.port)
    await peer.send(GET * 3)
    await site.until(lambda: site.served)
    drain = asyncio.ensure_future(site.server.drain(10))
    await asyncio.sleep(0)
    go_on.set()
    assert (await peer.reply()).headers["connection"] == "close"
    assert await peer.ending() == (b"", "fin")
    assert await drain == 0


@pytest.mark.parametrize("where", ["127.0.0.1", "localhost"])
async def test_it_says_where_it_listens(where: str, serve: Serve, connect: Connect) -> None:
    site = await serve(wait_not)
    addresses = await site.server.listen(where, 0)
    for host, port in addresses:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(GET)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()
        await writer.wait_closed()
