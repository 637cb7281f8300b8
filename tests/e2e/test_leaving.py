"""A client that leaves takes its upstream request with it: scorecard rows 4, 5 and 6."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hydrallm.faults.script import Hang, Stall

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.e2e.conftest import Connect, Standing

    from hydrallm.faults.script import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

LEAVERS = 50
PLAIN = b'{"model":"m","messages":[]}'
STREAM = b'{"model":"m","messages":[],"stream":true}'


class Case(NamedTuple):
    row: int
    title: str
    reply: Reply
    body: bytes
    reads_until: bytes


CASES = [
    Case(4, "client leaves mid-stream", Stall(events=3), STREAM, b'"content":"word2 '),
    Case(5, "client leaves before the headers of a stream", Hang(), STREAM, b""),
    Case(5, "client leaves before the first byte of a stream", Stall(events=0), STREAM, b""),
    Case(6, "client leaves a non-streaming request", Hang(), PLAIN, b""),
    Case(6, "client leaves in the middle of a held JSON answer", Stall(events=1), PLAIN, b""),
]


@pytest.mark.parametrize("departure", ["fin", "rst"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title.replace(" ", "-"))
async def test_the_upstream_is_closed_at_once(
    case: Case,
    departure: str,
    standing: Standing,
    connect: Connect,
    scorecard: Scorecard,
) -> None:
    loop = asyncio.get_running_loop()
    standing.first.play(case.reply)
    delays = []
    for number in range(1, LEAVERS + 1):
        client = await connect(standing.gateway.port)
        client.send(case.body)
        received = await standing.first.wait_received(number)
        if case.reads_until:
            await client.reader.readuntil(case.reads_until)
        assert received.closed_at is None, "it was closed before the client left"
        left = loop.time()
        if departure == "rst":
            client.writer.transport.abort()
        else:
            client.writer.close()
        delays.append(await asyncio.wait_for(received.wait_closed(), 5) - left)
    worst = max(delays) * 1000
    scorecard(case.row, f"{case.title} ({departure})", f"max of {LEAVERS}: {worst:.1f} ms", "<= 50 ms", worst <= 50)
    assert standing.second.received == [], "nothing is retried for a client that left"
    assert len(standing.first.received) == LEAVERS
