"""The walk over a plan, as transcripts: what is waited for, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.policy.attempts import RETRY_AFTER_CAP
from hydrallm.policy.commands import Deliver, GiveUp, Try, Wait
from hydrallm.policy.events import AttemptFailed, ContentSeen, Started, Waited
from hydrallm.policy.kinds import RULES, Kind, Next

if TYPE_CHECKING:
    from tests.policy.conftest import MakePlaybook

A, B = 0, 1

SAME = [kind for kind in Kind if RULES[kind].next is Next.SAME and not RULES[kind].free]
AT_ONCE = [kind for kind in Kind if RULES[kind].next is Next.NEXT and kind is not Kind.UNSERVED]


# -- intervals and backoff ---------------------------------------------------------------------------------------------


def test_going_to_another_model_does_not_wait_for_the_failed_one(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, intervals=(100.0,))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 33.0)
    )


def test_an_interval_is_the_users_wish_however_long_it_is(playbook: MakePlaybook) -> None:
    """``max_wait`` is about what an upstream asks for, not about what the config says."""
    assert (
        playbook(2, 1, intervals=(16.0,), max_wait=4.0)
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
        playbook(4, exponential=True)
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


def test_no_chance_is_drawn_without_backoff(playbook: MakePlaybook) -> None:
    def draw() -> float:
        raise AssertionError("drawn")

    assert (
        playbook(2, chance=draw)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Wait(1.5)
    )


# -- Retry-After -------------------------------------------------------------------------------------------------------


def test_a_short_retry_after_is_waited_for(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=4.0)
        << Wait(5.0)
        >> Waited(5.0)
        << Try(2, A, 37.0)
    )


def test_the_interval_counts_where_it_is_longer_than_the_retry_after(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1, intervals=(2.0,))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=0.25)
        << Wait(3.0)
    )


def test_a_long_retry_after_puts_the_model_off_until_nothing_else_is_left(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=64.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0, answered=True)
        << Wait(65.0)
        >> Waited(65.0)
        << Try(3, A, 97.0)
        >> ContentSeen(3, 1.0, complete=True)
        << Deliver(3)
    )


def test_a_long_retry_after_of_the_only_model_is_waited_for(playbook: MakePlaybook) -> None:
    assert (
        playbook(2)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=256.0)
        << Wait(257.0)
        >> Waited(257.0)
        << Try(2, A, 289.0)
    )


def test_of_several_models_put_off_the_one_that_is_ready_first_is_waited_for(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 2)
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
        playbook(1, 1, intervals=(0.5, 0.0), max_cycles=3)
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
        playbook(1, 1, intervals=(0.0,), max_cycles=3)
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
        >> ContentSeen(5, 1.0, complete=True)
        << Deliver(5)
    )


def test_where_all_have_to_wait_long_the_next_cycle_begins_with_the_first_ready(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, max_cycles=2)
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
        playbook(5)
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
        playbook(2, 1, intervals=(0.5, 0.0), max_cycles=2)
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
        playbook(2, intervals=(0.0,), max_cycles=10)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SLOW_START, 32.0)
        << Try(2, A, 64.0)
        >> AttemptFailed(2, Kind.SLOW_START, 64.0)
        << GiveUp(Kind.SLOW_START, None, spent=True)
    )


def test_a_model_that_asked_for_time_goes_before_a_silent_one(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 2)
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
        playbook(1, 1, deadline=40.0)
        >> Started(8.0, stream=False)
        << Try(1, A, 40.0)
        >> AttemptFailed(1, Kind.SERVER, 20.0)
        << Try(2, B, 48.0)
    )


def test_a_failure_at_the_deadline_is_the_end(playbook: MakePlaybook) -> None:
    assert (
        playbook(5, 1, deadline=32.0)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SLOW_START, 32.0)
        << GiveUp(Kind.SLOW_START, None, spent=True)
    )


def test_a_wait_that_lasted_too_long_is_the_end(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, deadline=32.0)
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
        playbook(2, deadline=32.0, max_cycles=2)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 31.5)
        << GiveUp(kind, None, spent=False)
    )


def test_a_retry_after_beyond_the_deadline_takes_the_model_out(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1, max_cycles=2)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=512.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.MISCONFIGURED, 2.0)
        << GiveUp(Kind.MISCONFIGURED, None, spent=False, retry_after=RETRY_AFTER_CAP)
    )


def test_stopping_before_a_wait_that_is_too_long_is_not_being_spent(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, deadline=40.0)
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
        playbook(1, 3, deadline=32.0)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 32.0)
        >> AttemptFailed(2, kind, 31.75)
        << GiveUp(kind, None, spent=not left)
    )


def test_a_wait_that_nobody_would_have_made_is_being_spent(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, deadline=40.0)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=64.0)
        << GiveUp(Kind.RATE_LIMITED, 1, spent=True, retry_after=64.0)
    )
