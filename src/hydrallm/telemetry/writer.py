"""Text written by a thread of its own, so that nobody who does not read it can hold up the event loop.

A pipe that is not read fills up, and then a write blocks: a stalled log collector would stall the gateway. What waits
to be written is bounded; what does not fit is dropped, counted, and the count is written when there is room again.

The thread writes to the file descriptor itself. Through the stream object it would hold that object's lock while it
blocks, and the interpreter wants this lock when it ends.

Several processes may write to one pipe. What is no longer than ``PIPE_BUF`` arrives in one piece (POSIX, ``write``), so
no more than that is written at a time there, in whole lines; a line that is longer may have another inside.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_WAITING = 1000
"""Pieces of text; a piece is what was gathered, up to some ten kilobytes."""

WHOLE = getattr(select, "PIPE_BUF", 512)
"""Bytes that a pipe takes in one piece."""


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
        shared: whether other processes write there, too.
    """

    def __init__(self, descriptor: int, max_waiting: int = MAX_WAITING, *, shared: bool = False) -> None:
        self._descriptor = descriptor
        self._shared = shared
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
            data = _encoded(text)
            with contextlib.suppress(OSError):  # nobody reads it any more, or the disk is full: traffic goes on
                for piece in pieces(data) if self._shared else (data,):
                    left = memoryview(piece)
                    while left:
                        left = left[os.write(self._descriptor, left) :]


class PromptWriter:
    """Writes text to a file descriptor that others write to as well, at once or not at all, without a thread.

    For a process that says little and must neither wait nor have a thread. What there is no room for now is dropped and
    counted.

    Args:
        descriptor: where to; it stays open.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._dropped = 0

    def write(self, text: str, /) -> None:
        """Write ``text`` if there is room for it."""
        for piece in pieces(_encoded(text)):
            note = b"%d log lines were dropped: they were not read fast enough\n" % self._dropped
            try:
                # A pipe is ready only if it has room for PIPE_BUF bytes (Linux, pipe(7); POSIX asks for one byte).
                if not select.select([], [self._descriptor], [], 0)[1]:
                    raise BlockingIOError
                os.write(self._descriptor, note + piece if self._dropped and len(note + piece) <= WHOLE else piece)
            except OSError:
                self._dropped += piece.count(b"\n")
            else:
                self._dropped = 0

    def flush(self) -> None:
        """Do nothing: it is written, or dropped."""

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)


def pieces(data: bytes, limit: int = WHOLE) -> Iterator[bytes]:
    """Yield ``data`` in pieces of whole lines, each as long as ``limit`` allows; a line that is longer stays whole."""
    begin = 0
    while begin < len(data):
        end = data.rfind(b"\n", begin, begin + limit) + 1
        end = end or data.find(b"\n", begin) + 1 or len(data)
        yield data[begin:end]
        begin = end


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
