"""What APIs call their failures: the names and the wordings that say more than a status does.

PURE. Data only; :mod:`hydrallm.policy.classify` says how it is used. A row is a kind, how the failure is said, and
where it was seen.

*Names* are an error's ``type`` and ``code``, compared without case and punctuation, so that ``rate_limit_error``,
``RateLimitError`` and the ``throttlingException`` of an event stream need one row each. ``TELLING`` names say something
that no status says; ``COMMON`` names repeat what a status says as well, and count where the status is a blunt one.
``unauthorized`` stands for every refusal of a credential here, ours or the client's.

*Wordings* are for what some APIs say in prose only. A row holds for the statuses with which it was seen: a false alarm
is worse than a miss (a bad parameter taken for an empty account keeps a model out for minutes), so patterns are whole
phrases and not words, and only the start of a message is searched: further on, a message quotes the request. It may
quote it from the first word on, the names of parameters, roles and tools. So where a kind speaks against the model, and
with that against all clients, its wordings are searched only in what no client can have written: see :func:`unquoted`
and :data:`REQUEST_NAMES`. The other kinds concern one request, which may say of itself what it likes.

What is left out, and why: bare numbers that several providers use for different things (1300 is a policy at Z.ai and a
rate limit at Mistral; 1000 to 1004 come with a 401 anyway); ``invalid_request_error``, ``not_found_error`` and the
like, which say nothing; "You exceeded your current quota", which OpenAI says of an empty account (and names it
``insufficient_quota``) and Gemini of a minute's limit (``RESOURCE_EXHAUSTED``); "max_tokens is too large", which is a
parameter and not the length of the request.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Wording(msgspec.Struct, frozen=True):
    """A phrase that tells a kind of failure.

    Attributes:
        kind: what it tells.
        statuses: the statuses with which it may come; with no status at all (inside a 200) it always counts.
        pattern: searched for in the start of the message, without case.
        seen: the provider, and the document or the report.
    """

    kind: Kind
    statuses: frozenset[int]
    pattern: re.Pattern[str]
    seen: str


def bare(name: str) -> str:
    """Return ``name`` without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _names(rows: Iterable[tuple[Kind, str, str]]) -> Mapping[str, Kind]:
    return MappingProxyType({bare(name): kind for kind, names, _ in rows for name in names.split()})


