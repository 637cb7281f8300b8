"""What a connection held is free when it is gone, and not only when the collector comes by: it rarely does.

Few objects that the collector counts are made for a request, but a request may have a body of 100 MB.
"""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING

import pytest

from hydrallm.errors import UpstreamError
from hydrallm.http.client import Client
from hydrallm.http.dial import Route
from hydrallm.message import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([ANSWER], id="answered"),
        pytest.param([ANSWER.replace(b"200 OK\r\n", b"200 OK\r\nconnection: close\r\n")], id="answered and closed"),
        pytest.param([b""], id="closed at once"),
        pytest.param([ANSWER[:-1]], id="cut"),
        pytest.param([b"what?\r\n\r\n"], id="not HTTP"),
        pytest.param([ANSWER, b""], id="stale"),
    ],
)
async def test_a_connection_and_its_stream_are_freed_with_it(script: list[bytes]) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for data in script:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(1000)
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(play, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = Client(Route("127.0.0.1", port, b"a"))
        watched: weakref.WeakSet[object] = weakref.WeakSet()
        for _ in range(2):
            await ask(client, watched)
        client.close()
        while client.connections:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)  # until the loop has told them
        await asyncio.sleep(0)
    assert len(watched) == 0


async def ask(client: Client, watched: weakref.WeakSet[object]) -> None:
    loop = asyncio.get_running_loop()
    try:
        request = Request(b"POST", b"/", [], b"x" * 1000)
        stream = await client.request(request, expires=loop.time() + 10, connect_timeout=5)
        watched.update(client.connections)
        try:
            await stream.gather(1000)
        finally:
            stream.close()
    except UpstreamError:
        pass
    watched.update(client.connections)
