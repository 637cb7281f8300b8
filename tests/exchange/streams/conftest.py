"""Streams in each wire format, and upstreams that are led by hand.

A script says what is sent, and in one go. Where the order of things is what is tested, the upstream does nothing by
itself (``by_hand``): the test says when the next bytes come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.eventstream import EventStreamBuffer

from hydrallm.faults import answers, streams, wire
from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import TEXT, Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.exchange.conftest import Connect

    from hydrallm.faults.answers import Question
    from hydrallm.faults.script import Finish


class Api(NamedTuple):
    """A wire format, as one asks for a stream in it.

    Attributes:
        name: of the format.
        type: of the models that speak it.
        target: the path.
        body: what asks for a stream.
    """

    name: str
    type: str
    target: str
    body: bytes

    @property
    def asked(self) -> Question:
        return answers.question("POST", self.target, {}, self.body, 1)

    def events(self, text: str = TEXT, finish: Finish = "stop") -> list[bytes]:
        """Return the events of a right answer."""
        return streams.events(self.asked, text, finish)

    @property
    def preamble(self) -> int:
        """How many of them come before the first content."""
        return streams.outline(self.asked, TEXT).preamble

    def parted(self, body: bytes) -> tuple[bytes, dict[str, Any]]:
        """Return a stream without its last event, and that event, which says that the stream failed."""
        if self.type != "bedrock":
            *events, last = body.removesuffix(b"\n\n").split(b"\n\n")
            name, _, data = last.rpartition(b"data: ")
            assert name == (b"" if self.name in {"openai-chat", "openai-completions"} else b"event: error\n")
            return b"".join([event + b"\n\n" for event in events]), json.loads(data)["error"]
        start = end = 0
        while end < len(body):
            start, end = end, end + int.from_bytes(body[end : end + 4])
        buffer = EventStreamBuffer()
        buffer.add_data(body[start:])
        (message,) = buffer
        assert message.headers[":message-type"] == "exception"
        return body[:start], json.loads(message.payload)


_STREAM = b'{"model": "client-model", "stream": true}'
APIS = (
    Api("openai-chat", "openai", "/v1/chat/completions", _STREAM),
    Api("openai-responses", "openai", "/v1/responses", _STREAM),
    Api("openai-completions", "openai", "/v1/completions", _STREAM),
    Api("anthropic-messages", "anthropic", "/v1/messages", _STREAM),
    Api("bedrock-invoke", "bedrock", "/model/client-model/invoke-with-response-stream", b"{}"),
    Api("bedrock-converse", "bedrock", "/model/client-model/converse-stream", b"{}"),
)


@pytest.fixture(params=APIS, ids=[api.name for api in APIS])
def api(request: pytest.FixtureRequest) -> Api:
    """Each wire format."""
    one: Api = request.param
    return one


@pytest.fixture
def chat() -> Api:
    """The one wire format where one is as good as another."""
    return APIS[0]


class Call:
    """A request that an upstream led by hand has received, and the connection on which it answers."""

    def __init__(
        self, head: wire.Head, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.head, self.body = head, body
        self._reader, self._writer = reader, writer

    def begin(self, api: Api, *events: bytes) -> None:
        """Send the head of a stream, and events in the same write."""
        headers = [(b"content-type", streams.content_type(api.asked)), (b"transfer-encoding", b"chunked")]
        self._writer.write(wire.response_head(200, headers) + b"".join(wire.chunk(event) for event in events))

    def send(self, *events: bytes) -> None:
        """Send events in one write."""
        self._writer.write(b"".join(wire.chunk(event) for event in events))

    def end(self, *events: bytes) -> None:
        """End the body as HTTP wants it."""
        self._writer.write(b"".join(wire.chunk(event) for event in events) + wire.LAST_CHUNK)

    def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self._writer.write(data)

    def cut(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def left(self) -> None:
        """Wait until the peer has closed the connection."""
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(self._reader.read(), 10) == b""


class ByHand:
    """An upstream that does nothing by itself."""

    def __init__(self) -> None:
        self.url = ""
        self._calls: asyncio.Queue[Call] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    async def listen(self) -> asyncio.Server:
        server = await asyncio.start_server(self._read, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return server

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head = await wire.read_head(reader)
        if head is not None:
            await self._calls.put(Call(head, await wire.read_body(reader, head, 1 << 20), reader, writer))

    async def call(self) -> Call:
        """Return the next request, once it is there."""
        return await asyncio.wait_for(self._calls.get(), 10)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


Lead = Callable[[], Awaitable[ByHand]]


@pytest.fixture
async def by_hand() -> AsyncIterator[Lead]:
    """Starts upstreams that are led by hand."""
    async with contextlib.AsyncExitStack() as stack:

        async def start() -> ByHand:
            upstream = ByHand()
            server = await upstream.listen()
            stack.callback(server.close)
            stack.callback(upstream.close)
            return upstream

        yield start


SaidTo = Callable[[Received, Answer], Awaitable[bytes]]


@pytest.fixture
def said_to(connect: Connect) -> SaidTo:
    """Asks a provider directly what the gateway has asked another, and returns the body of the answer."""

    async def said(received: Received, reply: Answer) -> bytes:
        async with Provider(reply) as provider:
            client = await connect(provider.port)
            own = {b"host", b"content-length"}
            headers = {name.decode(): value.decode() for name, value in received.headers if name not in own}
            direct = await client.ask(received.body, received.target.decode(), headers=headers)
            await client.close()
        assert (direct.status, direct.complete) == (200, True)
        return direct.body

    return said
