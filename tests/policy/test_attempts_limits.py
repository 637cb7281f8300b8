"""The walk over a plan, as transcripts: what retries cost, and what is told after the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.policy.breaker import IN_A_ROW, Breaker, State
from hydrallm.policy.budget import Budget
from hydrallm.policy.commands import BreakOff, Deliver, GiveUp, Stop, Try, Wait
from hydrallm.policy.events import AnswerEnded, AttemptFailed, ContentSeen, Started
from hydrallm.policy.kinds import RULES, Kind

if TYPE_CHECKING:
    from tests.policy.conftest import MakePlaybook

A, B, C = 0, 1, 2


def opened(at: float = 0.0) -> Breaker:
    """Return a breaker that has just opened, for five seconds."""
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        breaker.failed(Kind.SERVER, RULES[Kind.SERVER], at, probe=False)
    assert breaker.state is State.OPEN
    assert breaker.until == at + 5.0
    return breaker


def empty() -> Budget:
    """Return a budget that pays for nothing."""
    return Budget(share=0.0, per_second=0.0, capacity=0.0)


# -- the budget --------------------------------------------------------------------------------------------------------


def test_an_empty_budget_denies_the_same_model_and_further_cycles_but_no_first_try(playbook: MakePlaybook) -> None:
    assert (
        playbook(3, 2, max_cycles=4, budget=empty())
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0, answered=True)
        << GiveUp(Kind.SERVER, 2, spent=False)
    )


def test_each_exchange_pays_in_and_each_retry_takes_out(playbook: MakePlaybook) -> None:
    budget = Budget(share=0.5, per_second=0.0, capacity=1.0)
    assert budget.withdraw(0.0)
    for start, retried in [(0.0, False), (1.0, True), (2.0, False)]:
        play = playbook(2, budget=budget) >> Started(start, stream=False) << Try(1, A, start + 32.0)
        told = Wait(start + 1.0) if retried else GiveUp(Kind.SERVER, None, spent=False)
        assert play >> AttemptFailed(1, Kind.SERVER, start + 0.5) << told


# -- a client that tries again by itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(("attempts", "left"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
def test_the_attempts_are_halved_for_a_client_that_is_itself_retrying(
    attempts: int, left: int, playbook: MakePlaybook
) -> None:
    play = playbook(attempts, intervals=(0.0,)) >> Started(0.0, stream=False, retrying=True)
    for number in range(1, left + 1):
        play = play << Try(number, A, 32.0) >> AttemptFailed(number, Kind.SERVER, 0.0)
    assert play << GiveUp(Kind.SERVER, None, spent=True)


# -- after the commit --------------------------------------------------------------------------------------------------


def test_an_answer_that_ends_is_the_end(playbook: MakePlaybook) -> None:
    assert (
        playbook(1)
        >> Started(0.0, stream=True)
        << Try(1, A, 128.0)
        >> ContentSeen(1, 1.0, complete=False)
        << Deliver(1)
        >> AnswerEnded(1, 300.0)
        << Stop()
    )


@pytest.mark.parametrize("kind", [Kind.CUT, Kind.STALLED, Kind.OVERLOADED])
def test_an_answer_that_breaks_off_is_broken_off_and_counts(kind: Kind, playbook: MakePlaybook) -> None:
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        assert breaker.state is State.CLOSED
        assert (
            playbook(3, 1, breakers=[breaker, Breaker()])
            >> Started(0.0, stream=True)
            << Try(1, A, 128.0)
            >> ContentSeen(1, 1.0, complete=False)
            << Deliver(1)
            >> AttemptFailed(1, kind, 2.0)
            << BreakOff(1, kind)
        )
    assert breaker.state is State.OPEN, "a model that always begins and never ends is no good either"


@pytest.mark.parametrize(("personal", "state"), [(True, State.CLOSED), (False, State.OPEN)])
def test_the_clients_own_empty_account_is_nobody_elses_business(
    personal: bool, state: State, playbook: MakePlaybook
) -> None:
    breaker = Breaker()
    assert (
        playbook(1, 1, breakers=[breaker, Breaker()])
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.QUOTA, 1.0, retry_after=60.0, personal=personal)
        << Try(2, B, 33.0)
    )
    assert breaker.state is state
    assert breaker.admits(1.0) is personal


@pytest.mark.parametrize(("kind", "state"), [(Kind.RATE_LIMITED, State.CLOSED), (Kind.OVERLOADED, State.OPEN)])
def test_a_rate_limit_that_says_when_to_come_back_has_said_all(
    kind: Kind, state: State, playbook: MakePlaybook
) -> None:
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        assert (
            playbook(1, deadline=16.0, breakers=[breaker])
            >> Started(0.0, stream=False)
            << Try(1, A, 16.0)
            >> AttemptFailed(1, kind, 1.0, retry_after=60.0)
            << GiveUp(kind, None, spent=True, retry_after=60.0)
        )
    assert breaker.state is state


def test_but_a_probe_that_is_limited_has_failed(playbook: MakePlaybook) -> None:
    breaker = opened()
    assert (
        playbook(1, breakers=[breaker])
        >> Started(5.0, stream=False)
        << Try(1, A, 37.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 6.0, retry_after=1.0)
        << GiveUp(Kind.RATE_LIMITED, None, spent=True, retry_after=1.0)
    )
    assert (breaker.state, breaker.until) == (State.OPEN, 15.0)
