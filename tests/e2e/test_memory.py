"""A client that does not read stops the upstream, not the machine: scorecard row 13."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Flood

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.e2e.conftest import Client, Connect, Serve

    from hydrallm.faults.provider import Connection

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.platform("linux")]

STREAM = b'{"model":"m","messages":[],"stream":true}'
SIZE = 320 << 20
WARM_UP = 8 << 20


async def stopped(connection: Connection) -> int:
    """Return what the provider has got rid of once that no longer grows, seen over half a second."""
    async with asyncio.timeout(20):
        while True:
            before = connection.sent
            await asyncio.sleep(0.5)  # an observation: that nothing moves takes time to see
            if connection.sent == before:
                return before


async def read_all(client: Client) -> int:
    status, _ = await client.head()
    assert status == 200
    size = 0
    async for chunk in client.chunks():
        size += len(chunk)
    return size


async def test_an_unread_stream_is_not_buffered(serve: Serve, connect: Connect, scorecard: Scorecard) -> None:
    async with Provider([Flood(size=WARM_UP), Flood(size=SIZE)]) as provider:
        gateway = await serve(
            {"endpoints": {"up": {"url": f"{provider.url}/v1"}}, "models": [{"endpoint": "up", "model": "m"}]}
        )
        async with await connect(gateway.port) as client:
            client.send(STREAM)
            assert await read_all(client) >= WARM_UP
        before = gateway.rss()
        async with await connect(gateway.port) as client:
            client.send(STREAM)
            received = await provider.wait_received(2)
            taken = await stopped(received.connection)
            growth = (gateway.rss() - before) / (1 << 20)
            assert taken < SIZE // 10, "the kernel's buffers and the gateway's hold this much"
            assert await read_all(client) >= SIZE, "and it goes on, whole, once it is read"
            afterwards = (gateway.rss() - before) / (1 << 20)
    scorecard(
        13,
        "unread 320 MB stream: RSS growth",
        f"{growth:.1f} MB, {afterwards:.1f} MB once read",
        "< 5 MB",
        max(growth, afterwards) < 5,
    )
