"""The load of whole requests: wrk, each of its connections sending the next request when the last is answered."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import msgspec

from bench.cores import pinned
from bench.errors import BenchError
from bench.traffic import Form

_SCRIPT = Path(__file__).with_name("load.lua")
_OUTCOME = re.compile(
    r"^bench requests=(\d+) microseconds=(\d+) statuses=(\d+) sockets=(\d+) timeouts=(\d+) p50=(\d+) p99=(\d+)$",
    re.MULTILINE,
)


class Outcome(msgspec.Struct, frozen=True):
    """What wrk says of a run.

    Attributes:
        requests: how many were answered.
        duration: seconds that it took.
        p50: half of the answers were there within so many seconds.
        p99: 99 of 100 were.
    """

    requests: int
    duration: float
    p50: float
    p99: float


class Load(msgspec.Struct, frozen=True):
    """A load to put on a proxy.

    Attributes:
        form: what its requests look like.
        size: bytes of each request's body.
        connections: on how many connections.
        seconds: for how long.
    """

    form: Form
    size: int
    connections: int
    seconds: float

    async def run(self, port: int, folder: Path, core: int) -> Outcome:
        """Put it on 127.0.0.1:``port``, from ``core``; ``folder`` is for files in between.

        Raises:
            BenchError: a request was not answered, or not with success.
        """
        (folder / "body").write_bytes(self.form.body(self.size))
        (folder / "headers").write_text("".join(f"{name}: {value}\n" for name, value in self.form.headers.items()))
        command = ["wrk", "--threads", "1", "--connections", str(self.connections), "--timeout", "30s"]
        command += ["--duration", f"{max(round(self.seconds), 1)}s", "--latency", "--script", str(_SCRIPT)]
        with pinned(core):
            process = await asyncio.create_subprocess_exec(
                *command,
                f"http://127.0.0.1:{port}{self.form.path}",
                env=os.environ | {"BENCH_LOAD": str(folder)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        try:
            output, _ = await process.communicate()
        except BaseException:
            process.kill()
            await process.wait()
            raise
        return outcome(output.decode("utf-8", "replace"))


def outcome(output: str) -> Outcome:
    """Return what ``output`` of wrk says.

    Raises:
        BenchError: not every request was answered with success.
    """
    found = _OUTCOME.search(output)
    if found is None:
        raise BenchError(f"wrk did not say how it went; it said:\n{output[-2000:]}")
    requests, microseconds, statuses, sockets, timeouts, p50, p99 = map(int, found.groups())
    if not (requests or statuses or sockets or timeouts):
        raise BenchError(f"no request was answered within {microseconds / 1e6:.1f} s; --seconds makes that longer")
    if statuses or sockets or timeouts:
        raise BenchError(
            f"of {requests} requests {statuses} had a status of failure, {timeouts} no answer in time, and {sockets}"
            " connections broke: what such a run costs says nothing"
        )
    return Outcome(requests, microseconds / 1e6, p50 / 1e6, p99 / 1e6)
