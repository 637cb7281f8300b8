"""What holds for exchange after exchange, whatever the breakers and the budget remember of those before.

Hypothesis makes a chain, its upstreams' good and bad times, and the times at which clients ask; the exchanges run one
after the other over the same breakers and the same budget.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from hydrallm.policy.attempts import Attempts
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.budget import Budget
from hydrallm.policy.commands import BreakOff, Command, Deliver, GiveUp, Stop, Try, Wait
from hydrallm.policy.events import AnswerEnded, AttemptFailed, ClientLeft, ContentSeen, Started, Waited
from hydrallm.policy.kinds import RULES, Kind, Next
from hydrallm.policy.plan import Candidate, Clocks, Plan

CLOCKS = Clocks(connect=5.0, total=8.0, first_token=16.0, idle=60.0)
RECOVERY = 30.0


class Weather(NamedTuple):
    """What an upstream does from a moment on; ``kind`` None is an answer."""

    until: float
    kind: Kind | None
    seconds: float
    retry_after: float | None
    breaks_off: bool


class Call(NamedTuple):
    """A client's request."""

    pause: float
    stream: bool
    retrying: bool
    leaves: bool


class Outcome(NamedTuple):
    """What came of an exchange."""

    tries: list[tuple[int, float]]
    kinds: list[Kind]
    end: Deliver | GiveUp | Stop
    at: float


weathers = st.builds(
    Weather,
    st.floats(1.0, 200.0),
    st.none() | st.sampled_from([kind for kind in Kind if kind not in {Kind.REPHRASED, Kind.UNSERVED}]),
    st.sampled_from([0.0, 0.25, 2.0]),
    st.none() | st.sampled_from([0.5, 4.0, 60.0, 3600.0]),
    st.booleans(),
)
calls = st.builds(
    Call, st.sampled_from([0.0, 0.5, 3.0, 20.0]), st.booleans(), st.booleans(), st.sampled_from([False] * 9 + [True])
)
candidates = st.builds(Candidate, st.integers(1, 3), st.sampled_from([0.0, 0.5]), st.just(CLOCKS))
plans = st.builds(
    Plan,
    st.lists(candidates, min_size=1, max_size=3).map(tuple),
    st.integers(1, 3),
    st.sampled_from([20.0, 600.0]),
    st.just(5.0),
)
budgets = st.sampled_from([(0.2, 10.0, 100.0), (0.0, 0.0, 0.0), (0.2, 0.1, 2.0)])


class World:
    """The upstreams of a chain, and what is remembered of them."""

    def __init__(self, plan: Plan, forecasts: list[list[Weather]], budget: tuple[float, float, float]) -> None:
        self.plan = plan
        self.forecasts = forecasts
        self.breakers = [Breaker() for _ in plan.candidates]
        self.budget = Budget(*budget)
        self.now = 0.0

    def weather(self, candidate: int) -> Weather:
        forecast = self.forecasts[candidate % len(self.forecasts)]
        return next((one for one in forecast if self.now < one.until), Weather(0.0, None, 0.0, None, breaks_off=False))

    def run(self, call: Call) -> Outcome:
        self.now += call.pause
        policy = Attempts(self.plan, lambda: 0.5, self.breakers, self.budget)
        began = self.now
        tries: list[tuple[int, float]] = []
        kinds: list[Kind] = []
        command: Command = policy.step(Started(began, call.stream, call.retrying))
        while True:
            match command:
                case Try():
                    assert self.now < began + self.plan.deadline
                    assert command.expires <= began + self.plan.deadline
                    tries.append((command.candidate, self.now))
                    if call.leaves:
                        end = policy.step(ClientLeft(self.now))
                        assert isinstance(end, Stop)
                        return Outcome(tries, kinds, end, self.now)
                    weather = self.weather(command.candidate)
                    self.now = min(self.now + weather.seconds, command.expires)
                    if weather.kind is None:
                        command = policy.step(ContentSeen(command.attempt, self.now, complete=not call.stream))
                    else:
                        kinds.append(weather.kind)
                        failed = AttemptFailed(command.attempt, weather.kind, self.now, True, weather.retry_after)
                        command = policy.step(failed)
                case Wait(until=until):
                    assert self.now < until < began + self.plan.deadline
                    self.now = until
                    command = policy.step(Waited(until))
                case Deliver(attempt=attempt):
                    assert attempt == len(tries)
                    if call.stream and len(kinds) < len(tries):
                        self.now += 1.0
                        breaks_off = self.weather(tries[-1][0]).breaks_off
                        ended = (
                            AttemptFailed(attempt, Kind.CUT, self.now) if breaks_off else AnswerEnded(attempt, self.now)
                        )
                        sent = policy.step(ended)
                        assert isinstance(sent, BreakOff if breaks_off else Stop)
                    return Outcome(tries, kinds, command, self.now)
                case GiveUp():
                    return Outcome(tries, kinds, command, self.now)
                case _:
                    raise AssertionError(command)

    def end_stream(self, policy: Attempts, attempt: int, candidate: int) -> None:
        self.now += 1.0
        if self.weather(candidate).breaks_off:
            assert isinstance(policy.step(AttemptFailed(attempt, Kind.CUT, self.now)), BreakOff)
        else:
            assert isinstance(policy.step(AnswerEnded(attempt, self.now)), Stop)


@settings(max_examples=400)
@given(plans, st.lists(st.lists(weathers, max_size=4), min_size=1, max_size=3), budgets, st.lists(calls, max_size=30))
def test_no_memory_takes_an_answer_away(
    plan: Plan, forecasts: list[list[Weather]], budget: tuple[float, float, float], course: list[Call]
) -> None:
    world = World(plan, forecasts, budget)
    for call in course:
        began = world.now + call.pause
        outcome = world.run(call)
        tried = {candidate for candidate, _ in outcome.tries}
        for number, candidate in enumerate(plan.candidates):
            attempts = candidate.attempts - (candidate.attempts // 2 if call.retrying else 0)
            count = sum(which == number for which, _ in outcome.tries)
            assert count <= attempts * plan.max_cycles
        if isinstance(outcome.end, GiveUp):
            returned = bool(outcome.kinds) and RULES[outcome.kinds[-1]].next is Next.RETURN
            late = outcome.at >= began + plan.deadline
            assert returned or late or tried == set(range(len(plan.candidates))), "a model was never tried"


@settings(max_examples=200)
@given(
    st.lists(weathers.filter(lambda weather: weather.kind not in {None, Kind.QUOTA}), min_size=1, max_size=4),
    st.sampled_from([0.25, 1.0, 2.5]),
)
def test_traffic_is_back_on_a_recovered_model_in_time(bad: list[Weather], pause: float) -> None:
    """The first model has a bad time, the second is always well; clients go on asking."""
    bad = [weather._replace(retry_after=None) for weather in bad]
    world = World(Plan((Candidate(2, 0.0, CLOCKS), Candidate(2, 0.0, CLOCKS))), [bad, []], (0.2, 10.0, 100.0))
    recovered = max(weather.until for weather in bad)
    call = Call(pause, stream=False, retrying=False, leaves=False)
    while world.now <= recovered + RECOVERY:
        world.run(call)
    assert world.run(call).tries[0][0] == 0, "the first model is not asked first again"
    assert world.breakers[0].admits(world.now)
