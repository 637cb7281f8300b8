"""The bytes that are held in memory for requests and answers, over all exchanges, and the bound on them.

A request's body is reserved before it is read, by its announced length, so that one that was let in can be read to its
end. Nobody ever waits for a reservation: what cannot be had is refused (a body) or done without (an answer that is not
held is passed on as it comes). So those who hold some cannot block each other.
"""

from __future__ import annotations

import sys

STEP = 64 * 1024
"""What is held of one body without being asked for; beyond that as much is asked for at a time."""


class Buffered:
    """How much is held.

    Args:
        limit: bytes.

    Attributes:
        held: bytes that are reserved.
    """

    __slots__ = ("held", "limit")

    def __init__(self, limit: int = sys.maxsize) -> None:
        self.limit = limit
        self.held = 0

    def reserve(self, size: int) -> bool:
        """Reserve ``size`` bytes, if they are to be had; return whether they are."""
        if self.held + size > self.limit:
            return False
        self.held += size
        return True

    def release(self, size: int) -> None:
        """Give ``size`` reserved bytes back."""
        self.held -= size
