"""What holds for every breaker, however the model fares and however its exchanges overlap.

Hypothesis makes a model that is down for some spans of time, and the exchanges that ask it; a referee that knows
nothing of the breaker's inside plays them in the order of time and watches.
"""

from __future__ import annotations

import heapq
import itertools
import math
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from hydrallm.policy.breaker import FIRST_OPEN, LONGEST_OPEN, Breaker, State
from hydrallm.policy.kinds import RULES, Kind

BACK_WITHIN = 30.0
"""Seconds after which a model that has recovered gets traffic again."""

KINDS = [kind for kind in Kind if RULES[kind].counts and RULES[kind].opens <= LONGEST_OPEN]


class Exchange(NamedTuple):
    """One exchange: how long after the one before it comes, and how it goes."""

    gap: float
    fails_after: float
    answers_after: float
    kind: Kind
    leaves: bool
    """Its client leaves when it has an outcome, so that it tells nothing."""
    forced: bool
    """It has no other model."""


exchanges = st.builds(
    Exchange,
    st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]),
    st.sampled_from([0.0, 0.1, 1.0, 6.0, 19.0, 21.0, 120.0]),
    st.sampled_from([0.0, 0.1, 1.0, 60.0]),
    st.sampled_from(KINDS),
    st.sampled_from([False] * 9 + [True]),
    st.sampled_from([False] * 4 + [True]),
)


class World:
    """A model that is down from time to time, and its breaker.

    Attributes:
        admitted: when exchanges that had other models were let in.
        probes: when probes began, and until when the referee knows them to be under way.
        states: the states that were told, from the first on.
    """

    def __init__(self, outages: list[tuple[float, float]]) -> None:
        self.states = [State.CLOSED]
        self.breaker = Breaker(lambda breaker: self.states.append(breaker.state))
        self.outages = outages
        self.admitted: list[float] = []
        self.probes: list[tuple[float, float]] = []
        self._order = itertools.count()
        self._ends: list[tuple[float, int, float, bool, Exchange]] = []

    def play(self, course: list[Exchange]) -> float:
        """Play the course; return when its last exchange came."""
        now = 1000.0
        for exchange in course:
            now += exchange.gap
            self.end_until(now)
            self.ask(now, exchange)
        return now

    def ask(self, now: float, exchange: Exchange) -> None:
        admitted = self.breaker.admits(now)
        if admitted:
            self.admitted.append(now)
        elif not exchange.forced:
            return
        probe = self.breaker.begin(now)
        assert admitted or not probe, "a model that nobody may ask is not probed"
        down = self.is_down(now)
        end = now + (exchange.fails_after if down else exchange.answers_after)
        if probe:
            self.check_probe(now)
            self.probes.append((now, end))
        heapq.heappush(self._ends, (end, next(self._order), now, probe, exchange))

    def is_down(self, at: float) -> bool:
        return any(begin <= at < end for begin, end in self.outages)

    def check_probe(self, now: float) -> None:
        """One probe at a time: the one before it has ended, or has hung for its period."""
        if self.probes:
            began, ends = self.probes[-1]
            assert ends <= now or now - began >= FIRST_OPEN

    def end_until(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            end, _, began, probe, exchange = heapq.heappop(self._ends)
            if exchange.leaves:
                if probe:
                    self.breaker.release(end, began=began)
            elif self.is_down(began):
                self.breaker.failed(exchange.kind, RULES[exchange.kind], end, probe=probe, began=began)
            else:
                self.breaker.passed(end, began=began)


spans = st.lists(st.tuples(st.floats(0.0, 60.0), st.floats(0.0, 60.0)), max_size=3)


def outages(lengths: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the spans from pairs of how long the model is up and then down."""
    found, at = [], 1000.0
    for up, down in lengths:
        found.append((at + up, at + up + down))
        at = found[-1][1]
    return found


@given(spans, st.lists(exchanges, min_size=1, max_size=20))
def test_a_recovered_model_gets_traffic_again_soon_as_long_as_requests_come(
    lengths: list[tuple[float, float]], pattern: list[Exchange]
) -> None:
    world = World(outages(lengths))
    recovered = max([1000.0, *(end for _, end in world.outages)])
    comes_each = [exchange._replace(gap=max(exchange.gap, 0.5)) for exchange in pattern]
    course = list(itertools.islice(itertools.cycle(comes_each), int((recovered - 1000.0 + 200.0) / 0.5)))
    last = world.play(course)
    times = [recovered, *(at for at in world.admitted if at > recovered), last]
    assert max(after - before for before, after in itertools.pairwise(times)) <= BACK_WITHIN


@given(spans, st.lists(exchanges, max_size=400))
def test_states_follow_one_another_as_drawn(lengths: list[tuple[float, float]], course: list[Exchange]) -> None:
    world = World(outages(lengths))
    world.play(course)
    drawn = {
        (State.CLOSED, State.OPEN),
        (State.OPEN, State.HALF_OPEN),
        (State.HALF_OPEN, State.OPEN),
        (State.HALF_OPEN, State.CLOSED),
        (State.OPEN, State.CLOSED),  # a forced try found out
    }
    assert set(itertools.pairwise(world.states)) <= drawn
    assert world.states[-1] is world.breaker.state


@given(st.lists(exchanges, max_size=200))
def test_a_model_that_never_fails_is_never_kept_from_anybody(course: list[Exchange]) -> None:
    world = World([])
    world.play(course)
    assert len(world.admitted) == len(course)


# -- a clock that goes wrong -------------------------------------------------------------------------------------------

times = st.floats(-1e6, 1e6)
steps = st.tuples(
    st.sampled_from(["passed", "failed", "probe failed", "release", "begin"]),
    times,
    times | st.just(math.inf),
    st.sampled_from(KINDS),
)


@given(st.lists(steps, max_size=60), st.floats(-1e6, 1e6))
def test_a_clock_that_jumps_or_stands_still_does_no_lasting_harm(
    course: list[tuple[str, float, float, Kind]], start: float
) -> None:
    """From the latest time that it has seen on, the breaker is as good as ever."""
    breaker = Breaker()
    latest = start
    for step, at, began, kind in course:
        latest = max(latest, at)
        match step:
            case "passed":
                breaker.passed(at, began=began)
            case "release":
                breaker.release(at, began=began)
            case "begin":
                breaker.begin(at)
            case _:
                breaker.failed(kind, RULES[kind], at, probe=step == "probe failed", began=began)
        assert breaker.until <= latest + LONGEST_OPEN or breaker.state is State.CLOSED
        assert breaker.admits(latest + LONGEST_OPEN)
    at = latest + LONGEST_OPEN
    breaker.begin(at)
    breaker.passed(at, began=at)
    assert breaker.state is State.CLOSED
    assert breaker.admits(at)
