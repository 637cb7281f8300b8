"""The table of kinds, held against the product's own table of promises and against what the official SDKs retry."""

from __future__ import annotations

import pytest

from hydrallm.policy.classify import RULES, UNSAFE_RULES, Kind, Next, classify_status

# What a status means with our key and with the client's. All others follow from their class.
STATUSES = {
    401: (Kind.MISCONFIGURED, Kind.CLIENT_ERROR),
    402: (Kind.QUOTA, Kind.CLIENT_ERROR),
    403: (Kind.MISCONFIGURED, Kind.CLIENT_ERROR),
    404: (Kind.MISCONFIGURED, Kind.CLIENT_ERROR),
    408: (Kind.TRANSIENT, Kind.TRANSIENT),
    409: (Kind.TRANSIENT, Kind.TRANSIENT),
    424: (Kind.SERVER, Kind.SERVER),
    429: (Kind.RATE_LIMITED, Kind.RATE_LIMITED),
    503: (Kind.OVERLOADED, Kind.OVERLOADED),
    529: (Kind.OVERLOADED, Kind.OVERLOADED),
}


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_has_its_meaning(status: int) -> None:
    by_class = {2: None, 3: None, 4: Kind.CLIENT_ERROR, 5: Kind.SERVER}[status // 100]
    ours, clients = STATUSES.get(status, (by_class, by_class))
    assert classify_status(status, own_credential=True) is ours
    assert classify_status(status, own_credential=False) is clients


@pytest.mark.parametrize("own_credential", [True, False])
def test_whatever_the_official_sdks_retry_is_tried_again(own_credential: bool) -> None:
    """The OpenAI and Anthropic SDKs retry 408, 409, 429 and everything from 500 on."""
    for status in [408, 409, 429, *range(500, 600)]:
        kind = classify_status(status, own_credential=own_credential)
        assert kind is not None
        assert RULES[kind].next is Next.SAME


def test_every_kind_has_a_rule() -> None:
    assert set(RULES) == set(Kind)
    assert set(UNSAFE_RULES) == set(Kind)


def test_what_the_proxy_must_not_do_twice_is_tried_again_only_without_a_connection() -> None:
    again = {kind for kind, rule in UNSAFE_RULES.items() if rule.next is not Next.RETURN and rule.returns}
    assert again == {Kind.UNREACHABLE}


def test_what_a_person_has_to_mend_is_that_for_any_request() -> None:
    loud = {kind for kind, rule in RULES.items() if rule.loud}
    assert {kind: UNSAFE_RULES[kind] for kind in loud} == {kind: RULES[kind] for kind in loud}


def test_what_a_person_has_to_mend_is_loud_and_time_does_not_heal_it() -> None:
    loud = {kind for kind, rule in RULES.items() if rule.loud}
    assert loud == {Kind.TLS, Kind.QUOTA, Kind.MISCONFIGURED}
    assert {kind for kind, rule in RULES.items() if not rule.returns} == loud | {Kind.SLOW_START}


def test_what_an_upstream_says_about_our_key_is_not_for_the_client() -> None:
    assert {kind for kind, rule in RULES.items() if rule.rank == 0} == {Kind.QUOTA, Kind.MISCONFIGURED}


def test_the_tables_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        RULES[Kind.CUT] = RULES[Kind.TLS]  # type: ignore[index]
    with pytest.raises(AttributeError):
        RULES[Kind.CUT].rank = 9  # type: ignore[misc]
