"""The walk over a plan, as transcripts: where it goes and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.policy.commands import Deliver, GiveUp, Stop, Try, Wait
from hydrallm.policy.events import AttemptFailed, ClientLeft, ContentSeen, Started, Waited
from hydrallm.policy.kinds import RULES, UNSAFE_RULES, Kind, Next

if TYPE_CHECKING:
    from tests.policy.conftest import MakePlaybook

A, B, C = 0, 1, 2

SAME = [kind for kind in Kind if RULES[kind].next is Next.SAME and not RULES[kind].free]
AT_ONCE = [kind for kind in Kind if RULES[kind].next is Next.NEXT and kind is not Kind.UNSERVED]
HOPELESS = [Kind.TLS, Kind.QUOTA, Kind.MISCONFIGURED, Kind.UNAUTHORIZED, Kind.UNSUPPORTED]


# -- the course of things ----------------------------------------------------------------------------------------------


def test_the_first_model_answers(playbook: MakePlaybook) -> None:
    assert (
        playbook(1) >> Started(8.0, stream=False) << Try(1, A, 40.0) >> ContentSeen(1, 1.0, complete=True) << Deliver(1)
    )


def test_a_streaming_attempt_has_until_its_first_byte(playbook: MakePlaybook) -> None:
    assert (
        playbook(1) >> Started(8.0, stream=True) << Try(1, A, 136.0) >> ContentSeen(1, 1.0, complete=True) << Deliver(1)
    )


@pytest.mark.parametrize("kind", SAME)
def test_the_same_model_is_tried_again_an_interval_later(kind: Kind, playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, kind, 2.0)
        << Try(3, B, 34.0)
        >> ContentSeen(3, 1.0, complete=True)
        << Deliver(3)
    )


def test_transient_is_the_same_model_once_and_no_more(playbook: MakePlaybook) -> None:
    assert (
        playbook(5, 1)
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
        playbook(3, 1, intervals=(0.0,))
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
        playbook(5, intervals=(0.0,), max_cycles=2)
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
        playbook(3, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << Try(2, B, 33.0)
    )


def test_an_unreachable_model_is_tried_again_if_it_is_the_only_one(playbook: MakePlaybook) -> None:
    assert (
        playbook(2)
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
        playbook(3, max_cycles=10)
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
        playbook(3, 1, intervals=(interval,), max_cycles=2)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0, retry_after=asked)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, kind, 2.0)
        << GiveUp(kind, None, spent=True, retry_after=told)
    )


def test_the_client_gets_a_client_error_as_it_is(playbook: MakePlaybook) -> None:
    assert (
        playbook(3, 1, max_cycles=10)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.CLIENT_ERROR, 1.0, answered=True)
        << Deliver(1)
    )


def test_a_client_error_after_other_failures_ends_the_exchange_too(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 3, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=60.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.CLIENT_ERROR, 2.0, answered=True)
        << Deliver(2)
    )


def test_a_client_that_left_stops_everything(playbook: MakePlaybook) -> None:
    begun = playbook(1, 1) >> Started(0.0, stream=False) << Try(1, A, 32.0)
    assert begun >> ClientLeft(2.0) << Stop()
    assert (
        playbook(2)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Wait(1.5)
        >> ClientLeft(2.0)
        << Stop()
    )


# -- cycles ------------------------------------------------------------------------------------------------------------


def test_the_whole_list_is_walked_again(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1, max_cycles=2)
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
        playbook(1, 1, intervals=(0.5, 0.0), max_cycles=3)
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
    ],
)
def test_the_most_useful_error_is_shown_and_of_equals_the_last(
    first: Kind, second: Kind, shown: int, playbook: MakePlaybook
) -> None:
    assert (
        playbook(1, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, first, 1.0, answered=True)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, second, 2.0, answered=True)
        << GiveUp((first, second)[shown - 1], shown, spent=True)
    )


def test_an_error_that_came_is_shown_rather_than_one_that_did_not(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0, answered=True)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.CUT, 2.0)
        << GiveUp(Kind.SERVER, 1, spent=True)
    )


def test_the_smallest_retry_after_that_is_not_over_is_told(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, retry_after=1.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.RATE_LIMITED, 2.0, retry_after=64.0)
        << Try(3, C, 34.0)
        >> AttemptFailed(3, Kind.RATE_LIMITED, 4.0, retry_after=100.0)
        << GiveUp(Kind.RATE_LIMITED, None, spent=True, retry_after=62.0)
    )


def test_what_would_be_shown_is_known_all_the_time(playbook: MakePlaybook) -> None:
    begun = playbook(1, 1) >> Started(0.0, stream=False) << Try(1, A, 32.0)
    assert begun
    assert begun.policy.shown is None
    failed_twice = (
        playbook(1, 1, 1)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0, answered=True)
        << Try(3, C, 34.0)
    )
    assert failed_twice
    assert failed_twice.policy.shown == 1


# -- requests that must not be made twice ------------------------------------------------------------------------------


def test_an_unsafe_request_is_made_again_while_no_connection_was_made(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, rules=UNSAFE_RULES)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.UNREACHABLE, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
    )


@pytest.mark.parametrize("kind", sorted({Kind.UNREACHABLE, Kind.SATURATED, *HOPELESS} ^ set(Kind)))
def test_an_unsafe_request_that_may_have_arrived_is_not_made_again(kind: Kind, playbook: MakePlaybook) -> None:
    begun = playbook(3, max_cycles=10, rules=UNSAFE_RULES)
    assert (
        begun
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << GiveUp(kind, None, spent=False)
    )
    assert (
        playbook(3, max_cycles=10, rules=UNSAFE_RULES)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0, answered=True)
        << Deliver(1)
    )


@pytest.mark.parametrize("kind", [*HOPELESS, Kind.SATURATED])
def test_an_unsafe_request_that_a_person_must_mend_is_given_up(kind: Kind, playbook: MakePlaybook) -> None:
    assert (
        playbook(3, max_cycles=10, rules=UNSAFE_RULES)
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << GiveUp(kind, None, spent=True)
    )
