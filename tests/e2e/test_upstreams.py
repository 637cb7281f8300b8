"""Providers that die and connections that have gone stale: scorecard rows 1 and 11."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer, Cut

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.e2e.conftest import Connect, Serve

    from hydrallm.faults.provider import Received, Script
    from hydrallm.faults.script import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

BODY = b'{"model":"m","messages":[]}'
REQUESTS, KILLS, CLIENTS = 1000, 20, 10


def chain(*urls: str, attempts: int = 1) -> dict[str, Any]:
    names = [f"up{number}" for number in range(len(urls))]
    return {
        "retry": {"default_interval": "1ms", "max_cycles": 3},
        "endpoints": {name: {"url": f"{url}/v1", "api_key": "k"} for name, url in zip(names, urls, strict=True)},
        "models": [{"endpoint": name, "model": name, "attempts": attempts} for name in names],
    }


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.platform("linux", "darwin"))])
async def test_kills_of_either_upstream_fail_nobody(
    serve: Serve, connect: Connect, scorecard: Scorecard, workers: int
) -> None:
    answer = Answer(delay=0.005)  # so that each kill finds requests in flight
    async with Provider(answer) as first, Provider(answer) as second:
        gateway = await serve(chain(first.url, second.url) | {"server": {"workers": workers}})
        finished = itertools.count(1)
        done = 0
        turned = asyncio.Condition()
        failures: list[tuple[int, bytes]] = []

        async def work() -> None:
            nonlocal done
            async with await connect(gateway.port) as client:
                for _ in range(REQUESTS // CLIENTS):
                    reply = await client.ask(BODY)
                    if reply.status != 200 or not reply.complete:
                        failures.append((reply.status, reply.body))
                    async with turned:
                        done = next(finished)
                        turned.notify_all()

        async def wait_done(count: int) -> None:
            async with turned:
                await turned.wait_for(lambda: done >= count)

        async def kill() -> int:
            """Kill the upstream that serves, the moment after the other one came back; return what was in flight."""
            in_flight = 0
            for number in range(KILLS):
                victim, other = (first, second) if number % 2 == 0 else (second, first)
                await wait_done(20 + number * (REQUESTS - 60) // KILLS)
                await victim.wait_received(len(victim.received) + 1)
                if number:
                    await other.start()
                in_flight += victim.in_flight
                await victim.stop()
            return in_flight

        killer = asyncio.create_task(kill())
        await asyncio.gather(*(work() for _ in range(CLIENTS)))
        cut = await killer
    assert cut >= KILLS, "the kills found requests in flight"
    assert first.received
    assert second.received
    title = f"{REQUESTS} requests, two upstreams, {KILLS} kills{', 2 workers' if workers > 1 else ''}"
    scorecard(1, title, f"{len(failures)} failures", "0", not failures)


def two_a_connection(received: Received) -> Reply:
    """Answer two requests on each connection, and die of the third without a word."""
    return Answer() if received.repeat <= 2 else Cut()


@pytest.mark.parametrize(
    ("title", "script"),
    [
        ("the third request of each connection is dropped", two_a_connection),
        ("closed right after each answer, not announced", Answer(ending="drop")),
    ],
    ids=["dropped", "closed"],
)
async def test_stale_connections_fail_nobody(
    title: str, script: Script, serve: Serve, connect: Connect, scorecard: Scorecard
) -> None:
    async with Provider(script) as provider:
        gateway = await serve(chain(provider.url))
        async with await connect(gateway.port) as client:
            replies = [await client.ask(BODY) for _ in range(100)]
    good = sum(reply.status == 200 and reply.complete for reply in replies)
    arrivals = len(provider.received)
    assert {reply.headers["x-hydrallm-attempts"] for reply in replies} == {"1"}, "no attempt is spent on a stale one"
    scorecard(
        11,
        f"stale: {title}",
        f"{good} of 100 ok, {arrivals} arrivals",
        "100 ok, <= 150",
        good == 100 and arrivals <= 150,
    )
