"""What a provider says when it fails, in the words of each API.

A failure is named by its *cause* (:data:`hydrallm.faults.script.Cause`), and a table has what OpenAI, Anthropic and
Amazon Bedrock then really send: status, type, code, message. Where only a status is given, the type follows from it.

Sources: the error pages of the three API references, the shapes of botocore's ``bedrock-runtime`` model, and messages
that users of the APIs have quoted in public reports.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.faults.answers import Shape

if TYPE_CHECKING:
    from hydrallm.faults.answers import Question
    from hydrallm.faults.script import Cause, Fail, StreamError


class Failure(msgspec.Struct, frozen=True):
    """What is said.

    Attributes:
        status: of the response; inside a stream it is not sent.
        type: the error's type; for Bedrock, the exception's name.
        message: for a person.
        code: of OpenAI's errors; the others have none.
    """

    status: int
    type: str
    message: str
    code: str | None = None


class Family(enum.Enum):
    """Whose words."""

    OPENAI = enum.auto()
    ANTHROPIC = enum.auto()
    BEDROCK = enum.auto()


_SHAPES = {
    Shape.MESSAGES: Family.ANTHROPIC,
    Shape.COUNT_TOKENS: Family.ANTHROPIC,
    Shape.ANTHROPIC_MODELS: Family.ANTHROPIC,
    Shape.INVOKE: Family.BEDROCK,
    Shape.INVOKE_STREAM: Family.BEDROCK,
    Shape.CONVERSE: Family.BEDROCK,
    Shape.CONVERSE_STREAM: Family.BEDROCK,
}

MESSAGE = "The simulated provider was told to fail."

_BAD = "invalid_request_error"

_CAUSES: dict[Cause, dict[Family, Failure]] = {
    "rate_limited": {
        Family.OPENAI: Failure(
            429, "tokens", "Rate limit reached for m on tokens per min (TPM): Limit 30000, Used 29500, Requested 900.",
            "rate_limit_exceeded",
        ),
        Family.ANTHROPIC: Failure(
            429, "rate_limit_error", "This request would exceed your organization's rate limit of 50,000 input tokens."
        ),
        Family.BEDROCK: Failure(429, "ThrottlingException", "Too many tokens, please wait before trying again."),
    },
    "quota": {
        Family.OPENAI: Failure(
            429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
        ),
        Family.ANTHROPIC: Failure(
            400, _BAD, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
        ),
        Family.BEDROCK: Failure(
            400, "ServiceQuotaExceededException", "Your request exceeds the service quota for your account."
        ),
    },
    "server": {
        Family.OPENAI: Failure(500, "server_error", "The server had an error while processing your request."),
        Family.ANTHROPIC: Failure(500, "api_error", "Internal server error"),
        Family.BEDROCK: Failure(500, "InternalServerException", "The system encountered an unexpected error."),
    },
    "overloaded": {
        Family.OPENAI: Failure(503, "server_error", "The engine is currently overloaded, please try again later."),
        Family.ANTHROPIC: Failure(529, "overloaded_error", "Overloaded"),
        Family.BEDROCK: Failure(503, "ServiceUnavailableException", "Bedrock is unable to process your request."),
    },
    "transient": {
        Family.OPENAI: Failure(408, "timeout", "Timed out generating response. Please retry your request."),
        Family.ANTHROPIC: Failure(408, "timeout_error", "Request timed out"),
        Family.BEDROCK: Failure(408, "ModelTimeoutException", "Model has timed out in processing the request."),
    },
    "auth": {
        Family.OPENAI: Failure(401, _BAD, "Incorrect API key provided: sk-********.", "invalid_api_key"),
        Family.ANTHROPIC: Failure(401, "authentication_error", "invalid x-api-key"),
        Family.BEDROCK: Failure(
            403, "UnrecognizedClientException", "The security token included in the request is invalid."
        ),
    },
    "model_unknown": {
        Family.OPENAI: Failure(
            404, _BAD, "The model `m` does not exist or you do not have access to it.", "model_not_found"
        ),
        Family.ANTHROPIC: Failure(404, "not_found_error", "model: m"),
        Family.BEDROCK: Failure(400, "ValidationException", "The provided model identifier is invalid."),
    },
    "context_length": {
        Family.OPENAI: Failure(
            400, _BAD,
            "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
            "context_length_exceeded",
        ),
        Family.ANTHROPIC: Failure(400, _BAD, "prompt is too long: 213462 tokens > 200000 maximum"),
        Family.BEDROCK: Failure(400, "ValidationException", "Input is too long for requested model."),
    },
    "content_filter": {
        Family.OPENAI: Failure(  # as Azure says it
            400, _BAD, "The response was filtered due to the prompt triggering the content management policy.",
            "content_filter",
        ),
        Family.ANTHROPIC: Failure(400, _BAD, "Output blocked by content filtering policy"),
        Family.BEDROCK: Failure(400, "ValidationException", "Output blocked by content filtering policy"),
    },
    "client_error": {
        Family.OPENAI: Failure(400, _BAD, "Invalid type for 'messages': expected an array of objects.", "invalid_type"),
        Family.ANTHROPIC: Failure(400, _BAD, "max_tokens: Input should be greater than or equal to 1"),
        Family.BEDROCK: Failure(400, "ValidationException", "Malformed input request, please reformat your input."),
    },
}  # fmt: skip

# An error's type, by status, where the status says more than "bad request" (4xx) or "server error" (5xx).
_STATUSES: dict[Family, dict[int, str]] = {
    Family.OPENAI: {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"},
    Family.ANTHROPIC: {
        401: "authentication_error",
        402: "billing_error",
        403: "permission_error",
        404: "not_found_error",
        413: "request_too_large",
        429: "rate_limit_error",
        504: "timeout_error",
        529: "overloaded_error",
    },
    Family.BEDROCK: {
        403: "AccessDeniedException",
        404: "ResourceNotFoundException",
        408: "ModelTimeoutException",
        424: "ModelErrorException",
        429: "ThrottlingException",
        503: "ServiceUnavailableException",
    },
}
_CLASSES = {
    Family.OPENAI: (_BAD, "server_error"),
    Family.ANTHROPIC: (_BAD, "api_error"),
    Family.BEDROCK: ("ValidationException", "InternalServerException"),
}


def failure(asked: Question, told: Fail | StreamError, default_status: int) -> Failure:
    """Return what ``told`` means in the words of the API that was ``asked``; what it says itself wins."""
    family = _SHAPES.get(asked.shape, Family.OPENAI)
    if told.cause is not None:
        usual = _CAUSES[told.cause][family]
    else:
        status = told.status or default_status
        usual = Failure(status, _STATUSES[family].get(status, _CLASSES[family][status >= 500]), MESSAGE)
    return Failure(
        status=told.status or usual.status,
        type=usual.type if told.type is None else told.type,
        message=usual.message if told.message is None else told.message,
        code=usual.code if told.code is None else told.code,
    )


def body(asked: Question, failed: Failure) -> dict[str, Any]:
    """Return the JSON of an error response in the shape that the request's SDK expects."""
    match _SHAPES.get(asked.shape, Family.OPENAI):
        case Family.BEDROCK:
            return {"message": failed.message}
        case Family.ANTHROPIC:
            error = {"type": failed.type, "message": failed.message}
            return {"type": "error", "error": error, "request_id": f"req_{asked.serial:024d}"}
        case Family.OPENAI:
            return {"error": {"message": failed.message, "type": failed.type, "param": None, "code": failed.code}}


def headers(asked: Question, failed: Failure) -> list[tuple[bytes, bytes]]:
    """Return the headers by which an error says what it is, beside its body."""
    if _SHAPES.get(asked.shape) is Family.BEDROCK:
        return [(b"x-amzn-errortype", failed.type.encode() + b":http://internal.amazon.com/")]
    return []
