"""Bodies that stream: uploads, answers that come before the upload ends, and backpressure in both directions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import BodyTooLargeError, CutError, RemoteProtocolError, SilenceError
from hydrallm.http.client import Upload
from hydrallm.http.client_stream import HIGH_WATER
from hydrallm.message import Request

if TYPE_CHECKING:
    from tests.http.conftest import Call, Upstreams

    from hydrallm.http.client import Client
    from hydrallm.http.client_stream import ClientStream

POST = Request(b"POST", b"/", [])
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
REFUSED = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!"


class Pieces:
    """The body of an upload; ``hold`` keeps what follows the given pieces waiting."""

    def __init__(self, *pieces: bytes, hold: bool = False) -> None:
        self.taken = 0
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()
        self._pieces = list(pieces)
        self._hold = hold

    async def read(self) -> bytes:
        if self._pieces:
            piece = self._pieces.pop(0)
            self.taken += len(piece)
            return piece
        if self._hold:
            self.waiting.set()
            await self.go_on.wait()
        return b""


async def send(client: Client, pieces: Pieces, length: int | None = None, seconds: float = 10.0) -> ClientStream:
    expires = asyncio.get_running_loop().time() + seconds
    return await client.request(POST, expires=expires, connect_timeout=5, upload=Upload(pieces.read, length))


async def take(stream: ClientStream) -> bytes:
    body = b""
    while data := await stream.chunk():
        body += data
    stream.close()
    return body


async def test_an_upload_of_known_length(upstreams: Upstreams) -> None:
    bodies: list[bytes] = []

    async def script(call: Call) -> None:
        while True:
            bodies.append(await call.request())
            await call.send(OK)

    upstream, client = await upstreams(script)
    for _ in range(3):
        assert await take(await send(client, Pieces(b"hello ", b"world"), 11)) == b"hello"
    assert bodies == [b"hello world"] * 3
    assert b"content-length: 11\r\n" in upstream.heads[0]
    assert b"transfer-encoding" not in upstream.heads[0]


async def test_an_upload_of_unknown_length_is_chunked(upstreams: Upstreams) -> None:
    read = []

    async def script(call: Call) -> None:
        await call.head()
        read.append(await call.reader.readuntil(b"0\r\n\r\n"))
        await call.send(OK)

    upstream, client = await upstreams(script)
    assert await take(await send(client, Pieces(b"hello", b"x" * 20))) == b"hello"
    assert read == [b"5\r\nhello\r\n14\r\n" + b"x" * 20 + b"\r\n0\r\n\r\n"]
    assert b"transfer-encoding: chunked\r\n" in upstream.heads[0]


async def test_an_upload_is_not_risked_on_a_used_connection(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        while True:
            await call.request()
            await call.send(OK)

    upstream, client = await upstreams(script)
    for number in range(1, 4):
        assert await take(await send(client, Pieces(b"x"), 1)) == b"hello"
        assert upstream.accepted == number


async def test_the_clock_starts_when_the_upload_is_through(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.gone()

    _, client = await upstreams(script)
    pieces = Pieces(b"ab", hold=True)
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(send(client, pieces, 2, seconds=0.2))
    await pieces.waiting.wait()
    await asyncio.sleep(0.5)  # longer than the clock: the client is slow, not the upstream
    assert not task.done()
    pieces.go_on.set()
    began = loop.time()
    with pytest.raises(SilenceError):
        await task
    assert 0.15 < loop.time() - began < 1


# -- answers that do not wait for the upload -------------------------------------------------------------------------


@pytest.mark.parametrize("length", [100, None])
async def test_an_early_answer_is_there_at_once(length: int | None, upstreams: Upstreams) -> None:
    """Also while the client is not sending anything."""

    async def script(call: Call) -> None:
        await call.head()
        await call.send(REFUSED)
        await call.gone()

    _, client = await upstreams(script)
    pieces = Pieces(b"begun", hold=True)
    stream = await asyncio.wait_for(send(client, pieces, length), 5)
    assert stream.status == 413
    assert await take(stream) == b"no!"
    assert not pieces.go_on.is_set()


async def test_a_connection_answered_early_carries_no_other_request(upstreams: Upstreams) -> None:
    """The upstream still expects the rest of the body there: the next request would be taken for it."""

    async def script(call: Call) -> None:
        await call.head()
        await call.send(REFUSED)
        await call.gone()

    upstream, client = await upstreams(script)
    assert await take(await send(client, Pieces(b"begun", hold=True), 100)) == b"no!"
    stream = await client.request(POST, expires=asyncio.get_running_loop().time() + 5, connect_timeout=5)
    assert await take(stream) == b"no!"
    assert upstream.accepted == 2


async def test_a_connection_answered_early_is_let_go_of_though_the_upstream_takes_no_more(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await call.send(REFUSED)
        await asyncio.get_running_loop().create_future()

    upstream, client = await upstreams(script)
    stream = await asyncio.wait_for(send(client, Pieces(*[b"x" * 1_000_000] * 50), 50_000_000), 5)
    assert await take(stream) == b"no!"
    await upstream.until(lambda: not client.connections)


async def test_an_early_answer_that_streams_on_is_read_to_its_end(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        await asyncio.sleep(0.02)
        await call.send(b"world")

    _, client = await upstreams(script)
    assert await take(await send(client, Pieces(b"begun", hold=True), 100)) == b"helloworld"


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_an_upstream_that_leaves_ends_the_upload_at_once(how: str, upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        if how == "rst":
            call.reset()

    _, client = await upstreams(script)
    with pytest.raises(CutError, match="before it answered"):
        await asyncio.wait_for(send(client, Pieces(b"begun", hold=True), 100), 5)


async def test_an_upstream_that_takes_nothing_is_silent(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.get_running_loop().create_future()

    _, client = await upstreams(script)
    pieces = Pieces(*[b"x" * 1_000_000] * 50)
    with pytest.raises(SilenceError, match="took nothing of the body"):
        await asyncio.wait_for(send(client, pieces, 50_000_000, seconds=0.3), 5)
    assert pieces.taken < 20_000_000, "what is not taken is not asked for"


async def test_a_failure_to_read_the_body_is_the_callers_and_closes(upstreams: Upstreams) -> None:
    gone = asyncio.Event()

    async def script(call: Call) -> None:
        await call.head()
        await call.gone()
        gone.set()

    async def read() -> bytes:
        raise BodyTooLargeError("too much")

    _, client = await upstreams(script)
    with pytest.raises(BodyTooLargeError, match="too much"):
        await client.request(POST, expires=1e9, connect_timeout=5, upload=Upload(read, None))
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_cancelled_upload_closes_its_connection(upstreams: Upstreams) -> None:
    gone = asyncio.Event()

    async def script(call: Call) -> None:
        await call.gone()
        gone.set()

    _, client = await upstreams(script)
    pieces = Pieces(b"begun", hold=True)
    task = asyncio.ensure_future(send(client, pieces, 100))
    await pieces.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(gone.wait(), 5)


async def test_a_large_upload_arrives_whole(upstreams: Upstreams) -> None:
    sizes = []

    async def script(call: Call) -> None:
        sizes.append(len(await call.request()))
        await call.send(OK)

    _, client = await upstreams(script)
    pieces = Pieces(*[b"x" * 500_000] * 20)
    assert await take(await send(client, pieces, 10_000_000)) == b"hello"
    assert sizes == [10_000_000]


# -- backpressure ----------------------------------------------------------------------------------------------------


async def test_an_answer_that_is_not_taken_stops_the_upstream(upstreams: Upstreams) -> None:
    sent = [0]
    size = 30_000_000

    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 100_000):
            call.writer.write(b"x" * 100_000)
            await call.writer.drain()
            sent[0] += 100_000

    _, client = await upstreams(script)
    stream = await client.request(POST, expires=1e9, connect_timeout=5)
    before = -1
    while sent[0] != before:
        before = sent[0]
        await asyncio.sleep(0.1)  # an observation: that nothing moves takes time to see
    assert sent[0] < size // 2, "the rest stays with the upstream"
    first = await stream.chunk()
    assert len(first) <= HIGH_WATER + 256 * 1024, "a high-water mark and one read"
    assert len(first) + len(await take(stream)) == size, "nothing was lost by pausing"


async def test_gathering_reads_on_up_to_its_own_limit(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        while True:
            await call.head()
            await call.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)

    upstream, client = await upstreams(script)
    stream = await client.request(POST, expires=1e9, connect_timeout=5)
    body = await asyncio.wait_for(stream.gather(1_000_000), 5)
    assert 1_000_000 < len(body) <= 1_000_000 + 256 * 1024
    assert len(body) + len(await take(stream)) == 3_000_000
    stream = await client.request(POST, expires=1e9, connect_timeout=5)
    assert len(await asyncio.wait_for(stream.gather(5_000_000), 5)) == 3_000_000
    assert stream.complete
    assert upstream.accepted == 1, "a connection whose reading was paused is as good as any"


async def test_a_protocol_error_behind_much_unread_data_is_an_error_not_a_crash(upstreams: Upstreams) -> None:
    """The reading is paused and the connection aborted in one and the same read."""

    async def script(call: Call) -> None:
        await call.head()
        await call.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await call.send(b"%x\r\n" % 200_000 + b"x" * 200_000 + b"\r\nnonsense\r\n")
        await call.gone()

    _, client = await upstreams(script)
    stream = await client.request(POST, expires=1e9, connect_timeout=5)
    with pytest.raises(RemoteProtocolError, match="not HTTP"):
        await take(stream)
    stream.close()
