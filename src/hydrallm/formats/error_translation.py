"""An upstream's error in the words of another API.

PURE. Each API names its failures in its own way, and its clients go by that: SDKs choose an exception by the status
(AWS's by the name), programs look at OpenAI's ``code``, agents even at the message. So an error is translated by what
it *means*: first that is found out, then it is said as the client's API says it. The message stays as it was; only of
a request that is too long it is put into words that clients look for (:mod:`hydrallm.formats.context_length`).

What it means is told, in this order, by names that say more than a status; by what the caller knows of it; by the
prose for a request that is too long, as two of the three APIs have no name for that; by the status; by names that
repeat a status, where there is none or one that may stand for anything.

Sources: https://platform.openai.com/docs/guides/error-codes/api-errors, https://docs.anthropic.com/en/api/errors,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html#API_runtime_Converse_Errors and the
service model of Bedrock's runtime. The types that follow from a status stand with the formats that say them.
"""

from __future__ import annotations

import enum
import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import anthropic_messages, bedrock_error, context_length, openai_error
from hydrallm.formats.base import ApiType
from hydrallm.formats.error_response import error_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.formats.base import Problem


class Meaning(enum.Enum):
    """What an error says, whatever the API."""

    BAD_REQUEST = enum.auto()
    AUTHENTICATION = enum.auto()
    """Who asks is not known."""
    PERMISSION = enum.auto()
    """Who asks is known, and may not."""
    QUOTA = enum.auto()
    """There is no money or quota left; waiting does not help."""
    NOT_FOUND = enum.auto()
    MODEL_NOT_FOUND = enum.auto()
    CONFLICT = enum.auto()
    TOO_LARGE = enum.auto()
    """The body has too many bytes."""
    CONTEXT_LENGTH = enum.auto()
    """The request has too many tokens for the model."""
    CONTENT_FILTER = enum.auto()
    RATE = enum.auto()
    TIMEOUT = enum.auto()
    SERVER = enum.auto()
    MODEL_ERROR = enum.auto()
    """The API works; the model behind it has failed, or said what nobody can read."""
    OVERLOADED = enum.auto()


class Said(msgspec.Struct, frozen=True):
    """How an API says something.

    Attributes:
        status: the HTTP status.
        code: its ``code``; empty where it has none for this, so that the upstream's own stays.
        type: its ``type`` (the exception's name for AWS); empty where it follows from the status.
    """

    status: int
    code: str = ""
    type: str = ""


_TYPES: Mapping[ApiType, Mapping[int, str]] = {
    ApiType.OPENAI: openai_error.TYPES,
    ApiType.ANTHROPIC: anthropic_messages.TYPES,
    ApiType.BEDROCK: bedrock_error.TYPES,
}

# How OpenAI says it, and Anthropic, and Bedrock.
_ROWS: tuple[tuple[Meaning, Said, Said, Said], ...] = (
    (Meaning.BAD_REQUEST, Said(400), Said(400), Said(400)),
    (Meaning.AUTHENTICATION, Said(401, "invalid_api_key"), Said(401), Said(403)),
    (Meaning.PERMISSION, Said(403), Said(403), Said(403)),
    (
        Meaning.QUOTA,
        Said(429, "insufficient_quota", "insufficient_quota"),
        Said(402),
        Said(400, type="ServiceQuotaExceededException"),
    ),
    (Meaning.NOT_FOUND, Said(404), Said(404), Said(404)),
    (Meaning.MODEL_NOT_FOUND, Said(404, "model_not_found"), Said(404), Said(404)),
    (Meaning.CONFLICT, Said(409), Said(409, type="conflict_error"), Said(400, type="ConflictException")),
    (Meaning.TOO_LARGE, Said(413), Said(413), Said(413)),
    (Meaning.CONTEXT_LENGTH, Said(400, "context_length_exceeded"), Said(400), Said(400)),
    (Meaning.CONTENT_FILTER, Said(400, "content_filter"), Said(400), Said(400)),
    (Meaning.RATE, Said(429, "rate_limit_exceeded"), Said(429), Said(429)),
    (Meaning.TIMEOUT, Said(504), Said(504), Said(408)),
    (Meaning.SERVER, Said(500), Said(500), Said(500)),
    (Meaning.MODEL_ERROR, Said(500), Said(500), Said(424)),
    (Meaning.OVERLOADED, Said(503, "server_is_overloaded"), Said(529), Said(503)),
)

_SAID: Mapping[tuple[Meaning, ApiType], Said] = {
    (meaning, api_type): said
    for meaning, *cells in _ROWS
    for api_type, said in zip((ApiType.OPENAI, ApiType.ANTHROPIC, ApiType.BEDROCK), cells, strict=True)
}

_API_TYPES: Mapping[str, ApiType] = {
    "openai-chat": ApiType.OPENAI,
    "openai-responses": ApiType.OPENAI,
    "openai-completions": ApiType.OPENAI,
    "anthropic-messages": ApiType.ANTHROPIC,
    "bedrock-invoke": ApiType.BEDROCK,
    "bedrock-converse": ApiType.BEDROCK,
}


