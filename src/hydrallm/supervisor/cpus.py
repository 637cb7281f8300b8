"""How many CPUs this process may use.

Two limits count besides the machine's own size: the set of CPUs that the process may run on (a container's cpuset,
``taskset``), and on Linux the quota of its control group, which is how container runtimes and systemd cap CPU time:
``cpu.max`` in version 2, ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` in version 1 (Linux, Control Group v2, "CPU";
CFS Bandwidth Control). A quota counts for all groups below, so the smallest on the way up is the one. Half a CPU more
is a worker more: what cannot be used to the full is better than what cannot be used at all.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = Path("/")


def available(root: Path = _ROOT) -> int:
    """Return how many CPUs this process may use, at least 1.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    return max(1, math.ceil(min(_allowed(), quota(root))))


def quota(root: Path = _ROOT) -> float:
    """Return how many CPUs' worth of time the control groups of this process may take; infinity if any.

    Args:
        root: where ``proc`` and ``sys`` are.
    """
    try:
        groups = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:  # no Linux
        return math.inf
    least = math.inf
    for line in groups:
        _, _, tail = line.partition(":")
        controllers, _, path = tail.partition(":")
        if controllers == "":
            least = min(least, _least(root / "sys/fs/cgroup", path, _version_2))
        elif "cpu" in controllers.split(","):
            least = min(least, _least(root / "sys/fs/cgroup/cpu", path, _version_1))
    return least


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _least(mount: Path, path: str, read: Callable[[Path], float]) -> float:
    """Return the smallest quota of a group and those above it, up to the mount: a container's own root is there."""
    steps = [part for part in path.split("/") if part not in {"", ".."}]
    folders = [mount.joinpath(*steps[:depth]) for depth in range(len(steps), -1, -1)]
    return min(read(folder) for folder in folders)


def _version_2(folder: Path) -> float:
    match _words(folder / "cpu.max"):
        case [limit, period]:
            return _share(limit, period)
        case _:
            return math.inf


def _version_1(folder: Path) -> float:
    match [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]:
        case [limit, period]:
            return _share(limit, period)
        case _:
            return math.inf


def _words(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8").split()
    except OSError:  # a group without this controller, or one that this namespace does not show
        return []


def _share(limit: str, period: str) -> float:
    if not (limit.isdigit() and period.isdigit() and int(period)):  # "max", or -1: none
        return math.inf
    return int(limit) / int(period)
