"""An answer that begins before its upload has ended: the sending goes on beside it, and no failure of it is lost."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import BodyTooLargeError, CutError, SilenceError
from hydrallm.http.client import Upload
from hydrallm.message import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.http.conftest import Call, Upstreams

    from hydrallm.http.client import Client
    from hydrallm.http.client_stream import ClientStream

POST = Request(b"POST", b"/", [])
BEGUN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegun\r\n"
LENGTH = 11


class Body:
    """``hello ``, and what ``rest`` returns once it is let go on; then the end."""

    def __init__(self, rest: Callable[[], Awaitable[bytes]] | None = None) -> None:
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._rest = rest
        self._reads = 0

    async def read(self) -> bytes:
        self._reads += 1
        if self._reads == 1:
            return b"hello "
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self._rest is not None:
            return await self._rest()
        return b"world" if self._reads == 2 else b""


async def begin(upstream_and_client: tuple[object, Client], body: Body, seconds: float = 10.0) -> ClientStream:
    """Upload ``body`` to an upstream that answers at once; return the stream, the first piece of the answer taken."""
    expires = asyncio.get_running_loop().time() + seconds
    upload = Upload(body.read, LENGTH)
    client = upstream_and_client[1]
    stream = await asyncio.wait_for(client.request(POST, expires=expires, connect_timeout=5, upload=upload), 5)
    assert stream.status == 200
    assert await stream.chunk() == b"begun"
    return stream


async def echo(call: Call) -> None:
    """Begin the answer, then take the body and end the answer with it."""
    while True:
        await call.head()
        await call.send(BEGUN)
        body = await call.reader.readexactly(LENGTH)
        await call.send(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


async def answer_and_wait(call: Call) -> None:
    await call.head()
    await call.send(BEGUN)
    await call.gone()


async def test_the_upload_goes_on_beside_the_answer(upstreams: Upstreams) -> None:
    upstream, client = await upstreams(echo)
    body = Body()
    stream = await begin((upstream, client), body)
    body.go_on.set()
    assert await asyncio.wait_for(stream.chunk(), 5) == b"hello world"
    assert await stream.chunk() == b""
    stream.close()
    again = Request(b"POST", b"/", [], b"hello again")
    stream = await client.request(again, expires=asyncio.get_running_loop().time() + 5, connect_timeout=5)
    assert await stream.gather(100) == b"begunhello again"
    stream.close()
    assert upstream.accepted == 1, "both were complete: the connection is as good as any"


async def fail() -> bytes:
    raise BodyTooLargeError("too much")


async def be_cancelled() -> bytes:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("rest", "error", "message"),
    [(fail, BodyTooLargeError, "too much"), (be_cancelled, CutError, "reading of the request's body was cancelled")],
)
async def test_a_failure_to_read_the_body_fails_the_answer(
    rest: Callable[[], Awaitable[bytes]], error: type[Exception], message: str, upstreams: Upstreams
) -> None:
    upstream, client = await upstreams(answer_and_wait)
    body = Body(rest)
    stream = await begin((upstream, client), body)
    body.go_on.set()
    with pytest.raises(error, match=message):
        await asyncio.wait_for(stream.chunk(), 5)
    stream.close()
    await upstream.until(lambda: not client.connections)


async def test_an_upstream_that_takes_no_more_of_the_body_is_silent(upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await call.send(BEGUN)
        await asyncio.get_running_loop().create_future()

    async def much() -> bytes:
        return b"x" * 1_000_000

    body = Body(much)
    stream = await begin(await upstreams(script), body, seconds=0.3)
    body.go_on.set()
    with pytest.raises(SilenceError, match="took nothing of the body"):
        await asyncio.wait_for(stream.chunk(), 5)
    stream.close()


@pytest.mark.parametrize("why", ["closed", "complete", "cut"])
async def test_the_sending_ends_with_the_stream(why: str, upstreams: Upstreams) -> None:
    go_on = asyncio.Event()

    async def script(call: Call) -> None:
        await call.head()
        await call.send(BEGUN)
        await go_on.wait()
        if why == "complete":
            await call.send(b"0\r\n\r\n")
            await call.gone()

    upstream, client = await upstreams(script)
    body = Body()
    stream = await begin((upstream, client), body)
    if why == "closed":
        stream.close()
    go_on.set()
    await asyncio.wait_for(body.cancelled.wait(), 5)
    await upstream.until(lambda: not client.connections)
    stream.close()


async def test_what_the_sending_raises_after_the_stream_was_closed_is_not_left_lying(upstreams: Upstreams) -> None:
    """The loop reports an exception that nobody took when its task is collected: the fixture fails then."""
    upstream, client = await upstreams(answer_and_wait)
    ended = asyncio.Event()

    async def read() -> bytes:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.set()
            raise BodyTooLargeError("too late") from None
        return b""

    upload = Upload(read, LENGTH)
    stream = await asyncio.wait_for(client.request(POST, expires=1e9, connect_timeout=5, upload=upload), 5)
    stream.close()
    await asyncio.wait_for(ended.wait(), 5)
    await upstream.until(lambda: not client.connections)
    del stream
    gc.collect()


@pytest.mark.parametrize("clock", ["expiry", "silence"])
async def test_the_clocks_wait_for_the_end_of_the_upload(clock: str, upstreams: Upstreams) -> None:
    async def script(call: Call) -> None:
        await call.head()
        await call.send(BEGUN)
        await call.gone()

    loop = asyncio.get_running_loop()
    body = Body()
    stream = await begin(await upstreams(script), body, seconds=0.2 if clock == "expiry" else 10)
    if clock == "silence":
        stream.limit_silence(0.2)
    taking = asyncio.ensure_future(stream.chunk())
    await asyncio.sleep(0.5)  # longer than the clock: it is the client who is slow
    assert not taking.done()
    body.go_on.set()
    began = loop.time()
    with pytest.raises(SilenceError):
        await asyncio.wait_for(taking, 5)
    assert 0.15 < loop.time() - began < 1
    stream.close()
