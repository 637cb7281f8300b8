"""Which core does what. A child inherits the core of the thread that starts it, so its first instruction counts too."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import msgspec

from bench.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Cores(msgspec.Struct, frozen=True):
    """The two cores of a run.

    Attributes:
        subject: that of the proxy under test, and of nothing else of ours.
        load: that of the load, of the upstream mocks and of the benchmark itself.
    """

    subject: int
    load: int


def choose() -> Cores:
    """Return the first and the last core that this process may use.

    Raises:
        BenchError: there are no two of them, or they cannot be chosen.
    """
    if sys.platform != "linux":
        raise BenchError(f"the benchmark pins processes and reads /proc, which needs Linux; this is {sys.platform}")
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError(
            "the benchmark needs two cores, one for the proxy and one for the load; this process may use one"
        )
    return Cores(subject=allowed[0], load=allowed[-1])


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run the calling thread, and what it starts, on ``core``."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
