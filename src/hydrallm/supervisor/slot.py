"""The supervisor's view of its workers: who stands where, since when, and the way to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hydrallm.supervisor.messages import Lines, encode

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from hydrallm.supervisor.messages import Message

YOUNG = 0.5
"""Seconds; a worker that does not live that long after it was ready has not come up."""

PAUSES = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Seconds until the next try after one, two, three, ... that have not come up; the last for all further ones."""

_READ_SIZE = 1 << 18


class Link:
    """The supervisor's end of a control channel: never waits.

    Args:
        sock: one of a pair.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self.sock = sock
        self.closed = False
        self._lines = Lines()
        self._unsent = bytearray()

    @property
    def full(self) -> bool:
        """Whether the worker takes nothing more for now."""
        return bool(self._unsent)

    def send(self, message: Message) -> None:
        """Send ``message``, or what can be sent of it now."""
        self._unsent += encode(message)
        self.flush()

    def flush(self) -> None:
        """Send what is left."""
        try:
            del self._unsent[: self.sock.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:  # it has died: its SIGCHLD is on the way
            self._unsent.clear()

    def receive(self) -> list[Message] | None:
        """Return the messages that have come; None when there will be no more."""
        try:
            data = self.sock.recv(_READ_SIZE)
        except BlockingIOError:
            return []
        except OSError:
            return None
        try:
            return self._lines.feed(data) if data else None
        except msgspec.MsgspecError:  # it is out of its mind: without its channel it ends
            return None

    def close(self) -> None:
        """Close this end."""
        self.closed = True
        self._unsent.clear()
        self.sock.close()


class Place(NamedTuple):
    """What a worker is given.

    Attributes:
        number: from 1.
        sockets: to accept connections from.
        control: its end of the channel.
    """

    number: int
    sockets: Sequence[socket.socket]
    control: socket.socket


class Worker:
    """A worker process.

    Attributes:
        ready_at: when it began to accept connections; None before.
        failure: why it cannot start, in its own words.
        leaving: whether it accepts no connections any more.
    """

    def __init__(self, pid: int, slot: Slot, link: Link) -> None:
        self.pid = pid
        self.slot = slot
        self.link = link
        self.ready_at: float | None = None
        self.failure = ""
        self.leaving = False


class Slot:
    """A place for a worker, and its sockets, which outlive it.

    Attributes:
        number: from 1.
        worker: who stands there; None while nobody does.
        due: while nobody does, when the next one is started.
        came_up: whether any was ever ready.
        failures: how many have died young, one after the other.
    """

    def __init__(self, number: int, sockets: Sequence[socket.socket]) -> None:
        self.number = number
        self.sockets = sockets
        self.worker: Worker | None = None
        self.due: float = 0.0
        self.came_up = False
        self.failures = 0

    def vacate(self, now: float, *, young: bool) -> float:
        """Take note that its worker is gone, and return how many seconds the next one has to wait.

        Args:
            now: the time.
            young: whether it died before it was of use.
        """
        self.worker = None
        self.failures = self.failures + 1 if young else 0
        pause = PAUSES[min(max(self.failures - 1, 0), len(PAUSES) - 1)]
        self.due = now + pause
        return pause
