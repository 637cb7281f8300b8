"""Kept-alive connections: which is taken, which is not trusted, what happens when one has gone stale."""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import CutError, RemoteProtocolError, UpstreamError
from hydrallm.http.client import STALE_WINDOW, WARM
from hydrallm.message import Request

if TYPE_CHECKING:
    from tests.http.conftest import Call, Upstreams

    from hydrallm.http.client import Client
    from hydrallm.http.client_stream import ClientStream

GET = Request(b"GET", b"/", [])
POST = Request(b"POST", b"/", [], b"body")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def ask(client: Client, request: Request = GET) -> ClientStream:
    return await client.request(request, expires=asyncio.get_running_loop().time() + 10, connect_timeout=5)


async def fetch(client: Client, request: Request = GET) -> bytes:
    stream = await ask(client, request)
    body = b""
    while data := await stream.chunk():
        body += data
    stream.close()
    return body


async def serve_all(call: Call) -> None:
    while True:
        await call.request()
        await call.send(OK)


async def numbered(call: Call) -> None:
    """Answer with the connection's number."""
    while True:
        await call.request()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % call.number)


async def test_a_connection_is_used_again(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(serve_all)
    for _ in range(50):
        assert await fetch(client) == b"hello"
    assert upstream.accepted == 1


async def test_requests_at_the_same_time_have_connections_of_their_own(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(serve_all)
    assert await asyncio.gather(*[fetch(client) for _ in range(20)]) == [b"hello"] * 20
    assert upstream.accepted == 20
    assert await asyncio.gather(*[fetch(client) for _ in range(20)]) == [b"hello"] * 20
    assert upstream.accepted == 20


async def test_the_connection_used_last_is_taken_first(upstreams: Upstreams) -> None:
    _, client = await upstreams(numbered)
    streams = [await ask(client) for _ in range(3)]
    for stream in streams:
        assert await stream.chunk()
    first = await fetch(client)
    assert {await fetch(client) for _ in range(10)} == {first}


async def test_idle_connections_are_closed_in_time(upstreams: Upstreams) -> None:
    """Each by its own idleness: not when the first of all is due, and not a whole period later."""
    loop = asyncio.get_running_loop()
    ended: dict[int, float] = {}

    async def script(call: Call) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            await numbered(call)
        ended[call.number] = loop.time()

    upstream, client = await upstreams(script, idle_limit=0.4)
    assert sorted(await asyncio.gather(fetch(client), fetch(client))) == [b"1", b"2"]
    both_released = loop.time()
    await asyncio.sleep(0.1)
    used_again = int(await fetch(client))
    released = loop.time()
    await upstream.until(lambda: len(ended) == 2)
    assert upstream.accepted == 2
    assert 0.35 < ended[3 - used_again] - both_released < 0.65
    assert 0.35 < ended[used_again] - released < 0.65
    assert await fetch(client) == b"3"


async def test_an_idle_connection_that_the_upstream_closed_is_forgotten(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(OK)

    upstream, client = await upstreams(script)
    for number in range(1, 4):
        assert await fetch(client) == b"hello"
        await upstream.until(lambda: not client.connections)
        assert upstream.accepted == number


# -- stale connections -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_100_posts_to_an_upstream_that_closes_silently(how: str, upstreams: Upstreams) -> None:
    """It answers without ``Connection: close`` and closes when the next request is on its way: scorecard row 11."""

    async def script(call: Call) -> None:
        await call.request()
        await call.send(OK)
        await call.head()
        if how == "rst":
            call.reset()

    upstream, client = await upstreams(script)
    assert [await fetch(client, POST) for _ in range(100)] == [b"hello"] * 100
    assert upstream.accepted == 100


async def test_a_stale_connection_is_replaced_by_a_fresh_one_not_by_another_stale_one(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(OK)
        if call.number <= 5:
            await call.head()
            return
        await serve_all(call)

    upstream, client = await upstreams(script)
    for stream in [await ask(client) for _ in range(5)]:
        await stream.chunk()
    assert await fetch(client, POST) == b"hello"
    assert upstream.accepted == 6


async def test_a_fresh_connection_is_not_tried_twice(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()

    upstream, client = await upstreams(script)
    with pytest.raises(CutError, match="before it answered"):
        await fetch(client, POST)
    assert upstream.accepted == 1


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_connection_that_ends_after_a_while_was_not_stale(upstreams: Upstreams) -> None:
    """The upstream had the request, and may have worked on it."""

    async def script(call: Call) -> None:
        await call.request()
        await call.send(OK)
        await call.request()
        await asyncio.sleep(STALE_WINDOW + 0.1)  # what is tested is the silence before the end

    upstream, client = await upstreams(script)
    assert await fetch(client, POST) == b"hello"
    with pytest.raises(CutError, match="before it answered"):
        await fetch(client, POST)
    assert upstream.accepted == 1


async def test_the_second_try_is_the_last(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()
        if call.number == 1:
            await call.send(OK)
            await call.request()

    upstream, client = await upstreams(script)
    assert await fetch(client, POST) == b"hello"
    with pytest.raises(CutError):
        await fetch(client, POST)
    assert upstream.accepted == 2


@pytest.mark.parametrize("first", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n"])
async def test_a_connection_that_answered_anything_at_all_was_not_stale(first: bytes, upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(OK)
        await call.request()
        await call.send(first)

    upstream, client = await upstreams(script)
    assert await fetch(client, POST) == b"hello"
    with pytest.raises(UpstreamError):
        await fetch(client, POST)
    assert upstream.accepted == 1


async def test_what_must_not_be_sent_twice_is_not(upstreams: Upstreams) -> None:
    asked = 0

    async def once(call: Call) -> None:
        nonlocal asked
        await call.request()
        await call.send(OK)
        await call.request()
        asked += 1

    upstream, client = await upstreams(once)
    assert await fetch(client) == b"hello"
    expires = asyncio.get_running_loop().time() + 10
    with pytest.raises(CutError, match="before it answered"):
        await client.request(POST, expires=expires, connect_timeout=5, resend=False)
    assert (upstream.accepted, asked) == (1, 1)


async def test_what_must_not_be_sent_twice_takes_a_connection_only_while_it_is_warm(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(serve_all)
    expires = asyncio.get_running_loop().time() + 10

    async def post() -> None:
        stream = await client.request(POST, expires=expires, connect_timeout=5, resend=False)
        assert await stream.gather(100) == b"hello"

    await post()
    await post()
    assert upstream.accepted == 1
    for connection in client.connections:
        connection.idle_since -= WARM + 0.01
    await post()
    assert upstream.accepted == 2


async def test_garbage_on_a_used_connection_is_not_staleness(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(OK)
        await call.request()
        await call.send(b"garbage\r\n\r\n")

    upstream, client = await upstreams(script)
    assert await fetch(client, POST) == b"hello"
    with pytest.raises(RemoteProtocolError):
        await fetch(client, POST)
    assert upstream.accepted == 1


# -- connections that cannot be trusted ------------------------------------------------------------------------------

UNASKED = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize("when", ["with-the-answer", "later"])
async def test_what_comes_unasked_answers_no_request(when: str, upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()
        if when == "later":
            await call.send(OK)
            await call.send(UNASKED)
        else:
            await call.send(OK + UNASKED)
        await call.gone()

    upstream, client = await upstreams(script)
    for number in range(1, 4):
        assert await fetch(client) == b"hello"
        await upstream.until(lambda: not client.connections)
        assert upstream.accepted == number


async def test_an_answer_that_is_not_read_to_its_end_costs_its_connection(upstreams: Upstreams) -> None:
    gone = asyncio.Event()

    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await call.gone()
        gone.set()

    upstream, client = await upstreams(script)
    stream = await ask(client)
    assert await stream.chunk() == b"hello"
    stream.close()
    await asyncio.wait_for(gone.wait(), 5)
    assert upstream.accepted == 1


async def test_an_answer_that_is_complete_but_not_taken_does_not(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(serve_all)
    for _ in range(5):
        stream = await ask(client)
        await upstream.until(partial(attrgetter("complete"), stream))
        stream.close()
    assert upstream.accepted == 1


async def test_what_is_taken_late_of_one_answer_does_not_disturb_the_next(upstreams: Upstreams) -> None:
    """Both came over one connection, whose reading is paused for the second."""

    async def script(call: Call) -> None:
        await call.head()
        await call.send(OK)
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000000\r\n\r\n" + b"x" * 30_000_000)

    upstream, client = await upstreams(script)
    first = await ask(client)
    await upstream.until(lambda: first.complete)
    second = await ask(client)
    [connection] = client.connections
    await upstream.until(lambda: connection.reading_paused)
    assert await first.chunk() == b"hello"
    assert connection.reading_paused
    first.close()
    second.close()


@pytest.mark.parametrize("phase", ["head", "body"])
async def test_a_cancelled_request_closes_its_connection_at_once(phase: str, upstreams: Upstreams) -> None:
    loop = asyncio.get_running_loop()
    asked = asyncio.Event()
    gone: asyncio.Future[float] = loop.create_future()

    async def script(call: Call) -> None:
        await call.head()
        if phase == "body":
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        asked.set()
        await call.gone()
        gone.set_result(loop.time())

    upstream, client = await upstreams(script)
    task = asyncio.ensure_future(use(client))
    await asked.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    cancelled = loop.time()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(gone, 5) - cancelled < 0.25
    await upstream.until(lambda: not client.connections)


async def use(client: Client) -> None:
    """Use an answer as its owner must: whatever happens, it is closed."""
    stream = await ask(client)
    try:
        while await stream.chunk():
            pass
    finally:
        stream.close()


async def test_closing_the_client_cuts_what_is_under_way(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await call.gone()

    upstream, client = await upstreams(script)
    stream = await ask(client)
    await stream.chunk()
    client.close()
    with pytest.raises(CutError):
        await stream.chunk()
    await upstream.until(lambda: not client.connections)
