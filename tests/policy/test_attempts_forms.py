"""Models that a request cannot be put to, and models that take it in another form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from hydrallm.policy.attempts import Attempts
from hydrallm.policy.breaker import Breaker, State
from hydrallm.policy.budget import Budget
from hydrallm.policy.commands import Command, Deliver, GiveUp, Try, Wait
from hydrallm.policy.events import AttemptFailed, ContentSeen, Started, Unserved, Waited
from hydrallm.policy.kinds import RULES, Kind
from hydrallm.policy.plan import Candidate, Clocks, Plan

if TYPE_CHECKING:
    from tests.policy.conftest import MakePlaybook

A, B, C = 0, 1, 2


# -- who cannot be asked -----------------------------------------------------------------------------------------------


def test_who_cannot_be_asked_is_passed_over_and_counts_as_no_attempt(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> Unserved(0.0)
        << Try(1, B, 32.0)
        >> ContentSeen(1, 1.0, complete=True)
        << Deliver(1)
    )


def test_where_nobody_can_be_asked_the_exchange_is_over(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, max_cycles=3)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> Unserved(0.0)
        << Try(1, B, 32.0)
        >> Unserved(0.0)
        << GiveUp(Kind.UNSERVED, None, spent=True)
    )


def test_who_cannot_be_asked_is_not_asked_in_a_later_cycle_either(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, max_cycles=2)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> Unserved(0.0)
        << Try(1, B, 32.0)
        >> AttemptFailed(1, Kind.UNREACHABLE, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, B, 33.5)
        >> AttemptFailed(2, Kind.UNREACHABLE, 2.0)
        << GiveUp(Kind.UNREACHABLE, None, spent=True)
    )


def test_an_error_of_one_who_was_asked_says_more_than_those_who_were_not(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, max_cycles=1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0, answered=True)
        << Try(2, B, 33.0)
        >> Unserved(1.0)
        << GiveUp(Kind.SERVER, 1, spent=True)
    )


def test_the_probe_of_one_who_cannot_be_asked_is_left_to_the_next(playbook: MakePlaybook) -> None:
    breaker = Breaker()
    breaker.failed(Kind.MISCONFIGURED, RULES[Kind.MISCONFIGURED], 0.0, probe=False, began=0.0)
    play = playbook(1, breakers=[breaker]) >> Started(64.0, stream=False) << Try(1, A, 96.0)
    assert play >> Unserved(64.0) << GiveUp(Kind.UNSERVED, None, spent=True)
    assert breaker.state is State.HALF_OPEN
    assert breaker.admits(64.0)


FAILURES = st.sampled_from([Kind.SERVER, Kind.UNREACHABLE, Kind.RATE_LIMITED, Kind.SLOW_START, Kind.TRANSIENT, None])


def course(plan: Plan, out: frozenset[int], failures: list[Kind | None]) -> list[object]:
    """Return what the policy says of a course, with the candidates by their place among those that can be asked."""
    place = {who: at for at, who in enumerate(who for who in range(len(plan.candidates)) if who not in out)}
    policy = Attempts(plan, lambda: 0.5, [Breaker() for _ in plan.candidates], Budget())
    command: Command = policy.step(Started(0.0, stream=False))
    now, said = 0.0, list[object]()
    for kind in [*failures, None]:
        while isinstance(command, Wait) or (isinstance(command, Try) and command.candidate in out):
            if isinstance(command, Wait):
                now = command.until
                said.append(command)
                command = policy.step(Waited(now))
            else:
                command = policy.step(Unserved(now))
        if not isinstance(command, Try):
            break
        said.append((command.attempt, place[command.candidate], command.expires))
        now += 0.25
        number = command.attempt
        command = policy.step(AttemptFailed(number, kind, now) if kind else ContentSeen(number, now, complete=True))
    return [*said, command]


@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=4), st.lists(FAILURES, max_size=9))
def test_it_is_as_if_the_plan_had_only_those_that_can_be_asked(
    chain: list[tuple[int, bool]], failures: list[Kind | None]
) -> None:
    def candidate(attempts: int) -> Candidate:
        return Candidate(attempts, 0.5, Clocks(4.0, 32.0, 128.0, 64.0))

    out = frozenset(at for at, (_, can) in enumerate(chain) if not can)
    whole = Plan(tuple(candidate(attempts) for attempts, _ in chain), max_cycles=2)
    rest = Plan(tuple(candidate(attempts) for attempts, can in chain if can), max_cycles=2)
    if rest.candidates:
        assert course(whole, out, failures) == course(rest, frozenset(), failures)


# -- who is asked in other words ---------------------------------------------------------------------------------------


def test_who_takes_it_in_another_form_is_asked_at_once_and_beyond_its_attempts(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.REPHRASED, 1.0, answered=True)
        << Try(2, A, 33.0)
        >> ContentSeen(2, 2.0, complete=True)
        << Deliver(2)
    )


def test_its_attempts_are_all_left_to_it(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.REPHRASED, 1.0)
        << Try(2, A, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Wait(2.5)
        >> Waited(2.5)
        << Try(3, A, 34.5)
        >> AttemptFailed(3, Kind.SERVER, 3.0)
        << Try(4, B, 35.0)
        >> ContentSeen(4, 4.0, complete=True)
        << Deliver(4)
    )


def test_it_costs_nothing_and_says_nothing_against_the_model(playbook: MakePlaybook) -> None:
    breaker, budget = Breaker(), Budget(0.0, 0.0, 0.0)
    play = playbook(1, breakers=[breaker], budget=budget) >> Started(0.0, stream=False) << Try(1, A, 32.0)
    assert (
        play
        >> AttemptFailed(1, Kind.REPHRASED, 1.0)
        << Try(2, A, 33.0)
        >> ContentSeen(2, 1.0, complete=True)
        << (Deliver(2))
    )
    assert breaker.cause is None


def test_it_cannot_go_on_for_ever(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, max_cycles=1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.REPHRASED, 1.0)
        << Try(2, A, 33.0)
        >> AttemptFailed(2, Kind.REPHRASED, 2.0)
        << Try(3, A, 34.0)
        >> AttemptFailed(3, Kind.REPHRASED, 3.0)
        << Try(4, B, 35.0)
        >> ContentSeen(4, 4.0, complete=True)
        << Deliver(4)
    )
