"""How many retries all exchanges together may make.

PURE. Retries multiply the load on a provider at the very time it cannot carry it. So they are paid for from one account
for the whole process, as Finagle and Linkerd have it: each exchange pays in a share of a retry, time pays in some per
second so that quiet traffic can retry as it likes, and what is saved up is bounded. The first try of a model in an
exchange is not a retry: it is never denied.
"""

from __future__ import annotations

SHARE = 0.2
"""Retries per exchange."""

PER_SECOND = 10.0
"""Retries per second, whatever the traffic is."""

CAPACITY = 100.0
"""Retries that are saved up at most: those of ten quiet seconds."""


class Budget:
    """The account, full at first.

    Args:
        share: retries per exchange.
        per_second: retries per second.
        capacity: retries that are saved up at most.
    """

    __slots__ = ("_at", "_balance", "_capacity", "_per_second", "_share")

    def __init__(self, share: float = SHARE, per_second: float = PER_SECOND, capacity: float = CAPACITY) -> None:
        self._share = share
        self._per_second = per_second
        self._capacity = capacity
        self._balance = capacity
        self._at: float | None = None

    def deposit(self) -> None:
        """Take note of an exchange that begins."""
        self._balance = min(self._capacity, self._balance + self._share)

    def withdraw(self, at: float) -> bool:
        """Return whether there is a retry left; if so, it is paid for.

        Args:
            at: when, in seconds of a monotonic clock; a time before an earlier one is as good as that one.
        """
        if self._at is None:
            self._at = at
        elif at > self._at:
            self._balance = min(self._capacity, self._balance + (at - self._at) * self._per_second)
            self._at = at
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True
