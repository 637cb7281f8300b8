"""Workers that are killed, stopped or told to go, and a supervisor that is: scorecard row 21, as far as it says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import Client
from tests.e2e.workers.conftest import config

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer

if TYPE_CHECKING:
    from tests.conftest import Scorecard
    from tests.e2e.workers.conftest import Crew, Muster

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.platform("linux")]

BODY = b'{"model":"m","messages":[]}'
STREAM = b'{"model":"m","messages":[],"stream":true}'
SLOW = Answer(text="word " * 24, pause=0.05)
CLIENTS = 8
REPLACED = "a worker has come up"


class Load:
    """Clients that connect, ask a few times and leave, until they are told to end.

    Attributes:
        good: complete answers.
        refused: connections that were not taken.
        failed: the ports of the connections that ended in the middle of an exchange.
    """

    def __init__(self, port: int) -> None:
        self.good = 0
        self.refused = 0
        self.failed: set[int] = set()
        self._port = port
        self._ending = False
        self._tasks = [asyncio.create_task(self._run()) for _ in range(CLIENTS)]

    async def end(self) -> None:
        self._ending = True
        await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        while not self._ending:
            try:
                client = await Client.connect(self._port)
            except OSError:
                self.refused += 1
                continue
            own = client.writer.get_extra_info("sockname")[1]
            try:
                for _ in range(5):
                    reply = await asyncio.wait_for(client.ask(BODY), 10)
                    assert reply.status == 200
                    assert reply.complete
                    self.good += 1
            except (asyncio.IncompleteReadError, ConnectionError):
                self.failed.add(own)
            finally:
                await client.close()


async def kill_one(crew: Crew) -> tuple[set[int], float]:
    """Kill a worker and wait for its replacement; return whose exchanges it had, and how long that took."""
    victim = random.choice(sorted(crew.workers()))
    lines = len(crew.gateway.lines)
    await crew.stopped(victim)  # so that what it has is still what it has when it dies
    clients = crew.clients(victim)
    loop = asyncio.get_running_loop()
    began = loop.time()
    os.kill(victim, signal.SIGKILL)
    told = await crew.logged(REPLACED, lines)
    elapsed = loop.time() - began
    assert told["pid"] in crew.workers()
    assert victim not in crew.workers()
    return clients, elapsed


@pytest.mark.parametrize("seconds", [5, pytest.param(60, marks=[pytest.mark.matrix, pytest.mark.timeout(150)])])
async def test_a_worker_killed_every_second_takes_only_its_own_exchanges_along(
    muster: Muster, scorecard: Scorecard, seconds: int
) -> None:
    async with Provider(Answer(delay=0.01)) as provider:
        crew = await muster(config(provider))
        load = Load(crew.port)
        theirs: set[int] = set()
        slowest = 0.0
        for _ in range(seconds):
            pause = asyncio.create_task(asyncio.sleep(1))  # the rate is part of what is promised
            clients, elapsed = await kill_one(crew)
            theirs |= clients
            slowest = max(slowest, elapsed)
            await pause
        await load.end()
        await crew.gateway.stop()
        alone = await crew.gone()
    outside = load.failed - theirs
    assert load.good > 50 * seconds
    assert load.failed, "the kills found exchanges in flight"
    assert all(json.loads(line) for line in crew.gateway.lines), "lines of several processes are whole lines"
    scorecard(
        21,
        f"a worker of 2 killed each second for {seconds} s, {load.good} answers",
        f"{load.refused} refused, {len(outside)} others cut, {slowest:.2f} s",
        "0, 0, <= 1 s",
        load.refused == 0 and not outside and slowest <= 1 and alone,
    )


async def test_workers_end_with_a_supervisor_that_was_killed(muster: Muster) -> None:
    async with Provider(SLOW) as provider:
        crew = await muster(config(provider))
        async with contextlib.AsyncExitStack() as stack:
            clients = (await crew.connect_each(stack)).values()
            for client in clients:
                client.send(STREAM)
            await provider.wait_received(2)
            crew.gateway.process.kill()
            await crew.gateway.process.wait()
            await crew.logged("there is no supervisor any more")
            replies = [await client.reply() for client in clients]
        assert all(reply.complete and b"data: [DONE]" in reply.body for reply in replies), "running streams could end"
        assert await crew.gone()
        with pytest.raises(ConnectionRefusedError):
            await Client.connect(crew.port)


async def test_a_worker_that_is_told_to_go_lets_its_streams_end_while_another_takes_its_place(muster: Muster) -> None:
    async with Provider(SLOW) as provider:
        crew = await muster(config(provider))
        before = crew.workers()
        client, worker = await crew.connect()
        client.send(STREAM)
        await provider.wait_received(1)
        os.kill(worker, signal.SIGTERM)
        await crew.logged(REPLACED)
        assert len(crew.workers() - before) == 1
        assert worker in crew.workers(), "the old one is still at its stream"
        reply = await client.reply()
        assert reply.complete
        await client.close()
        assert await crew.gone(worker)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_all_processes_is_one_signal(muster: Muster, number: signal.Signals) -> None:
    """Ctrl-C goes to the whole process group, and systemd's SIGTERM to the whole control group."""
    async with Provider(SLOW) as provider:
        crew = await muster(config(provider))
        async with contextlib.AsyncExitStack() as stack:
            clients = (await crew.connect_each(stack)).values()
            for client in clients:
                client.send(STREAM)
            await provider.wait_received(2)
            for process in [*crew.workers(), crew.supervisor]:
                os.kill(process, number)
            replies = [await client.reply() for client in clients]
        assert all(reply.complete and b"data: [DONE]" in reply.body for reply in replies)
        assert await crew.gateway.ended() == 0


async def test_a_worker_that_does_not_end_is_killed(muster: Muster) -> None:
    async with Provider() as provider:
        crew = await muster(config(provider))
        await crew.stopped(min(crew.workers()))
        crew.gateway.signal(signal.SIGTERM)
        await crew.logged("SIGTERM")
        crew.gateway.signal(signal.SIGTERM)
        assert await crew.gateway.ended() == 0
        assert "a worker does not end and is killed" in crew.gateway.log