TELLING_ROWS: tuple[tuple[Kind, str, str], ...] = (
    (Kind.QUOTA, "insufficient_quota billing_hard_limit_reached billing_not_active", "OpenAI: error codes guide"),
    (Kind.QUOTA, "credit_balance_exhausted organization_usage_limit_exceeded", "OpenAI: error codes guide, 429"),
    (Kind.QUOTA, "organization_spend_limit_exceeded project_spend_limit_exceeded", "OpenAI: spend limits guide, 429"),
    (Kind.QUOTA, "billing_error enforced_spend_limit_reached", "Anthropic: errors, 402; a spend cap is a 429"),
    (Kind.QUOTA, "ServiceQuotaExceededException", "Bedrock runtime: service model, 400"),
    (Kind.QUOTA, "exceeded_current_quota_error", "Moonshot: errors, 429"),
    (Kind.QUOTA, "1113 1304 1308 1309 1310", "Z.ai: error codes, 429: arrears, daily, 5-hour, expired, weekly limit"),
    (Kind.QUOTA, "Arrearage", "DashScope: error codes, 400"),
    (Kind.QUOTA, "payment_required", "OpenRouter: error types, 402"),
    (Kind.QUOTA, "insufficient_user_quota", "one-api and its descendants, 403"),
    (Kind.REPHRASED, "invalid_encrypted_content", "OpenAI: Responses, 400"),
    (Kind.CONTEXT_LENGTH, "context_length_exceeded", "OpenAI, Groq, OpenRouter; 400"),
    (Kind.CONTEXT_LENGTH, "request_too_large", "Anthropic: errors, 413"),
    (Kind.CONTEXT_LENGTH, "exceed_context_size_error", "llama.cpp: server, 400; 500 before September 2025"),
    (Kind.CONTEXT_LENGTH, "1261", "Z.ai: 400, 'Prompt too long', 'Prompt exceeds max length'"),
    (Kind.CONTEXT_LENGTH, "payload_too_large", "OpenRouter: error types, 413"),
    (Kind.CONTENT_FILTER, "content_filter ResponsibleAIPolicyViolation", "Azure OpenAI: content filtering, 400"),
    (Kind.CONTENT_FILTER, "content_policy_violation moderation_blocked", "OpenAI; OpenRouter: error types"),
    (Kind.CONTENT_FILTER, "1301", "Z.ai: error codes, 400"),
    (Kind.CONTENT_FILTER, "data_inspection_failed", "DashScope: error codes, 400"),
    (Kind.MISCONFIGURED, "model_not_found model_not_available", "OpenAI, 404; Together, 404; one-api, 503"),
    (Kind.MISCONFIGURED, "model_decommissioned model_terms_required", "Groq: 400, a model retired or not accepted"),
    (Kind.MISCONFIGURED, "invalid_model", "Mistral: 400; Perplexity: 400"),
    (Kind.MISCONFIGURED, "DeploymentNotFound", "Azure OpenAI: 404"),
    (Kind.MISCONFIGURED, "ResourceNotFoundException", "Bedrock runtime: service model, 404"),
    (Kind.MISCONFIGURED, "1211 1311", "Z.ai: error codes, 400; a model that is not in the plan, 429"),
    (Kind.OVERLOADED, "overloaded_error", "Anthropic: errors, 529, and inside streams"),
    (Kind.OVERLOADED, "server_is_overloaded slow_down engine_overloaded", "OpenAI: 503, and inside streams"),
    (Kind.OVERLOADED, "engine_overloaded_error", "Moonshot: errors, 429"),
    (Kind.OVERLOADED, "ModelNotReadyException ServiceUnavailableException", "Bedrock runtime: 429; 503"),
    (Kind.OVERLOADED, "service_tier_capacity_exceeded 3505", "Mistral: 429"),
    (Kind.OVERLOADED, "capacity_exceeded", "Groq: flex processing, 498"),
    (Kind.OVERLOADED, "provider_overloaded", "OpenRouter: error types"),
    (Kind.OVERLOADED, "unavailable_error", "llama.cpp: server, 503, the model is being loaded"),
    (Kind.OVERLOADED, "UNAVAILABLE", "Gemini: troubleshooting, 503"),
    (Kind.OVERLOADED, "1305", "Z.ai: error codes, 429"),
    (Kind.UNAUTHORIZED, "1112 1121", "Z.ai: error codes, 429, the account is locked"),
    (Kind.UNSUPPORTED, "OperationNotSupported", "Azure OpenAI: 400, an operation that is not for this kind of model"),
)

COMMON_ROWS: tuple[tuple[Kind, str, str], ...] = (
    (Kind.RATE_LIMITED, "rate_limit_error rate_limit_exceeded rate_limited", "Anthropic; OpenAI, Groq; Mistral"),
    (Kind.RATE_LIMITED, "rate_limit_reached_error rate_limit", "Moonshot; ZenMux"),
    (Kind.RATE_LIMITED, "ThrottlingException TooManyRequestsException", "Bedrock"),
    (Kind.RATE_LIMITED, "RESOURCE_EXHAUSTED", "Gemini: troubleshooting, 429; a minute's limit or a day's"),
    (Kind.RATE_LIMITED, "too_many_requests Throttling limit_requests", "Azure; DashScope"),
    (Kind.RATE_LIMITED, "1302 1303", "Z.ai: error codes, 429"),
    (Kind.UNAUTHORIZED, "authentication_error permission_error", "Anthropic: errors, 401 and 403"),
    (Kind.UNAUTHORIZED, "invalid_api_key incorrect_api_key_error", "OpenAI; Moonshot"),
    (Kind.UNAUTHORIZED, "invalid_authentication_error permission_denied_error", "Moonshot: errors, 401 and 403"),
    (Kind.UNAUTHORIZED, "UNAUTHENTICATED PERMISSION_DENIED", "Gemini; xAI and OpenRouter spell it otherwise"),
    (Kind.UNAUTHORIZED, "authentication", "OpenRouter: error types"),
    (Kind.UNAUTHORIZED, "AccessDeniedException UnrecognizedClientException", "AWS: common errors, 400 and 403"),
    (Kind.UNAUTHORIZED, "ExpiredTokenException InvalidSignatureException", "AWS: common errors"),
    (Kind.UNAUTHORIZED, "IncompleteSignature IncompleteSignatureException", "AWS: common errors, 400"),
    (Kind.UNAUTHORIZED, "MissingAuthenticationTokenException InvalidClientTokenId", "AWS: common errors"),
    (Kind.UNAUTHORIZED, "unsupported_country_region_territory", "OpenAI: error codes guide, 403"),
    (Kind.TRANSIENT, "timeout_error timeout request_timeout", "Anthropic: errors, 504; OpenRouter: error types"),
    (Kind.TRANSIENT, "ModelTimeoutException ConflictException", "Bedrock runtime: service model, 408; 400"),
    (Kind.TRANSIENT, "conflict_error DEADLINE_EXCEEDED", "Anthropic; Gemini"),
    (Kind.SERVER, "api_error server_error internal_error", "Anthropic, Ollama; OpenAI; one-api"),
    (Kind.SERVER, "internal_server_error INTERNAL", "Groq; vLLM; Gemini"),
    (Kind.SERVER, "InternalServerException InternalFailure", "Bedrock runtime: service model; AWS: common errors"),
    (Kind.SERVER, "ModelErrorException ModelStreamErrorException", "Bedrock runtime: service model, 424"),
    (Kind.SERVER, "server provider_unavailable", "OpenRouter: error types"),
    (Kind.OVERLOADED, "service_unavailable_error service_unavailable", "OpenAI; Groq"),
)

