"""The queue for the connections of one endpoint, where only so many may be in use at a time.

First come, first served: whoever comes while others wait, waits behind them, even if a place has just become free. A
place that becomes free is given to the first in the queue at that very moment, so nobody can snatch it in between.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque


class Queue:
    """The places of an endpoint, and those who wait for one.

    Args:
        places: how many there are.

    Attributes:
        free: how many nobody has.
    """

    __slots__ = ("_waiting", "free", "places")

    def __init__(self, places: int = sys.maxsize) -> None:
        self.places = places
        self.free = places
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._waiting)

    def take(self) -> bool:
        """Take a place, if one is free; return whether one was."""
        if self.free > 0:  # then nobody waits: a free place is given to the first who does
            self.free -= 1
            return True
        return False

    async def wait(self, until: float) -> None:
        """Wait for a place and take it.

        Args:
            until: the loop's time.

        Raises:
            TimeoutError: there was none by then.
        """
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(until):
                await turn
        except BaseException:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn.cancelled():
                self.leave()  # it was given a place at the last moment, and is no longer there to use it
            raise

    def leave(self) -> None:
        """Give a place back: to the first who waits, if anybody does."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.cancelled():
                turn.set_result(None)
                return
        self.free += 1
