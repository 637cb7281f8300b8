"""Errors of each API, as it sends them, translated into each other API and judged by that one's SDK.

A test for each row of the table of errors. The left side is what the vendors' documents and service models say they
send; on the right only the socket is missing: the formats write, and openai, anthropic and boto3 raise.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import anthropic
import openai
import pytest

from hydrallm.app import FORMATS
from hydrallm.formats.base import ApiType, Problem, WireFormat
from hydrallm.formats.error_translation import translated
from hydrallm.formats.problem import read_problem

Raise = Callable[..., tuple[type[Exception], int, str, str, str]]
Aws = Callable[[str], type[Exception]]

FORMAT = {format_.name: format_ for format_ in FORMATS}
MESSAGE = 'the model "m" of one Mr. \u2603 has said no'


# ---- what the APIs send


def from_openai(status: int, kind: str, code: str | None = None, message: str = MESSAGE) -> Problem:
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return read_problem(status, [(b"content-type", b"application/json")], json.dumps(body).encode())


def from_anthropic(status: int, kind: str, message: str = MESSAGE) -> Problem:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return read_problem(status, [], json.dumps(body).encode())


def from_bedrock(status: int, exception: str, message: str = MESSAGE) -> Problem:
    # The namespace and the URL are what its front end adds.
    headers = [(b"x-amzn-errortype", f"{exception}:http://internal.amazon.com/coral/com.amazon.bedrock/".encode())]
    return read_problem(status, headers, json.dumps({"message": message}).encode())


def judge(
    raised: Raise,
    aws: Aws,
    sources: list[Problem],
    *,
    openai_: tuple[type[Exception], int, str, str | None],
    anthropic_: tuple[type[Exception], int, str],
    bedrock: tuple[str, int],
) -> None:
    """Check what clients of every format are told of each of ``sources``.

    Args:
        raised: what SDKs raise.
        aws: the exceptions of boto3.
        sources: the same error, as several APIs send it.
        openai_: the exception, the status, the type and the code; None where the upstream's own code stays.
        anthropic_: the exception, the status and the type.
        bedrock: the exception's name and the status.
    """
    for problem, format_ in itertools.product(sources, FORMATS):
        told = raised(format_, translated(problem, format_.name))
        match format_.api_type:
            case ApiType.OPENAI:
                exception, status, kind, code = openai_
                assert told == (exception, status, kind, problem.code if code is None else code, MESSAGE), problem
            case ApiType.ANTHROPIC:
                assert told == (*anthropic_, "", MESSAGE), problem
            case ApiType.BEDROCK:
                name, status = bedrock
                assert told == (aws(name), status, name, "", MESSAGE), problem


# ---- the rows of the table


def test_bad_request(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(400, "invalid_request_error", "unsupported_parameter"),
            from_openai(422, "invalid_request_error"),
            from_anthropic(400, "invalid_request_error"),
            from_bedrock(400, "ValidationException"),
        ],
        openai_=(openai.BadRequestError, 400, "invalid_request_error", None),
        anthropic_=(anthropic.BadRequestError, 400, "invalid_request_error"),
        bedrock=("ValidationException", 400),
    )


def test_authentication(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(401, "invalid_request_error", "invalid_api_key"),
            from_anthropic(401, "authentication_error"),
        ],
        openai_=(openai.AuthenticationError, 401, "authentication_error", "invalid_api_key"),
        anthropic_=(anthropic.AuthenticationError, 401, "authentication_error"),
        bedrock=("AccessDeniedException", 403),
    )


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (403, "UnrecognizedClientException"),
        (403, "ExpiredTokenException"),
        (403, "InvalidSignatureException"),
        (400, "IncompleteSignatureException"),
    ],
)
def test_authentication_at_aws(raised: Raise, aws: Aws, status: int, exception: str) -> None:
    """AWS has a 403 for it, and names of its own, which its clients are told as they are."""
    problem = from_bedrock(status, exception)
    assert raised(FORMAT["openai-chat"], translated(problem, "openai-chat"))[1] == 401
    assert raised(FORMAT["anthropic-messages"], translated(problem, "anthropic-messages"))[1] == 401
    told = raised(FORMAT["bedrock-converse"], translated(problem, "bedrock-converse"))
    assert told[1:3] == (status, exception)


def test_permission(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(403, "invalid_request_error", "unsupported_country_region_territory"),
            from_anthropic(403, "permission_error"),
            from_bedrock(403, "AccessDeniedException"),
        ],
        openai_=(openai.PermissionDeniedError, 403, "permission_error", None),
        anthropic_=(anthropic.PermissionDeniedError, 403, "permission_error"),
        bedrock=("AccessDeniedException", 403),
    )


def test_billing_and_quota(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(429, "insufficient_quota", "insufficient_quota"),
            from_openai(400, "invalid_request_error", "billing_hard_limit_reached"),
            from_openai(402, "unknown_error", "insufficient_quota"),
            from_anthropic(402, "billing_error"),
            from_bedrock(400, "ServiceQuotaExceededException"),
        ],
        openai_=(openai.RateLimitError, 429, "insufficient_quota", "insufficient_quota"),
        anthropic_=(anthropic.PaymentRequiredError, 402, "billing_error"),
        bedrock=("ServiceQuotaExceededException", 400),
    )


def test_missing(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(404, "invalid_request_error", "model_not_found"),
            from_anthropic(404, "not_found_error"),
            from_bedrock(404, "ResourceNotFoundException"),
        ],
        openai_=(openai.NotFoundError, 404, "not_found_error", "model_not_found"),
        anthropic_=(anthropic.NotFoundError, 404, "not_found_error"),
        bedrock=("ResourceNotFoundException", 404),
    )


@pytest.mark.parametrize(("message", "code"), [("Not Found", ""), ("model: claude-9", "model_not_found")])
def test_missing_and_nothing_else_said(raised: Raise, message: str, code: str) -> None:
    for problem in (from_openai(404, "", None, message), from_anthropic(404, "not_found_error", message)):
        assert raised(FORMAT["openai-chat"], translated(problem, "openai-chat"))[3] == code


def test_conflict(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(409, "invalid_request_error"),
            from_anthropic(409, "conflict_error"),
            from_bedrock(400, "ConflictException"),
        ],
        openai_=(openai.ConflictError, 409, "invalid_request_error", None),
        anthropic_=(anthropic.ConflictError, 409, "conflict_error"),
        bedrock=("ConflictException", 400),
    )


def test_too_large(raised: Raise, aws: Aws) -> None:
    page = b"<html><head><title>413 Request Entity Too Large</title></head></html>"
    assert translated(read_problem(413, [(b"content-type", b"text/html")], page), "anthropic-messages").status == 413
    judge(
        raised,
        aws,
        [from_openai(413, "invalid_request_error"), from_anthropic(413, "request_too_large")],
        openai_=(openai.APIStatusError, 413, "invalid_request_error", None),
        anthropic_=(anthropic.RequestTooLargeError, 413, "request_too_large"),
        bedrock=("ValidationException", 413),
    )


def test_content_filter(raised: Raise, aws: Aws) -> None:
    azure = {"error": {"message": MESSAGE, "type": None, "code": "content_filter", "innererror": {"code": "X"}}}
    judge(
        raised,
        aws,
        [
            from_openai(400, "invalid_request_error", "content_policy_violation"),
            read_problem(400, [], json.dumps(azure).encode()),
        ],
        openai_=(openai.BadRequestError, 400, "invalid_request_error", "content_filter"),
        anthropic_=(anthropic.BadRequestError, 400, "invalid_request_error"),
        bedrock=("ValidationException", 400),
    )


def test_rate(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(429, "requests", "rate_limit_exceeded"),
            from_openai(429, "tokens"),
            from_anthropic(429, "rate_limit_error"),
            from_bedrock(429, "ThrottlingException"),
        ],
        openai_=(openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
        anthropic_=(anthropic.RateLimitError, 429, "rate_limit_error"),
        bedrock=("ThrottlingException", 429),
    )


def test_timeout(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(408, "timeout_error"),
            from_openai(504, "server_error"),
            from_anthropic(504, "timeout_error"),
            from_bedrock(408, "ModelTimeoutException"),
        ],
        openai_=(openai.InternalServerError, 504, "timeout_error", None),
        anthropic_=(anthropic.DeadlineExceededError, 504, "timeout_error"),
        bedrock=("ModelTimeoutException", 408),
    )


def test_server(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(500, "server_error"),
            from_openai(502, "server_error"),
            from_anthropic(500, "api_error"),
            from_bedrock(500, "InternalServerException"),
        ],
        openai_=(openai.InternalServerError, 500, "server_error", None),
        anthropic_=(anthropic.InternalServerError, 500, "api_error"),
        bedrock=("InternalServerException", 500),
    )


def test_model_error(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [from_bedrock(424, "ModelErrorException")],
        openai_=(openai.InternalServerError, 500, "server_error", None),
        anthropic_=(anthropic.InternalServerError, 500, "api_error"),
        bedrock=("ModelErrorException", 424),
    )


def test_overload(raised: Raise, aws: Aws) -> None:
    judge(
        raised,
        aws,
        [
            from_openai(503, "server_error", "server_is_overloaded"),
            from_openai(503, "service_unavailable_error"),
            from_anthropic(529, "overloaded_error"),
            from_bedrock(503, "ServiceUnavailableException"),
        ],
        openai_=(openai.InternalServerError, 503, "service_unavailable_error", "server_is_overloaded"),
        anthropic_=(anthropic.OverloadedError, 529, "overloaded_error"),
        bedrock=("ServiceUnavailableException", 503),
    )


def test_model_not_ready(raised: Raise, aws: Aws) -> None:
    """Bedrock's 429 that is none of a rate: only its own clients know it."""
    problem = from_bedrock(429, "ModelNotReadyException")
    for name, exception, status in [
        ("openai-chat", openai.InternalServerError, 503),
        ("anthropic-messages", anthropic.OverloadedError, 529),
        ("bedrock-invoke", aws("ModelNotReadyException"), 429),
        ("bedrock-converse", aws("ModelNotReadyException"), 429),
    ]:
        told = raised(FORMAT[name], translated(problem, name))
        assert told[:2] == (exception, status)


