"""Load: upstreams in processes of their own, clients that are bare protocols, and what the kernel says of a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from tests.e2e.conftest import Gateway

UPSTREAM = Path(__file__).with_name("upstream.py")
STREAM = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
WHOLE = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'

StartUpstream = Callable[[float, float], Awaitable[int]]


@pytest_asyncio.fixture(loop_scope="session")
async def upstream() -> AsyncIterator[StartUpstream]:
    """Starts upstreams that hold a stream for so long, with so long a pause between its words; returns the port."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(hold: float, pause: float) -> int:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(UPSTREAM), str(hold), str(pause)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )

            async def stop() -> None:
                assert process.stdin is not None
                process.stdin.close()
                await asyncio.wait_for(process.wait(), 20)

            stack.push_async_callback(stop)
            assert process.stdout is not None
            return int(await asyncio.wait_for(process.stdout.readline(), 20))

        yield start


def config(port: int, **server: object) -> dict[str, Any]:
    """Return a config with one model, at an upstream on ``port``."""
    return {
        "server": {"host": "127.0.0.1", **server},
        "endpoints": {"up": {"url": f"http://127.0.0.1:{port}/v1", "api_key": "k"}},
        "models": [{"endpoint": "up", "model": "m"}],
    }


def request(body: bytes, path: str = "/v1/chat/completions") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


class StreamClient(asyncio.Protocol):
    """Reads one stream.

    Attributes:
        first: seconds from the request to the first content; None until that is there.
        ended: done when the stream is complete, or the connection lost.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.first: float | None = None
        self.ended: asyncio.Future[None] = loop.create_future()
        self.began: asyncio.Future[None] = loop.create_future()
        self.data = bytearray()
        self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.asked = self.loop.time()
        self.transport.write(request(STREAM))

    def data_received(self, data: bytes) -> None:
        self.data += data
        if self.first is None and b"word1 " in self.data:
            self.first = self.loop.time() - self.asked
            self.began.set_result(None)
        if data.endswith(b"0\r\n\r\n"):
            self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._over()

    def _over(self) -> None:
        for future in (self.began, self.ended):
            if not future.done():
                future.set_result(None)

    @property
    def complete(self) -> bool:
        """Whether all came, in order, with the format's end and HTTP's."""
        words = [int(number) for number in re.findall(rb"word(\d+) ", self.data)]
        whole = words == list(range(1, len(words) + 1)) and len(words) > 0
        return whole and b"data: [DONE]" in self.data and self.data.endswith(b"0\r\n\r\n")


async def open_streams(port: int, count: int, at_once: int = 50) -> list[StreamClient]:
    """Open ``count`` streams, ``at_once`` of them at a time, each of which has its first content or has failed."""
    loop = asyncio.get_running_loop()
    clients: list[StreamClient] = []
    for start in range(0, count, at_once):
        batch = [StreamClient(loop) for _ in range(min(at_once, count - start))]
        clients += batch
        for client in batch:
            await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
        await asyncio.gather(*(client.began for client in batch))
    return clients


class Usage:
    """What the kernel says of a process."""

    def __init__(self, gateway: Gateway) -> None:
        self.pid = gateway.process.pid
        self._folder = Path("/proc") / str(self.pid)

    def rss(self) -> int:
        """Return the resident set in bytes."""
        status = (self._folder / "status").read_text("ascii")
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def files(self) -> int:
        """Return how many files are open."""
        return len(list((self._folder / "fd").iterdir()))

    def cpu(self) -> float:
        """Return the seconds of CPU used."""
        fields = (self._folder / "stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def usage() -> Callable[[Gateway], Usage]:
    """Tells what a gateway's process uses."""
    return Usage


@pytest.fixture
def streams() -> Callable[..., Awaitable[list[StreamClient]]]:
    """Opens streams."""
    return open_streams


@pytest.fixture
def one_model() -> Callable[..., dict[str, Any]]:
    """Makes the config of a gateway before one upstream."""
    return config


@pytest.fixture
def asking() -> Callable[..., bytes]:
    """Makes requests."""
    return request
