"""A worker's end of the channel against a supervisor in the test's hand."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any, Self

import pytest

from hydrallm.supervisor.channel import Channel

pytestmark = pytest.mark.platform("linux", "darwin")


class Supervisor:
    """The other end, which says what the test says."""

    def __init__(self, channel: Channel, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.channel, self.reader, self.writer = channel, reader, writer
        self.noticed: list[str] = []
        self.lost = asyncio.Event()

    @classmethod
    async def connect(cls) -> Self:
        ours, theirs = socket.socketpair()
        noticed: list[str] = []
        lost = asyncio.Event()
        channel = await Channel.open(theirs, {"health": lambda: {"is": "fine"}}, noticed.append, lost.set)
        made = cls(channel, *await asyncio.open_unix_connection(sock=ours))
        made.noticed, made.lost = noticed, lost
        return made

    def say(self, **message: object) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")

    async def hear(self) -> Any:  # noqa: ANN401 - whatever it says
        return json.loads(await asyncio.wait_for(self.reader.readline(), 5))

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()
        await asyncio.wait_for(self.lost.wait(), 5)


async def test_it_answers_what_it_is_asked() -> None:
    supervisor = await Supervisor.connect()
    supervisor.say(type="question", id=40, topic="health")
    assert await supervisor.hear() == {"type": "answer", "id": 40, "content": {"is": "fine"}}
    await supervisor.close()


async def test_it_passes_on_what_it_is_told_and_tells() -> None:
    supervisor = await Supervisor.connect()
    supervisor.channel.notify("ready")
    assert await supervisor.hear() == {"type": "notice", "topic": "ready", "text": ""}
    supervisor.say(type="notice", topic="drain")
    supervisor.say(type="question", id=1, topic="health")
    await supervisor.hear()
    assert supervisor.noticed == ["drain"]
    await supervisor.close()


async def test_who_asks_the_same_meanwhile_shares_the_answer() -> None:
    supervisor = await Supervisor.connect()
    asking = [asyncio.create_task(supervisor.channel.ask("health")) for _ in range(20)]
    asked = await supervisor.hear()
    asking[3].cancel()
    told = {"worker": 1, "pid": 9, "state": "ready", "content": [1, 2]}
    supervisor.say(type="answer", id=asked["id"], content=[told])
    for task in asking[:3] + asking[4:]:
        ((worker, pid, state, content),) = [(t.worker, t.pid, t.state, bytes(t.content)) for t in await task]
        assert (worker, pid, state, json.loads(content)) == (1, 9, "ready", [1, 2])
    again = asyncio.create_task(supervisor.channel.ask("health"))
    assert (await supervisor.hear())["id"] != asked["id"]
    await supervisor.close()
    assert await again == ()


async def test_a_supervisor_that_does_not_answer_is_not_waited_for() -> None:
    supervisor = await Supervisor.connect()
    assert await asyncio.wait_for(supervisor.channel.ask("health", 0.01), 5) == ()
    asked = await supervisor.hear()
    supervisor.say(type="answer", id=asked["id"], content=[])  # too late, and nobody minds
    supervisor.say(type="question", id=1, topic="health")
    assert (await supervisor.hear())["id"] == 1
    await supervisor.close()


async def test_a_channel_that_is_closed_says_what_was_to_be_said_and_misses_nobody() -> None:
    supervisor = await Supervisor.connect()
    supervisor.channel.notify("leaving")
    supervisor.channel.close()
    assert (await supervisor.hear())["topic"] == "leaving"
    assert await supervisor.reader.read() == b""
    assert not supervisor.lost.is_set()
    supervisor.writer.close()


async def test_without_a_supervisor_nothing_is_asked() -> None:
    supervisor = await Supervisor.connect()
    await supervisor.close()
    supervisor.channel.notify("ready")
    assert await supervisor.channel.ask("health", 60) == ()