TELLING: Mapping[str, Kind] = _names(TELLING_ROWS)
COMMON: Mapping[str, Kind] = _names(COMMON_ROWS)

REQUEST_NAMES: frozenset[str] = frozenset(
    map(
        bare,
        [
            *("unknown_parameter", "unsupported_parameter", "missing_required_parameter"),
            *("invalid_function_parameters", "invalid_value", "unsupported_value", "invalid_type", "invalid_json"),
            *("string_above_max_length", "string_below_min_length", "array_above_max_length", "array_below_min_length"),
            *("integer_above_max_value", "integer_below_min_value", "decimal_above_max_value"),
            *("decimal_below_min_value", "empty_string", "empty_array"),
        ],
    )
)
"""What OpenAI and those who follow it call a fault of the request; such an error says nothing against the model."""

REQUEST_WORDINGS = re.compile(
    r"(unknown|unrecognized|unsupported|unexpected|invalid|missing) (required )?(request )?"
    r"(parameter|argument|field|role)"
    r"|extra (inputs|fields|keys?) (are )?not permitted|extraneous key|additional properties are not",
    re.IGNORECASE,
)
"""The same in prose: OpenAI's older form, Cohere; Anthropic, vLLM and all that use pydantic; Bedrock. These give the
name of a parameter without quotes."""

START = 512
"""Characters of a message that are searched."""

_QUOTED = re.compile(r"""(?<!\w)(['"`\u201c])(?:.*(?:\1|\u201d)(?!\w)|.*)""", re.DOTALL)
_PATH = re.compile(r"(?<![^\s,;])(?![(\[]?models/)[^\s,;/]*/[^\s,;]*")


def unquoted(start: str) -> str:
    """Return the start of a message without what it quotes, and without paths and URLs.

    A quotation goes from the first quotation mark to the last of its kind, as what a client has called something may
    have quotation marks in it; one that is cut goes to the end. What stands in its place still reads as a name.
    Gemini's names of models (``models/...``) look like paths and stay.
    """
    return _PATH.sub("_", _QUOTED.sub("'_'", start))


_MONEY = frozenset({400, 403, 429})
_POLICY = frozenset({400, 403, 422})
_LENGTH = frozenset({400, 403, 413, 422, 500})
_RATE = frozenset({413, 429})
_MODEL = frozenset({400, 404, 422, 503})
_BAD = frozenset({400})
_LOAD = frozenset({400, 429, 500, 502})
_FAULT = frozenset({500})

