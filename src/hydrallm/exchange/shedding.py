"""What is turned away because a limit of this process is reached, told to the sinks as one line and not as thousands.

The first time at once, and then once a minute for as long as it goes on, with the number since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.telemetry.records import Shed

if TYPE_CHECKING:
    import asyncio

    from hydrallm.telemetry.records import Sink

INTERVAL = 60.0
"""Seconds between two notes about the same limit."""


class Shedding:
    """Counts what is turned away, limit by limit.

    Args:
        sink: is told.
        loop: keeps the time.
        interval: seconds between two notes about the same limit.

    Attributes:
        counts: what was turned away so far, by the limit that was reached.
    """

    def __init__(self, sink: Sink, loop: asyncio.AbstractEventLoop, interval: float = INTERVAL) -> None:
        self.counts: dict[str, int] = {}
        self._sink = sink
        self._loop = loop
        self._interval = interval
        self._untold: dict[str, Shed] = {}
        """What has happened since the last note, for the limits of which there was one within the interval."""

    def note(self, limit: str, message: str) -> None:
        """Count one that was turned away.

        Args:
            limit: what was reached: the name of a setting, or of what the system limits.
            message: how much there may be.
        """
        self.counts[limit] = self.counts.get(limit, 0) + 1
        untold = self._untold.get(limit)
        if untold is not None:
            self._untold[limit] = Shed(limit, message, untold.count + 1)
        else:
            self._tell(Shed(limit, message, 1))

    def _tell(self, shed: Shed) -> None:
        self._sink.shed(shed)
        self._untold[shed.limit] = Shed(shed.limit, shed.message, 0)
        self._loop.call_later(self._interval, self._tell_untold, shed.limit)

    def _tell_untold(self, limit: str) -> None:
        shed = self._untold.pop(limit)
        if shed.count:
            self._tell(shed)
