"""Errors inside streams, translated into each other API's and judged by that one's SDK."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hydrallm.app import FORMATS
from hydrallm.formats.base import ApiType, Problem, WireFormat
from hydrallm.formats.error_translation import translated

Raise = Callable[..., tuple[type[Exception], int, str, str, str]]

FORMAT = {format_.name: format_ for format_ in FORMATS}
MESSAGE = 'the model "m" of one Mr. \u2603 has said no'

EVENTS: dict[str, tuple[Problem, str, str, str, str]] = {
    "bad request": (
        Problem(type="validationException", message=MESSAGE),
        *("invalid_request_error", "", "invalid_request_error", "validationException"),
    ),
    "rate": (
        Problem(type="rate_limit_error", message=MESSAGE),
        *("rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "throttlingException"),
    ),
    "throttled": (
        Problem(type="throttlingException", message=MESSAGE),
        *("rate_limit_error", "rate_limit_exceeded", "rate_limit_error", "throttlingException"),
    ),
    "overload": (
        Problem(type="overloaded_error", message=MESSAGE),
        *("service_unavailable_error", "server_is_overloaded", "overloaded_error", "serviceUnavailableException"),
    ),
    "unavailable": (
        Problem(type="serviceUnavailableException", message=MESSAGE),
        *("service_unavailable_error", "server_is_overloaded", "overloaded_error", "serviceUnavailableException"),
    ),
    "server": (
        Problem(type="internalServerException", message=MESSAGE),
        *("server_error", "", "api_error", "internalServerException"),
    ),
    "model": (
        Problem(type="modelStreamErrorException", message=MESSAGE),
        *("server_error", "", "api_error", "modelStreamErrorException"),
    ),
    "malformed output": (
        Problem(code="malformed_model_output", message=MESSAGE),
        *("server_error", "malformed_model_output", "api_error", "modelStreamErrorException"),
    ),
    "quota": (
        Problem(code="insufficient_quota", type="insufficient_quota", message=MESSAGE),
        *("insufficient_quota", "insufficient_quota", "billing_error", "validationException"),
    ),
    "openrouter": (
        Problem(status=502, code="502", message=MESSAGE),
        *("server_error", "", "api_error", "internalServerException"),
    ),
    "nothing said": (
        Problem(message=MESSAGE),
        *("server_error", "", "api_error", "internalServerException"),
    ),
}


@pytest.mark.parametrize("what", EVENTS)
@pytest.mark.parametrize("format_", FORMATS, ids=lambda format_: format_.name)
def test_inside_a_stream(raised: Raise, format_: WireFormat, what: str) -> None:
    problem, openai_type, openai_code, anthropic_type, exception = EVENTS[what]
    *_, kind, code, message = raised(format_, translated(problem, format_.name), stream=True)
    assert MESSAGE in message
    match format_.api_type:
        case ApiType.OPENAI:
            assert (kind, code) == (openai_type, openai_code)
        case ApiType.ANTHROPIC:
            assert kind == anthropic_type
        case ApiType.BEDROCK:
            assert kind == exception


def test_a_timeout_inside_a_stream(raised: Raise) -> None:
    problem = translated(Problem(type="modelTimeoutException", message=MESSAGE), "bedrock-invoke")
    assert raised(FORMAT["bedrock-invoke"], problem, stream=True)[2] == "modelTimeoutException"
