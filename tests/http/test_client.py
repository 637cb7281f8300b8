"""The client's framing: what it sends, what it takes for an answer, and what for none."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import h11
import pytest

from hydrallm.errors import CutError, RemoteProtocolError, SilenceError, UpstreamError
from hydrallm.message import Request

if TYPE_CHECKING:
    from tests.http.conftest import Call, Upstreams

    from hydrallm.http.client import Client
    from hydrallm.http.client_stream import ClientStream

GET = Request(b"GET", b"/", [])
POST = Request(b"POST", b"/v1/chat?x=1", [(b"content-type", b"application/json")], b'{"a": 1}')
LONG_HEAD = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def ask(client: Client, request: Request = GET, seconds: float = 10.0) -> ClientStream:
    expires = asyncio.get_running_loop().time() + seconds
    return await client.request(request, expires=expires, connect_timeout=5)


async def take(stream: ClientStream) -> bytes:
    """Return the whole body, and let go of the stream."""
    try:
        parts = []
        while data := await stream.chunk():
            parts.append(data)
        return b"".join(parts)
    finally:
        stream.close()


async def fetch(client: Client, request: Request = GET) -> tuple[int, bytes]:
    stream = await ask(client, request)
    return stream.status, await take(stream)


# -- requests --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "framing"),
    [
        (GET, None),
        (POST, b"8"),
        (Request(b"POST", b"/", []), b"0"),
        (Request(b"DELETE", b"/", []), None),
        (Request(b"PUT", b"/", [], b"x" * 200_000), b"200000"),
        (Request(b"GET", b"/", [], b"with a body"), b"11"),
    ],
    ids=["get", "post", "post-empty", "delete", "put-large", "get-with-body"],
)
async def test_what_is_sent_is_what_h11_reads(request_: Request, framing: bytes | None, upstreams: Upstreams) -> None:
    read: list[h11.Event] = []

    async def script(call: Call) -> None:
        connection = h11.Connection(h11.SERVER)
        while not read or not isinstance(read[-1], h11.EndOfMessage):
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await call.reader.read(65536))
            else:
                assert isinstance(event, h11.Event)
                read.append(event)
        await call.send(OK)

    upstream, client = await upstreams(script)
    assert await fetch(client, request_) == (200, b"hello")
    head = read[0]
    assert isinstance(head, h11.Request)
    assert (head.method, head.target) == (request_.method, request_.target)
    lengths = [] if framing is None else [(b"content-length", framing)]
    assert list(head.headers) == [(b"host", b"127.0.0.1:%d" % upstream.port), *request_.headers, *lengths]
    assert b"".join([bytes(event.data) for event in read if isinstance(event, h11.Data)]) == request_.body


# -- answers ---------------------------------------------------------------------------------------------------------


class Good(NamedTuple):
    name: str
    data: bytes
    body: bytes
    kept: bool
    """Whether the connection can carry another request."""


GOOD = [
    Good("length", OK, b"hello", kept=True),
    Good("length-zero", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"", kept=True),
    Good(
        "chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello", kept=True
    ),
    Good(
        "extensions-and-trailers",
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5;a="b"\r\nhello\r\n6;x\r\n world\r\n0\r\nX: y\r\n\r\n',
        b"hello world",
        kept=True,
    ),
    Good("no-reason", b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", b"hello", kept=True),
    Good("no-reason-no-space", b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello", kept=True),
    Good("204", b"HTTP/1.1 204 No Content\r\n\r\n", b"", kept=True),
    Good("304-with-length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n", b"", kept=True),
    Good("304-chunked", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", b"", kept=True),
    Good("100-first", b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"hello", kept=True),
    Good("102-first", b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n" + OK, b"hello", kept=True),
    Good("103-first", b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + OK, b"hello", kept=True),
    Good(
        "several-first",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" + OK,
        b"hello",
        kept=True,
    ),
    Good("close", b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", kept=False),
    Good("1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", kept=False),
    Good(
        "1.0-keep", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", b"hello", kept=True
    ),
    Good("to-the-end", b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello", kept=False),
    Good("to-the-end-1.0", b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello", b"hello", kept=False),
    Good("to-the-end-empty", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"", kept=False),
    Good("500", b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nhello", b"hello", kept=True),
]
every_good = pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)


@every_good
async def test_an_answer_in_one_segment(good: Good, upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        while True:
            await call.head()
            await call.send(good.data)
            if not good.kept:
                return

    upstream, client = await upstreams(script)
    for _ in range(3):
        _, body = await fetch(client)
        assert body == good.body
    assert upstream.accepted == (1 if good.kept else 3)


@every_good
async def test_an_answer_split_anywhere_is_the_same_answer(good: Good, upstreams: Upstreams) -> None:
    splits = iter([*range(1, len(good.data)), 0])

    async def script(call: Call) -> None:
        while True:
            await call.head()
            at = next(splits)
            if at:
                await call.send(good.data[:at], good.data[at:])
            else:
                await call.send(*[bytes([byte]) for byte in good.data])
            if not good.kept:
                return

    _, client = await upstreams(script)
    for at in range(1, len(good.data) + 1):
        _, body = await fetch(client)
        assert body == good.body, f"split at {at}"


async def test_the_head_is_there_before_the_body(upstreams: Upstreams) -> None:
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 201 Created\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 5\r\n\r\n")
        await go_on.wait()
        await call.send(b"hello")

    _, client = await upstreams(script)
    stream = await ask(client)
    assert (stream.status, stream.length, stream.complete) == (201, 5, False)
    assert stream.headers == [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"5")]
    go_on.set()
    assert await take(stream) == b"hello"
    assert stream.complete


async def test_after_a_head_request_comes_a_right_answer(upstreams: Upstreams) -> None:
    """llhttp would take the next answer for the body of the one to HEAD."""

    async def script(call: Call) -> None:
        while True:
            head = await call.head()
            await call.send(OK[:-5] if head.startswith(b"HEAD") else OK)

    _, client = await upstreams(script)
    for _ in range(3):
        assert await fetch(client, Request(b"HEAD", b"/", [])) == (200, b"")
        assert await fetch(client) == (200, b"hello")


# -- what is no answer -----------------------------------------------------------------------------------------------


class Bad(NamedTuple):
    name: str
    data: bytes
    error: type[UpstreamError]
    ending: str = "fin"
    says: str = ""


BAD = [
    Bad("nothing", b"", CutError, says="before it answered"),
    Bad("nothing-rst", b"", CutError, "rst", says="before it answered"),
    Bad("half-a-head", b"HTTP/1.1 200 OK\r\nConte", CutError, says="inside its answer"),
    Bad("interim-only", b"HTTP/1.1 100 Continue\r\n\r\n", CutError, says="inside its answer"),
    Bad("length-short", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", CutError, says="inside its answer"),
    Bad("length-short-rst", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", CutError, "rst"),
    Bad("chunked-cut", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CutError),
    Bad("chunked-cut-in-size", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5", CutError),
    Bad("chunked-cut-at-zero", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", CutError),
    Bad("to-the-end-rst", b"HTTP/1.1 200 OK\r\n\r\nhello", CutError, "rst"),
    Bad("not-http", b"SSH-2.0-OpenSSH_9.2\r\n", RemoteProtocolError, says="not HTTP"),
    Bad("html", b"<html>bad gateway</html>", RemoteProtocolError, says="not HTTP"),
    Bad("tls-alert", b"\x15\x03\x01\x00\x02\x02\x46", RemoteProtocolError),
    Bad("http2", b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", RemoteProtocolError),
    Bad("bad-status", b"HTTP/1.1 2OO OK\r\n\r\n", RemoteProtocolError),
    Bad("bad-header", b"HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n", RemoteProtocolError),
    Bad("bad-length", b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", RemoteProtocolError),
    Bad("two-lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", RemoteProtocolError),
    Bad(
        "length-and-chunked",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        RemoteProtocolError,
    ),
    Bad("bad-chunk", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX", RemoteProtocolError),
    Bad(
        "other-coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", RemoteProtocolError, says="chunked"
    ),
    Bad("two-codings", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", RemoteProtocolError),
    Bad(
        "chunked-twice",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        RemoteProtocolError,
    ),
    Bad(
        "switching",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        RemoteProtocolError,
        says="status is 101",
    ),
    Bad("switching-bare", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", RemoteProtocolError, says="status is 101"),
    Bad(
        "many-headers",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 600 + b"\r\n",
        RemoteProtocolError,
        says="500 header lines",
    ),
    Bad("long-head", LONG_HEAD, RemoteProtocolError, says="over 65536 bytes"),
]


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
async def test_what_is_no_whole_answer_is_an_error(bad: Bad, pieces: int, upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        step = len(bad.data) // pieces + 1
        await call.send(*[bad.data[at : at + step] for at in range(0, len(bad.data), step)])
        if bad.error is RemoteProtocolError:
            await call.gone()  # it is the client that closes
        elif bad.ending == "rst":
            call.reset()

    _, client = await upstreams(script)
    with pytest.raises(bad.error, match=bad.says or None):
        await fetch(client)


async def test_what_came_before_the_cut_is_handed_out_first(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")

    _, client = await upstreams(script)
    stream = await ask(client)
    assert await stream.chunk() == b"hello"
    for _ in range(2):
        with pytest.raises(CutError):
            await stream.chunk()
    assert not stream.complete
    stream.close()


# -- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_head_that_does_not_come_is_silence_at_the_time_given(begun: bytes, upstreams: Upstreams) -> None:
    closed = asyncio.Event()

    async def script(call: Call) -> None:
        await call.head()
        await call.send(begun)
        await call.gone()
        closed.set()

    _, client = await upstreams(script)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(SilenceError, match="the time for this attempt ran out"):
        await ask(client, seconds=0.2)
    assert 0.19 <= loop.time() - began < 1
    await asyncio.wait_for(closed.wait(), 5)


async def test_the_clock_also_runs_over_the_body(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(OK[:-2])
        await call.gone()

    _, client = await upstreams(script)
    stream = await ask(client, seconds=0.2)
    with pytest.raises(SilenceError):
        await take(stream)


async def test_silence_is_measured_from_the_last_piece(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.06)
            await call.send(b"1\r\nx\r\n")
        await call.gone()

    _, client = await upstreams(script)
    loop = asyncio.get_running_loop()
    stream = await ask(client, seconds=0.3)
    stream.limit_silence(0.2)
    for _ in range(10):
        assert await stream.chunk() == b"x"
    last = loop.time()
    with pytest.raises(SilenceError, match=r"nothing came for 0\.2 s"):
        await stream.chunk()
    assert 0.15 <= loop.time() - last < 1
    stream.close()


async def test_the_callers_own_delay_is_no_silence(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
        await call.send(b"x" * 3_000_000)
        await call.gone()

    _, client = await upstreams(script)
    stream = await ask(client)
    stream.limit_silence(0.1)
    assert await stream.chunk()
    await asyncio.sleep(0.5)  # five times the limit, with the socket not read
    assert len(await take(stream)) > 2_000_000


async def test_gather_waits_for_the_whole_or_for_more_than_its_limit(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        while True:
            head = await call.head()
            await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for _ in range(10):
                await call.send(b"64\r\n" + b"x" * 100 + b"\r\n")
            if b"GET /endless" in head:
                await call.gone()
            await call.send(b"0\r\n\r\n")

    _, client = await upstreams(script)
    stream = await ask(client)
    assert await asyncio.wait_for(stream.gather(100_000), 5) == b"x" * 1000
    assert stream.complete
    stream = await ask(client, Request(b"GET", b"/endless", []))
    assert len(await asyncio.wait_for(stream.gather(300), 5)) > 300, "the limit is far under what the socket may hold"
    assert not stream.complete
    stream.close()


async def test_gather_tells_why_the_rest_will_not_come(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")

    _, client = await upstreams(script)
    stream = await ask(client)
    with pytest.raises(CutError):
        await stream.gather(100_000)
    stream.close()
