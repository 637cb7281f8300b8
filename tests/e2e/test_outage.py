"""An outage is ridden out with what `hydrallm init` writes, and not only by the clients' own patience."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from hydrallm.config.starter import compose
from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import Answer, Fail, Reply

if TYPE_CHECKING:
    from tests.e2e.conftest import Connect, Serve

pytestmark = pytest.mark.asyncio(loop_scope="session")

OUTAGE = 4.5
"""Seconds; with the flat interval of 100 ms, all 50 attempts (5 a cycle) are over in 4."""
BODY = b'{"model": "any", "messages": []}'


async def test_what_init_writes_outlasts_an_outage(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = asyncio.get_running_loop().time()

    def play(_: Received) -> Reply:
        down = asyncio.get_running_loop().time() < began + OUTAGE
        return Fail(status=503) if down else Answer()

    monkeypatch.setenv("OPENAI_API_KEY", "k")
    text = compose({"OPENAI_API_KEY": "k"})
    assert text is not None
    async with Provider(play) as provider:
        gateway = await serve(text.replace("https://api.openai.com", provider.url))
        async with await connect(gateway.port) as client:
            reply = await asyncio.wait_for(client.ask(BODY), 30)
    assert reply.status == 200
    assert len(provider.received) < 40, "and the provider was not hammered meanwhile"
