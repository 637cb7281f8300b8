"""The connections of one endpoint: never more than there may be, first come, first served, nobody forgotten."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import SaturatedError, UpstreamError
from hydrallm.http.client import Upload
from hydrallm.http.queue import Queue
from hydrallm.message import Request

if TYPE_CHECKING:
    from tests.http.conftest import Call, Upstreams

    from hydrallm.http.client import Client
    from hydrallm.http.client_stream import ClientStream

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
BEGUN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"


def named(path: bytes) -> Request:
    return Request(b"POST", path, [], b"body")


async def ask(
    client: Client, path: bytes = b"/", *, seconds: float = 10.0, upload: Upload | None = None
) -> ClientStream:
    expires = asyncio.get_running_loop().time() + seconds
    return await client.request(named(path), expires=expires, connect_timeout=5, upload=upload)


async def fetch(client: Client, path: bytes = b"/", upload: Upload | None = None) -> bytes:
    stream = await ask(client, path, upload=upload)
    body = b""
    while data := await stream.chunk():
        body += data
    stream.close()
    return body


async def serve_all(call: Call) -> None:
    while True:
        await call.request()
        await call.send(OK)


async def serve_one(call: Call) -> None:
    await call.request()
    await call.send(LAST)


async def begin(call: Call) -> None:
    """Begin an answer that has no end."""
    await call.request()
    await call.send(BEGUN)
    await call.gone()


class Busy:
    """Knows how many connections an upstream has at a time, and in which order it is asked."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.paths: list[bytes] = []

    async def __call__(self, call: Call) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            while True:
                head = await call.head()
                await call.reader.readexactly(4)
                self.paths.append(head.split()[1])
                await asyncio.sleep(0)
                await call.send(OK)
        finally:
            self.now -= 1


async def test_there_are_never_more_than_there_may_be(upstreams: Upstreams) -> None:
    busy = Busy()
    _, client = await upstreams(busy, max_connections=3)
    bodies = await asyncio.gather(*(fetch(client, b"/%d" % number) for number in range(60)))
    assert bodies == [b"hello"] * 60
    assert busy.most == 3
    assert client.queue.free == 3


async def test_first_come_first_served(upstreams: Upstreams) -> None:
    busy = Busy()
    _, client = await upstreams(busy, max_connections=1)
    await asyncio.gather(*(fetch(client, b"/%d" % number) for number in range(30)))
    assert busy.paths == [b"/%d" % number for number in range(30)]


async def test_whoever_comes_later_does_not_snatch_what_has_just_become_free(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(begin, max_connections=1)
    first = await ask(client)
    waiting = asyncio.ensure_future(ask(client, b"/waiting"))
    await upstream.until(lambda: len(client.queue) == 1)
    first.close()
    late = asyncio.ensure_future(ask(client, b"/late"))
    stream = await waiting
    assert not late.done()
    stream.close()
    (await late).close()
    assert [head.split()[1] for head in upstream.heads] == [b"/", b"/waiting", b"/late"]


@pytest.mark.parametrize("script", [serve_all, serve_one])
async def test_a_place_is_free_again_after_each_answer(script: Call, upstreams: Upstreams) -> None:
    upstream, client = await upstreams(script, max_connections=2)
    for _ in range(20):
        assert await fetch(client) == b"hello"
    await upstream.until(lambda: client.queue.free == 2)


async def test_the_wait_is_bounded_and_nobody_was_asked(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(begin, max_connections=1, queue_timeout=0.1)
    stream = await ask(client)
    began = asyncio.get_running_loop().time()
    with pytest.raises(SaturatedError, match=r"none of the 1 connections .*max_connections.* became free in 0\.1 s"):
        await ask(client)
    assert 0.09 < asyncio.get_running_loop().time() - began < 3
    assert (upstream.accepted, len(upstream.heads), len(client.queue)) == (1, 1, 0)
    stream.close()
    await upstream.until(lambda: client.queue.free == 1)


async def test_the_wait_counts_towards_the_attempt(upstreams: Upstreams) -> None:
    _, client = await upstreams(begin, max_connections=1, queue_timeout=30.0)
    stream = await ask(client)
    with pytest.raises(SaturatedError, match=r"became free in 0\.1 s"):
        await ask(client, seconds=0.1)
    stream.close()


async def test_who_gives_up_waiting_leaves_no_gap(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(begin, max_connections=1)
    first = await ask(client)
    waiting = [asyncio.ensure_future(ask(client, b"/%d" % number)) for number in range(3)]
    await upstream.until(lambda: len(client.queue) == 3)
    waiting[0].cancel()
    first.close()  # in the same turn of the loop
    (await waiting[1]).close()
    (await waiting[2]).close()
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    await upstream.until(lambda: client.queue.free == 1)


async def test_who_is_given_a_place_and_leaves_at_that_moment_passes_it_on() -> None:
    loop = asyncio.get_running_loop()
    queue = Queue(1)
    assert queue.take()
    first, second = (asyncio.ensure_future(queue.wait(loop.time() + 5)) for _ in range(2))
    await asyncio.sleep(0)
    assert len(queue) == 2
    queue.leave()
    first.cancel()  # it has the place, and does not know it yet
    await second
    assert first.cancelled() or not first.done()
    queue.leave()
    assert queue.free == 1


async def test_a_connection_that_cannot_be_made_frees_its_place(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(serve_all, max_connections=1)
    await upstream.stop()
    for _ in range(3):
        with pytest.raises(UpstreamError):
            await ask(client)
    assert client.queue.free == 1


async def test_an_upload_takes_the_place_of_an_idle_connection(upstreams: Upstreams) -> None:
    busy = Busy()
    upstream, client = await upstreams(busy, max_connections=1)
    assert await fetch(client) == b"hello"
    pieces = [b"body", b""]

    async def read() -> bytes:
        return pieces.pop(0)

    assert await fetch(client, b"/upload", Upload(read, 4)) == b"hello"
    assert (upstream.accepted, busy.paths) == (2, [b"/", b"/upload"])
    await upstream.until(lambda: busy.now <= 1)
    assert len(client.connections) <= 1


async def test_no_place_is_lost_whatever_happens(upstreams: Upstreams) -> None:
    dice = random.Random(7)

    async def fate(call: Call) -> None:
        while True:
            await call.request()
            chance = dice.random()
            if chance < 0.2:
                call.reset()
                return
            if chance < 0.4:
                return
            await call.send(BEGUN if chance < 0.6 else LAST if chance < 0.7 else OK)

    async def one() -> None:
        try:
            async with asyncio.timeout(dice.random() * 0.1):
                stream = await ask(client)
        except (UpstreamError, TimeoutError):
            return
        await asyncio.sleep(dice.random() * 0.01)
        stream.close()

    upstream, client = await upstreams(fate, max_connections=4, queue_timeout=0.05)
    for _ in range(10):
        await asyncio.gather(*(one() for _ in range(40)))
    await upstream.until(lambda: client.queue.free == 4)
    assert len(client.queue) == 0
