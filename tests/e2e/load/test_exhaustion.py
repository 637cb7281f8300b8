"""What a machine may run out of, or do to a process, and nobody who is being served notices: scorecard row 21."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.conftest import Scorecard
    from tests.e2e.conftest import Client, Connect, Gateway, Running
    from tests.e2e.load.conftest import StartUpstream, StreamClient, Usage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.platform("linux")]

WHOLE = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
STREAMS = 30
ATTEMPTS = 60
DAYS = 10 * 86400


async def answered(client: Client) -> bool:
    """Whether a request on this connection is answered as it should be."""
    try:
        return (await asyncio.wait_for(client.ask(WHOLE), 10)).status == 200
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


async def recovers(port: int, connect: Connect) -> float:
    """Return the seconds until a new client is answered."""
    began = time.monotonic()
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(ConnectionError):
                client = await connect(port)
                try:
                    if await answered(client):
                        return time.monotonic() - began
                finally:
                    await client.close()


def warned(gateway: Gateway, what: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in gateway.lines if line.startswith("{")]
    return [line for line in lines if what in line["message"]]


async def test_without_a_free_file_clients_are_shed_and_traffic_goes_on(
    upstream: StartUpstream,
    running: Running,
    connect: Connect,
    one_model: Callable[..., dict[str, Any]],
    streams: Callable[..., Awaitable[list[StreamClient]]],
    usage: Callable[[Gateway], Usage],
    scorecard: Scorecard,
) -> None:
    import resource  # noqa: PLC0415 - not on Windows

    async with running(one_model(await upstream(3.0, 0.25))) as gateway:
        used = usage(gateway)
        steady = [await connect(gateway.port) for _ in range(5)]
        clients = await streams(gateway.port, STREAMS)
        for client in steady:
            assert await answered(client)  # and from now on there is a connection upstream to answer them on
        limits = resource.prlimit(used.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(used.pid, resource.RLIMIT_NOFILE, (used.files(), limits[1]))
        began, cpu = time.monotonic(), used.cpu()
        kept = shed = 0
        newcomers: list[Client] = []
        async with asyncio.timeout(20):
            while len(newcomers) < ATTEMPTS or not warned(gateway, "no file can be opened"):
                newcomers.append(await connect(gateway.port))
                shed += not await answered(newcomers[-1])
                for client in steady[:2]:
                    kept += not await answered(client)  # on a connection that stands, upstream as well
        busy = (used.cpu() - cpu) / (time.monotonic() - began)
        resource.prlimit(used.pid, resource.RLIMIT_NOFILE, limits)
        recovery = await recovers(gateway.port, connect)
        await asyncio.gather(*(client.ended for client in clients))
        for each in (*steady, *newcomers):
            await each.close()
        cut = sum(not client.complete for client in clients)
    assert shed > 0, "the limit was reached"
    assert busy < 0.9, f"it took {busy:.0%} of a core to turn clients away one after the other"
    assert len(warned(gateway, "no file can be opened")) == 1
    scorecard(
        21,
        f"no file can be opened, {STREAMS} streams, {shed} of {len(newcomers)} clients shed",
        f"{cut + kept} failures, {recovery:.2f} s",
        "0, < 2 s",
        cut + kept == 0 and recovery < 2,
    )


SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

static long shift(void) {
    long seconds = 0;
    FILE *file = fopen(getenv("SHIFT_FILE"), "r");
    if (file) { if (fscanf(file, "%ld", &seconds) != 1) seconds = 0; fclose(file); }
    return seconds;
}
int clock_gettime(clockid_t id, struct timespec *t) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, t);
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) t->tv_sec += shift();
    return code;
}
time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}
int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    tv->tv_sec = now.tv_sec;
    tv->tv_usec = now.tv_nsec / 1000;
    return 0;
}
"""
"""The wall clock of a process, shifted by what stands in a file; monotonic clocks are left alone."""


@pytest.fixture
def shifted_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Shifts the wall clock of the processes that are started from now on."""
    source, shim, shift = (tmp_path / name for name in ("shift.c", "shift.so", "shift"))
    source.write_text(SHIM)
    shift.write_text("0")
    compiler = shutil.which("cc")
    assert compiler is not None
    subprocess.run([compiler, "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    monkeypatch.setenv("SHIFT_FILE", str(shift))
    monkeypatch.setenv("LD_PRELOAD", str(shim))

    def set_to(seconds: int) -> None:
        new = tmp_path / "new"
        new.write_text(str(seconds))
        new.replace(shift)

    return set_to


@pytest.mark.needs("cc")
async def test_a_clock_that_jumps_ends_nothing(
    shifted_clock: Callable[[int], None],
    upstream: StartUpstream,
    running: Running,
    connect: Connect,
    one_model: Callable[..., dict[str, Any]],
    streams: Callable[..., Awaitable[list[StreamClient]]],
    scorecard: Scorecard,
) -> None:
    async with running(one_model(await upstream(2.0, 0.25))) as gateway:
        clients = await streams(gateway.port, STREAMS)
        steady = await connect(gateway.port)
        failures = 0
        dates = set()
        for shift in (DAYS, -DAYS, 0):
            shifted_clock(shift)
            for _ in range(20):
                reply = await steady.ask(WHOLE)
                failures += reply.status != 200
                await asyncio.sleep(0.02)
            dates.add((await steady.ask(WHOLE)).headers["x-hydrallm-request-id"][:6])
        recovery = await recovers(gateway.port, connect)
        await asyncio.gather(*(client.ended for client in clients))
        await steady.close()
    failures += sum(not client.complete for client in clients)
    assert len(dates) == 3, "the process did see the clock jump"
    scorecard(
        21,
        f"wall clock +10 and -10 days, {STREAMS} streams",
        f"{failures} failures, {recovery:.2f} s",
        "0, < 2 s",
        failures == 0 and recovery < 2,
    )


async def test_a_log_that_cannot_be_written_stops_nothing(
    upstream: StartUpstream,
    connect: Connect,
    streams: Callable[..., Awaitable[list[StreamClient]]],
    tmp_path: Path,
    scorecard: Scorecard,
) -> None:
    config = tmp_path / "config.toml"
    url = f"http://127.0.0.1:{await upstream(1.0, 0.25)}/v1"
    config.write_text(f'[endpoints.up]\nurl = "{url}"\n[[models]]\nendpoint = "up"\nmodel = "m"\n')
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with open("/dev/full", "w", encoding="ascii") as full:  # noqa: ASYNC230, PTH123 - a device
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "hydrallm", "serve", "--config", str(config), "--port", str(port)),
            stderr=full,
            env=os.environ | {"NO_PROXY": "*"},
        )
    try:
        recovery = await recovers(port, connect)
        clients = await streams(port, STREAMS)
        steady = await connect(port)
        failures = sum([not await answered(steady) for _ in range(200)])
        await asyncio.gather(*(client.ended for client in clients))
        failures += sum(not client.complete for client in clients)
        await steady.close()
    finally:
        process.terminate()
        code = await asyncio.wait_for(process.wait(), 20)
    scorecard(
        21,
        f"the disk of the log is full, {STREAMS} streams and 200 requests",
        f"{failures} failures, exit {code}",
        "0, exit 0",
        failures == 0 and code == 0 and recovery < 20,
    )
