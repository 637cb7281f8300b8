"""A total outage is not multiplied: scorecard rows 2 and 3.

One chain of one model with ``attempts = 3`` and ``max_cycles = 1``; breaker and retry budget are at their defaults. The
suite has a short form of each, the long one has the marker ``matrix``.

Three attempts a call are what a client's own two retries come to where each request is tried once. Above that are only
the exchanges that the breaker lets in to find out whether the model has recovered: one every 5 to 20 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Cut, Fail

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.conftest import Scorecard
    from tests.e2e.conftest import Client, Connect, Running

    from hydrallm.faults.script import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

TURN: list[Any] = [{"role": "user", "content": "hi"}]
RATE = 200
SDK_RATE = 40
"""Calls per second through the SDK: with three tries each, as many requests as this machine's SDK can make."""
OUTAGES: dict[str, Reply] = {"503": Fail(status=503), "cut": Cut()}
LONG = [pytest.mark.matrix, pytest.mark.timeout(120)]
OUTAGE = pytest.mark.parametrize(
    ("outage", "seconds"),
    [("503", 6), pytest.param("503", 20, marks=LONG), pytest.param("cut", 20, marks=LONG)],
)


def config(url: str) -> dict[str, Any]:
    return {
        "retry": {"max_cycles": 1},
        "endpoints": {"up": {"url": f"{url}/v1", "api_key": "k"}},
        "models": [{"endpoint": "up", "model": "m", "attempts": 3}],
    }


async def at_rate(call: Callable[[int], Awaitable[None]], rate: float, seconds: float) -> int:
    """Start calls at a steady rate, however long each takes; return how many, once all have ended."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    count = int(rate * seconds)
    async with asyncio.TaskGroup() as calls:
        for number in range(count):
            await asyncio.sleep(begun + number / rate - loop.time())
            calls.create_task(call(number))  # type: ignore[arg-type] # an Awaitable made by an async function
    return count


@OUTAGE
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streaming"])
async def test_requests_in_an_outage(
    stream: bool, outage: str, seconds: int, running: Running, connect: Connect, scorecard: Scorecard
) -> None:
    idle: list[Client] = []
    statuses: dict[int, int] = {}
    body = json.dumps({"model": "m", "messages": TURN, "stream": stream}).encode()

    async with (
        Provider(OUTAGES[outage]) as provider,
        running(config(provider.url)) as gateway,
        contextlib.AsyncExitStack() as opened,
    ):

        async def call(_: int) -> None:
            client = idle.pop() if idle else await opened.enter_async_context(await connect(gateway.port))
            reply = await client.ask(body)
            statuses[reply.status] = statuses.get(reply.status, 0) + 1
            idle.append(client)

        count = await at_rate(call, RATE, seconds)
        attempts = len(provider.received)
    assert set(statuses) == {503 if outage == "503" else 502}, statuses
    assert attempts >= count / 2, "the requests did get through to the upstream"
    title = f"outage ({outage}), {RATE}/s for {seconds} s, {'streaming' if stream else 'plain'}"
    scorecard(2, title, f"{attempts / count:.3f} attempts a request", "<= 1.2", attempts / count <= 1.2)


@OUTAGE
async def test_calls_with_an_sdk_that_retries_in_an_outage(
    outage: str, seconds: int, running: Running, scorecard: Scorecard
) -> None:
    requests = set()
    async with (
        Provider(OUTAGES[outage]) as provider,
        running(config(provider.url)) as gateway,
        openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="k", timeout=30) as client,
    ):
        assert client.max_retries == 2, "the SDK's own default"

        async def call(_: int) -> None:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="m", messages=TURN)
            requests.add(caught.value.response.headers["x-hydrallm-request-id"])

        count = await at_rate(call, SDK_RATE, seconds)
        attempts = len(provider.received)
    assert len(requests) == count
    title = f"outage ({outage}) through the OpenAI SDK, {SDK_RATE}/s for {seconds} s"
    scorecard(3, title, f"{attempts / count:.3f} attempts a call", "<= 3", attempts / count <= 3.01)
