"""The walk over a plan, as transcripts: what other exchanges have met, and what all of them may spend on retries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.policy.breaker import IN_A_ROW, Breaker, State
from hydrallm.policy.commands import Deliver, GiveUp, Stop, Try, Wait
from hydrallm.policy.events import AttemptFailed, ClientLeft, ContentSeen, Started, Waited
from hydrallm.policy.kinds import RULES, Kind

if TYPE_CHECKING:
    from tests.policy.conftest import MakePlaybook

A, B, C = 0, 1, 2
SPEAKING = [kind for kind in Kind if RULES[kind].counts and kind is not Kind.STALLED]
SILENT = [kind for kind in Kind if not RULES[kind].counts and kind not in {Kind.REPHRASED, Kind.UNSERVED}]


def opened(at: float = 0.0) -> Breaker:
    """Return a breaker that has just opened, for five seconds."""
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        breaker.failed(Kind.SERVER, RULES[Kind.SERVER], at, probe=False)
    assert breaker.state is State.OPEN
    assert breaker.until == at + 5.0
    return breaker


def cooling(until: float) -> Breaker:
    breaker = Breaker()
    breaker.cool(until, Kind.RATE_LIMITED)
    return breaker


# -- breakers ----------------------------------------------------------------------------------------------------------


def test_a_model_whose_breaker_is_open_is_skipped(playbook: MakePlaybook) -> None:
    assert playbook(1, 1, breakers=[opened(), Breaker()]) >> Started(1.0, stream=False) << Try(1, B, 33.0)


def test_it_is_asked_all_the_same_before_the_exchange_is_given_up(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, breakers=[opened(), Breaker()])
        >> Started(1.0, stream=False)
        << Try(1, B, 33.0)
        >> AttemptFailed(1, Kind.SERVER, 2.0)
        << Try(2, A, 34.0)
        >> AttemptFailed(2, Kind.SERVER, 3.0)
        << GiveUp(Kind.SERVER, None, spent=True)
    )


def test_where_all_are_open_each_gets_one_try_and_no_more(playbook: MakePlaybook) -> None:
    assert (
        playbook(3, 3, max_cycles=5, breakers=[opened(), opened()])
        >> Started(1.0, stream=False)
        << Try(1, A, 33.0)
        >> AttemptFailed(1, Kind.SERVER, 2.0)
        << Try(2, B, 34.0)
        >> AttemptFailed(2, Kind.SERVER, 3.0)
        << GiveUp(Kind.SERVER, None, spent=False)
    )


def test_the_one_try_may_well_succeed_and_then_the_breaker_closes(playbook: MakePlaybook) -> None:
    breaker = opened()
    assert (
        playbook(1, breakers=[breaker])
        >> Started(1.0, stream=False)
        << Try(1, A, 33.0)
        >> ContentSeen(1, 2.0, complete=True)
        << Deliver(1)
    )
    assert breaker.state is State.CLOSED


def test_when_its_time_is_over_one_exchange_probes_and_the_others_stay_away(playbook: MakePlaybook) -> None:
    breaker = opened()
    first = playbook(1, 1, breakers=[breaker, Breaker()]) >> Started(5.0, stream=False) << Try(1, A, 37.0)
    assert first
    assert breaker.state is State.HALF_OPEN
    assert playbook(1, 1, breakers=[breaker, Breaker()]) >> Started(5.5, stream=False) << Try(1, B, 37.5)


def test_a_probe_that_fails_opens_the_breaker_for_longer(playbook: MakePlaybook) -> None:
    breaker = opened()
    assert (
        playbook(2, 1, breakers=[breaker, Breaker()])
        >> Started(5.0, stream=False)
        << Try(1, A, 37.0)
        >> AttemptFailed(1, Kind.SERVER, 6.0)
        << Try(2, B, 38.0)
    ), "and its second try is not made while another model is left"
    assert (breaker.state, breaker.until) == (State.OPEN, 15.0)


def test_a_probe_has_passed_with_the_first_content(playbook: MakePlaybook) -> None:
    breaker = opened()
    played = (
        playbook(1, breakers=[breaker])
        >> Started(5.0, stream=True)
        << Try(1, A, 133.0)
        >> ContentSeen(1, 6.0, complete=False)
        << Deliver(1)
    )
    assert played
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("kind", SILENT)
def test_a_probe_that_tells_nothing_leaves_the_next_exchange_to_probe(kind: Kind, playbook: MakePlaybook) -> None:
    breaker = opened()
    play = playbook(1, breakers=[breaker]) >> Started(5.0, stream=False) << Try(1, A, 37.0)
    shown = kind in {Kind.CLIENT_ERROR, Kind.CONTENT_FILTER}
    end = Deliver(1) if shown else GiveUp(kind, 1, spent=True)
    assert play >> AttemptFailed(1, kind, 6.0, answered=True) << end
    assert breaker.state is State.HALF_OPEN
    assert breaker.admits(6.0)


def test_so_does_a_client_that_left_during_the_probe(playbook: MakePlaybook) -> None:
    breaker = opened()
    assert playbook(1, breakers=[breaker]) >> Started(5.0, stream=False) << Try(1, A, 37.0) >> ClientLeft(5.5) << Stop()
    assert breaker.admits(5.5)


def test_an_exchange_counts_once_however_often_it_tries(playbook: MakePlaybook) -> None:
    breaker = Breaker()
    play = playbook(IN_A_ROW + 2, breakers=[breaker], intervals=(0.0,)) >> Started(0.0, stream=False)
    for number in range(1, IN_A_ROW + 2):
        play = play << Try(number, A, 32.0) >> AttemptFailed(number, Kind.SERVER, 0.0)
    assert play << Try(IN_A_ROW + 2, A, 32.0)
    assert breaker.state is State.CLOSED


@pytest.mark.parametrize("kind", SPEAKING)
def test_exchanges_that_fail_one_after_the_other_open_it(kind: Kind, playbook: MakePlaybook) -> None:
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        assert (
            playbook(1, breakers=[breaker])
            >> Started(0.0, stream=False)
            << Try(1, A, 32.0)
            >> AttemptFailed(1, kind, 1.0)
            << GiveUp(kind, None, spent=True)
        )
    assert breaker.state is State.OPEN
    assert breaker.cause is kind


@pytest.mark.parametrize("kind", [Kind.QUOTA, Kind.MISCONFIGURED])
def test_what_a_person_must_mend_opens_it_at_once(kind: Kind, playbook: MakePlaybook) -> None:
    breaker = Breaker()
    assert (
        playbook(1, 1, breakers=[breaker, Breaker()])
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << Try(2, B, 33.0)
    )
    assert (breaker.state, breaker.until) == (State.OPEN, 1.0 + RULES[kind].opens)


def test_an_exchange_that_was_let_in_goes_on_by_its_plan_when_the_breaker_opens_behind_it(
    playbook: MakePlaybook,
) -> None:
    breaker = Breaker()
    play = playbook(3, breakers=[breaker]) >> Started(0.0, stream=False) << Try(1, A, 32.0)
    for _ in range(IN_A_ROW - 1):
        breaker.failed(Kind.SERVER, RULES[Kind.SERVER], 0.5, probe=False)
    assert (
        play
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Wait(2.5)
    )
    assert breaker.state is State.OPEN


def test_but_it_asks_another_model_first(playbook: MakePlaybook) -> None:
    breaker = Breaker()
    play = playbook(2, 1, breakers=[breaker, Breaker()]) >> Started(0.0, stream=False) << Try(1, A, 32.0)
    for _ in range(IN_A_ROW - 1):
        breaker.failed(Kind.SERVER, RULES[Kind.SERVER], 0.5, probe=False)
    assert (
        play
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Try(3, A, 34.0)
    )


# -- cooldowns ---------------------------------------------------------------------------------------------------------


def test_a_model_that_another_exchange_was_told_to_leave_alone_is_skipped(playbook: MakePlaybook) -> None:
    assert playbook(1, 1, breakers=[cooling(64.0), Breaker()]) >> Started(1.0, stream=False) << Try(1, B, 33.0)


def test_where_there_is_no_other_a_short_cooldown_is_waited_for(playbook: MakePlaybook) -> None:
    """Not all who wait come back at the same moment: by half of a second here, as the chance is a half."""
    assert (
        playbook(1, breakers=[cooling(5.0)])
        >> Started(1.0, stream=False)
        << Wait(5.5)
        >> Waited(5.5)
        << Try(1, A, 37.5)
    )


def test_a_long_one_is_not_for_one_try_is_as_good_as_an_answer(playbook: MakePlaybook) -> None:
    assert playbook(1, breakers=[cooling(5.25)]) >> Started(1.0, stream=False) << Try(1, A, 33.0)


def test_a_model_that_was_skipped_is_asked_before_others_are_asked_again(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, 1, 1, max_cycles=9, breakers=[opened(), Breaker(), cooling(64.0)])
        >> Started(1.0, stream=False)
        << Try(1, B, 33.0)
        >> AttemptFailed(1, Kind.SERVER, 2.0)
        << Try(2, A, 34.0)
        >> AttemptFailed(2, Kind.SERVER, 3.0)
        << Try(3, C, 35.0)
        >> AttemptFailed(3, Kind.SERVER, 4.0)
        << Try(4, B, 36.0)
    )


@pytest.mark.parametrize(("deadline", "counted"), [(40.0, False), (64.0, True)])
def test_a_try_that_the_deadline_cuts_short_does_not_speak_against_the_model(
    deadline: float, counted: bool, playbook: MakePlaybook
) -> None:
    breaker = Breaker()
    assert (
        playbook(1, 1, deadline=deadline, breakers=[Breaker(), breaker])
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SLOW_START, 32.0)
        << Try(2, B, min(64.0, deadline))
        >> AttemptFailed(2, Kind.SLOW_START, min(64.0, deadline))
        << GiveUp(Kind.SLOW_START, None, spent=True)
    )
    assert (breaker.cause is Kind.SLOW_START) is counted


def test_the_one_that_is_ready_first_is_waited_for(playbook: MakePlaybook) -> None:
    assert playbook(1, 1, breakers=[cooling(5.0), cooling(3.0)]) >> Started(1.0, stream=False) << Wait(3.5)


def test_a_cooldown_beyond_the_deadline_denies_nobody_the_one_try(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, deadline=16.0, breakers=[cooling(64.0)])
        >> Started(0.0, stream=False)
        << Try(1, A, 16.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True, retry_after=63.0)
        << GiveUp(Kind.RATE_LIMITED, 1, spent=False, retry_after=63.0)
    )


def test_waking_too_late_from_a_cooldown_is_the_end(playbook: MakePlaybook) -> None:
    assert (
        playbook(1, deadline=5.0, breakers=[cooling(4.0)])
        >> Started(0.0, stream=False)
        << Wait(4.5)
        >> Waited(5.5)
        << GiveUp(Kind.RATE_LIMITED, None, spent=True)
    )


@pytest.mark.parametrize("kind", [kind for kind in Kind if RULES[kind].counts])
def test_a_retry_after_is_remembered_for_the_exchanges_to_come(kind: Kind, playbook: MakePlaybook) -> None:
    breaker = Breaker()
    assert (
        playbook(1, 1, breakers=[breaker, Breaker()])
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0, retry_after=63.0)
        << Try(2, B, 33.0)
    )
    assert breaker.cools_until == 64.0
