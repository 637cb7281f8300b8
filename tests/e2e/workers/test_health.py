"""Any worker tells for all how they fare."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.workers.conftest import config

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Fail

if TYPE_CHECKING:
    from tests.e2e.conftest import Client
    from tests.e2e.workers.conftest import Crew, Muster

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.platform("linux")]

BODY = b'{"model":"m","messages":[]}'


async def health(client: Client, headers: str = "") -> dict[str, Any]:
    client.send(b"", "/_hydra/health", "GET", headers)
    reply = await client.reply()
    assert reply.status == 200
    told: dict[str, Any] = json.loads(reply.body)
    return told


def states(told: dict[str, Any]) -> dict[int, str]:
    return {worker["pid"]: worker["state"] for worker in told["workers"]}


async def test_what_one_worker_has_met_every_worker_tells(muster: Muster) -> None:
    async with Provider(Fail(cause="quota")) as provider, contextlib.AsyncExitStack() as stack:
        crew = await muster(config(provider))
        clients = await crew.connect_each(stack)
        unlucky = min(clients)
        assert (await clients[unlucky].ask(BODY)).status != 200
        for client in clients.values():
            told = await health(client)
            (model,) = told["models"]
            assert told["status"] == "degraded", "the other worker has not met it yet"
            assert (model["state"], model["cause"], model["states"]) == ("open", "quota", {"closed": 1, "open": 1})
            assert states(told) == dict.fromkeys(crew.workers(), "ready")
        assert (await clients[max(clients)].ask(BODY)).status != 200
        told = await health(clients[unlucky])
        assert (told["status"], told["models"][0]["states"]) == ("down", {"open": 2})
        counted = {worker["pid"]: worker["exchanges"] for worker in told["workers"]}
        assert all(counted[pid] >= 2 for pid in clients)


async def test_a_stuck_worker_holds_nobody_up(muster: Muster) -> None:
    async with Provider() as provider, contextlib.AsyncExitStack() as stack:
        crew = await muster(config(provider, workers=3))
        clients = await crew.connect_each(stack)
        stuck, *others = sorted(clients)
        await crew.stopped(stuck)
        loop = asyncio.get_running_loop()
        began = loop.time()
        for told in await asyncio.gather(*(health(clients[pid]) for pid in others)):
            assert states(told) == {stuck: "silent"} | dict.fromkeys(others, "ready")
            assert told["status"] == "degraded"
        assert loop.time() - began < 2
        os.kill(stuck, signal.SIGCONT)
        assert states(await health(clients[stuck])) == dict.fromkeys(clients, "ready")


async def test_without_its_supervisor_a_worker_tells_for_itself(muster: Muster) -> None:
    async with Provider() as provider:
        crew = await muster(config(provider))
        client, _ = await crew.connect()
        os.kill(crew.supervisor, signal.SIGSTOP)
        try:
            told = await asyncio.wait_for(health(client), 5)
            assert told["status"] == "ok"
            assert "workers" not in told
        finally:
            os.kill(crew.supervisor, signal.SIGCONT)
        await client.close()


async def test_where_clients_have_keys_nobody_else_hears_of_workers(muster: Muster) -> None:
    async with Provider() as provider:
        crew = await muster(config(provider, client_keys=["ck"]))
        client, _ = await crew.connect()
        assert sorted(await health(client)) == ["listener", "status", "version"]
        assert len((await health(client, "Authorization: Bearer ck\r\n"))["workers"]) == 2
        await client.close()


async def listening(crew: Crew) -> list[str]:
    return [line for line in crew.gateway.lines if "listening on" in line]


async def test_a_crew_says_once_where_it_listens_and_in_each_line_which_worker_it_was(muster: Muster) -> None:
    async with Provider() as provider, contextlib.AsyncExitStack() as stack:
        crew = await muster(config(provider))
        for client in (await crew.connect_each(stack)).values():
            assert (await client.ask(BODY)).status == 200
        await crew.gateway.stop()
        (line,) = await listening(crew)
        assert json.loads(line)["workers"] == 2
        asked = [json.loads(line) for line in crew.gateway.lines if "/v1/chat/completions" in line]
        assert sorted(line["worker"] for line in asked) == [1, 2]


async def test_the_workers_of_an_idle_gateway_share_most_of_their_memory(muster: Muster) -> None:
    async with Provider() as provider:
        crew = await muster(config(provider))
        own = [proportional(process) for process in [crew.supervisor, *crew.workers()]]
        print(f"PSS of the supervisor and two idle workers: {[f'{size / (1 << 20):.1f} MB' for size in own]}")
        assert sum(own) < 80 << 20


def proportional(process: int) -> int:
    """Return the memory of a process, what it shares with others in equal parts, in bytes."""
    with open(f"/proc/{process}/smaps_rollup", encoding="ascii") as lines:  # noqa: PTH123 - no file
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
