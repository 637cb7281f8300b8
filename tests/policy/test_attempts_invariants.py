"""What holds in every exchange, whatever the config says and whatever goes wrong.

Hypothesis makes a plan, a course of failures and a clock; a referee that knows nothing of the policy's inside watches.
"""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import example, given, settings
from hypothesis import strategies as st

from hydrallm.policy.attempts import RETRY_AFTER_CAP, Attempts
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.budget import Budget
from hydrallm.policy.commands import Command, Deliver, GiveUp, Try, Wait
from hydrallm.policy.events import AttemptFailed, ContentSeen, Started, Waited
from hydrallm.policy.kinds import RULES, UNSAFE_RULES, Kind, Next
from hydrallm.policy.plan import Candidate, Clocks, Plan


class Failure(NamedTuple):
    """How an attempt goes wrong, and after how many seconds."""

    kind: Kind
    seconds: float
    answered: bool
    retry_after: float | None


class Course(NamedTuple):
    """What happens, attempt by attempt; after the last failure the upstream answers."""

    failures: list[Failure]
    oversleeps: float
    chance: float


KINDS = [kind for kind in Kind if kind not in {Kind.REPHRASED, Kind.UNSERVED}]  # test_attempts_forms.py has these

seconds = st.sampled_from([0.0, 0.1, 0.5, 1.0, 4.9, 5.0, 5.1, 30.0, 60.0])
clocks = st.builds(Clocks, st.just(5.0), st.sampled_from([1.0, 3.0]), st.sampled_from([2.0, 120.0]), st.just(60.0))
candidates = st.builds(Candidate, st.integers(1, 4), seconds, clocks)
plans = st.builds(
    Plan,
    st.lists(candidates, min_size=1, max_size=4).map(tuple),
    st.integers(1, 3),
    st.sampled_from([10.0, 100.0, 600.0]),
    st.sampled_from([0.2, 5.0, 60.0]),
    st.booleans(),
    st.sampled_from([RULES] * 9 + [UNSAFE_RULES]),
)
failures = st.builds(
    Failure,
    # The long courses are the interesting ones, and a client's error ends any of them.
    st.sampled_from([kind for kind in KINDS if kind is not Kind.CLIENT_ERROR] * 3 + [Kind.CLIENT_ERROR]),
    st.sampled_from([0.0, 0.1, 0.5, 1.0, 5.0]),
    st.booleans(),
    st.none() | seconds | st.sampled_from([120.0, 599.0, 86_400.0]),
)
courses = st.builds(
    Course,
    st.lists(failures, max_size=4) | st.lists(failures, min_size=40, max_size=60),
    st.sampled_from([0.0, 0.001, 0.3, 7.0]),
    st.floats(0.0, 1.0, exclude_max=True),
)


class Referee:
    """Plays a course against a policy and checks each command."""

    def __init__(self, plan: Plan, course: Course, *, stream: bool) -> None:
        self.plan = plan
        self.course = course
        self.stream = stream
        self.now = 1000.0
        self.deadline = self.now + plan.deadline
        self.tries: list[tuple[int, float]] = []
        self.failed: list[tuple[int, Failure, float]] = []
        self.end: Deliver | GiveUp | None = None

    def play(self) -> None:
        policy = Attempts(self.plan, lambda: self.course.chance, [Breaker() for _ in self.plan.candidates], Budget())
        command: Command = policy.step(Started(self.now, self.stream))
        bound = 2 * sum(candidate.attempts for candidate in self.plan.candidates) * self.plan.max_cycles + 1
        for _ in range(bound):
            match command:
                case Try():
                    command = policy.step(self.attempt(command))
                case Wait(until=until):
                    assert self.now < until < self.deadline
                    self.now = until + self.course.oversleeps
                    command = policy.step(Waited(self.now))
                    assert isinstance(command, Try | GiveUp), "no wait after a wait"
                case Deliver() | GiveUp():
                    self.end = command
                    return
                case _:
                    raise AssertionError(command)
        raise AssertionError("it does not end")

    def attempt(self, command: Try) -> AttemptFailed | ContentSeen:
        candidate = self.plan.candidates[command.candidate]
        limit = candidate.clocks.first_token if self.stream else candidate.clocks.total
        assert command.attempt == len(self.tries) + 1, "attempts are numbered in order"
        assert self.now < self.deadline, "an attempt starts after the deadline"
        assert command.expires == min(self.now + limit, self.deadline)
        self.check_patience(command.candidate)
        self.check_silence(command.candidate)
        self.tries.append((command.candidate, self.now))
        if len(self.tries) > len(self.course.failures):
            return ContentSeen(command.attempt, self.now, complete=True)
        failure = self.course.failures[len(self.tries) - 1]
        self.now = command.expires if failure.kind is Kind.SLOW_START else self.now + failure.seconds
        self.failed.append((command.candidate, failure, self.now))
        return AttemptFailed(command.attempt, failure.kind, self.now, failure.answered, failure.retry_after)

    def check_patience(self, chosen: int) -> None:
        """Check that the candidate had its interval and the time it asked for."""
        last = [(failure, at) for candidate, failure, at in self.failed if candidate == chosen][-1:]
        for failure, at in last:
            if failure.retry_after is not None:
                assert self.now >= at + failure.retry_after
            if not self.plan.exponential_backoff:
                assert self.now >= at + self.plan.candidates[chosen].interval

    def check_silence(self, chosen: int) -> None:
        """Check that a silent candidate is not asked again while another one could be."""
        if self.failed and self.failed[-1][0] == chosen and self.failed[-1][1].kind is Kind.SLOW_START:
            at = self.failed[-1][2]
            assert not [other for other in self.left() if other != chosen and self.ready(other) <= at]

    def left(self) -> list[int]:
        """Return the candidates that have not been retired, nor tried as often as they ever may be."""
        return [
            number
            for number, candidate in enumerate(self.plan.candidates)
            if all(self.plan.rules[failure.kind].returns for which, failure, _ in self.failed if which == number)
            and self.count(number) < candidate.attempts * self.plan.max_cycles
            and not self.gave_way(number)
        ]

    def gave_way(self, number: int) -> bool:
        """Return whether the candidate's turn in the last cycle is over, by a failure that uses up the turn."""
        kinds = {failure.kind for which, failure, _ in self.failed if which == number}
        return bool(kinds & {Kind.UNREACHABLE, Kind.TRANSIENT})

    def ready(self, number: int) -> float:
        """Return the earliest time at which the candidate may be tried."""
        ends = [at + max(failure.retry_after or 0.0, 30.0) for which, failure, at in self.failed if which == number]
        return max(ends, default=0.0)

    def count(self, number: int) -> int:
        return sum(candidate == number for candidate, _ in self.tries)


