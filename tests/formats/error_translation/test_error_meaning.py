"""What errors mean, whoever says them: held against the policy's own table, and against themselves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.app import FORMATS
from hydrallm.formats.base import ApiError, ApiType, Problem, WireFormat
from hydrallm.formats.error_translation import COMMON, TELLING, Meaning, meaning_of, translated
from hydrallm.policy import wording
from hydrallm.policy.kinds import Kind


@pytest.mark.parametrize(
    ("problem", "known", "status"),
    [
        (Problem(400, "", "1261", "Prompt exceeds max length"), Meaning.CONTEXT_LENGTH, 400),  # Z.ai
        (Problem(400, "Arrearage", "Arrearage", "Access denied."), Meaning.QUOTA, 402),  # DashScope
        (Problem(429, "ThrottlingException", "", "Too many tokens per day"), Meaning.QUOTA, 402),
        (Problem(400, "", "1305", "busy"), Meaning.OVERLOADED, 529),
        (Problem(413, "request_too_large"), Meaning.CONTEXT_LENGTH, 413),
    ],
)
def test_what_the_caller_knows_counts_before_the_status(problem: Problem, known: Meaning, status: int) -> None:
    assert translated(problem, "anthropic-messages", known).status == status


KINDS = {
    Meaning.QUOTA: {Kind.QUOTA},
    Meaning.CONTEXT_LENGTH: {Kind.CONTEXT_LENGTH},
    Meaning.TOO_LARGE: {Kind.CONTEXT_LENGTH},
    Meaning.CONTENT_FILTER: {Kind.CONTENT_FILTER},
    Meaning.MODEL_NOT_FOUND: {Kind.MISCONFIGURED},
    Meaning.AUTHENTICATION: {Kind.UNAUTHORIZED},
    Meaning.PERMISSION: {Kind.UNAUTHORIZED},
    Meaning.OVERLOADED: {Kind.OVERLOADED},
    Meaning.RATE: {Kind.RATE_LIMITED},
    Meaning.TIMEOUT: {Kind.TRANSIENT},
    Meaning.CONFLICT: {Kind.TRANSIENT},
    Meaning.SERVER: {Kind.SERVER},
    Meaning.MODEL_ERROR: {Kind.SERVER},
}


def test_the_policy_takes_the_names_for_the_same() -> None:
    """What is tried again, and what the client is told, follow from two tables; they must not contradict each other."""
    policy = {**wording.COMMON, **wording.TELLING}
    shared = {name: meaning for name, meaning in {**COMMON, **TELLING}.items() if name in policy}
    assert len(shared) > 30
    assert [name for name, meaning in shared.items() if policy[name] not in KINDS[meaning]] == []


def test_every_format_can_be_translated_into() -> None:
    for format_ in FORMATS:
        kind = translated(Problem(status=429), format_.name).type
        assert kind == ("ThrottlingException" if format_.api_type is ApiType.BEDROCK else "rate_limit_error")


names = st.sampled_from([*TELLING, *COMMON, "", "error", "500", "tokens"])
statuses = st.one_of(
    st.just(0), st.sampled_from([400, 401, 402, 403, 404, 408, 409, 413, 422, 424, 429, 500, 503, 529])
)
formats = st.sampled_from(FORMATS)


@given(problem=st.builds(Problem, status=statuses, type=st.text(), code=st.text(), message=st.text()), format_=formats)
def test_whatever_comes_can_be_said(problem: Problem, format_: WireFormat) -> None:
    said = translated(problem, format_.name)
    assert 400 <= said.status <= 599
    assert said.message.endswith(problem.message)
    error = ApiError(said.status, said.message, said.code, "r", said.type)
    assert format_.encode_error(error).status == said.status
    assert format_.encode_stream_error(error)


@given(status=statuses, name=names, format_=formats, other=formats)
def test_what_is_said_means_what_was_meant(status: int, name: str, format_: WireFormat, other: WireFormat) -> None:
    problem = Problem(status=status, type=name)
    said = translated(problem, format_.name)
    assert said.type
    meant = meaning_of(problem)
    assert meaning_of(said) in EQUALS.get(meant, {meant})
    if format_.api_type is other.api_type:
        assert translated(said, other.name) == said


# What an API has no other word for.
EQUALS = {
    Meaning.MODEL_ERROR: {Meaning.MODEL_ERROR, Meaning.SERVER},
    Meaning.AUTHENTICATION: {Meaning.AUTHENTICATION, Meaning.PERMISSION},
    Meaning.CONTENT_FILTER: {Meaning.CONTENT_FILTER, Meaning.BAD_REQUEST},
    Meaning.MODEL_NOT_FOUND: {Meaning.MODEL_NOT_FOUND, Meaning.NOT_FOUND},
    Meaning.NOT_FOUND: {Meaning.MODEL_NOT_FOUND, Meaning.NOT_FOUND},
}
