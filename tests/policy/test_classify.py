"""The table of kinds, held against the product's own table of promises and against what the official SDKs know."""

from __future__ import annotations

from typing import Any, get_args

import botocore.loaders
import pytest
from anthropic.types.shared import error_type
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.policy.classify import classify
from hydrallm.policy.kinds import RULES, UNSAFE_RULES, Kind, Next

# What a bare status means with our key and with the client's. All others follow from their class.
STATUSES = {
    401: (Kind.MISCONFIGURED, Kind.UNAUTHORIZED),
    402: (Kind.QUOTA, Kind.QUOTA),
    403: (Kind.MISCONFIGURED, Kind.UNAUTHORIZED),
    404: (Kind.UNSUPPORTED, Kind.UNSUPPORTED),
    405: (Kind.UNSUPPORTED, Kind.UNSUPPORTED),
    408: (Kind.TRANSIENT, Kind.TRANSIENT),
    409: (Kind.TRANSIENT, Kind.TRANSIENT),
    413: (Kind.CONTEXT_LENGTH, Kind.CONTEXT_LENGTH),
    424: (Kind.SERVER, Kind.SERVER),
    429: (Kind.RATE_LIMITED, Kind.RATE_LIMITED),
    501: (Kind.UNSUPPORTED, Kind.UNSUPPORTED),
    503: (Kind.OVERLOADED, Kind.OVERLOADED),
    529: (Kind.OVERLOADED, Kind.OVERLOADED),
}


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_has_its_meaning(status: int) -> None:
    by_class = {2: None, 3: None, 4: Kind.CLIENT_ERROR, 5: Kind.SERVER}[status // 100]
    ours, clients = STATUSES.get(status, (by_class, by_class))
    assert classify(status, (), "", own_credential=True) is ours
    assert classify(status, ("", ""), "", own_credential=False) is clients


@pytest.mark.parametrize("own_credential", [True, False])
def test_whatever_the_official_sdks_retry_is_tried_again(own_credential: bool) -> None:
    """The OpenAI and Anthropic SDKs retry 408, 409, 429 and everything from 500 on; a 501 no retry mends."""
    for status in [408, 409, 429, *range(500, 600)]:
        kind = classify(status, (), "", own_credential=own_credential)
        assert kind is not None
        assert RULES[kind].next is (Next.NEXT if status == 501 else Next.SAME)


@pytest.mark.parametrize("status", [0, 200, 299])
@pytest.mark.parametrize(
    ("names", "message", "kind"),
    [
        ((), "", None),
        (("", "error"), "Something went wrong", None),
        (("invalid_request_error", ""), "tools.0.name: String should have at most 64 characters", None),
        (("", "400"), "Bad request", None),
        (("404", ""), "Not Found", None),
        (("", "404"), "The model `m` does not exist.", Kind.MISCONFIGURED),
        (("", "429"), "", Kind.RATE_LIMITED),
        (("502", ""), "Provider returned error", Kind.SERVER),
        (("", "401"), "", Kind.MISCONFIGURED),
        (("overloaded_error", ""), "Overloaded", Kind.OVERLOADED),
        (("", ""), "Rate limit exceeded", Kind.RATE_LIMITED),
        (("server_error", ""), "The server had an error", Kind.SERVER),
        (("", "399"), "", None),
        (("", "600"), "", None),
    ],
)
def test_inside_a_success_names_and_wording_decide_alone(
    status: int, names: tuple[str, ...], message: str, kind: Kind | None
) -> None:
    assert classify(status, names, message, own_credential=True) is kind


def test_a_redirect_is_the_clients_business() -> None:
    assert classify(302, ("overloaded_error",), "Overloaded", own_credential=True) is None


def test_a_name_that_repeats_a_status_counts_where_the_status_is_a_blunt_one() -> None:
    names = ("rate_limit_error", "")
    assert classify(500, names, "", own_credential=True) is Kind.RATE_LIMITED
    assert classify(413, names, "", own_credential=True) is Kind.CONTEXT_LENGTH
    assert classify(504, ("timeout_error", ""), "", own_credential=True) is Kind.SERVER


def test_the_name_that_says_most_counts() -> None:
    names = ("rate_limit_error", "enforced_spend_limit_reached")
    assert classify(429, names, "", own_credential=True) is Kind.QUOTA
    assert classify(429, names[::-1], "", own_credential=True) is Kind.QUOTA
    assert classify(429, ("overloaded_error", "insufficient_quota"), "", own_credential=True) is Kind.QUOTA


@pytest.mark.parametrize("own_credential", [True, False])
@pytest.mark.parametrize(
    ("status", "names", "message"),
    [
        (401, ("authentication_error", ""), "invalid x-api-key"),
        (403, ("permission_error", ""), ""),
        (400, ("INVALID_ARGUMENT", "400"), "API key not valid. Please pass a valid API key."),
        (400, ("IncompleteSignature", ""), ""),
        (0, ("unrecognizedClientException", ""), ""),
    ],
)
def test_whose_credential_was_refused(status: int, names: tuple[str, ...], message: str, own_credential: bool) -> None:
    kind = Kind.MISCONFIGURED if own_credential else Kind.UNAUTHORIZED
    assert classify(status, names, message, own_credential=own_credential) is kind


@pytest.mark.parametrize("own_credential", [True, False])
@pytest.mark.parametrize(
    ("names", "message", "kind"),
    [
        (("", ""), "The model `m` does not exist or you do not have access to it.", Kind.MISCONFIGURED),
        (("", ""), "The API deployment for this resource does not exist.", Kind.MISCONFIGURED),
        (("UnknownModelError", ""), "nope", Kind.MISCONFIGURED),
        (("ResourceNotFoundException", ""), "The specified resource ARN was not found.", Kind.MISCONFIGURED),
        (("", "404"), "Resource not found", Kind.UNSUPPORTED),
        (("", ""), "404 page not found", Kind.UNSUPPORTED),
        (("", ""), "No endpoints found that support image input", Kind.UNSUPPORTED),
    ],
)
def test_a_404_speaks_of_the_model_or_of_the_path(
    names: tuple[str, ...], message: str, kind: Kind, own_credential: bool
) -> None:
    assert classify(404, names, message, own_credential=own_credential) is kind


BEDROCK: dict[str, dict[str, Any]] = {
    name: shape["error"]
    for name, shape in botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2")["shapes"].items()
    if shape.get("exception") and "error" in shape
}


@pytest.mark.parametrize("name", BEDROCK)
def test_every_exception_of_bedrocks_model_is_known(name: str) -> None:
    status = BEDROCK[name]["httpStatusCode"]
    kind = classify(status, (name, ""), "", own_credential=True)
    inside = classify(0, (name[0].lower() + name[1:], ""), "", own_credential=True)
    if name == "ValidationException":
        assert (kind, inside) == (Kind.CLIENT_ERROR, None)
    else:
        assert kind is inside
        assert kind not in {None, Kind.CLIENT_ERROR}


@pytest.mark.parametrize("name", [name for name in get_args(error_type.ErrorType) if not name.startswith("memory_")])
def test_every_error_type_of_anthropics_sdk_is_known(name: str) -> None:
    unknown = {"invalid_request_error", "not_found_error"}
    assert (classify(0, (name, ""), "", own_credential=True) is None) == (name in unknown)


@given(st.integers(0, 599), st.tuples(st.text(), st.text()), st.text(), st.booleans())
def test_nothing_raises_and_an_error_status_always_means_something(
    status: int, names: tuple[str, str], message: str, own_credential: bool
) -> None:
    kind = classify(status, names, message, own_credential=own_credential)
    assert kind is not None or status < 400
    assert kind is not Kind.CLIENT_ERROR or status >= 400
    assert kind is not Kind.UNAUTHORIZED or not own_credential


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
    assert loud == {Kind.TLS, Kind.QUOTA, Kind.MISCONFIGURED, Kind.UNSUPPORTED}
    stays = loud | {Kind.SLOW_START, Kind.SATURATED, Kind.UNAUTHORIZED, Kind.CONTEXT_LENGTH, Kind.UNSERVED}
    assert {kind for kind, rule in RULES.items() if not rule.returns} == stays


def test_a_fault_of_the_request_or_of_the_client_says_nothing_about_the_model() -> None:
    blameless = {kind for kind, rule in RULES.items() if not rule.counts}
    assert blameless == {
        Kind.CLIENT_ERROR,
        Kind.CONTENT_FILTER,
        Kind.CONTEXT_LENGTH,
        Kind.UNAUTHORIZED,
        Kind.UNSUPPORTED,
        Kind.REPHRASED,
        Kind.SATURATED,
        Kind.UNSERVED,
    }


def test_the_tables_cannot_be_changed_by_accident() -> None:
    with pytest.raises(TypeError):
        RULES[Kind.CUT] = RULES[Kind.TLS]  # type: ignore[index]
    with pytest.raises(AttributeError):
        RULES[Kind.CUT].rank = 9  # type: ignore[misc]