@settings(max_examples=500)
@given(plans, courses, st.booleans())
@example(
    Plan((Candidate(1, 0.0, Clocks(5.0, 1.0, 2.0, 60.0)),) * 2, 3),
    Course([Failure(Kind.SLOW_START, 0.0, False, None), *[Failure(Kind.SERVER, 0.0, True, 60.0)] * 9], 0.0, 0.5),
    False,
)
def test_every_exchange_keeps_the_rules(plan: Plan, course: Course, stream: bool) -> None:
    referee = Referee(plan, course, stream=stream)
    referee.play()
    for number, candidate in enumerate(plan.candidates):
        assert referee.count(number) <= candidate.attempts * plan.max_cycles
    match referee.end:
        case Deliver(attempt=attempt):
            assert attempt == len(referee.tries), "what is delivered is what came last"
            last = referee.failed[attempt - 1][1] if len(referee.failed) == attempt else None
            assert last is None or (plan.rules[last.kind].next is Next.RETURN and last.answered)
        case GiveUp() as end:
            check_end(referee, end)
        case _:
            raise AssertionError("it neither delivers nor gives up")


def check_end(referee: Referee, end: GiveUp) -> None:
    """Check that giving up was right, and what the client is told."""
    plan = referee.plan
    _, last, _ = referee.failed[-1]
    if plan.rules[last.kind].next is Next.RETURN:
        assert not last.answered
        assert not end.spent
        return
    if referee.now < referee.deadline:
        untried = [number for number in range(len(plan.candidates)) if not referee.count(number)]
        assert not untried, "a candidate that was never tried is never put off"
        hopeful = [
            number
            for number in referee.left()
            if referee.count(number) == 1  # how many a cycle left it cannot be seen from outside
            and not plan.exponential_backoff
            and waits_until(referee, number) < referee.deadline
        ]
        assert not hopeful, "a candidate was given one try, and could have been given another in time"
    else:
        assert end.spent
    if not end.spent:
        assert any(waits_until(referee, number) >= referee.deadline for number in range(len(plan.candidates)))
    assert end.retry_after is None or 0.0 < end.retry_after <= RETRY_AFTER_CAP
    check_shown(referee, end)


def waits_until(referee: Referee, number: int) -> float:
    """Return when the candidate is ready, backoff at its longest."""
    pause = 60.0 if referee.plan.exponential_backoff else referee.plan.candidates[number].interval
    _, failure, at = [entry for entry in referee.failed if entry[0] == number][-1]
    return at + max(pause, failure.retry_after or 0.0)


def check_shown(referee: Referee, end: GiveUp) -> None:
    """Check that an upstream's own error is shown where there is one, and that it is the one it is said to be."""
    shown = [failure.answered and referee.plan.rules[failure.kind].rank > 0 for _, failure, _ in referee.failed]
    answered = [number for number, show in enumerate(shown, start=1) if show]
    assert (end.attempt is None) == (not answered)
    if end.attempt is not None:
        assert end.attempt in answered
        assert referee.failed[end.attempt - 1][1].kind is end.kind
    else:
        assert end.kind is referee.failed[-1][1].kind


@given(plans.filter(lambda plan: plan.max_cycles == 1), courses, st.booleans())
def test_in_one_cycle_no_model_is_tried_more_often_than_configured(plan: Plan, course: Course, stream: bool) -> None:
    referee = Referee(plan, course, stream=stream)
    referee.play()
    for number, candidate in enumerate(plan.candidates):
        assert referee.count(number) <= candidate.attempts


@given(plans, st.lists(failures.filter(lambda failure: failure.kind is not Kind.CLIENT_ERROR), max_size=60))
def test_the_first_tries_are_in_the_order_of_the_chain(plan: Plan, course: list[Failure]) -> None:
    referee = Referee(plan, Course(course, 0.0, 0.5), stream=False)
    referee.play()
    seen = list(dict.fromkeys(candidate for candidate, _ in referee.tries))
    assert seen == list(range(len(seen)))
