"""What this process may use of its machine: open files and memory.

A connection is an open file, and one that is served needs a second one, to an upstream. When none is left, an operating
system cannot even say no politely: it accepts and drops, or does not accept at all. So the limit on connections is
derived from the limit on open files, and is reached first.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

MOST_FILES = 1 << 20
"""Open files that are asked for at most; some systems allow a billion, and tables as long as that."""

UNLIMITED_FILES = 16384
"""Open files that are reckoned with where nothing says how many there may be (Windows)."""

UNKNOWN_MEMORY = 2 << 30
"""Bytes that are reckoned with where nothing says how much there is."""

PER_CONNECTION = 128 * 1024
"""Bytes of memory that are reckoned with for a connection: twice what an open stream takes with TLS upstream."""

NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""The errors that say that this side has nothing left to make a connection with."""

_CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def open_files() -> int:
    """Raise this process's limit on open files as far as it may itself, and return it."""
    if sys.platform == "win32":
        return UNLIMITED_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit of its own beside these
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            soft = most
    return MOST_FILES if soft == resource.RLIM_INFINITY else soft


def files_exhausted() -> bool:
    """Return whether not one more file can be opened."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in NO_FILES
    return False


def memory() -> int:
    """Return the bytes of memory that this process may use: the machine's, or its control group's."""
    found = []
    with contextlib.suppress(OSError, ValueError, AttributeError):  # Windows has no sysconf
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # there is none, or it says "max"
            found.append(int(path.read_text("ascii")))
    return min(found, default=UNKNOWN_MEMORY)


def spare_files(files: int) -> int:
    """Return how many of ``files`` are kept for all else: log, listeners, name lookups, those who are turned away."""
    return min(256, files // 4)


def connections(wanted: int | None, files: int, available: int) -> int:
    """Return how many client connections there may be.

    Args:
        wanted: what the config says; no more than the open files allow. None: half of those, as each exchange needs a
            connection to an upstream as well, and no more than there is memory for.
        files: the limit on open files.
        available: bytes of memory.
    """
    left = files - spare_files(files)
    if wanted is not None:
        return max(1, min(wanted, left))
    return max(1, min(left // 2, available // PER_CONNECTION))