def _bare(name: str) -> str:
    """Return a name without case and punctuation: APIs are not constant in these, AWS not even within one service."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _names(rows: Mapping[Meaning, str]) -> Mapping[str, Meaning]:
    return MappingProxyType({_bare(name): meaning for meaning, names in rows.items() for name in names.split()})


TELLING: Mapping[str, Meaning] = _names(
    {
        Meaning.QUOTA: "insufficient_quota billing_hard_limit_reached billing_not_active"
        " billing_error enforced_spend_limit_reached ServiceQuotaExceededException",
        Meaning.CONTEXT_LENGTH: "context_length_exceeded",
        Meaning.TOO_LARGE: "request_too_large",
        Meaning.CONTENT_FILTER: "content_filter content_policy_violation ResponsibleAIPolicyViolation",
        Meaning.MODEL_NOT_FOUND: "model_not_found DeploymentNotFound ResourceNotFoundException",
        Meaning.AUTHENTICATION: "invalid_api_key UnrecognizedClientException ExpiredTokenException"
        " InvalidSignatureException IncompleteSignatureException MissingAuthenticationTokenException",
        Meaning.MODEL_ERROR: "ModelErrorException ModelStreamErrorException malformed_model_output malformed_tool_use",
        Meaning.OVERLOADED: "overloaded_error server_is_overloaded slow_down engine_overloaded"
        " ServiceUnavailableException ModelNotReadyException",
        Meaning.TIMEOUT: "timeout_error ModelTimeoutException",
        Meaning.CONFLICT: "ConflictException",
    }
)
"""Names that say more than the status with which they come. Where an error has two, the one that stands first counts.
Those of the three APIs; what the many others call it that are compatible with one, the caller knows."""

COMMON: Mapping[str, Meaning] = _names(
    {
        Meaning.AUTHENTICATION: "authentication_error",
        Meaning.PERMISSION: "permission_error AccessDeniedException",
        Meaning.RATE: "rate_limit_error rate_limit_exceeded ThrottlingException",
        Meaning.NOT_FOUND: "not_found_error",
        Meaning.CONFLICT: "conflict_error",
        Meaning.OVERLOADED: "service_unavailable_error",
        Meaning.SERVER: "api_error server_error InternalServerException",
        Meaning.BAD_REQUEST: "invalid_request_error ValidationException",
    }
)
"""Names that repeat a status."""

_EXCEPTIONS = frozenset(name for name in [*TELLING, *COMMON] if name.endswith("exception"))

_STATUSES: Mapping[int, Meaning] = MappingProxyType(
    {
        401: Meaning.AUTHENTICATION,
        402: Meaning.QUOTA,
        403: Meaning.PERMISSION,
        404: Meaning.NOT_FOUND,
        405: Meaning.NOT_FOUND,
        408: Meaning.TIMEOUT,
        409: Meaning.CONFLICT,
        413: Meaning.TOO_LARGE,
        424: Meaning.MODEL_ERROR,
        429: Meaning.RATE,
        503: Meaning.OVERLOADED,
        504: Meaning.TIMEOUT,
        529: Meaning.OVERLOADED,
    }
)
"""What a status means that says more than its class."""

_OF_LENGTH = frozenset({0, 400, 413, 422, 500})
"""Statuses with which an error may say in prose that a request is too long."""

_MODEL = re.compile(r"\bmodel\b", re.IGNORECASE)
_NUMBER = re.compile("[0-9]+")


def translated(problem: Problem, to: str, known: Meaning | None = None) -> Problem:
    """Return what an upstream said went wrong in the words of another wire format.

    Args:
        problem: in the upstream's words. Its status may be 0 (inside a stream) and every text empty.
        to: the name of the wire format, such as ``anthropic-messages``.
        known: what the caller knows of its meaning, from names and wordings of providers that are not known here.

    Returns:
        one that has a status and a type; its ``encode_error`` and ``encode_stream_error`` take it.
    """
    api_type = _API_TYPES[to]
    meaning = meaning_of(problem, known)
    said = _SAID[meaning, api_type]
    status, kind = said.status, said.type or error_type(_TYPES[api_type], said.status)
    if api_type is ApiType.BEDROCK and _bare(problem.type) in _EXCEPTIONS:
        # One of Bedrock's formats is translated into the other: what it said stands.
        status, kind = problem.status if problem.status >= 400 else status, problem.type
    message = problem.message
    if meaning is Meaning.CONTEXT_LENGTH:
        message = context_length.said_for(message, api_type)
    # A number is no code of these APIs: it repeats a status, or is one provider's own.
    code = said.code or ("" if _NUMBER.fullmatch(problem.code) else problem.code)
    return msgspec.structs.replace(problem, status=status, type=kind, code=code, message=message)


def meaning_of(problem: Problem, known: Meaning | None = None) -> Meaning:
    """Return what an error means.

    Args:
        problem: in the upstream's words.
        known: what the caller knows of it.
    """
    names = [_bare(problem.code), _bare(problem.type)]
    if (told := _told(names, TELLING) or known) is not None:
        return told
    if problem.status in _OF_LENGTH and context_length.is_said(problem.message):
        return Meaning.CONTEXT_LENGTH
    meaning = _STATUSES.get(problem.status) or _told(names, COMMON) or _of_class(problem.status)
    if meaning is Meaning.NOT_FOUND and _MODEL.search(problem.message[: context_length.START]):
        return Meaning.MODEL_NOT_FOUND
    return meaning


def _told(names: list[str], table: Mapping[str, Meaning]) -> Meaning | None:
    """Return the meaning that the names tell; where they differ, the one that stands first in the table."""
    told = {table[name] for name in names if name in table}
    return next((meaning for meaning in table.values() if meaning in told), None)


def _of_class(status: int) -> Meaning:
    return Meaning.BAD_REQUEST if 400 <= status < 500 else Meaning.SERVER
