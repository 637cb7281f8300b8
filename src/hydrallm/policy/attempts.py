"""The walk over a plan: events in, commands out.

PURE. Theory of operation
=========================

A plan is a list of candidates, walked from the first to the last; a walk is a *cycle*, and there may be several. The
policy is at one candidate at a time. After a failure the table in :mod:`hydrallm.policy.classify` says where to go:

* ``SAME``: the same candidate, while it has tries left in this cycle;
* ``NEXT``: the candidates behind it, then a new cycle;
* ``RETURN``: the upstream's answer goes to the client, and where it sent none, the exchange is given up.

A candidate is *ready* again an interval (or backoff) after its last failure, or when its Retry-After says so, whichever
is later. Going to another candidate does not wait for the failed one. A Retry-After of at most ``max_wait`` is waited
for as it comes; a longer one *puts the candidate off*: others go first, and only when none is left is it waited for. No
wait passes the deadline: a candidate that is not ready by then is out of the exchange.

A candidate is *retired* (no further cycle) by failures that time does not heal. A silent one is retired too, but put
off: the tries that its cycle left it are used before the exchange is given up.

The states and what ends them::

    start ──Started──> trying ──ContentSeen──> delivered
                       │    ^
           AttemptFailed    │ Waited
                       v    │
                      waiting            (any) ──ClientLeft──> left
    trying ──AttemptFailed──> given up

Exactly one of ``Deliver`` and ``GiveUp`` ends an exchange, unless the client left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec

from hydrallm.policy.backoff import backoff
from hydrallm.policy.classify import Kind, Next

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hydrallm.policy.plan import Plan

RETRY_AFTER_CAP = 120.0
"""Seconds; the longest Retry-After that a client is told."""


# -- events: what happened ---------------------------------------------------------------------------------------------


class Started(msgspec.Struct, frozen=True, gc=False):
    """The exchange has begun.

    Attributes:
        at: the time, in seconds of any monotonic clock.
        stream: whether the client asked for a stream.
    """

    at: float
    stream: bool


class AttemptFailed(msgspec.Struct, frozen=True, gc=False):
    """An attempt ended without an answer.

    Attributes:
        attempt: its number.
        kind: how.
        at: when.
        answered: whether the upstream sent an error response that can be shown to the client.
        retry_after: seconds after which the upstream wants to be asked again, if it said so.
    """

    attempt: int
    kind: Kind
    at: float
    answered: bool = False
    retry_after: float | None = None


class ContentSeen(msgspec.Struct, frozen=True, gc=False):
    """An attempt has an answer: all of it, or the beginning of a stream."""

    attempt: int


class Waited(msgspec.Struct, frozen=True, gc=False):
    """The wait is over."""

    at: float


class ClientLeft(msgspec.Struct, frozen=True, gc=False):
    """The client closed its connection."""


Event = Started | AttemptFailed | ContentSeen | Waited | ClientLeft


# -- commands: what to do ----------------------------------------------------------------------------------------------


class Try(msgspec.Struct, frozen=True, gc=False):
    """Make an attempt.

    Attributes:
        attempt: its number, from 1.
        candidate: index in the plan.
        expires: when it has failed for being slow.
    """

    attempt: int
    candidate: int
    expires: float


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Do nothing until then, and say :class:`Waited`."""

    until: float


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Give the client what this attempt brought: the answer, or an error that is the client's to mend."""

    attempt: int


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """Tell the client that nothing worked.

    Attributes:
        kind: of the failure that is shown.
        attempt: the one whose error response is shown; None where no upstream sent one that is for the client.
        spent: whether all tries were used, or the deadline; False where the exchange stopped early, as another try
            would have had to wait beyond the deadline, or would have been unsafe.
        retry_after: seconds after which the first candidate takes requests again, where an upstream said so.
    """

    kind: Kind
    attempt: int | None
    spent: bool
    retry_after: float | None = None


class Stop(msgspec.Struct, frozen=True, gc=False):
    """Nobody is waiting any more: let go of everything."""


Command = Try | Wait | Deliver | GiveUp | Stop


# -- the walk ----------------------------------------------------------------------------------------------------------


class _Progress:
    """What has happened to one candidate in this exchange."""

    __slots__ = ("asked_for", "put_off", "ready_at", "retired", "same", "tries", "tries_in_cycle")

    def __init__(self) -> None:
        self.tries = 0
        self.tries_in_cycle = 0
        self.same: dict[Kind, int] = {}
        """How often each kind has led to the same candidate in this cycle."""
        self.ready_at = 0.0
        self.asked_for = 0.0
        """The end of the upstream's own Retry-After; 0 if it named none."""
        self.retired = False
        self.put_off = False


