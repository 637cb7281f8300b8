"""The figures: what each is called, its unit, and how it is shown."""

from __future__ import annotations

from typing import Final

import msgspec


class Measure(msgspec.Struct, frozen=True):
    """A figure of a subject; less is better, but where it says otherwise.

    Attributes:
        name: what results call it.
        title: what tables call it.
        unit: the unit in which it is kept and shown.
        digits: how many digits are shown after the point.
        better: ``less`` or ``more``.
    """

    name: str
    title: str
    unit: str
    digits: int = 1
    better: str = "less"

    def show(self, value: float) -> str:
        """Return ``value`` as tables have it."""
        return f"{value:,.{self.digits}f}"


SIZES: Final = {"1k": 1024, "100k": 100_000, "5m": 5_000_000}
"""Bytes of a request's body, by the name of the size."""

SIZE_TITLES: Final = {"1k": "1 KB", "100k": "100 KB", "5m": "5 MB"}


class Grade(msgspec.Struct, frozen=True):
    """A way to put whole requests on a proxy.

    Attributes:
        size: a key of :data:`SIZES`.
        connections: how many at once.
        longer: how many times longer than others it is measured: what is under way at the end of a run has cost CPU
            and is not counted, so that many requests must have been answered by then.
    """

    size: str
    connections: int
    longer: int = 1

    @property
    def title(self) -> str:
        """What tables call it."""
        return f"{SIZE_TITLES[self.size]}, {self.connections} connections"

    @property
    def cpu(self) -> Measure:
        """CPU time of the proxy for one request."""
        unit = "ms" if self.size == "5m" else "µs"
        return Measure(f"cpu-{self.size}-{self.connections}", f"CPU per request, {self.title}", unit)

    @property
    def rate(self) -> Measure:
        """Requests in a second, with the proxy's core full."""
        name = f"rate-{self.size}-{self.connections}"
        return Measure(name, f"requests per second, {self.title}", "1/s", 0, "more")

    @property
    def busy(self) -> Measure:
        """How much of its core the proxy used while that rate was measured: below 95 % the load was the limit."""
        name = f"busy-{self.size}-{self.connections}"
        return Measure(name, f"core in use, {self.title}", "%", 0, "more")


GRADES: Final = (
    Grade("1k", 32),
    Grade("1k", 256),
    Grade("100k", 32),
    Grade("100k", 256),
    Grade("5m", 8, longer=2),
)
"""5 MB on eight connections fill any core; on 256 they would be 1.3 GB of bodies in a proxy that can retry."""

ADDED_P50: Final = Measure("added-p50", "added latency p50", "µs", 0)
ADDED_P99: Final = Measure("added-p99", "added latency p99", "µs", 0)
CPU_CHUNK: Final = Measure("cpu-chunk", "CPU per chunk of a stream", "µs")
CHUNK_RATE: Final = Measure("chunk-rate", "chunks per second in that run", "1/s", 0, "more")
WAITED: Final = Measure("waited", "time that the proxy waited for its core", "%")
START: Final = Measure("start", "start to first answer", "s", 2)
RSS_IDLE: Final = Measure("rss-idle", "memory idle", "MB")
RSS_LOAD: Final = Measure("rss-load", "memory under load", "MB")
RSS_STREAM: Final = Measure("rss-stream", "memory per open stream", "KB")

MEASURES: Final = {
    measure.name: measure
    for measure in (
        *(measure for grade in GRADES for measure in (grade.cpu, grade.rate, grade.busy)),
        ADDED_P50,
        ADDED_P99,
        CPU_CHUNK,
        CHUNK_RATE,
        WAITED,
        START,
        RSS_IDLE,
        RSS_LOAD,
        RSS_STREAM,
    )
}
"""All of them, by name."""
