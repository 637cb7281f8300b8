"""Thousands of streams open at a time: scorecard row 12."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import Scorecard
    from tests.e2e.conftest import Gateway, Running
    from tests.e2e.load.conftest import StartUpstream, StreamClient, Usage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.platform("linux")]

KIB = 1024
WARM = 100
"""Streams before the measured ones: what the first ones need is not theirs alone."""


@pytest.mark.parametrize(
    ("count", "hold", "pause"),
    [
        pytest.param(500, 4.0, 1.0, id="500"),
        pytest.param(2000, 60.0, 5.0, id="2000", marks=[pytest.mark.matrix, pytest.mark.timeout(200)]),
        pytest.param(10_000, 60.0, 10.0, id="10000", marks=[pytest.mark.matrix, pytest.mark.timeout(400)]),
    ],
)
async def test_open_streams_are_held_in_bounded_memory(
    count: int,
    hold: float,
    pause: float,
    upstream: StartUpstream,
    running: Running,
    one_model: Callable[..., dict[str, Any]],
    streams: Callable[..., Awaitable[list[StreamClient]]],
    usage: Callable[[Gateway], Usage],
    scorecard: Scorecard,
) -> None:
    import resource  # noqa: PLC0415 - not on Windows

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    count = min(count, (files - 512) // 2 - WARM)  # two files for each in the gateway
    async with running(one_model(await upstream(hold, pause))) as gateway:
        used = usage(gateway)
        warm = await streams(gateway.port, WARM)
        before = used.rss()
        began = time.monotonic()
        clients = await streams(gateway.port, count)
        opened = time.monotonic() - began
        open_at_once = sum(not client.ended.done() for client in clients)
        each = (used.rss() - before) / count
        await asyncio.gather(*(client.ended for client in warm + clients))
        largest = (used.rss() - before) / count
        for client in warm + clients:
            client.transport.abort()
    complete = sum(client.complete for client in clients)
    firsts = sorted(client.first for client in clients if client.first is not None)
    p99 = firsts[int(len(firsts) * 0.99)]
    prompt = count <= 2000  # of more, the clients on this machine are what takes long
    scorecard(
        12,
        f"{count} streams, {open_at_once} open at once, held {hold:g} s, opened in {opened:.1f} s",
        f"{complete} whole, p99 {p99 * 1000:.0f} ms, {largest / KIB:.1f} KiB",
        "all, < 500 ms, < 60 KB" if prompt else "all, < 60 KB",
        complete == count and (p99 < 0.5 or not prompt) and max(each, largest) < 60_000,
    )