# ---- a request that is too long

LENGTHS = [
    from_openai(400, "invalid_request_error", "context_length_exceeded", "Your input exceeds the context window."),
    from_openai(400, "BadRequestError", None, "This model's maximum context length is 8192 tokens. However, ..."),
    from_anthropic(400, "invalid_request_error", "prompt is too long: 210118 tokens > 200000 maximum"),
    from_bedrock(400, "ValidationException", "Input is too long for requested model."),
    from_openai(500, "server_error", None, "the request exceeds the available context size"),  # llama.cpp, older
]


@pytest.mark.parametrize("problem", LENGTHS, ids=lambda problem: problem.message)
@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_context_length(raised: Raise, format_: WireFormat, problem: Problem) -> None:
    exception, status, kind, code, message = raised(format_, translated(problem, format_.name))
    assert status == 400
    assert message.endswith(problem.message)
    match format_.api_type:
        case ApiType.OPENAI:
            assert (exception, code) == (openai.BadRequestError, "context_length_exceeded")
        case ApiType.ANTHROPIC:
            assert exception is anthropic.BadRequestError
            assert message.lower().startswith("prompt is too long")
        case ApiType.BEDROCK:
            assert kind == "ValidationException"
            assert message.lower().startswith(("prompt is too long", "input is too long for requested model"))


def test_a_rate_is_no_length(raised: Raise) -> None:
    problem = from_openai(429, "tokens", "rate_limit_exceeded", "Limit 30000, requested 31000. Prompt is too long.")
    assert raised(FORMAT["anthropic-messages"], translated(problem, "anthropic-messages"))[1] == 429
