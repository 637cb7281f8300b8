"""SIGTERM while streams are in flight: scorecard row 14."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.e2e.conftest import Connect, Gateway, Reply, Serve

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAMS = 200
STREAM = b'{"model":"m","messages":[],"stream":true}'
# Long enough that all have begun and none has ended when the signal comes.
SLOW = Answer(text="word " * 60, pause=0.05)


async def refused(gateway: Gateway) -> bool:
    """Whether new connections are refused; asked again and again until they are, for at most five seconds."""
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            except ConnectionError:  # a reset, where it was queued while the listener closed
                return True
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def config(provider: Provider, workers: int) -> dict[str, Any]:
    return {
        "server": {"workers": workers},
        "endpoints": {"up": {"url": f"{provider.url}/v1"}},
        "models": [{"endpoint": "up", "model": "m"}],
    }


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.platform("linux", "darwin"))])
async def test_sigterm_lets_every_stream_end_and_refuses_new_ones(
    serve: Serve, connect: Connect, scorecard: Scorecard, workers: int
) -> None:
    async with Provider(SLOW) as provider:
        gateway = await serve(config(provider, workers))
        clients = await asyncio.gather(*(connect(gateway.port) for _ in range(STREAMS)))
        for client in clients:
            client.send(STREAM)
        replies = [asyncio.create_task(client.reply()) for client in clients]
        await provider.wait_received(STREAMS)
        gateway.signal(signal.SIGTERM)
        is_refused = await refused(gateway)
        assert not any(reply.done() for reply in replies), "all were in flight when new ones were refused"
        ended: list[Reply] = await asyncio.gather(*replies)
        code = await gateway.ended()
        for client in clients:
            await client.close()
    whole = [reply for reply in ended if reply.status == 200 and reply.complete and b"data: [DONE]" in reply.body]
    cut = STREAMS - len(whole)
    scorecard(
        14,
        f"SIGTERM with {STREAMS} streams in flight{', 2 workers' if workers > 1 else ''}",
        f"{cut} cut, new ones {'refused' if is_refused else 'taken'}, exit {code}",
        "0 cut, refused, exit 0",
        cut == 0 and is_refused and code == 0,
    )


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.platform("linux", "darwin"))])
async def test_a_second_signal_ends_at_once(serve: Serve, connect: Connect, workers: int) -> None:
    async with Provider(SLOW) as provider:
        gateway = await serve(config(provider, workers))
        async with await connect(gateway.port) as client:
            client.send(STREAM)
            await client.head()
            gateway.signal(signal.SIGINT)
            assert await refused(gateway)
            gateway.signal(signal.SIGINT)
            async with asyncio.timeout(2):
                assert await gateway.ended() == 0
                with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                    _ = [chunk async for chunk in client.chunks()]