class Attempts:
    """The policy of one exchange.

    Args:
        plan: what may be tried.
        chance: returns random numbers from [0, 1), for the jitter.
    """

    __slots__ = (
        "_candidate",
        "_chance",
        "_cycle",
        "_deadline",
        "_failures",
        "_number",
        "_plan",
        "_progress",
        "_shown",
        "_stream",
    )

    def __init__(self, plan: Plan, chance: Callable[[], float]) -> None:
        self._plan = plan
        self._chance = chance
        self._progress = [_Progress() for _ in plan.candidates]
        self._cycle = 1
        self._candidate = 0
        self._number = 0
        self._deadline = 0.0
        self._stream = False
        self._shown: tuple[int, Kind, int] | None = None
        """Rank, kind and number of the attempt whose error response is the most useful so far."""
        self._failures: list[Kind] = []

    def step(self, event: Event) -> Command:
        """Return what to do after ``event``."""
        match event:
            case Started(at=at, stream=stream):
                self._deadline = at + self._plan.deadline
                self._stream = stream
                return self._try(at)
            case AttemptFailed():
                return self._after(event)
            case ContentSeen(attempt=attempt):
                return Deliver(attempt)
            case Waited(at=at):
                return self._try(at) if at < self._deadline else self._give_up(at, spent=True)
            case ClientLeft():
                return Stop()
            case _:
                assert_never(event)

    @property
    def shown(self) -> int | None:
        """The number of the attempt whose error response would be shown if the exchange were given up now."""
        return self._shown[2] if self._shown else None

    def _try(self, at: float) -> Try:
        self._number += 1
        progress = self._progress[self._candidate]
        progress.tries += 1
        progress.tries_in_cycle += 1
        clocks = self._plan.candidates[self._candidate].clocks
        limit = clocks.first_token if self._stream else clocks.total
        return Try(self._number, self._candidate, min(at + limit, self._deadline))

    def _after(self, event: AttemptFailed) -> Command:
        rule = self._plan.rules[event.kind]
        if rule.next is Next.RETURN:
            return Deliver(event.attempt) if event.answered else GiveUp(event.kind, None, spent=False)
        self._note(event)
        if event.at >= self._deadline:
            return self._give_up(event.at, spent=True)
        if self._stays(event):
            return self._go(self._candidate, event.at)
        spent = True
        for candidate in self._onward(event.at):
            if self._progress[candidate].ready_at < self._deadline:
                return self._go(candidate, event.at)
            spent = False  # it would be tried, were the deadline later
        return self._give_up(event.at, spent=spent)

    def _note(self, event: AttemptFailed) -> None:
        rule = self._plan.rules[event.kind]
        candidate = self._plan.candidates[self._candidate]
        progress = self._progress[self._candidate]
        self._failures.append(event.kind)
        if event.answered and rule.rank and (self._shown is None or rule.rank >= self._shown[0]):
            self._shown = (rule.rank, event.kind, event.attempt)
        exponential = self._plan.exponential_backoff
        chance = self._chance() if exponential else 0.0
        pause = backoff(candidate.interval, progress.tries, exponential=exponential, chance=chance)
        progress.ready_at = event.at + max(pause, event.retry_after or 0.0)
        progress.asked_for = event.at + event.retry_after if event.retry_after else 0.0
        progress.retired = progress.retired or not rule.returns
        progress.put_off = rule.put_off

    def _stays(self, event: AttemptFailed) -> bool:
        """Return whether the same candidate is tried again; put it off if it would be, but not now."""
        rule = self._plan.rules[event.kind]
        progress = self._progress[self._candidate]
        if not self._has_tries(self._candidate):
            return False
        if rule.next is Next.NEXT:  # the next one is the same one, where there is no other
            stays = not progress.retired and len(self._plan.candidates) == 1
        else:
            taken = progress.same.get(event.kind, 0)
            progress.same[event.kind] = taken + 1
            stays = rule.retries is None or taken < rule.retries
        if stays and (progress.ready_at >= self._deadline or self._asks_too_much(progress, event.at)):
            progress.put_off = True
            return False
        return stays

    def _onward(self, at: float) -> Iterator[int]:
        """Yield the candidates that may come after this one, the best first; see the module's docstring."""
        everyone = range(len(self._plan.candidates))
        progress = self._progress
        for candidate in everyone[self._candidate + 1 :]:
            prompt = not self._asks_too_much(progress[candidate], at)
            if prompt and self._has_tries(candidate) and not progress[candidate].retired:
                yield candidate
        returning = [candidate for candidate in everyone if not progress[candidate].retired]
        if self._cycle < self._plan.max_cycles and returning:
            self._begin_cycle(at)
            ready = [candidate for candidate in returning if not progress[candidate].put_off]
            yield from ready or sorted(returning, key=lambda candidate: progress[candidate].ready_at)
        left = [candidate for candidate in everyone if progress[candidate].put_off and self._has_tries(candidate)]
        yield from sorted(left, key=lambda candidate: (progress[candidate].retired, progress[candidate].ready_at))

    def _begin_cycle(self, at: float) -> None:
        self._cycle += 1
        for progress in self._progress:
            if not progress.retired:
                progress.tries_in_cycle = 0
                progress.same.clear()
                progress.put_off = self._asks_too_much(progress, at)

    def _go(self, candidate: int, at: float) -> Command:
        self._candidate = candidate
        progress = self._progress[candidate]
        progress.put_off = False
        return Wait(progress.ready_at) if progress.ready_at > at else self._try(at)

    def _has_tries(self, candidate: int) -> bool:
        return self._progress[candidate].tries_in_cycle < self._plan.candidates[candidate].attempts

    def _asks_too_much(self, progress: _Progress, at: float) -> bool:
        """Return whether the upstream asks for a longer wait than is taken while another candidate is left."""
        return progress.asked_for - at > self._plan.max_wait

    def _give_up(self, at: float, *, spent: bool) -> GiveUp:
        asked_for = [progress.asked_for - at for progress in self._progress if progress.asked_for > at]
        after = min([*asked_for, RETRY_AFTER_CAP]) if asked_for else None
        if self._shown is not None:
            _, kind, attempt = self._shown
            return GiveUp(kind, attempt, spent, after)
        return GiveUp(self._failures[-1], None, spent, after)
