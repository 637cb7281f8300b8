from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.policy.commands import Deliver, GiveUp, Try, Wait
from hydrallm.policy.events import AttemptFailed, Started, Waited
from hydrallm.policy.kinds import RULES, Kind, Next, Rule
from hydrallm.policy.overrides import FIXED, overridden

if TYPE_CHECKING:
    from tests.policy.conftest import MakePlaybook

A, B = 0, 1
overrides = st.dictionaries(st.sampled_from([kind for kind in Kind if kind not in FIXED]), st.sampled_from(Next))


@given(overrides)
def test_what_is_named_goes_where_it_is_sent_and_nothing_else_is_touched(on: dict[Kind, Next]) -> None:
    rules = overridden(RULES, on)
    assert list(rules) == list(RULES)
    for kind, rule in rules.items():
        if kind in on:
            assert rule.next is on[kind]
        else:
            assert rule is RULES[kind]


@given(overrides)
def test_how_a_failure_is_told_and_counted_stays(on: dict[Kind, Next]) -> None:
    for kind, rule in overridden(RULES, on).items():
        usual = RULES[kind]
        assert (rule.rank, rule.loud, rule.counts) == (usual.rank, usual.loud, usual.counts)


@given(overrides)
def test_it_can_be_done_twice(on: dict[Kind, Next]) -> None:
    once = overridden(RULES, on)
    assert overridden(once, on) == once


@pytest.mark.parametrize("kind", [kind for kind in Kind if RULES[kind].next is not Next.SAME])
def test_saying_what_the_table_says_changes_nothing(kind: Kind) -> None:
    assert overridden(RULES, {kind: RULES[kind].next}) == RULES


def test_the_table_itself_is_not_changed() -> None:
    before = {kind: msgspec.structs.asdict(rule) for kind, rule in RULES.items()}
    overridden(RULES, dict.fromkeys(Kind, Next.RETURN))
    assert {kind: msgspec.structs.asdict(rule) for kind, rule in RULES.items()} == before


# -- same --------------------------------------------------------------------------------------------------------------


def test_same_is_up_to_all_attempts_even_where_the_table_has_one_retry(playbook: MakePlaybook) -> None:
    assert (
        playbook(4, 1, intervals=(0.0,), rules=overridden(RULES, {Kind.TRANSIENT: Next.SAME}))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.TRANSIENT, 1.0)
        << Try(2, A, 33.0)
        >> AttemptFailed(2, Kind.TRANSIENT, 2.0)
        << Try(3, A, 34.0)
        >> AttemptFailed(3, Kind.TRANSIENT, 3.0)
        << Try(4, A, 35.0)
        >> AttemptFailed(4, Kind.TRANSIENT, 4.0)
        << Try(5, B, 36.0)
    )


def test_a_filter_that_is_asked_again_is_asked_in_one_cycle_only(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, intervals=(0.0,), max_cycles=5, rules=overridden(RULES, {Kind.CONTENT_FILTER: Next.SAME}))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.CONTENT_FILTER, 1.0, answered=True)
        << Try(2, A, 33.0)
        >> AttemptFailed(2, Kind.CONTENT_FILTER, 2.0, answered=True)
        << GiveUp(Kind.CONTENT_FILTER, 2, spent=True)
    )


def test_a_silent_model_that_is_asked_again_is_asked_at_once(playbook: MakePlaybook) -> None:
    assert (
        playbook(2, 1, intervals=(0.0,), rules=overridden(RULES, {Kind.SLOW_START: Next.SAME}))
        >> Started(0.0, stream=True)
        << Try(1, A, 128.0)
        >> AttemptFailed(1, Kind.SLOW_START, 128.0)
        << Try(2, A, 256.0)
        >> AttemptFailed(2, Kind.SLOW_START, 256.0)
        << Try(3, B, 384.0)
    )


@pytest.mark.parametrize("kind", [Kind.QUOTA, Kind.MISCONFIGURED])
def test_a_failure_that_opens_the_breaker_does_not_keep_the_same_model_from_its_attempts(
    kind: Kind, playbook: MakePlaybook
) -> None:
    assert (
        playbook(2, 1, rules=overridden(RULES, {kind: Next.SAME}))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, kind, 1.0)
        << Wait(1.5)
        >> Waited(1.5)
        << Try(2, A, 33.5)
        >> AttemptFailed(2, kind, 2.0)
        << Try(3, B, 34.0)
    )


# -- next --------------------------------------------------------------------------------------------------------------


def test_a_filter_may_lead_to_the_next_model_and_not_back(playbook: MakePlaybook) -> None:
    assert (
        playbook(3, 1, max_cycles=5, rules=overridden(RULES, {Kind.CONTENT_FILTER: Next.NEXT}))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.CONTENT_FILTER, 1.0, answered=True)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.CONTENT_FILTER, 2.0, answered=True)
        << GiveUp(Kind.CONTENT_FILTER, 2, spent=True)
    )


def test_what_time_heals_comes_back_in_the_next_cycle(playbook: MakePlaybook) -> None:
    assert (
        playbook(3, 1, intervals=(0.0, 0.0), max_cycles=2, rules=overridden(RULES, {Kind.SERVER: Next.NEXT}))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.SERVER, 1.0)
        << Try(2, B, 33.0)
        >> AttemptFailed(2, Kind.SERVER, 2.0)
        << Try(3, A, 34.0)
    )


# -- return ------------------------------------------------------------------------------------------------------------


def test_any_kind_can_be_the_clients_at_once(playbook: MakePlaybook) -> None:
    assert (
        playbook(3, 1, rules=overridden(RULES, {Kind.RATE_LIMITED: Next.RETURN}))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.RATE_LIMITED, 1.0, answered=True)
        << Deliver(1)
    )


def test_where_the_upstream_said_nothing_there_is_nothing_to_return(playbook: MakePlaybook) -> None:
    assert (
        playbook(3, 1, rules=overridden(RULES, {Kind.UNREACHABLE: Next.RETURN}))
        >> Started(0.0, stream=False)
        << Try(1, A, 32.0)
        >> AttemptFailed(1, Kind.UNREACHABLE, 1.0)
        << GiveUp(Kind.UNREACHABLE, None, spent=False)
    )


def test_a_rule_of_its_own_making() -> None:
    rules = {Kind.CUT: Rule(Next.RETURN, retries=2, put_off=True, opens=5.0, rank=7)}
    assert overridden(rules, {Kind.CUT: Next.SAME}) == {Kind.CUT: Rule(Next.SAME, returns=False, rank=7)}
    assert overridden(rules, {Kind.CUT: Next.NEXT}) == {Kind.CUT: Rule(Next.NEXT, returns=False, opens=5.0, rank=7)}
