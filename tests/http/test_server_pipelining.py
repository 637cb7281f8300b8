"""Requests sent ahead: answered in order up to a bound, and beyond it not looked at."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hydrallm.http.limits import Limits
from hydrallm.message import Response

if TYPE_CHECKING:
    from tests.http.conftest import Connect, Peer, Serve

    from hydrallm.http.server_stream import ServerStream


def get(path: str, extra: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode()


async def name_path(stream: ServerStream) -> None:
    await stream.body()
    stream.respond(Response(200, [], stream.path))


class Gate:
    """A handler that answers its first request in two halves, the second when told to."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, stream: ServerStream) -> None:
        if stream.path != b"/0":
            await name_path(stream)
            return
        stream.start(200, [], length=None, first=b"/")
        self.begun.set()
        await self.open.wait()
        stream.write(b"0")
        stream.finish()


async def replies_until_closed(peer: Peer) -> list[bytes]:
    found = []
    while True:
        reply = await peer.reply()
        assert reply.complete
        found.append(reply.body)
        if reply.headers.get("connection") == "close":
            assert await peer.ending() == (b"", "fin")
            return found


async def test_requests_sent_ahead_are_answered_in_order(serve: Serve, connect: Connect) -> None:
    site = await serve(name_path)
    peer = await connect(site.port)
    await peer.send(b"".join([get(f"/{number}") for number in range(100)]))
    assert [(await peer.reply()).body for _ in range(100)] == [b"/%d" % number for number in range(100)]


async def test_a_slow_first_answer_keeps_its_place(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    site = await serve(gate)
    peer = await connect(site.port)
    post = b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    await peer.send(get("/0") + get("/1") + post + get("/3"))
    await gate.begun.wait()
    assert len(site.served) == 1, "one at a time"
    gate.open.set()
    assert [(await peer.reply()).body for _ in range(4)] == [b"/0", b"/1", b"/2", b"/3"]


async def test_too_much_sent_ahead_closes_the_connection_after_the_answer_in_hand(
    serve: Serve, connect: Connect
) -> None:
    """However much follows in the same segment, nothing of it may be answered in the place of what was dropped."""
    gate = Gate()
    site = await serve(gate, Limits(max_pipelined=4096))
    peer = await connect(site.port)
    await peer.send(get("/0"))
    await gate.begun.wait()
    await peer.send_apart(b"".join([get(f"/{number}") for number in range(1, 300)]), get("/later"))
    gate.open.set()
    first = await peer.reply()
    assert (first.body, first.complete) == (b"/0", True)
    assert await peer.ending() == (b"", "fin"), "the answer in hand is the last"
    assert [stream.path for stream in site.served] == [b"/0"]


async def test_too_much_sent_ahead_before_the_answer_began_is_announced(serve: Serve, connect: Connect) -> None:
    site = await serve(name_path, Limits(max_pipelined=4096))
    peer = await connect(site.port)
    await peer.send(b"".join([get(f"/{number}") for number in range(300)]))
    assert await replies_until_closed(peer) == [b"/0"]


async def test_a_long_body_sent_ahead_is_too_much_as_well(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    site = await serve(gate, Limits(max_pipelined=4096))
    peer = await connect(site.port)
    await peer.send(get("/0"))
    await gate.begun.wait()
    await peer.send_apart(b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n", b"x" * 5000)
    gate.open.set()
    assert (await peer.reply()).body == b"/0"
    assert await peer.ending() == (b"", "fin")
    assert len(site.served) == 1


async def test_the_answer_in_hand_survives_a_client_that_goes_on_sending(serve: Serve, connect: Connect) -> None:
    """A socket closed with bytes unread is reset, and the reset would take the answer with it."""
    gate = Gate()
    site = await serve(gate, Limits(max_pipelined=4096))
    peer = await connect(site.port)
    await peer.send(get("/0"))
    await gate.begun.wait()
    flood = b"".join([get(f"/{number}") for number in range(1, 300)])
    await peer.send_apart(flood)
    gate.open.set()
    await peer.send_apart(*[flood] * 20)
    assert (await peer.reply()).body == b"/0"
    assert await peer.ending() == (b"", "fin")


async def test_a_long_body_does_not_count_for_the_head_behind_it(serve: Serve, connect: Connect) -> None:
    site = await serve(name_path, Limits(max_head=1024))
    peer = await connect(site.port)
    following = get("/2")
    body = b"x" * 20_000
    post = b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    for _ in range(3):
        await peer.send_apart(post + following[:10], following[10:])
        assert [(await peer.reply()).body for _ in range(2)] == [b"/1", b"/2"]
    many = b"".join([get("/1") for _ in range(80)])
    await peer.send_apart(many + following[:10], following[10:])
    assert [(await peer.reply()).body for _ in range(81)] == [b"/1"] * 80 + [b"/2"]


async def test_a_head_that_begins_behind_a_body_is_bounded_all_the_same(serve: Serve, connect: Connect) -> None:
    site = await serve(name_path, Limits(max_head=1024))
    peer = await connect(site.port)
    post = b"POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    await peer.send_apart(post + b"GET /" + b"x" * 600, b"x" * 600, b"x" * 600)
    assert (await peer.reply()).body == b"/1"
    assert (await peer.reply()).status == 431
    assert await peer.ending() == (b"", "fin")


async def test_what_follows_a_request_to_close_is_not_looked_at(serve: Serve, connect: Connect) -> None:
    site = await serve(name_path)
    peer = await connect(site.port)
    await peer.send(get("/1", "Connection: close\r\n") + get("/2"))
    assert await replies_until_closed(peer) == [b"/1"]
    assert [stream.path for stream in site.served] == [b"/1"]


async def test_a_malformed_request_is_refused_after_the_good_ones_before_it(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    site = await serve(gate)
    peer = await connect(site.port)
    await peer.send(get("/0") + get("/1") + b"GET /2 HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n" + get("/3"))
    await gate.begun.wait()
    gate.open.set()
    replies = [await peer.reply() for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 200, 400]
    assert [reply.body for reply in replies[:2]] == [b"/0", b"/1"]
    assert await peer.ending() == (b"", "fin")
    assert len(site.served) == 2


async def test_a_damaged_body_sent_ahead_takes_its_own_request_only(serve: Serve, connect: Connect) -> None:
    gate = Gate()
    site = await serve(gate)
    peer = await connect(site.port)
    chunked = b"POST /1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    await peer.send(get("/0") + chunked + b"5\r\nhelloX")
    await gate.begun.wait()
    gate.open.set()
    assert (await peer.reply()).body == b"/0"
    assert (await peer.reply()).status == 400
    assert await peer.ending() == (b"", "fin")
    assert len(site.served) == 1
