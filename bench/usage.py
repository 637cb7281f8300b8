"""What a process and its descendants have used, CPU time and resident memory, and whether their core was taken.

Linux only. The CPU time is that of the process clock (``clock_getcpuclockid(3)``), which the scheduler keeps in
nanoseconds for user and system time together, ended threads included. ``/proc/PID/stat`` shows the same sum rounded to
clock ticks of 10 ms. Any process may read the clock of any other.
"""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from bench.errors import BenchError

_SCHEDULED = 2
"""``CPUCLOCK_SCHED``, the low bits of the clock of a process: what the scheduler has counted (Linux, posix-timers)."""


class Usage(msgspec.Struct, frozen=True):
    """What a tree of processes has used up to now.

    Attributes:
        cpu: CPU seconds of each process, by its id.
        waited: seconds that their main threads were ready to run while something else had the core.
        resident: bytes of memory that are resident, of all processes together.
    """

    cpu: dict[int, float]
    waited: float
    resident: int

    def since(self, earlier: Usage) -> float:
        """Return the CPU seconds between ``earlier`` and now.

        Raises:
            BenchError: a process has ended in between, and took what it used with it.
        """
        if ended := earlier.cpu.keys() - self.cpu.keys():
            raise BenchError(f"process {min(ended)} of the subject ended while it was measured; its log says why")
        return sum(self.cpu.values()) - sum(earlier.cpu.values())


def usage(root: int) -> Usage:
    """Return what process ``root`` and its descendants have used.

    Raises:
        BenchError: there is no such process.
    """
    tree = _tree(root)
    return Usage({pid: cpu_seconds(pid) for pid in tree}, sum(map(_waited, tree)), sum(map(_resident, tree)))


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds, user and system, of one process since it started.

    Raises:
        BenchError: there is no such process.
    """
    try:
        return time.clock_gettime_ns(~pid << 3 | _SCHEDULED) / 1e9
    except OSError as error:
        raise BenchError(f"process {pid} has no CPU clock: it has ended, or this is not Linux ({error})") from error


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text("utf-8", "replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since it was listed
        if fields[0] not in "ZX":
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    tree = [root]
    for pid in tree:
        tree += children.get(pid, [])
    return tree


def _waited(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/schedstat").read_text("ascii").split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return int(fields[1]) / 1e9


def _resident(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
