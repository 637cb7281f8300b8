"""What is held of requests and answers is bounded over all of them, and given back."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import RequestError
from hydrallm.http.buffered import STEP, Buffered
from hydrallm.http.dial import Route
from hydrallm.http.limits import Limits
from hydrallm.message import Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.http.conftest import Call, Connect, Serve, StartUpstream

    from hydrallm.http.client import Client
    from hydrallm.http.server_stream import ServerStream

MAX = 1_000_000


def test_only_what_there_is_can_be_reserved() -> None:
    buffered = Buffered(100)
    assert buffered.reserve(60)
    assert not buffered.reserve(41)
    assert buffered.reserve(40)
    buffered.release(60)
    assert (buffered.held, buffered.reserve(61), buffered.reserve(60)) == (40, False, True)


# -- requests ----------------------------------------------------------------------------------------------------------


class Holder:
    """Holds each body until it is told to answer."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.bodies = 0

    async def __call__(self, stream: ServerStream) -> None:
        coding = next((value for name, value in stream.headers if name == b"content-encoding"), b"")
        try:
            body = await stream.decoded_body(coding)
            self.bodies += 1
            await self.go.wait()
            stream.respond(Response(200, [], b"%d" % len(body)))
        except RequestError as error:
            stream.keep_alive = False
            stream.respond(Response(error.status, [], str(error).encode()))
        finally:
            stream.release()


def post(body: bytes, length: int | None = None, more: bytes = b"") -> bytes:
    size = len(body) if length is None else length
    return b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b" % (size, more, body)


def chunked(body: bytes, pieces: int) -> bytes:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    step = len(body) // pieces
    return head + b"".join(b"%x\r\n%b\r\n" % (step, body[:step]) for _ in range(pieces)) + b"0\r\n\r\n"


@pytest.fixture
def limits() -> Limits:
    return Limits(max_body=MAX, linger=0.3)


@pytest.fixture
def holder() -> Holder:
    return Holder()


BIG = b"x" * 400_000


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(post(BIG), id="length"),
        pytest.param(chunked(BIG, 20), id="chunked"),
        pytest.param(post(gzip.compress(BIG), more=b"Content-Encoding: gzip\r\n"), id="compressed"),
    ],
)
async def test_a_body_for_which_there_is_no_room_is_refused_and_those_that_are_held_go_on(
    request_: bytes, holder: Holder, limits: Limits, serve: Serve, connect: Connect
) -> None:
    site = await serve(holder, limits)
    site.server.buffered.limit = 1_000_000
    held = [await connect(site.port) for _ in range(2)]
    for peer in held:
        await peer.send(request_)
    await site.until(lambda: holder.bodies == 2)
    assert 700_000 < site.server.buffered.held <= 1_000_000
    for _ in range(3):
        peer = await connect(site.port)
        reply = await peer.ask(request_)
        assert reply.status == 503
        assert b"server.max_buffered 1000000" in reply.body
    small = await connect(site.port)
    await small.send(post(b"x" * STEP))
    await site.until(lambda: holder.bodies == 3)
    holder.go.set()
    for peer, size in ((held[0], len(BIG)), (held[1], len(BIG)), (small, STEP)):
        assert (await peer.reply()).body == b"%d" % size
    await site.until(lambda: site.server.buffered.held == 0)
    peer = await connect(site.port)
    assert (await peer.ask(request_)).status == 200


async def test_an_announced_body_has_its_room_from_the_beginning(
    holder: Holder, limits: Limits, serve: Serve, connect: Connect
) -> None:
    site = await serve(holder, limits)
    site.server.buffered.limit = 1_000_000
    first = await connect(site.port)
    await first.send(post(b"x", length=900_000))
    await site.until(lambda: site.server.buffered.held == 900_000)
    assert (await (await connect(site.port)).ask(post(b"x" * 200_000))).status == 503
    holder.go.set()
    reply = await first.ask(b"x" * 899_999)
    assert (reply.status, reply.body) == (200, b"900000")


async def test_who_leaves_gives_back(holder: Holder, limits: Limits, serve: Serve, connect: Connect) -> None:
    site = await serve(holder, limits)
    for how in ("fin", "rst"):
        peer = await connect(site.port)
        await peer.send(post(b"x", length=900_000))
        await site.until(lambda: site.server.buffered.held == 900_000)
        peer.leave(how)
        await site.until(lambda: site.server.buffered.held == 0)


# -- answers -----------------------------------------------------------------------------------------------------------

SIZE = 600_000


async def answer(call: Call) -> None:
    while True:
        await call.request()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE + b"y" * SIZE)


async def gathered(client: Client, limit: int) -> tuple[int, bool, int]:
    """Return the size of what was held of an answer, whether it was all, and what was reserved for it."""
    request = Request(b"POST", b"/", [], b"body")
    stream = await client.request(request, expires=asyncio.get_running_loop().time() + 10, connect_timeout=5)
    body = await stream.gather(limit)
    held = client._buffered.held  # noqa: SLF001 - handed in by the test
    complete = stream.complete
    size = len(body)
    while data := await stream.chunk():
        size += len(data)
    assert size == SIZE
    stream.close()
    return len(body), complete, held


@pytest.mark.parametrize(
    ("room", "limit", "whole"),
    [
        pytest.param(SIZE, 16 << 20, True, id="there-is-room"),
        pytest.param(SIZE // 2, 16 << 20, False, id="there-is-none"),
        pytest.param(0, 16 << 20, False, id="none-at-all"),
        pytest.param(16 << 20, SIZE // 2, False, id="over-its-own-limit"),
    ],
)
async def test_an_answer_is_held_as_far_as_there_is_room(
    room: int, limit: int, whole: bool, start_upstream: StartUpstream, client_of: Callable[..., Client]
) -> None:
    upstream = await start_upstream(answer)
    buffered = Buffered(room + STEP)
    client = client_of(Route("127.0.0.1", upstream.port, b"x"), buffered=buffered)
    for _ in range(3):
        size, complete, held = await gathered(client, limit)
        assert complete is whole
        assert size == SIZE if whole else size <= min(room, limit) + 6 * STEP  # a read brings up to 256 KiB
        assert 0 < held <= room + STEP if whole else held == 0
        assert buffered.held == 0
