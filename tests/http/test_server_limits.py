"""Sizes: what is over a limit is refused as soon as that is known, and the client can read the refusal."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import RequestError
from hydrallm.http.limits import Limits
from hydrallm.message import Response

if TYPE_CHECKING:
    from tests.http.conftest import Connect, Peer, Serve, Site

    from hydrallm.http.server_stream import ServerStream


async def size(stream: ServerStream) -> None:
    """Answer with the size of the body; a refusal is answered as the gateway does it."""
    try:
        body = await stream.body()
    except RequestError as error:
        stream.keep_alive = stream.keep_alive and not error.close
        stream.respond(Response(error.status, [], str(error).encode()))
        return
    stream.respond(Response(200, [], b"%d" % len(body)))


@pytest.fixture
async def site(serve: Serve) -> Site:
    return await serve(size, Limits(max_head=1024, max_headers=20, max_body=1000, linger=0.3))


def head_of(length: int) -> bytes:
    start = b"GET / HTTP/1.1\r\nHost: x\r\nX: "
    return start + b"y" * (length - len(start) - 4) + b"\r\n\r\n"


async def test_a_head_up_to_the_limit_is_taken(site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    assert (await peer.ask(head_of(1000))).status == 200
    lines = b"".join([b"X%d: y\r\n" % number for number in range(19)])
    assert (await peer.ask(b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n" % lines)).status == 200


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(head_of(1100), id="one-header-line"),
        pytest.param(head_of(200_000), id="one-huge-header-line"),
        pytest.param(b"GET /" + b"x" * 1100 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="target"),
        pytest.param(b"GET /" + b"x" * 1100, id="target-unfinished"),
        pytest.param(b"GET / HTTP/1.1\r\n" + b"N" * 1100, id="name-unfinished"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 21 + b"\r\n", id="count"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 21, id="count-unfinished"),
        pytest.param(b"\r\n" * 600, id="empty-lines"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_head_over_the_limit_is_refused(data: bytes, pieces: int, site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    step = len(data) // pieces + 1
    await peer.send_apart(*[data[at : at + step] for at in range(0, len(data), step)])
    reply = await peer.reply()
    assert (reply.status, reply.headers["connection"]) == (431, "close")
    assert await peer.ending() == (b"", "fin")
    assert site.served == []


async def test_a_body_up_to_the_limit_is_taken(site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    reply = await peer.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000)
    assert (reply.status, reply.body) == (200, b"1000")
    chunks = b"1f4\r\n" + b"x" * 500 + b"\r\n"
    reply = await peer.ask(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks * 2 + b"0\r\n\r\n"
    )
    assert (reply.status, reply.body) == (200, b"1000")


@pytest.mark.parametrize("length", [1001, 2**63])
async def test_a_body_announced_over_the_limit_is_refused_before_it_comes(
    length: int, site: Site, connect: Connect
) -> None:
    peer = await connect(site.port)
    reply = await peer.ask(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert await peer.ending() == (b"", "fin")


async def test_a_chunked_body_is_refused_when_it_passes_the_limit(site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(11):
        await peer.send_apart(b"64\r\n" + b"x" * 100 + b"\r\n")
    reply = await peer.reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert await peer.ending() == (b"", "fin")


async def test_a_client_that_reads_after_sending_all_still_gets_the_refusal(site: Site, connect: Connect) -> None:
    """Most clients send the whole body first. Closing with bytes unread would reset the 413 away."""
    peer = await connect(site.port)
    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n")
    for _ in range(80):
        await peer.send_apart(b"x" * 100_000)
    reply = await peer.reply()
    assert (reply.status, reply.complete) == (413, True)
    assert await peer.ending() == (b"", "fin")


async def send_forever(peer: Peer) -> None:
    while True:
        await peer.send(b"x" * 1000)


async def test_a_refused_client_that_never_stops_sending_is_reset(serve: Serve, connect: Connect) -> None:
    site = await serve(size, Limits(max_body=1000, linger=0.1, sweep_interval=0.02))
    peer = await connect(site.port)
    await peer.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n")
    began = asyncio.get_running_loop().time()
    with pytest.raises(OSError):  # noqa: PT011 - a reset or a broken pipe, as the system sees it
        await send_forever(peer)
    assert asyncio.get_running_loop().time() - began < 5
    assert site.server.connections == set()


@pytest.mark.parametrize("overhead", ["trailer", "trailers", "extension", "zeros"])
async def test_endless_framing_around_a_chunked_body_is_refused(overhead: str, site: Site, connect: Connect) -> None:
    """Trailers and chunk extensions are no part of the body, so the limit of bodies does not bound them."""
    start, piece = {
        "trailer": (b"0\r\nX: ", b"y" * 100),
        "trailers": (b"0\r\n", b"X: " + b"y" * 95 + b"\r\n"),
        "extension": (b"5;a=", b"y" * 100),
        "zeros": (b"", b"0" * 100),
    }[overhead]
    peer = await connect(site.port)
    await peer.send_apart(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", start)
    for _ in range(20):
        await peer.send_apart(piece)
    assert (await peer.reply()).status in {400, 431}
    assert await peer.ending() == (b"", "fin")


async def test_trailers_of_ordinary_size_are_passed_over(site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    await peer.send_apart(
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n",
        b"0\r\nX: " + b"y" * 400,
        b"y" * 400 + b"\r\n\r\n",
    )
    assert (await peer.reply()).body == b"5"
    assert (await peer.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")).status == 200


# -- 100 Continue ----------------------------------------------------------------------------------------------------

EXPECTING = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"


async def test_continue_is_sent_when_the_body_is_wanted_and_not_there(site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    await peer.send(EXPECTING % 5)
    assert await peer.reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
    reply = await peer.ask(b"hello")
    assert (reply.interim, reply.status, reply.body) == ([], 200, b"5")


@pytest.mark.parametrize("data", [EXPECTING % 5 + b"hello", EXPECTING % 0], ids=["there-already", "empty"])
async def test_continue_is_not_sent_for_a_body_that_is_there(data: bytes, site: Site, connect: Connect) -> None:
    reply = await (await connect(site.port)).ask(data)
    assert (reply.interim, reply.status) == ([], 200)


async def test_continue_is_not_sent_to_a_client_that_is_refused(site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    reply = await peer.ask(EXPECTING % 5000)
    assert (reply.interim, reply.status, reply.headers["connection"]) == ([], 413, "close")
    assert await peer.ending() == (b"", "fin")


async def test_continue_is_not_sent_to_http_1_0(site: Site, connect: Connect) -> None:
    peer = await connect(site.port)
    await peer.send_apart(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", b"hello")
    reply = await peer.reply()
    assert (reply.interim, reply.status, reply.body) == ([], 200, b"5")


async def test_continue_is_not_sent_into_an_answer_that_has_begun(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.start(200, [], length=None, first=b"begun ")
        stream.write(await stream.chunk())
        stream.finish()

    peer = await connect((await serve(handler)).port)
    await peer.send_apart(EXPECTING % 5, b"hello")
    reply = await peer.reply()
    assert (reply.interim, reply.body, reply.complete) == ([], b"begun hello", True)


async def test_an_answer_without_a_look_at_the_body_closes(serve: Serve, connect: Connect) -> None:
    async def handler(stream: ServerStream) -> None:
        stream.respond(Response(401, []))

    peer = await connect((await serve(handler)).port)
    reply = await peer.ask(EXPECTING % 5)
    assert (reply.interim, reply.status, reply.headers["connection"]) == ([], 401, "close")
    assert await peer.ending() == (b"", "fin")


# -- what a refusal is about -----------------------------------------------------------------------------------------

REFUSED = {
    "no Host": (400, b"GET /p?q HTTP/1.1\r\nA: b\r\n\r\n"),
    "an upgrade": (426, b"GET /p?q HTTP/1.1\r\nHost: x\r\nA: b\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
    "an expectation": (417, b"GET /p?q HTTP/1.1\r\nHost: x\r\nA: b\r\nExpect: cake\r\n\r\n"),
    "a transfer coding": (400, b"POST /p?q HTTP/1.1\r\nHost: x\r\nA: b\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
    "many headers": (431, b"GET /p?q HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 30 + b"\r\n"),
    "a large head": (431, b"GET /p?q HTTP/1.1\r\nHost: x\r\nA: b\r\nX: %b\r\n\r\n" % (b"x" * 2000)),
    "a malformed body": (
        400,
        b"POST /p?q HTTP/1.1\r\nHost: x\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX",
    ),
}


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("case", REFUSED)
async def test_a_refusal_names_the_request_it_is_about(case: str, before: int, site: Site, connect: Connect) -> None:
    status, data = REFUSED[case]
    peer = await connect(site.port)
    await peer.send(b"GET /before HTTP/1.1\r\nHost: x\r\n\r\n" * before + data)
    replies = [(await peer.reply()).status for _ in range(before + 1)]
    assert replies == [200] * before + [status]
    [subject] = site.subjects
    assert subject is not None
    assert (subject.path, subject.query) == (b"/p", b"q")
    assert (b"a", b"b") in subject.headers


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("data", [b"nonsense\r\n\r\n", b"GET /p HTTP/1.1\r\nA b\r\n\r\n"])
async def test_a_refusal_of_what_has_no_complete_head_is_about_no_request(
    data: bytes, before: int, site: Site, connect: Connect
) -> None:
    peer = await connect(site.port)
    await peer.send(b"POST /before HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab" * before + data)
    assert [(await peer.reply()).status for _ in range(before + 1)] == [200] * before + [400]
    assert site.subjects == [None]
