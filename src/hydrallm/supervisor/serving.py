"""From settings to a gateway that runs until it is told to end: in this process, or in several."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
from typing import TYPE_CHECKING

from hydrallm.app import DRAIN, App, loop_factory, make_log, shown
from hydrallm.http.listening import bind
from hydrallm.supervisor import cpus, worker
from hydrallm.supervisor.supervisor import Supervisor
from hydrallm.telemetry.log import Level
from hydrallm.telemetry.writer import BackgroundWriter, PromptWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hydrallm.config.settings import Settings
    from hydrallm.telemetry.log import Log


def run(settings: Settings, environ: Mapping[str, str], descriptor: int, level: str | None = None) -> None:
    """Serve until SIGINT or SIGTERM; a second signal does not wait for running exchanges.

    Args:
        settings: the config.
        environ: the environment.
        descriptor: where the log is written.
        level: the log level, instead of the config's.

    Raises:
        StartError: it cannot start.
    """
    count = settings.server.workers
    if count == "auto":
        count = cpus.available()
    if count > 1 and hasattr(os, "fork"):
        _run_several(settings, environ, descriptor, level, count)
        return
    writer = BackgroundWriter(descriptor)
    log = make_log(settings, writer, level)
    if count > 1 and settings.server.workers != "auto":
        log.write(Level.WARN, f"server.workers is {count}, but this system cannot fork: one process serves")
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(settings, log, environ))
    finally:
        writer.close()


def _run_several(
    settings: Settings, environ: Mapping[str, str], descriptor: int, level: str | None, count: int
) -> None:
    log = make_log(settings, PromptWriter(descriptor), level)
    _warn(settings, log)
    sockets = bind(settings.server.host, settings.server.port, count)
    addresses = [sock.getsockname()[:2] for sock in sockets[0]]
    work = functools.partial(
        worker.run, settings=settings, environ=environ, descriptor=descriptor, level=level, make_loop=loop_factory()
    )
    Supervisor(sockets, work, log, lambda: announce(settings, log, addresses, workers=count)).run()


async def serve(settings: Settings, log: Log, environ: Mapping[str, str]) -> None:
    """Run the gateway in this process until SIGINT or SIGTERM.

    Raises:
        StartError: it cannot start.
    """
    _warn(settings, log)
    app = App(settings, log, environ, log.mask)
    signals: asyncio.Queue[str] = asyncio.Queue()
    try:
        with _signals(signals):
            announce(settings, log, await app.listen())
            name = await signals.get()
            log.write(Level.INFO, f"{name}: no new connections; running exchanges have {DRAIN:g} s to end")
            log.flush()
            await worker.wind_down(app, signals.get())
            log.write(Level.INFO, "stopped")
    finally:
        await app.stop()
        log.flush()


def announce(settings: Settings, log: Log, addresses: list[tuple[str, int]], *, workers: int = 0) -> None:
    """Log that it can be called now, and where."""
    for host, port in addresses:
        log.write(
            Level.INFO,
            f"listening on http://{shown(host, port)}",
            models=", ".join([f"{model.endpoint}/{model.model}" for model in settings.models]),
            chains=", ".join([chain.name for chain in settings.chains]),
            workers=workers,
        )
    log.flush()


def _warn(settings: Settings, log: Log) -> None:
    for warning in settings.warnings:
        log.write(Level.WARN, str(warning))


@contextlib.contextmanager
def _signals(queue: asyncio.Queue[str]) -> Iterator[None]:
    """Put the names of SIGINT and SIGTERM into ``queue`` as they come."""
    loop = asyncio.get_running_loop()
    wanted = (signal.SIGINT, signal.SIGTERM)
    previous = {}
    for number in wanted:
        try:
            loop.add_signal_handler(number, queue.put_nowait, number.name)
        except NotImplementedError:  # Windows: handlers run between bytecodes, so the loop has to be woken
            previous[number] = signal.signal(
                number, lambda received, _: loop.call_soon_threadsafe(queue.put_nowait, signal.Signals(received).name)
            )
    try:
        yield
    finally:
        for number in wanted:
            if number in previous:
                signal.signal(number, previous[number])
            else:
                loop.remove_signal_handler(number)
