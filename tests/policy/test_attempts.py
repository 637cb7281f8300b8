"""The walk over a plan, as transcripts: a rule of the module's theory each.

All times are binary fractions, so that sums are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.policy.attempts import (
    RETRY_AFTER_CAP,
    AttemptFailed,
    Attempts,
    ClientLeft,
    ContentSeen,
    Deliver,
    GiveUp,
    Started,
    Stop,
    Try,
    Wait,
    Waited,
)
from hydrallm.policy.classify import RULES, UNSAFE_RULES, Kind, Next
from hydrallm.policy.plan import Candidate, Clocks, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.policy.conftest import MakePlaybook

    from hydrallm.policy.classify import Rule

A, B, C = 0, 1, 2

SAME = [kind for kind in Kind if RULES[kind].next is Next.SAME]
AT_ONCE = [kind for kind in Kind if RULES[kind].next is Next.NEXT]
HOPELESS = [Kind.TLS, Kind.QUOTA, Kind.MISCONFIGURED]


def model(attempts: int = 1, interval: float = 0.5) -> Candidate:
    return Candidate(attempts, interval, Clocks(connect=5.0, total=32.0, first_token=128.0, idle=60.0))


def plan(
    *candidates: Candidate,
    max_cycles: int = 1,
    deadline: float = 512.0,
    max_wait: float = 4.0,
    exponential: bool = False,
    rules: Mapping[Kind, Rule] = RULES,
) -> Plan:
    return Plan(candidates, max_cycles, deadline, max_wait, exponential, rules)


# -- the course of things ----------------------------------------------------------------------------------------------


def test_the_first_model_answers(playbook: MakePlaybook) -> None:
    assert playbook(plan(model())) >> Started(8.0, stream=False) << Try(1, A, 40.0) >> ContentSeen(1) << Deliver(1)


def test_a_streaming_attempt_has_until_its_first_byte(playbook: MakePlaybook) -> None:
    assert playbook(plan(model())) >> Started(8.0, stream=True) << Try(1, A, 136.0) >> ContentSeen(1) << Deliver(1)


@pytest.mark.parametrize("kind", SAME)
def test_the_same_model_is_tried_again_an_interval_later(kind: Kind, playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, kind, 2.0)
        << Try(3, B, 34.0)
        >> ContentSeen(3)
        << Deliver(3)
    )


def test_transient_is_the_same_model_once_and_no_more(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=5), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.TRANSIENT, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, Kind.TRANSIENT, 2.0)
        << Try(3, B, 34.0)
    )


def test_transient_is_counted_for_itself(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=3, interval=0.0), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, A, 33.0)
        >> AttemptFailed(2, Kind.TRANSIENT, 2.0)
        << Try(3, A, 34.0)
        >> AttemptFailed(3, Kind.TRANSIENT, 3.0)
        << Try(4, B, 35.0)
    )


def test_transient_is_tried_once_more_in_each_cycle(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=5, interval=0.0), max_cycles=2))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.TRANSIENT, 1.0)
        << Try(2, A, 33.0)
        >> AttemptFailed(2, Kind.TRANSIENT, 2.0)
        << Try(3, A, 34.0)
        >> AttemptFailed(3, Kind.TRANSIENT, 3.0)
        << Try(4, A, 35.0)
        >> AttemptFailed(4, Kind.TRANSIENT, 4.0)
        << GiveUp(Kind.TRANSIENT, None, spent=True)
    )


@pytest.mark.parametrize("kind", AT_ONCE)
def test_some_failures_go_to_the_next_model_at_once(kind: Kind, playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=3), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << Try(2, B, 33.0)
    )


def test_an_unreachable_model_is_tried_again_if_it_is_the_only_one(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2)))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.UNREACHABLE, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, Kind.UNREACHABLE, 2.0)
        << GiveUp(Kind.UNREACHABLE, None, spent=True)
    )


@pytest.mark.parametrize("kind", HOPELESS)
def test_a_hopeless_model_is_not_tried_again_even_if_it_is_the_only_one(kind: Kind, playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=3), max_cycles=10))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << GiveUp(kind, None, spent=True)
    )


@pytest.mark.parametrize("kind", HOPELESS)
@pytest.mark.parametrize("interval", [0.5, 8.0])
@pytest.mark.parametrize("asked", [None, 2.0, 8.0])
def test_no_wait_makes_a_hopeless_model_come_back(
    kind: Kind, interval: float, asked: float | None, playbook: MakePlaybook
) -> None:
    told = None if asked is None else asked - 1.0
    assert (
        playbook(plan(model(attempts=3, interval=interval), model(), max_cycles=2))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0, retry_after=asked)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, kind, 2.0)
        << GiveUp(kind, None, spent=True, retry_after=told)
    )


def test_the_client_gets_a_client_error_as_it_is(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=3), model(), max_cycles=10))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.CLIENT_ERROR, 1.0, answered=True)
        << Deliver(1)
    )


def test_a_client_error_after_other_failures_ends_the_exchange_too(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), model(attempts=3), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=60.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.CLIENT_ERROR, 2.0, answered=True)
        << Deliver(2)
    )


def test_a_client_that_left_stops_everything(playbook: MakePlaybook) -> None:
    begun = playbook(plan(model(), model())) >> Started(0.0, stream=False) << Try(1, A, 32.0)
    assert begun >> ClientLeft() << Stop()
    assert (
        playbook(plan(model(attempts=2)))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Wait(1.5)
        >> ClientLeft()
        << Stop()
    )


# -- cycles ------------------------------------------------------------------------------------------------------------


def test_the_whole_list_is_walked_again(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model(), max_cycles=2))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Try(3, B, 34.0)
        >> AttemptFailed(3, Kind.SERVER, 2.25)
        << Wait(2.5)  # the interval of A, from its own last failure on
        >> Waited(2.5)
        << Try(4, A, 34.5)
        >> AttemptFailed(4, Kind.SERVER, 3.0)
        << Wait(3.5)
        >> Waited(3.5)
        << Try(5, A, 35.5)
        >> AttemptFailed(5, Kind.SERVER, 4.0)
        << Try(6, B, 36.0)
        >> AttemptFailed(6, Kind.SERVER, 5.0)
        << GiveUp(Kind.SERVER, None, spent=True)
    )


def test_a_retired_model_is_left_out_of_further_cycles(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), model(interval=0.0), max_cycles=3))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.MISCONFIGURED, 1.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Try(3, B, 34.0)
        >> AttemptFailed(3, Kind.SERVER, 3.0)
        << Try(4, B, 35.0)
        >> AttemptFailed(4, Kind.SERVER, 4.0)
        << GiveUp(Kind.SERVER, None, spent=True)
    )


# -- intervals and backoff ---------------------------------------------------------------------------------------------


def test_going_to_another_model_does_not_wait_for_the_failed_one(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(interval=100.0), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 33.0)
    )


def test_an_interval_is_the_users_wish_however_long_it_is(playbook: MakePlaybook) -> None:
    """``max_wait`` is about what an upstream asks for, not about what the config says."""
    assert (
        playbook(plan(model(attempts=2, interval=16.0), model(), max_wait=4.0))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Wait(17.0)
        >> Waited(17.0)
        << Try(2, A, 49.0)
        >> AttemptFailed(2, Kind.SERVER, 18.0)
        << Try(3, B, 50.0)
    )


def test_backoff_doubles_from_try_to_try_and_the_chance_is_handed_in(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=4, interval=0.5), exponential=True), chance=0.5)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Wait(3.0)
        >> Waited(3.0)
        << Try(3, A, 35.0)
        >> AttemptFailed(3, Kind.SERVER, 4.0)
        << Wait(6.0)
    )


def test_no_chance_is_drawn_without_backoff() -> None:
    def draw() -> float:
        raise AssertionError("drawn")

    policy = Attempts(plan(model(attempts=2)), draw)
    policy.step(Started(0.0, stream=False))
    assert policy.step(AttemptFailed(1, Kind.SERVER, 1.0)) == Wait(1.5)


# -- Retry-After -------------------------------------------------------------------------------------------------------


def test_a_short_retry_after_is_waited_for(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=4.0)
        << Wait(5.0)
        >> Waited(5.0)
        << Try(2, A, 37.0)
    )


def test_the_interval_counts_where_it_is_longer_than_the_retry_after(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2, interval=2.0), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=0.25)
        << Wait(3.0)
    )


def test_a_long_retry_after_puts_the_model_off_until_nothing_else_is_left(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=64.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0, answered=True)
        << Wait(65.0)
        >> Waited(65.0)
        << Try(3, A, 97.0)
        >> ContentSeen(3)
        << Deliver(3)
    )


def test_a_long_retry_after_of_the_only_model_is_waited_for(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2)))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=256.0)
        << Wait(257.0)
        >> Waited(257.0)
        << Try(2, A, 289.0)
    )


def test_of_several_models_put_off_the_one_that_is_ready_first_is_waited_for(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model(attempts=2)))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=64.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.RATE_LIMITED, 2.0, retry_after=32.0)
        << Wait(34.0)
        >> Waited(34.0)
        << Try(3, B, 66.0)
        >> AttemptFailed(3, Kind.SERVER, 35.0)
        << Wait(65.0)
        >> Waited(65.0)
        << Try(4, A, 97.0)
    )


def test_a_new_cycle_leaves_out_what_is_not_ready_soon(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), model(interval=0.0), max_cycles=3))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=64.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Try(3, B, 34.0)
        >> AttemptFailed(3, Kind.SERVER, 62.0)
        << Wait(65.0)  # soon enough by now
        >> Waited(65.0)
        << Try(4, A, 97.0)
    )


def test_a_model_that_no_cycle_waited_for_is_waited_for_in_the_end(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(interval=0.0), model(), max_cycles=3))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.RATE_LIMITED, 2.0, retry_after=64.0)
        << Try(3, A, 34.0)
        >> AttemptFailed(3, Kind.SERVER, 3.0)
        << Try(4, A, 35.0)
        >> AttemptFailed(4, Kind.SERVER, 4.0)
        << Wait(66.0)
        >> Waited(66.0)
        << Try(5, B, 98.0)
        >> ContentSeen(5)
        << Deliver(5)
    )


def test_where_all_have_to_wait_long_the_next_cycle_begins_with_the_first_ready(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), model(), max_cycles=2))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.OVERLOADED, 1.0, retry_after=64.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.OVERLOADED, 2.0, retry_after=32.0)
        << Wait(34.0)
        >> Waited(34.0)
        << Try(3, B, 66.0)
        >> AttemptFailed(3, Kind.OVERLOADED, 34.0)
        << Wait(65.0)
        >> Waited(65.0)
        << Try(4, A, 97.0)
    )


def test_transient_is_tried_once_more_whatever_it_asks_for(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=5)))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.TRANSIENT, 1.0, retry_after=8.0)
        << Wait(9.0)
        >> Waited(9.0)
        << Try(2, A, 41.0)
        >> AttemptFailed(2, Kind.TRANSIENT, 10.0, retry_after=8.0)
        << GiveUp(Kind.TRANSIENT, None, spent=True, retry_after=8.0)
    )


# -- silence -----------------------------------------------------------------------------------------------------------


def test_a_silent_model_is_not_asked_twice_while_another_is_left(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model(interval=0.0), max_cycles=2))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SLOW_START, 32.0)
        << Try(2, B, 64.0)
        >> AttemptFailed(2, Kind.SERVER, 33.0)
        << Try(3, B, 65.0)  # the second cycle, without A
        >> AttemptFailed(3, Kind.SERVER, 34.0)
        << Try(4, A, 66.0)  # what its cycle left it
        >> AttemptFailed(4, Kind.SLOW_START, 66.0)
        << GiveUp(Kind.SLOW_START, None, spent=True)
    )


def test_a_silent_model_is_asked_again_if_it_is_the_only_one_but_gets_no_further_cycle(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2, interval=0.0), max_cycles=10))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SLOW_START, 32.0)
        << Try(2, A, 64.0)
        >> AttemptFailed(2, Kind.SLOW_START, 64.0)
        << GiveUp(Kind.SLOW_START, None, spent=True)
    )


def test_a_model_that_asked_for_time_goes_before_a_silent_one(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model(attempts=2)))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=64.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SLOW_START, 33.0)
        << Wait(65.0)
        >> Waited(65.0)
        << Try(3, A, 97.0)
        >> AttemptFailed(3, Kind.SERVER, 66.0)
        << Try(4, B, 98.0)
    )


# -- the deadline ------------------------------------------------------------------------------------------------------


def test_no_attempt_lasts_beyond_the_deadline(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), model(), deadline=40.0))
        >> Started(8.0, stream=False)
        << Try(1, A, 40.0)
        >> AttemptFailed(1, Kind.SERVER, 20.0)
        << Try(2, B, 48.0)
    )


def test_a_failure_at_the_deadline_is_the_end(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=5), model(), deadline=32.0))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SLOW_START, 32.0)
        << GiveUp(Kind.SLOW_START, None, spent=True)
    )


def test_a_wait_that_lasted_too_long_is_the_end(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), deadline=32.0))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 31.0)
        << Wait(31.5)
        >> Waited(32.0)  # a busy loop wakes late
        << GiveUp(Kind.SERVER, None, spent=True)
    )


@pytest.mark.parametrize("kind", [*SAME, Kind.UNREACHABLE])
def test_no_wait_ends_at_the_deadline(kind: Kind, playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), deadline=32.0, max_cycles=2))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 31.5)
        << GiveUp(kind, None, spent=False)
    )


def test_a_retry_after_beyond_the_deadline_takes_the_model_out(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), model(), max_cycles=2))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=512.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.MISCONFIGURED, 2.0)
        << GiveUp(Kind.MISCONFIGURED, None, spent=False, retry_after=RETRY_AFTER_CAP)
    )


def test_stopping_before_a_wait_that_is_too_long_is_not_being_spent(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), deadline=40.0))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=64.0)
        << GiveUp(Kind.RATE_LIMITED, 1, spent=False, retry_after=64.0)
    )


@pytest.mark.parametrize("kind", AT_ONCE)
def test_tries_that_would_not_have_been_used_anyway_do_not_count_as_stopping_early(
    kind: Kind, playbook: MakePlaybook
) -> None:
    left = kind is Kind.SLOW_START  # its tries would have been used in the end
    assert (
        playbook(plan(model(), model(attempts=3), deadline=32.0))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 32.0)
        >> AttemptFailed(2, kind, 31.75)
        << GiveUp(kind, None, spent=not left)
    )


def test_a_wait_that_nobody_would_have_made_is_being_spent(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), deadline=40.0))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=64.0)
        << GiveUp(Kind.RATE_LIMITED, 1, spent=True, retry_after=64.0)
    )


# -- what the client is told in the end --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "shown"),
    [
        (Kind.SERVER, Kind.SERVER, 2),
        (Kind.RATE_LIMITED, Kind.SERVER, 1),
        (Kind.SERVER, Kind.RATE_LIMITED, 2),
        (Kind.RATE_LIMITED, Kind.OVERLOADED, 2),
        (Kind.SERVER, Kind.MISCONFIGURED, 1),
        (Kind.SERVER, Kind.QUOTA, 1),
        (Kind.QUOTA, Kind.SERVER, 2),
        (Kind.MISCONFIGURED, Kind.MISCONFIGURED, 2),
    ],
)
def test_the_most_useful_error_is_shown_and_of_equals_the_last(
    first: Kind, second: Kind, shown: int, playbook: MakePlaybook
) -> None:
    assert (
        playbook(plan(model(), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, first, 1.0, answered=True)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, second, 2.0, answered=True)
        << GiveUp((first, second)[shown - 1], shown, spent=True)
    )


def test_an_error_that_came_is_shown_rather_than_one_that_did_not(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0, answered=True)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.CUT, 2.0)
        << GiveUp(Kind.SERVER, 1, spent=True)
    )


def test_the_smallest_retry_after_that_is_not_over_is_told(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(), model(), model()))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=1.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.RATE_LIMITED, 2.0, retry_after=64.0)
        << Try(3, C, 34.0)
        >> AttemptFailed(3, Kind.RATE_LIMITED, 4.0, retry_after=100.0)
        << GiveUp(Kind.RATE_LIMITED, None, spent=True, retry_after=62.0)
    )


def test_what_would_be_shown_is_known_all_the_time() -> None:
    policy = Attempts(plan(model(), model(), model()), lambda: 0.5)
    policy.step(Started(0.0, stream=False))
    assert policy.shown is None
    policy.step(AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True))
    assert policy.shown == 1
    policy.step(AttemptFailed(2, Kind.SERVER, 1.0, answered=True))
    assert policy.shown == 1


# -- requests that must not be made twice ------------------------------------------------------------------------------


def test_an_unsafe_request_is_made_again_while_no_connection_was_made(playbook: MakePlaybook) -> None:
    assert (
        playbook(plan(model(attempts=2), rules=UNSAFE_RULES))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.UNREACHABLE, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
    )


@pytest.mark.parametrize("kind", sorted(set(Kind) - {Kind.UNREACHABLE, Kind.TLS}))
def test_an_unsafe_request_that_may_have_arrived_is_not_made_again(kind: Kind, playbook: MakePlaybook) -> None:
    begun = playbook(plan(model(attempts=3), max_cycles=10, rules=UNSAFE_RULES))
    assert (
        begun
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << GiveUp(kind, None, spent=False)
    )
    assert (
        playbook(plan(model(attempts=3), max_cycles=10, rules=UNSAFE_RULES))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0, answered=True)
        << Deliver(1)
    )
