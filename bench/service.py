"""A server that the benchmark has started: on its core, in a folder of its own, stopped with all its descendants."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Self

from bench.cores import pinned
from bench.errors import BenchError
from bench.usage import Usage, usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PATIENCE = 120.0
"""Seconds that a server may take to start. The slowest peer takes some twenty of them on a quiet machine."""

_RETRY = 0.002
_STOPPING = 10.0
_SHOWN = 2000


class Service:
    """A running server process.

    Args:
        name: what errors call it.
        port: where it listens, on 127.0.0.1.
        process: the process, the leader of its own group.
        log: the file that holds what it has written.
    """

    def __init__(self, name: str, port: int, process: asyncio.subprocess.Process, log: Path) -> None:
        self.name = name
        self.port = port
        self.began = time.monotonic()
        self._process = process
        self._log = log

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], *, port: int, folder: Path, core: int, environ: Mapping[str, str]
    ) -> Self:
        """Start ``command`` on ``core``; it may not listen yet.

        Args:
            name: what errors call it.
            command: the program and its arguments.
            port: where it will listen.
            folder: where it runs, and where its output goes.
            core: the core that it may use.
            environ: variables that are set for it, besides those of this process.
        """
        log = folder / "output.log"
        # A proxy in the environment would come between the subject and its upstream.
        inherited = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        with log.open("wb") as output, pinned(core):
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=inherited | dict(environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(name, port, process, log)

    async def answers(self, request: bytes) -> float:
        """Ask until ``request`` is answered with status 200; return the seconds since the start of the process.

        Raises:
            BenchError: it ended, or did not answer so in time.
        """
        answer = b""
        while time.monotonic() - self.began < PATIENCE:
            if self._process.returncode is not None:
                raise BenchError(
                    f"{self.name} ended with code {self._process.returncode} instead of listening:\n{self.output}"
                )
            with contextlib.suppress(OSError, TimeoutError):
                answer = await asyncio.wait_for(ask(self.port, request), 10)
                if answer.startswith(b"HTTP/1.1 200"):
                    return time.monotonic() - self.began
            await asyncio.sleep(_RETRY)
        said = answer[:_SHOWN].decode("utf-8", "replace") or "nothing"
        raise BenchError(f"{self.name} did not answer with 200 within {PATIENCE:g} s; it said {said!r}\n{self.output}")

    @property
    def output(self) -> str:
        """The end of what it has written."""
        return self._log.read_text("utf-8", "replace")[-_SHOWN:]

    def usage(self) -> Usage:
        """Return what it and its descendants have used up to now."""
        return usage(self._process.pid)

    async def stop(self) -> None:
        """End it and its descendants, at once if it does not go when asked."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, TimeoutError):
                os.killpg(self._process.pid, number)
                await asyncio.wait_for(self._process.wait(), _STOPPING)
        with contextlib.suppress(ProcessLookupError):  # a descendant that outlived the leader
            os.killpg(self._process.pid, signal.SIGKILL)


async def ask(port: int, request: bytes) -> bytes:
    """Send ``request`` to a port of this machine and return the answer up to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read(-1)
    finally:
        writer.close()


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
