"""The upstream mock of streams: a raw server that sends each client an event at a steady pace until it leaves.

A request that asks for no stream gets the whole answer, so that a proxy can be seen to be ready.

A stream never ends by itself, so that what is measured in a window of time is events and nothing else. The streams of
a pace are out of step with each other, as those of a real provider are: all of them at once would let a proxy take
many from one look at its sockets.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from typing import TYPE_CHECKING, Self, cast

import httptools

from bench.traffic import FORMS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.traffic import Form

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class StreamServer:
    """The mock, listening on a port of 127.0.0.1.

    Args:
        pause: seconds from one event of a stream to the next; None: after the first content it is silent.

    Attributes:
        port: where it listens.
        open: the connections that there are.
    """

    def __init__(self, pause: float | None) -> None:
        self.port = 0
        self.pause = pause
        self.open: set[_Stream] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Stream(self), "127.0.0.1", 0, backlog=4096)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._server is not None:
            self._server.close()
        gone = [stream.gone for stream in self.open]
        for stream in list(self.open):
            stream.leave()
        await asyncio.gather(*gone)


class _Stream(asyncio.Protocol):
    """One connection; httptools calls the ``on_`` methods. ``gone`` is done when it has ended."""

    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._path = b""
        self._body = b""
        self._chunks: Iterator[bytes] = iter(())
        self._due = 0.0
        self._pause = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.open.add(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        form = _form(self._path.decode("latin-1"))
        body, self._path, self._body = self._body, b"", b""
        if form is None:  # some look for a list of models when they start
            self._answer(_NOT_FOUND)
        elif json.loads(body).get("stream"):
            self._stream(form)
        else:
            self._answer(_WHOLE % len(form.answer) + form.answer)

    def _answer(self, response: bytes) -> None:
        self._transport.write(response)
        if not self._parser.should_keep_alive():
            self._transport.close()

    def _stream(self, form: Form) -> None:
        self._transport.write(_HEAD + _chunked(form.preamble))
        self._chunks = itertools.cycle([_chunked(event) for event in form.events])
        if self._server.pause is not None:
            self._pause = self._server.pause
            loop = asyncio.get_running_loop()
            self._due = loop.time() + self._pause * random.random()  # noqa: S311 - the phase of a stream, no secret
            self._timer = loop.call_at(self._due, self._send)

    def _send(self) -> None:
        if self._writable:
            self._transport.write(next(self._chunks))
        self._due += self._pause
        self._timer = asyncio.get_running_loop().call_at(self._due, self._send)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        del exc  # a client that leaves is how each stream ends
        if self._timer is not None:
            self._timer.cancel()
        self._server.open.discard(self)
        self.gone.set_result(None)

    def leave(self) -> None:
        self._transport.abort()


def _form(path: str) -> Form | None:
    return next((form for form in FORMS if path == form.path), None)


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
