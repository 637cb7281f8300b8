"""The walk over a plan: events in, commands out.

PURE. Theory of operation
=========================

A plan is a list of candidates, walked from the first to the last; a walk is a *cycle*, and there may be several. The
policy is at one candidate at a time. After a failure the table in :mod:`hydrallm.policy.kinds` says where to go:

* ``SAME``: the same candidate, while it has tries left in this cycle;
* ``NEXT``: the candidates behind it, then a new cycle;
* ``RETURN``: the upstream's answer goes to the client, and where it sent none, the exchange is given up.

A candidate is *ready* again an interval (or backoff) after its last failure, or when its Retry-After says so, whichever
is later. Going to another candidate does not wait for the failed one. A Retry-After of at most ``max_wait`` is waited
for as it comes; a longer one *puts the candidate off*: others go first, and only when none is left is it waited for. No
wait passes the deadline: a candidate that is not ready by then is out of the exchange.

A candidate that the request cannot be put to is *out*: it is passed over as if it were not in the plan.

A candidate is *retired* (no further cycle) by failures that time does not heal. A silent one is retired too, but put
off: the tries that its cycle left it are used before the exchange is given up.

What other exchanges have met is remembered by a breaker for each candidate, and retries are paid for from one budget.
A candidate whose breaker is open, or whose cooldown is not over, is skipped while another is left in the cycle. When
none is, it gets one try all the same: neither breaker nor budget ever denies a candidate its first try in an exchange,
and only a short cooldown is waited for before it. An exchange that has already been let in goes on by its plan when the
breaker opens behind it.

The states and what ends them::

    start ──Started──> trying ──ContentSeen──> delivered ──AnswerEnded──> over
                       │    ^                      │
           AttemptFailed    │ Waited               │ AttemptFailed
                       v    │                      v
                      waiting                  broken off        (any) ──ClientLeft──> over
    trying ──AttemptFailed──> given up

Exactly one of ``Deliver`` and ``GiveUp`` ends the trying, unless the client left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

import msgspec

from hydrallm.policy.backoff import backoff
from hydrallm.policy.breaker import Breaker, State
from hydrallm.policy.commands import BreakOff, Command, Deliver, GiveUp, Stop, Try, Wait
from hydrallm.policy.events import AnswerEnded, AttemptFailed, ClientLeft, ContentSeen, Event, Started, Unserved, Waited
from hydrallm.policy.kinds import Kind, Next

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hydrallm.policy.budget import Budget
    from hydrallm.policy.plan import Plan

RETRY_AFTER_CAP = 120.0
"""Seconds; the longest Retry-After that a client is told."""

ENOUGH = 1.0
"""Seconds; a Retry-After shorter than that does not keep a model from being asked all the time."""

STAGGER = 1.0
"""Seconds over which those who waited for the same cooldown are spread."""


class _Progress(msgspec.Struct):
    """What has happened to one candidate in this exchange.

    Attributes:
        breaker: what is remembered of it from other exchanges.
        tries: how often it was tried.
        tries_in_cycle: how often in this cycle.
        same: how often each kind has led to the same candidate in this cycle.
        began: when its current try began.
        probing: whether that is the breaker's probe.
        hurried: whether the deadline leaves it less time than its clock.
        ready_at: when it may be tried again.
        asked_for: the end of the upstream's own Retry-After; 0 if it named none.
        retired: whether it takes no part in further cycles.
        put_off: whether others go first.
        let_in: whether its breaker has let this exchange in, and not for a probe that failed.
        counted: whether its breaker has counted this exchange as a failure.
        out: whether the request cannot be put to it.
    """

    breaker: Breaker
    tries: int = 0
    tries_in_cycle: int = 0
    same: dict[Kind, int] = {}
    began: float = 0.0
    probing: bool = False
    hurried: bool = False
    ready_at: float = 0.0
    asked_for: float = 0.0
    retired: bool = False
    put_off: bool = False
    let_in: bool = False
    counted: bool = False
    out: bool = False


class Attempts:
    """The policy of one exchange.

    Args:
        plan: what may be tried.
        chance: returns random numbers from [0, 1), for the jitter.
        breakers: what is remembered of each candidate.
        budget: pays for retries.
    """

    __slots__ = (
        "_budget", "_candidate", "_chance", "_cycle", "_deadline", "_delivered", "_denied", "_failures", "_number",
        "_plan", "_progress", "_retrying", "_shown", "_stream",
    )  # fmt: skip

    def __init__(self, plan: Plan, chance: Callable[[], float], breakers: Sequence[Breaker], budget: Budget) -> None:
        self._plan = plan
        self._chance = chance
        self._budget = budget
        self._progress = [_Progress(breaker) for breaker in breakers]
        self._cycle = 1
        self._candidate = -1
        self._number = 0
        self._deadline = 0.0
        self._stream = False
        self._retrying = False
        self._delivered = False
        self._denied = False
        """Whether a try was left out that the plan had allowed."""
        self._shown: tuple[int, Kind, int] | None = None
        """Rank, kind and number of the attempt whose error response is the most useful so far."""
        self._failures: list[Kind] = []

    def step(self, event: Event) -> Command:
        """Return what to do after ``event``."""
        match event:
            case Started():
                return self._start(event)
            case AttemptFailed():
                return self._after(event)
            case ContentSeen():
                return self._deliver(event)
            case Unserved(at=at):
                return self._pass_over(at)
            case Waited(at=at):
                return self._try(at) if at < self._deadline else self._give_up(at, spent=True)
            case AnswerEnded(at=at):
                progress = self._progress[self._candidate]
                progress.breaker.passed(at, began=progress.began)
            case ClientLeft(at=at):
                self._release(at)
            case _:
                assert_never(event)
        return Stop()

    @property
    def shown(self) -> int | None:
        """The number of the attempt whose error response would be shown if the exchange were given up now."""
        return self._shown[2] if self._shown else None

    # -- what happened -----------------------------------------------------------------------------------------------

    def _start(self, event: Started) -> Command:
        self._deadline = event.at + self._plan.deadline
        self._stream = event.stream
        self._retrying = event.retrying
        self._budget.deposit()
        if self._progress[0].breaker.admits(event.at):  # as nearly always
            self._candidate = 0
            return self._try(event.at)
        return self._choose(event.at)

    def _deliver(self, event: ContentSeen) -> Deliver:
        progress = self._progress[self._candidate]
        if event.complete or progress.probing:
            progress.breaker.passed(event.at, began=progress.began)  # a probe need not last as long as the answer does
            progress.probing = False
        self._delivered = True
        return Deliver(event.attempt)

    def _release(self, at: float) -> None:
        progress = self._progress[self._candidate]
        if progress.probing:
            progress.breaker.release(at, began=progress.began)
            progress.probing = False

    def _pass_over(self, at: float) -> Command:
        """Go on from a candidate that was not asked."""
        self._release(at)
        self._number -= 1
        progress = self._progress[self._candidate]
        progress.out = progress.retired = True
        if self._alone() and self._failures and self._plan.rules[self._failures[-1]].next is Next.NEXT:
            self._candidate = -1  # the next one, to which that failure led, turns out to be the same one
        return self._choose(at)

    def _after(self, event: AttemptFailed) -> Command:
        rule = self._plan.rules[event.kind]
        self._remember(event)
        if self._delivered:
            return BreakOff(event.attempt, event.kind)
        if rule.next is Next.RETURN:
            return Deliver(event.attempt) if event.answered else GiveUp(event.kind, None, spent=False)
        self._note(event)
        if event.at >= self._deadline:
            return self._give_up(event.at, spent=True)
        return self._go(self._candidate, event.at) if self._stays(event) else self._choose(event.at)

    def _remember(self, event: AttemptFailed) -> None:
        """Tell the breaker."""
        rule = self._plan.rules[event.kind]
        progress = self._progress[self._candidate]
        hurried = event.kind is Kind.SLOW_START and progress.hurried
        speaks = rule.counts and not (event.personal or hurried)
        if event.retry_after is not None and speaks:
            progress.breaker.cool(event.at + event.retry_after, event.kind)
            speaks = progress.probing or not rule.cools or event.retry_after < ENOUGH
        if not speaks:
            self._release(event.at)
        elif progress.probing or rule.opens or self._delivered or not progress.counted:
            progress.breaker.failed(event.kind, rule, event.at, probe=progress.probing, began=progress.began)
            progress.counted = True
            progress.let_in = progress.let_in and not progress.probing  # it was let in for one try
        progress.probing = False

    def _note(self, event: AttemptFailed) -> None:
        rule = self._plan.rules[event.kind]
        candidate = self._plan.candidates[self._candidate]
        progress = self._progress[self._candidate]
        if not rule.free:  # what was asked in other words has not failed yet
            self._failures.append(event.kind)
        if event.answered and rule.rank and (self._shown is None or rule.rank >= self._shown[0]):
            self._shown = (rule.rank, event.kind, event.attempt)
        exponential = self._plan.exponential_backoff
        chance = self._chance() if exponential else 0.0
        pause = (
            0.0 if rule.free else backoff(candidate.interval, progress.tries, exponential=exponential, chance=chance)
        )
        progress.ready_at = event.at + max(pause, event.retry_after or 0.0)
        progress.asked_for = event.at + event.retry_after if event.retry_after else 0.0
        progress.retired = progress.retired or not rule.returns
        progress.put_off = rule.put_off

    # -- what to do next ---------------------------------------------------------------------------------------------

    def _try(self, at: float) -> Try:
        self._number += 1
        progress = self._progress[self._candidate]
        progress.tries += 1
        progress.tries_in_cycle += 1
        progress.began = at
        progress.probing = progress.breaker.begin(at)
        progress.let_in = progress.let_in or progress.probing or progress.breaker.state is State.CLOSED
        clocks = self._plan.candidates[self._candidate].clocks
        limit = clocks.first_token if self._stream else clocks.total
        progress.hurried = self._deadline < at + limit
        return Try(self._number, self._candidate, min(at + limit, self._deadline))

    def _stays(self, event: AttemptFailed) -> bool:
        """Return whether the same candidate is tried again; put it off if it would be, but not now."""
        rule = self._plan.rules[event.kind]
        progress = self._progress[self._candidate]
        if not (rule.free or self._has_tries(self._candidate)):
            return False
        if rule.next is Next.NEXT:  # the next one is the same one, where there is no other
            stays = not progress.retired and self._alone()
        else:
            taken = progress.same.get(event.kind, 0)
            progress.same[event.kind] = taken + 1
            stays = rule.retries is None or taken < rule.retries
        if not stays:
            return False
        if rule.free:
            progress.tries_in_cycle -= 1
            return True
        late = progress.ready_at >= self._deadline or self._asks_too_much(progress, event.at)
        if late or progress.breaker.state is not State.CLOSED:
            progress.put_off = True
            return False
        return self._pays(progress, event.at)

    def _choose(self, at: float) -> Command:
        """Go on to the best candidate that may be tried by the deadline, or give up."""
        late = False
        for candidate in self._onward(at):
            ready_at = self._ready_at(candidate, at)
            if ready_at >= self._deadline:
                late = True  # it would be tried, were the deadline later
            elif self._pays(self._progress[candidate], at):
                until = ready_at + self._stagger(candidate, ready_at - at)
                return self._go(candidate, at, until if until < self._deadline else ready_at)
        return self._give_up(at, spent=not (late or self._denied))

    def _onward(self, at: float) -> Iterator[int]:
        """Yield the candidates that may come after this one, the best first; see the module's docstring."""
        everyone = range(len(self._plan.candidates))
        progress = self._progress
        for candidate in everyone[self._candidate + 1 :]:
            prompt = not self._asks_too_much(progress[candidate], at) and self._welcome(candidate, at)
            if prompt and self._has_tries(candidate) and not progress[candidate].retired:
                yield candidate
        yield from [c for c in everyone if not progress[c].tries and self._ready_at(c, at) <= at]
        returning = [candidate for candidate in everyone if not progress[candidate].retired]
        if self._number and self._cycle < self._plan.max_cycles and (returning := self._permitted(returning)):
            self._begin_cycle(at)
            ready = [c for c in returning if not progress[c].put_off and self._welcome(c, at)]
            yield from ready or sorted(returning, key=lambda candidate: progress[candidate].ready_at)
        left = [c for c in everyone if (progress[c].put_off or not progress[c].tries) and self._has_tries(c)]
        left = self._permitted(left)
        yield from sorted(left, key=lambda candidate: (progress[candidate].retired, self._ready_at(candidate, at)))

    def _begin_cycle(self, at: float) -> None:
        self._cycle += 1
        for progress in self._progress:
            if not progress.retired:
                progress.tries_in_cycle = 0
                progress.same.clear()
                progress.put_off = self._asks_too_much(progress, at)

    def _go(self, candidate: int, at: float, ready_at: float | None = None) -> Command:
        self._candidate = candidate
        progress = self._progress[candidate]
        progress.put_off = False
        until = progress.ready_at if ready_at is None else ready_at
        return Wait(until) if until > at else self._try(at)

    # -- questions ---------------------------------------------------------------------------------------------------

    def _alone(self) -> bool:
        """Return whether there is nobody else to ask."""
        return sum(not progress.out for progress in self._progress) == 1

    def _has_tries(self, candidate: int) -> bool:
        attempts = self._plan.candidates[candidate].attempts
        if self._retrying:
            attempts -= attempts // 2  # the client itself multiplies
        return self._progress[candidate].tries_in_cycle < attempts

    def _asks_too_much(self, progress: _Progress, at: float) -> bool:
        """Return whether the upstream asks for a longer wait than is taken while another candidate is left."""
        return progress.asked_for - at > self._plan.max_wait

    def _welcome(self, candidate: int, at: float) -> bool:
        """Return whether what is remembered of a candidate speaks for it; its cooldown counts once, as its ready_at."""
        progress = self._progress[candidate]
        return not progress.breaker.blocks(at) if progress.tries else progress.breaker.admits(at)

    def _permitted(self, candidates: list[int]) -> list[int]:
        """Return those that may be tried though nothing speaks for them, because nothing else is left."""
        permitted = []
        for candidate in candidates:
            progress = self._progress[candidate]
            if not progress.tries or progress.let_in or progress.breaker.state is State.CLOSED:
                permitted.append(candidate)
            else:
                self._denied = True
        return permitted

    def _ready_at(self, candidate: int, at: float) -> float:
        """Return when a candidate may be tried.

        What others were told (the cooldown) is waited for if that is not long; else one try is as good as an answer.
        """
        progress = self._progress[candidate]
        cools_until = progress.breaker.cools_until
        if progress.tries or not at < cools_until <= min(at + self._plan.max_wait, self._deadline):
            return progress.ready_at
        return cools_until

    def _stagger(self, candidate: int, wait: float) -> float:
        """Return how much longer a cooldown is waited for, so that not all who wait for it come at the same moment."""
        return self._chance() * min(wait, STAGGER) if wait > 0.0 and not self._progress[candidate].tries else 0.0

    def _pays(self, progress: _Progress, at: float) -> bool:
        """Return whether a try may be made for all the budget cares; the first one costs nothing."""
        if not progress.tries or self._budget.withdraw(at):
            return True
        self._denied = True
        return False

    def _give_up(self, at: float, *, spent: bool) -> GiveUp:
        asked_for = [progress.asked_for - at for progress in self._progress if progress.asked_for > at]
        after = min([*asked_for, RETRY_AFTER_CAP]) if asked_for else None
        if self._shown is not None:
            _, kind, attempt = self._shown
            return GiveUp(kind, attempt, spent, after)
        if self._failures:
            return GiveUp(self._failures[-1], None, spent, after)
        # Without a failure of its own the exchange has only waited for a cooldown, and too long.
        unserved = all(progress.out for progress in self._progress)
        return GiveUp(Kind.UNSERVED if unserved else Kind.RATE_LIMITED, None, spent, after)
