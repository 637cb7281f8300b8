"""What is remembered of a model between exchanges: its breaker, and its cooldown.

PURE. Theory of operation
=========================

::

             failures in a row, a share of failures, or a failure that says it all
    closed ──────────────────────────────────────────────────────────────────────> open
      ^                                                                            │  ^
      │ it passed                                                         its time │  │ it failed: a longer time
      │                                                                    is over │  │
      └───────────────────────────────────── half_open <───────────────────────────┘  │
                                                 └────────────────────────────────────┘

An *open* breaker keeps exchanges away from the model while they have another one. When its time is over, one exchange
is let through, the *probe* (``half_open``), and what comes of it closes the breaker or opens it again for twice the
time, up to a cap that brings traffic back soon after the model recovered. A probe that hangs keeps others from probing
for that long, and no longer; it is as if it had failed.

An exchange counts once, however often it tries: one request that nothing can answer must not look like an outage.

Exchanges overlap, and a stream may end minutes after it began. So news is judged by when it *began*: an answer that
began before the breaker opened does not close it, and a failure that began before the last probe or before the breaker
closed does not count. Otherwise a model that fails every other request would be let in again by each answer still on
its way.

The *cooldown* is the upstream's own Retry-After. Until then nobody has to find out once more.
"""

from __future__ import annotations

import enum
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.policy.kinds import Kind, Rule

IN_A_ROW = 5
"""Exchanges that failed one after the other, and the breaker opens (as Envoy's outlier detection has it)."""

WINDOW = 10.0
"""Seconds over which the share of failures is taken."""

FEWEST = 20
"""Exchanges in a window below which their share says nothing."""

SHARE = 0.5

FIRST_OPEN = 5.0
LONGEST_OPEN = 20.0
"""Seconds; the time doubles from the first to the longest while probes fail."""


class State(enum.StrEnum):
    """What the breaker does with the next exchange."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The breaker and the cooldown of one model. All times are seconds of one monotonic clock.

    Args:
        changed: called with this breaker after its state has changed.

    Attributes:
        state: see the module's docstring.
        until: while open, when the next probe may be made; while half open, when another one may; otherwise past.
        cools_until: when the upstream's own Retry-After ends; long ago, if it named none.
        cause: the last failure that counted or asked for a cooldown; None before the first, and after a success.
    """

    __slots__ = (
        "_changed", "_failed", "_open_for", "_opened", "_row", "_seen", "_tested", "_window", "cause", "cools_until",
        "state", "until",
    )  # fmt: skip

    def __init__(self, changed: Callable[[Breaker], None] | None = None) -> None:
        self._changed = changed
        self.state = State.CLOSED
        self.until = 0.0
        self.cools_until = -math.inf
        self.cause: Kind | None = None
        self._open_for = 0.0
        self._opened = -math.inf
        """When it opened last: answers that began before are old news."""
        self._tested = -math.inf
        """When the last probe began, or ended well: failures that began before are old news."""
        self._row = 0
        self._window = -math.inf
        self._seen = 0
        self._failed = 0

    def admits(self, at: float) -> bool:
        """Return whether an exchange that has another model may ask this one."""
        return at >= self.cools_until and (self.state is State.CLOSED or at >= self.until)

    def blocks(self, at: float) -> bool:
        """Return whether the breaker itself, the cooldown aside, keeps exchanges away."""
        return self.state is not State.CLOSED and at < self.until

    def begin(self, at: float) -> bool:
        """Take note of a try; return whether it is a probe. It must be followed by what came of it."""
        if self.state is State.CLOSED or self.blocks(at):
            return False
        if self.state is State.HALF_OPEN:  # the last probe told nothing
            self._open_for = min(2 * self._open_for, LONGEST_OPEN)
        self.until = at + self._open_for
        self._tested = at
        self._enter(State.HALF_OPEN)
        return True

    def passed(self, at: float, *, began: float = math.inf) -> None:
        """Take note that the model works.

        Args:
            at: when.
            began: when the try began that shows it; left out: it is no old news.
        """
        if self.state is not State.CLOSED:
            if began >= self._opened:
                self._close(at)
            return
        self._row = 0
        self.cause = None
        self._count(at, failed=0)

    def failed(self, kind: Kind, rule: Rule, at: float, *, probe: bool, began: float = math.inf) -> None:
        """Take note that it failed.

        Args:
            kind: how.
            rule: what that leads to; it counts.
            at: when.
            probe: whether this was a probe.
            began: when the try began that failed; left out: it is no old news.
        """
        if began < self._tested:
            return
        self.cause = kind
        self._row += 1
        if self.state is State.CLOSED:
            self._count(at, failed=1)
            many = self._row >= IN_A_ROW or (self._seen >= FEWEST and self._failed >= SHARE * self._seen)
            if rule.opens or many:
                self._open(at, at, rule.opens or FIRST_OPEN)
        elif rule.opens:
            self._open(at, min(began, at), rule.opens)
        elif probe:
            self._open(at, min(began, at), min(2 * self._open_for, LONGEST_OPEN))

    def cool(self, until: float, kind: Kind) -> None:
        """Take note that the upstream wants to be left alone until then.

        Args:
            until: when.
            kind: of the failure with which it said so.
        """
        self.cools_until = max(self.cools_until, until)
        self.cause = kind

    def release(self, at: float, *, began: float = math.inf) -> None:
        """Take note that a probe ended without telling anything: the next exchange may be one.

        Args:
            at: when.
            began: when the probe began; left out: it is the last one.
        """
        if self.state is State.HALF_OPEN and began >= self._tested:
            self.until = at

    def _count(self, at: float, *, failed: int) -> None:
        if not 0.0 <= at - self._window < WINDOW:
            self._window = at
            self._seen = self._failed = 0
        self._seen += 1
        self._failed += failed

    def _open(self, at: float, since: float, seconds: float) -> None:
        """Open, or stay open.

        Args:
            at: the time.
            since: from when the seconds count. What a failed probe tells is as old as the probe: after one that hung
                for all of its time the next one is due, and traffic is back no later than after one that failed fast.
            seconds: for how long. If it is open already, that may make it longer, never shorter.
        """
        until = since + seconds
        self.until = max(until, self.until) if self.state is State.OPEN else until
        self._open_for = min(seconds, LONGEST_OPEN)
        self._opened = at
        self._enter(State.OPEN)

    def _close(self, at: float) -> None:
        self.until = self._tested = at
        self._row = self._seen = self._failed = 0
        self.cause = None
        self.cools_until = -math.inf
        self._enter(State.CLOSED)

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            if self._changed is not None:
                self._changed(self)
