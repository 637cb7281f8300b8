"""More clients than there may be: the idle ones make room, the others are told at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import OverloadError
from hydrallm.http.limits import Limits
from hydrallm.message import Response

if TYPE_CHECKING:
    from tests.http.conftest import Connect, Peer, Serve, Site

    from hydrallm.http.server_stream import ServerStream

ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"
ROOM, SPARE = 4, 3


class Answers:
    """Answers at once, but ``/slow`` when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, stream: ServerStream) -> None:
        if stream.path == b"/slow":
            await self.go.wait()
        stream.respond(Response(200, [], b"here"))


@pytest.fixture
def answers() -> Answers:
    return Answers()


def limits(idle_for: float = 0.0) -> Limits:
    return Limits(max_connections=ROOM, spare_connections=SPARE, idle_for=idle_for, linger=0.3, sweep_interval=0.05)


async def busy(site: Site, connect: Connect, count: int = ROOM) -> list[Peer]:
    """Return connections on which an answer is waited for."""
    peers = [await connect(site.port) for _ in range(count)]
    for peer in peers:
        await peer.send(SLOW)
    await site.until(lambda: len(site.served) == count)
    return peers


async def test_the_connection_that_idled_longest_makes_room(answers: Answers, serve: Serve, connect: Connect) -> None:
    site = await serve(answers, limits())
    peers = [await connect(site.port) for _ in range(ROOM)]
    for peer in (peers[2], peers[0], peers[3], peers[1]):
        assert (await peer.ask(ASK)).status == 200
    for gone in (peers[2], peers[0]):
        newcomer = await connect(site.port)
        assert (await newcomer.ask(ASK)).status == 200
        assert await gone.ending() == (b"", "fin")
    for peer in (peers[3], peers[1]):
        assert (await peer.ask(ASK)).status == 200, "it was used after those"
    assert site.refused == []


async def test_so_does_one_that_never_asked(answers: Answers, serve: Serve, connect: Connect) -> None:
    site = await serve(answers, limits())
    silent = await connect(site.port)
    await busy(site, connect, ROOM - 1)
    assert (await (await connect(site.port)).ask(ASK)).status == 200
    assert await silent.ending() == (b"", "fin")
    answers.go.set()


async def test_one_that_has_begun_to_ask_does_not(answers: Answers, serve: Serve, connect: Connect) -> None:
    site = await serve(answers, limits())
    asking = await connect(site.port)
    await asking.send_apart(ASK[:10])
    await busy(site, connect, ROOM - 1)
    assert (await (await connect(site.port)).ask(ASK)).status == 503
    assert (await asking.ask(ASK[10:])).status == 200
    answers.go.set()


async def test_one_that_was_idle_for_a_moment_only_does_not(answers: Answers, serve: Serve, connect: Connect) -> None:
    site = await serve(answers, limits(idle_for=30.0))
    peers = [await connect(site.port) for _ in range(ROOM)]
    for peer in peers:
        await peer.ask(ASK)
    assert (await (await connect(site.port)).ask(ASK)).status == 503
    for peer in peers:
        assert (await peer.ask(ASK)).status == 200


async def test_who_finds_no_room_is_told_and_nobody_is_disturbed(
    answers: Answers, serve: Serve, connect: Connect
) -> None:
    site = await serve(answers, limits())
    peers = await busy(site, connect)
    for number in range(1, 3 * SPARE):
        surplus = await connect(site.port)
        reply = await surplus.ask(ASK)
        assert (reply.status, reply.headers["connection"]) == (503, "close")
        assert await surplus.ending() == (b"", "fin")
        await surplus.close()
        assert len(site.refused) == number
    assert all(isinstance(error, OverloadError) for error in site.refused)
    assert all(stream is not None for stream in site.subjects), "the answer can have the form of the client's API"
    answers.go.set()
    for peer in peers:
        assert (await peer.reply()).status == 200
    assert len(site.served) == ROOM


async def test_beyond_those_who_may_be_told_the_answer_comes_unasked(
    answers: Answers, serve: Serve, connect: Connect
) -> None:
    site = await serve(answers, limits())
    await busy(site, connect)
    waiting = [await connect(site.port) for _ in range(SPARE)]
    await site.until(lambda: len(site.server.connections) == ROOM + SPARE)
    for _ in range(20):
        one_more = await connect(site.port)
        assert (await one_more.reply()).status == 503
        assert await one_more.ending() == (b"", "fin")
        await site.until(lambda: len(site.server.connections) == ROOM + SPARE)
    assert site.subjects == [None] * 20
    for peer in waiting:
        assert (await peer.ask(ASK)).status == 503
    answers.go.set()


async def test_a_surplus_client_is_served_if_somebody_has_left_before_it_asks(
    answers: Answers, serve: Serve, connect: Connect
) -> None:
    site = await serve(answers, limits())
    peers = await busy(site, connect)
    surplus = await connect(site.port)
    await site.until(lambda: len(site.server.connections) == ROOM + 1)
    peers[0].leave("rst")
    await site.until(lambda: len(site.server.connections) == ROOM)
    for _ in range(2):
        assert (await surplus.ask(ASK)).status == 200
    answers.go.set()


async def test_room_is_there_again_when_answers_have_ended(answers: Answers, serve: Serve, connect: Connect) -> None:
    site = await serve(answers, limits())
    peers = await busy(site, connect)
    refused = await connect(site.port)
    assert (await refused.ask(ASK)).status == 503
    answers.go.set()
    for peer in peers:
        assert (await peer.reply()).status == 200
        peer.leave("fin")
    await refused.close()
    await site.until(lambda: not site.server.connections)
    for _ in range(3 * ROOM):
        peer = await connect(site.port)
        assert (await peer.ask(ASK)).status == 200
    assert not site.server.crowd.idle.keys() - site.server.connections
