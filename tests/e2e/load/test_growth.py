"""A process that has answered many requests is no bigger than one that has answered few: scorecard row 17."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Scorecard
    from tests.e2e.conftest import Client, Connect, Gateway, Running
    from tests.e2e.load.conftest import StartUpstream, Usage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.platform("linux")]

CLIENTS = 16
WARM_UP = 4000
KINDS = [
    ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"hi"}]}', 200),
    ("/v1/chat/completions", b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}', 200),
    ("/v1/messages", b'{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}', 200),
    ("/v1/messages", b'{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}', 200),
    ("/v1/chat/completions", b'{"model":"m","messages":[', 400),
    ("/_hydra/nothing", b"{}", 404),
    ("/v1/embeddings", b'{"model":"m","input":"' + b"x" * 100_000 + b'"}', 200),
]


async def ask(client: Client, count: int) -> int:
    """Send ``count`` requests of all kinds, one after the other; return how many were answered as they should be."""
    right = 0
    for number in range(count):
        path, body, status = KINDS[number % len(KINDS)]
        client.send(body, path)
        right += (await client.reply()).status == status
    return right


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20_000, id="20000"),
        pytest.param(200_000, id="200000", marks=[pytest.mark.matrix, pytest.mark.timeout(600)]),
    ],
)
async def test_memory_does_not_grow_with_the_requests(
    count: int,
    upstream: StartUpstream,
    running: Running,
    connect: Connect,
    one_model: Callable[..., dict[str, Any]],
    usage: Callable[[Gateway], Usage],
    scorecard: Scorecard,
) -> None:
    async with running(one_model(await upstream(0.0, 1.0))) as gateway:
        used = usage(gateway)
        clients = [await connect(gateway.port) for _ in range(CLIENTS)]
        await asyncio.gather(*(ask(client, WARM_UP // CLIENTS) for client in clients))
        before, files = used.rss(), used.files()
        right = sum(await asyncio.gather(*(ask(client, count // CLIENTS) for client in clients)))
        growth = (used.rss() - before) / 1e6
        more = used.files() - files
        for client in clients:
            await client.close()
    scorecard(
        17,
        f"RSS after {count:,} requests of all kinds, {right:,} answered right",
        f"{growth:+.1f} MB, {more:+d} files",
        "< 5 MB",
        growth < 5 and right == count // CLIENTS * CLIENTS and more <= CLIENTS,
    )
