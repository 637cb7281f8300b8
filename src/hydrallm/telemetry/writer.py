"""Text written by a thread of its own, so that nobody who does not read it can hold up the event loop.

A pipe that is not read fills up, and then a write blocks: a stalled log collector would stall the gateway. What waits
to be written is bounded; what does not fit is dropped, counted, and the count is written when there is room again.

The thread writes to the file descriptor itself. Through the stream object it would hold that object's lock while it
blocks, and the interpreter wants this lock when it ends.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from typing import Protocol

MAX_WAITING = 1000
"""Pieces of text; a piece is what was gathered, up to some ten kilobytes."""


class Stream(Protocol):
    """What a log writes to."""

    def write(self, text: str, /) -> object:
        """Take a piece of text."""

    def flush(self) -> None:
        """Write what was taken."""

    def isatty(self) -> bool:
        """Return whether a person is looking."""


class BackgroundWriter:
    """Writes text to a file descriptor without ever making the caller wait.

    Args:
        descriptor: where to; it stays open.
        max_waiting: pieces of text that may wait to be written.
    """

    def __init__(self, descriptor: int, max_waiting: int = MAX_WAITING) -> None:
        self._descriptor = descriptor
        self._queue: queue.Queue[str | None] = queue.Queue(max_waiting)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="hydrallm-log", daemon=True)
        self._thread.start()

    def write(self, text: str, /) -> None:
        """Have ``text`` written soon; drop it if too much is waiting already."""
        try:
            if self._dropped:
                self._queue.put_nowait(f"{self._dropped} log lines were dropped: they were not read fast enough\n")
                self._dropped = 0
            self._queue.put_nowait(text)
        except queue.Full:
            self._dropped += text.count("\n")

    def flush(self) -> None:
        """Do nothing: the thread is at it."""

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def close(self, patience: float = 1.0) -> None:
        """Wait until everything is written, but not longer than ``patience`` seconds."""
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
            self._thread.join(patience)

    def _run(self) -> None:
        while (text := self._queue.get()) is not None:
            data = memoryview(text.encode("utf-8", "backslashreplace"))
            with contextlib.suppress(OSError):  # nobody reads it any more, or the disk is full: traffic goes on
                while data:
                    data = data[os.write(self._descriptor, data) :]
