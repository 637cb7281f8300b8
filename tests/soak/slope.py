"""What a soak has measured, and whether it climbs: a leak is a slope that does not end."""

from __future__ import annotations

from typing import NamedTuple


class Sample(NamedTuple):
    """What a process used at one moment."""

    at: float
    """Seconds since the beginning."""
    rss: float
    """Megabytes."""
    files: int
    sockets: int
    tasks: int
    objects: int


ALLOWED = {"rss": 5.0, "files": 20.0, "sockets": 20.0, "tasks": 20.0}
"""How much more of each there may be at the end of the line through the samples than at its beginning."""


def settled(samples: list[Sample]) -> list[Sample]:
    """Return the samples without the first quarter, in which caches fill."""
    return samples[len(samples) // 4 :]


def rise(samples: list[Sample], what: str) -> float:
    """Return how much the line through the samples rises from the first to the last (least squares)."""
    times = [sample.at for sample in samples]
    values = [float(getattr(sample, what)) for sample in samples]
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((time - middle) ** 2 for time in times)
    if not spread:
        return 0.0
    slope = sum((time - middle) * (value - mean) for time, value in zip(times, values, strict=True)) / spread
    return slope * (times[-1] - times[0])


def leaks(samples: list[Sample]) -> dict[str, float]:
    """Return what rises by more than it may, and by how much."""
    rises = {what: rise(settled(samples), what) for what in ALLOWED}
    return {what: value for what, value in rises.items() if value > ALLOWED[what]}