_WORDINGS: tuple[tuple[Kind, frozenset[int], str, str], ...] = (
    (Kind.QUOTA, _MONEY, r"credit balance is too low", "Anthropic, 400"),
    (Kind.QUOTA, _MONEY, r"reached your specified (workspace )?API usage limits", "Anthropic: spend limits, 400"),
    (Kind.QUOTA, _MONEY, r"insufficient (account )?(balance|credits?|funds)", "DeepSeek, 402; OpenRouter, 402"),
    (Kind.QUOTA, _MONEY, r"used all available credits|(run out of|doesn.t have any) credits", "xAI, 403 and 429"),
    (Kind.QUOTA, _MONEY, r"billing hard limit has been reached", "OpenAI, 400"),
    (Kind.QUOTA, _MONEY, r"account is in arrears", "Z.ai, 429"),
    (
        Kind.QUOTA,
        _MONEY,
        r"reached your (\w+ )?usage limit|monthly usage limit",
        "Ollama cloud, 429; Kimi, 403, 429",
    ),
    (Kind.QUOTA, _MONEY, r"usage limit reached for \d", "Z.ai's coding plan, 429"),
    (Kind.QUOTA, _MONEY, r"free-models-per-day", "OpenRouter: limits, 429"),
    (Kind.QUOTA, _MONEY, r"too many tokens per day", "Bedrock, 429 as a ThrottlingException"),
    (Kind.QUOTA, _MONEY, r"quota exceeded for metric: [^,]{1,200}, limit: 0\b", "Gemini, 429: not in the free tier"),
    (Kind.QUOTA, _MONEY, r"^\W*payment required\b", "gateways that drop the status"),
    (Kind.CONTENT_FILTER, _POLICY, r"content management policy", "Azure OpenAI: content filtering, 400"),
    (Kind.CONTENT_FILTER, _POLICY, r"content exists risk", "DeepSeek, 400"),
    (Kind.CONTENT_FILTER, _POLICY, r"blocked by (our |your |the )?content[ -]filter", "Anthropic, 400; Bedrock, 400"),
    (Kind.CONTENT_FILTER, _POLICY, r"requires moderation on|your input was flagged", "OpenRouter: errors, 403"),
    (Kind.CONTENT_FILTER, _POLICY, r"rejected because it was considered high risk", "Moonshot: errors, 400"),
    (Kind.CONTENT_FILTER, _POLICY, r"potentially unsafe or sensitive content", "Z.ai: error codes, 400"),
    (Kind.CONTENT_FILTER, _POLICY, r"API call blocked by policy", "Z.ai: error codes, 1300"),
    (Kind.CONTENT_FILTER, _POLICY, r"content violates usage guidelines", "xAI, 400 and 403"),
    (
        Kind.CONTENT_FILTER,
        _POLICY,
        r"flagged as potentially violating our usage policy",
        "OpenAI: reasoning, 400",
    ),
    (Kind.CONTENT_FILTER, _POLICY, r"rejected as a result of our safety system", "OpenAI: images, 400"),
    (Kind.CONTENT_FILTER, _POLICY, r"data may contain inappropriate content", "DashScope: error codes, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"maximum context length", "OpenAI, vLLM, SGLang, OpenRouter, DeepSeek, Mistral"),
    (
        Kind.CONTEXT_LENGTH,
        _LENGTH,
        r"exceeds? (the )?((available|maximum|model.s) )?context (window|size|length|limit)",
        "OpenAI Responses; llama.cpp; llama-cpp-python; Anthropic, input and max_tokens together",
    ),
    (
        Kind.CONTEXT_LENGTH,
        _LENGTH,
        r"(longer|greater|less) than the (model.s )?context length",
        "SGLang; LM Studio; Together: error codes, 403",
    ),
    (
        Kind.CONTEXT_LENGTH,
        _LENGTH,
        r"context (length|size|window) (has been |is |of )?(only|exceeded|exceeds)",
        "vLLM from 0.16; LM Studio; MiniMax",
    ),
    (
        Kind.CONTEXT_LENGTH,
        _LENGTH,
        r"(prompt|input)( token length)?( is)? too long",
        "Anthropic; Bedrock; Moonshot; Ollama",
    ),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"prompt exceeds max length", "Z.ai, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"input token count.{0,40}exceeds the maximum", "Gemini, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"maximum prompt length is \d", "xAI, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"reduce the length of the (messages|prompt|input)", "OpenAI, Groq, vLLM"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"exceeded model token limit", "Moonshot: errors, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"total message size \d+ exceeds limit", "Kimi Code: error reference, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"too many tokens: (total number|size limit)", "Cohere: errors, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"tokens`? \+ `?max_new_tokens`? {1,2}must be", "Text Generation Inference, 422"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"range of input length should be", "DashScope: error codes, 400"),
    (Kind.CONTEXT_LENGTH, _LENGTH, r"tokens\) exceeds the maximum allowed length", "SGLang, 400"),
    # The limit is a minute's, but one request is larger than it: waiting never helps, and another model may take it.
    (Kind.CONTEXT_LENGTH, _RATE, r"request too large for ", "Groq, 413; OpenAI, 429; both as rate_limit_exceeded"),
    (
        Kind.MISCONFIGURED,
        _MODEL,
        r"\bmodel( \S{1,200})? (does not exist|(is )?not found|not exist)\b",
        "vLLM; Ollama; DeepSeek",
    ),
    (Kind.REPHRASED, _BAD, r"invalid `?(signature|data)`? in `?(redacted_)?thinking`? block", "Anthropic; Bedrock"),
    (Kind.REPHRASED, _BAD, r"expected `?thinking`? or `?redacted_thinking`?, but found", "Anthropic; Bedrock"),
    (Kind.REPHRASED, _BAD, r"thought signature is not valid", "Gemini"),
    (Kind.REPHRASED, _BAD, r"encrypted content .{1,200} could not be verified", "OpenAI: Responses"),
    (Kind.MISCONFIGURED, _MODEL, r"\bmodels/\S{1,200} is not found", "Gemini, 404"),
    (Kind.MISCONFIGURED, _MODEL, r"\binvalid model\b", "Mistral, 400; LiteLLM, 400"),
    (Kind.MISCONFIGURED, _MODEL, r"not a valid model ID", "OpenRouter, 400"),
    (Kind.MISCONFIGURED, _MODEL, r"no endpoints found (for|matching)", "OpenRouter, 404"),
    (Kind.MISCONFIGURED, _MODEL, r"model identifier is invalid", "Bedrock, 400"),
    (Kind.MISCONFIGURED, _MODEL, r"on-demand throughput", "Bedrock, 400: ask for an inference profile"),
    (Kind.MISCONFIGURED, _MODEL, r"no models? loaded", "LM Studio, 400 and 404"),
    (Kind.UNSUPPORTED, _MODEL, r"doesn.t support the model that you provided", "Bedrock, 400: another operation does"),
    (Kind.UNSUPPORTED, _MODEL, r"\bsupported in (the )?/?v1/", "OpenAI, 404: a model for another path"),
    (Kind.UNAUTHORIZED, _BAD, r"API key (not valid|not found|expired)", "Gemini: 400 as INVALID_ARGUMENT"),
    (Kind.UNAUTHORIZED, _BAD, r"incorrect API key provided", "xAI, 400"),
    (Kind.UNAUTHORIZED, _BAD, r"user location is not supported", "Gemini: 400 as FAILED_PRECONDITION"),
    (
        Kind.OVERLOADED,
        _LOAD,
        r"(servers?|engine|model|service|system) (is|are|may be) ((currently|temporarily) )?overloaded",
        "OpenAI; Moonshot; Gemini; Z.ai",
    ),
    (Kind.OVERLOADED, _LOAD, r"^\W*overloaded\b", "Anthropic"),
    (Kind.OVERLOADED, _LOAD, r"server (is )?busy", "Ollama; DeepSeek"),
    (Kind.OVERLOADED, _LOAD, r"experiencing high (demand|traffic|load)", "Azure OpenAI, 429; Gemini, 503"),
    (Kind.OVERLOADED, _LOAD, r"\b(over|at) capacity\b|capacity exceeded", "Groq, 503; Mistral, 429"),
    (Kind.RATE_LIMITED, _FAULT, r"rate limit (exceeded|reached)|rate-limited", "Mistral; OpenAI; OpenRouter"),
    (Kind.RATE_LIMITED, _FAULT, r"too many requests|too many tokens, please wait", "gateways; Bedrock through them"),
)

WORDINGS: tuple[Wording, ...] = tuple(
    Wording(kind, statuses, re.compile(pattern, re.IGNORECASE), seen) for kind, statuses, pattern, seen in _WORDINGS
)
"""In the order in which they are tried."""
