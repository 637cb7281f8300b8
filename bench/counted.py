"""What the guard counts the instructions of: requests and events of streams on their way through HydraLLM.

Client, proxy and upstream share one event loop and talk over real sockets of 127.0.0.1, in lock-step: nothing is sent
before what was sent last has arrived. So each unit takes the same turns of the loop in every run, on any machine, and
what client and upstream take themselves is known from the same exchange without a proxy.

:func:`mark` divides the run into sections. It calls a function of the C library that nothing else here calls, and
callgrind is told to write down its count there.
"""

from __future__ import annotations

import asyncio
import io
import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec
import uvloop

from bench.subjects import hydrallm_config
from bench.traffic import CHAT, MESSAGES, Form
from bench.yardstick import yardstick
from hydrallm.app import App, make_log
from hydrallm.config.load import load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

MARK: Final = "getppid"
"""The function of the C library that ends a section."""

UNITS: Final = 400
"""In a section."""

_WARM: Final = 100
_SIZE: Final = 1000
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\n"


class Way(msgspec.Struct, frozen=True):
    """A way through the proxy.

    Attributes:
        name: what the guard's table calls it.
        client: what the client speaks.
        upstream: what the upstream speaks.
        api: the API type of the model.
    """

    name: str
    client: Form
    upstream: Form
    api: str


WAYS: Final = (
    Way("pass-through", CHAT, CHAT, "openai"),
    Way("Messages to Chat", MESSAGES, CHAT, "openai"),
    Way("Chat to Messages", CHAT, MESSAGES, "anthropic"),
)
"""What is counted besides the way without a proxy, which comes first, and the yardstick, which comes last."""

KINDS: Final = ("request", "event of a stream")
"""What is counted of each way."""


def mark() -> None:
    """End the section."""
    os.getppid()


class _Upstream(asyncio.Protocol):
    """One connection of a provider that answers at once, and sends an event of a stream when it is told to."""

    last: _Upstream
    """That which was asked last."""

    def __init__(self, form: Form) -> None:
        answer = form.answer
        self._whole = _HEAD % b"application/json" + b"content-length: %d\r\n\r\n%b" % (len(answer), answer)
        self._begin = _HEAD % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n" + _chunked(form.preamble)
        self._events: Iterator[bytes] = itertools.cycle([_chunked(event) for event in form.events])
        self._streams = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._streams = self._streams or b'"stream":true' in data
        if data.endswith(b"}"):  # all of a request
            _Upstream.last = self
            self._transport.write(self._begin if self._streams else self._whole)

    def send_event(self) -> None:
        """Send the next event."""
        self._transport.write(next(self._events))


class _Client(asyncio.Protocol):
    """A client that does one thing after the other on one connection."""

    def __init__(self, form: Form, port: int) -> None:
        self._request = form.request(form.body(_SIZE), port, close=False)
        self._streaming = form.request(form.body(_SIZE, stream=True), port, close=False)
        self._left = 0
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._received: Callable[[bytes], None] = self._answered

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received(data)

    def requests(self, count: int) -> Awaitable[None]:
        """Have ``count`` requests answered."""
        self._begin(count)
        self._transport.write(self._request)
        return self._done

    def _answered(self, data: bytes) -> None:
        if not data.startswith(b"HTTP/1.1 200 OK\r\n") or not data.endswith(b"}"):
            self._fail(data)
            return
        self._left -= 1
        if self._left:
            self._transport.write(self._request)
        else:
            self._done.set_result(None)

    def stream(self) -> Awaitable[None]:
        """Have a stream begun."""
        self._begin(1)
        self._received = self._begun
        self._transport.write(self._streaming)
        return self._done

    def _begun(self, data: bytes) -> None:
        if b"Once" in data:
            self._received = self._event
            self._done.set_result(None)

    def events(self, count: int) -> Awaitable[None]:
        """Receive ``count`` events of the stream."""
        self._begin(count)
        _Upstream.last.send_event()
        return self._done

    def _event(self, data: bytes) -> None:
        if data.count(b"\n\n") != 1:
            self._fail(data)
            return
        self._left -= 1
        if self._left:
            _Upstream.last.send_event()
        else:
            self._done.set_result(None)

    def _begin(self, count: int) -> None:
        self._left = count
        self._done = asyncio.get_running_loop().create_future()

    def _fail(self, data: bytes) -> None:
        self._done.set_exception(RuntimeError(f"what came is not one answer, or not one event: {data!r}"))


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _count(form: Form, port: int) -> None:
    """Have each kind of unit done by a client of ``form`` at ``port``, a section each."""
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_connection(lambda: _Client(form, port), "127.0.0.1", port)
    await client.requests(_WARM)
    mark()
    await client.requests(UNITS)
    mark()
    await client.stream()
    await client.events(_WARM)
    mark()
    await client.events(UNITS)
    mark()
    transport.abort()


async def _through(way: Way, folder: Path) -> None:
    loop = asyncio.get_running_loop()
    upstream = await loop.create_server(lambda: _Upstream(way.upstream), "127.0.0.1", 0)
    path = folder / f"{way.api}.toml"
    path.touch(0o600)
    path.write_text(hydrallm_config(0, upstream.sockets[0].getsockname()[1], way.api, "info"))
    settings = load(path, {}, port=0)
    app = App(settings, make_log(settings, io.StringIO()), {})
    [(_, port)] = await app.listen()
    await _count(way.client, port)
    await app.drain(1)
    upstream.close()


async def _direct() -> None:
    upstream = await asyncio.get_running_loop().create_server(lambda: _Upstream(CHAT), "127.0.0.1", 0)
    await _count(CHAT, upstream.sockets[0].getsockname()[1])
    upstream.close()


async def _all() -> None:
    with tempfile.TemporaryDirectory() as folder:
        await _direct()
        for way in WAYS:
            await _through(way, Path(folder))
    mark()
    yardstick(UNITS)
    mark()


if __name__ == "__main__":
    uvloop.run(_all())
