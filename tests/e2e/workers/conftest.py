"""A gateway of several processes, looked at from outside: the kernel says who has which connection, and who lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from tests.e2e.conftest import Client, launch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest
    from tests.e2e.conftest import Gateway

    from hydrallm.faults.provider import Provider


def config(provider: Provider, workers: int | str = 2, **server: object) -> dict[str, Any]:
    return {
        "server": {"workers": workers, **server},
        "endpoints": {"up": {"url": f"{provider.url}/v1", "api_key": "k"}},
        "models": [{"endpoint": "up", "model": "m"}],
    }


def state(process: int) -> str:
    """Return the letter of a process's state, as the kernel has it; empty if there is no such process."""
    try:
        return Path(f"/proc/{process}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Crew:
    """The supervisor and its workers.

    Attributes:
        gateway: the process that was started, the supervisor.
        seen: every worker that was ever looked at.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.supervisor = gateway.process.pid
        self.port = gateway.port
        self.seen: set[int] = set()

    def workers(self) -> set[int]:
        """Return the processes of the workers that live now."""
        text = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text("ascii")
        found = {int(word) for word in text.split()}
        self.seen |= found
        return found

    def clients(self, worker: int) -> set[int]:
        """Return the ports of the clients that are connected to ``worker``."""
        local = f":{self.port:04X}"
        inodes = {}
        for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(local) and fields[3] != "0A":  # 0A: it listens
                inodes[f"socket:[{fields[9]}]"] = int(fields[2].rpartition(":")[2], 16)
        held = set()
        for descriptor in Path(f"/proc/{worker}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                held.add(str(descriptor.readlink()))
        return {port for inode, port in inodes.items() if inode in held}

    async def connect(self) -> tuple[Client, int]:
        """Open a connection and return it with the worker that has it."""
        client = await Client.connect(self.port)
        client.send(b"", "/_hydra/health", "GET")
        await client.reply()
        own = client.writer.get_extra_info("sockname")[1]
        (worker,) = [pid for pid in self.workers() if own in self.clients(pid)]
        return client, worker

    async def connect_each(self, stack: contextlib.AsyncExitStack) -> dict[int, Client]:
        """Open connections until each worker has one; they are closed with ``stack``."""
        found: dict[int, Client] = {}
        async with asyncio.timeout(20):
            while len(found) < len(self.workers()):
                client, worker = await self.connect()
                stack.push_async_callback(client.close)
                found.setdefault(worker, client)
        return found

    async def stopped(self, worker: int) -> None:
        """Stop ``worker`` in the middle of whatever it does, and return when it is stopped."""
        os.kill(worker, signal.SIGSTOP)
        async with asyncio.timeout(5):
            while state(worker) != "T":  # noqa: ASYNC110 - the kernel sends no event
                await asyncio.sleep(0)

    async def logged(self, text: str, after: int = 0) -> dict[str, Any]:
        """Wait for a line of the log that has ``text`` in its message, and return it."""
        async with asyncio.timeout(20):
            while True:
                for line in self.gateway.lines[after:]:
                    told: dict[str, Any] = json.loads(line)
                    if text in told["message"]:
                        return told
                await asyncio.sleep(0.005)

    async def gone(self, *workers: int) -> bool:
        """Whether these, or else all that were ever seen, have ended within ten seconds."""
        try:
            async with asyncio.timeout(10):
                while any(state(worker) for worker in workers or self.seen):  # noqa: ASYNC110 - nor here
                    await asyncio.sleep(0.01)
        except TimeoutError:
            return False
        return True


Muster = Callable[[dict[str, Any]], Awaitable[Crew]]


@pytest_asyncio.fixture(loop_scope="session")
async def muster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Muster]:
    """Starts gateways with workers; whatever is left of them at the end of the test is killed, and no orphan may be."""
    crews: list[Crew] = []

    async def start(config: dict[str, Any]) -> Crew:
        crew = Crew(await launch(config, tmp_path_factory.mktemp("workers")))
        crews.append(crew)
        crew.workers()
        return crew

    yield start
    for crew in crews:
        if crew.gateway.process.returncode is None:
            await crew.gateway.stop()
        assert await crew.gone(), "workers have outlived their supervisor"
