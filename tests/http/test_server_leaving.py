"""A client that leaves takes its handler's task with it, whatever the task is at; a handler that fails does not."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hydrallm.http.limits import Limits
from hydrallm.http.server_stream import HIGH_WATER, Ending
from hydrallm.message import Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.conftest import Connect, Serve

    from hydrallm.http.server_stream import ServerStream

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
AT_ONCE = 0.25
"""Seconds: far below every clock, and enough for two shared cores."""


class Observed:
    """A handler that notes when it began, that it was cancelled, and when."""

    def __init__(self, work: Callable[[ServerStream], Awaitable[object]]) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.stream: ServerStream | None = None
        self._work = work

    async def __call__(self, stream: ServerStream) -> None:
        self.stream = stream
        self.begun.set()
        try:
            await self._work(stream)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


async def read_body(stream: ServerStream) -> None:
    await stream.body()


async def wait(stream: ServerStream) -> None:
    await asyncio.get_running_loop().create_future()


async def stall_mid_stream(stream: ServerStream) -> None:
    stream.start(200, [], length=None, first=b"begun")
    await asyncio.get_running_loop().create_future()


async def write_forever(stream: ServerStream) -> None:
    stream.start(200, [], length=None)
    while True:
        stream.write(b"x" * 10_000)
        await stream.drain()


class Phase(NamedTuple):
    name: str
    request: bytes
    work: Callable[[ServerStream], Awaitable[object]]


PHASES = [
    Phase("before-the-body", POST, read_body),
    Phase("inside-the-body", POST + b"some", read_body),
    Phase("waiting", GET, wait),
    Phase("waiting-with-requests-sent-ahead", GET * 5, wait),
    Phase("mid-stream", GET, stall_mid_stream),
    Phase("while-the-client-takes-nothing", GET, write_forever),
]
if sys.platform == "linux":  # elsewhere nothing tells of it
    # More than is read ahead, and little enough that the kernel holds the rest: a FIN comes behind it.
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * (HIGH_WATER + 30_000)
    PHASES.append(Phase("while-the-body-is-not-taken", body, wait))


@pytest.mark.parametrize("how", ["fin", "half", "rst"])
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
async def test_the_task_is_cancelled_at_once(phase: Phase, how: str, serve: Serve, connect: Connect) -> None:
    loop = asyncio.get_running_loop()
    handler = Observed(phase.work)
    site = await serve(handler)
    peer = await connect(site.port, limit=1)
    await peer.send(phase.request)
    await handler.begun.wait()
    for _ in range(50):  # far into the phase: until all buffers are full, where they fill
        await asyncio.sleep(0)
    left = loop.time()
    peer.leave(how)
    await asyncio.wait_for(handler.cancelled.wait(), 5)
    assert loop.time() - left < AT_ONCE
    assert handler.stream is not None
    assert handler.stream.ended_by is Ending.CLIENT_LEFT
    await site.until(lambda: not site.server.connections)
    assert len(site.served) == 1, "what was sent ahead is not begun for a client that left"
    assert site.faults == []


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_client_may_leave_once_it_has_its_answer(how: str, serve: Serve, connect: Connect) -> None:
    ended = asyncio.Event()
    left = asyncio.Event()

    async def handler(stream: ServerStream) -> None:
        stream.respond(Response(200, [], b"done"))
        await left.wait()  # what a handler does after its answer, such as its records, is not interrupted
        ended.set()

    site = await serve(handler)
    peer = await connect(site.port)
    assert (await peer.ask(GET)).body == b"done"
    peer.leave(how)
    await site.until(lambda: not site.server.connections)
    left.set()
    await asyncio.wait_for(ended.wait(), 5)
    assert site.served[0].ended_by is None


@pytest.mark.parametrize("order", ["answers-then-reads", "reads-then-answers"])
async def test_the_body_is_not_waited_for_once_the_answer_is_finished(
    order: str, serve: Serve, connect: Connect
) -> None:
    async def handler(stream: ServerStream) -> None:
        if order == "answers-then-reads":
            stream.respond(Response(200, [], b"done"))
            await stream.body()
        else:
            reading = asyncio.ensure_future(stream.body())
            await asyncio.sleep(0)
            stream.respond(Response(200, [], b"done"))
            await reading

    site = await serve(handler)
    peer = await connect(site.port)
    assert (await peer.ask(POST)).body == b"done"
    await site.until(lambda: site.faults)
    assert [type(fault) for fault in site.faults] == [RuntimeError]


async def test_the_client_leaves_in_the_turn_in_which_the_answer_is_written(serve: Serve, connect: Connect) -> None:
    """``connection_lost`` and the handler's step race; either may be first, neither may raise."""

    async def handler(stream: ServerStream) -> None:
        await stream.body()
        stream.start(200, [], length=None, first=b"a")
        stream.write(b"b" * 70_000)
        await stream.drain()
        stream.finish()

    site = await serve(handler)
    for turns in range(12):
        for how in ("fin", "rst", "half"):
            peer = await connect(site.port)
            await peer.send(GET)
            for _ in range(turns):
                await asyncio.sleep(0)
            peer.leave(how)
    await site.until(lambda: not site.server.connections)
    assert site.faults == []


# -- handlers that fail ----------------------------------------------------------------------------------------------


async def fail(stream: ServerStream) -> None:
    raise LookupError(stream.path)


async def test_a_failing_handler_is_a_500_and_the_server_lives(serve: Serve, connect: Connect) -> None:
    site = await serve(fail)
    for number in range(1, 4):
        peer = await connect(site.port)
        reply = await peer.ask(GET)
        assert (reply.status, reply.headers["connection"]) == (500, "close")
        assert "LookupError" not in reply.body.decode()
        assert await peer.ending() == (b"", "fin")
        assert [type(fault) for fault in site.faults] == [LookupError] * number


async def test_a_handler_that_fails_inside_its_answer_cuts_it(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.start(200, [], length=None, first=b"begun")
        raise LookupError

    site = await serve(handler)
    reply = await (await connect(site.port)).ask(GET)
    assert (reply.body, reply.complete) == (b"begun", False)
    assert len(site.faults) == 1


async def test_a_handler_that_fails_after_its_answer_harms_nobody(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.respond(Response(200, [], b"ok"))
        raise LookupError

    site = await serve(handler)
    peer = await connect(site.port)
    for _ in range(3):
        assert (await peer.ask(GET)).body == b"ok"
    assert len(site.faults) == 3


async def test_a_handler_that_answers_nothing_closes_the_connection(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        pass

    peer = await connect((await serve(handler)).port)
    await peer.send(GET)
    assert await peer.ending() == (b"", "fin")


@pytest.mark.parametrize("answered", [False, True], ids=["unanswered", "mid-answer"])
async def test_a_handler_whose_request_turned_out_malformed_may_still_write(
    answered: bool, serve: Serve, connect: Connect
) -> None:
    async def handler(stream: ServerStream) -> None:
        if answered:
            stream.start(200, [], length=None, first=b"begun")
        with contextlib.suppress(asyncio.CancelledError):
            await stream.body()
        if not answered:
            stream.start(200, [], length=None)
        stream.write(b"late")
        await stream.drain()
        stream.finish()

    site = await serve(handler, Limits(linger=0.1, sweep_interval=0.02))
    peer = await connect(site.port)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    await peer.send_apart(head, b"5\r\nhelloX")
    received, _ = await peer.ending()
    assert received.startswith(b"HTTP/1.1 200 " if answered else b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1
    assert not received.endswith(b"0\r\n\r\n")
    assert site.faults == []
