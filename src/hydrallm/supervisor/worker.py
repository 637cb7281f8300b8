"""A worker process, from its fork to its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import traceback
from typing import TYPE_CHECKING

import msgspec

from hydrallm.app import DRAIN, App, make_log
from hydrallm.errors import StartError
from hydrallm.exchange.health import Share, Witness
from hydrallm.supervisor.channel import Channel
from hydrallm.supervisor.messages import DRAIN as DRAIN_ORDER
from hydrallm.supervisor.messages import FAILED, LEAVING, READY, STOP, Notice, encode
from hydrallm.telemetry.log import Level
from hydrallm.telemetry.writer import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from hydrallm.config.settings import Settings
    from hydrallm.supervisor.slot import Place
    from hydrallm.telemetry.log import Log

HEALTH = "health"
"""The question of how a worker and its models fare."""

FAULT = 70
"""The exit code after a fault of our own (``EX_SOFTWARE`` of sysexits.h)."""


def run(
    place: Place,
    *,
    settings: Settings,
    environ: Mapping[str, str],
    descriptor: int,
    level: str | None,
    make_loop: Callable[[], asyncio.AbstractEventLoop],
) -> int:
    """Serve until told to end, and return the exit code.

    Args:
        place: what the supervisor has given it.
        settings: the config.
        environ: the environment.
        descriptor: where the log is written.
        level: the log level, instead of the config's.
        make_loop: makes the event loop.
    """
    writer = BackgroundWriter(descriptor, shared=True)
    log = make_log(settings, writer, level, worker=place.number)
    try:
        with asyncio.Runner(loop_factory=make_loop) as runner:
            runner.run(_serve(place, settings, log, environ))
    except StartError as error:
        with contextlib.suppress(OSError):  # nobody is left to be told
            place.control.sendall(encode(Notice(FAILED, str(error))))
        return 1
    except Exception:  # noqa: BLE001 - the last line of defence; the supervisor starts another
        log.fault(traceback.format_exc())
        return FAULT
    finally:
        log.flush()
        writer.close()
    return 0


async def wind_down(app: App, hurry: Coroutine[Any, Any, object]) -> None:
    """Take no new connections, let running exchanges end, and stop.

    Args:
        app: the gateway.
        hurry: ends when they are not to be waited for any longer.
    """
    draining = asyncio.ensure_future(app.drain())
    hurrying = asyncio.ensure_future(hurry)
    await asyncio.wait({draining, hurrying}, return_when=asyncio.FIRST_COMPLETED)
    hurrying.cancel()
    draining.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await draining
    await app.stop()


async def _serve(place: Place, settings: Settings, log: Log, environ: Mapping[str, str]) -> None:
    app = App(settings, log, environ, log.mask)
    orders = Orders(log)
    control = place.control.dup()  # closed with the channel; what makes it fail is told afterwards
    channel = await Channel.open(control, {HEALTH: app.share}, orders.take, orders.lost)
    app.ask(lambda: _ask(channel))
    try:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, orders.terminate)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        await app.listen(place.sockets)
        channel.notify(READY)
        await orders.leave.wait()
        channel.notify(LEAVING)
        log.flush()
        await wind_down(app, orders.at_once.wait())
    finally:
        await app.stop()
        channel.close()


async def _ask(channel: Channel) -> list[Witness]:
    """Ask all workers how they fare; return nothing where that makes this one no wiser."""
    answers = await channel.ask(HEALTH)
    heard = [
        Witness(told.worker, told.pid, told.state, msgspec.json.decode(told.content, type=Share | None))
        for told in answers
    ]
    return heard if any(witness.share is not None for witness in heard) else []


class Orders:
    """What a worker has been told to do. Whoever says it first, it is the same order, and told twice no other.

    Args:
        log: told what did not come from the supervisor.

    Attributes:
        leave: to take no new connections, and to end when the running exchanges have.
        at_once: not to wait for those.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self.leave = asyncio.Event()
        self.at_once = asyncio.Event()

    def take(self, topic: str) -> None:
        """Take an order of the supervisor's."""
        if topic == STOP:
            self.at_once.set()
        if topic in {DRAIN_ORDER, STOP}:
            self.leave.set()

    def terminate(self) -> None:
        """Take a SIGTERM."""
        self._leave("SIGTERM for this worker")

    def lost(self) -> None:
        """Note that there is no supervisor any more."""
        self._leave("there is no supervisor any more")

    def _leave(self, why: str) -> None:
        if not self.leave.is_set():
            self._log.write(Level.WARN, f"{why}: no new connections; running exchanges have {DRAIN:g} s to end")
            self.leave.set()
