"""Which headers cross the proxy, in both directions.

PURE, and on the path of every request. What is not named here passes, so that a vendor's new header works on the day
it appears. Dropped are:

- hop-by-hop headers, and those that Connection names (RFC 9110, section 7.6.1);
- what the two HTTP engines write themselves: Host, Content-Length, Transfer-Encoding, Expect;
- what says where the client is: X-Forwarded-*, Forwarded, Via and their like; that is no provider's business;
- the client's credentials, where they are not meant for the endpoint. Cookies are credentials, too: a browser sends
  those of any other local server, because cookies do not know ports (RFC 6265, section 8.5);
- on generation requests Accept-Encoding, because a compressed answer cannot be looked at, and Content-Encoding,
  because the server engine has decoded the body; and digests of it, because the model in it is replaced;
- in responses, ``x-hydrallm-*``: that is ours to say.

What is translated into another wire format has crossed a border, and two more rules hold there. Of a request, what is
said to the client's own API stays behind: :func:`translated_request_headers` is a list of what is dropped, too, because
a header that is not known may be the user's own (a gateway's, a trace's). Of an answer, only what is still true of it
goes on: :func:`translated_response_headers` is a list of what is kept, because most of an upstream's headers are about
a body that the client never sees (its coding, digest, cache), and what a client's SDK looks for in a header of another
vendor is little.

What the config says for an endpoint wins over everything, also over the credential and the defaults of its API type.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

from hydrallm.message import header

if TYPE_CHECKING:
    from hydrallm.endpoints.base import Call, Endpoint
    from hydrallm.message import Headers

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""Meant for the next hop only (RFC 9110, section 7.6.1, and what is out there)."""

ENGINE = frozenset({b"host", b"content-length", b"transfer-encoding", b"connection", b"expect"})
"""Written by the client engine: an endpoint's own ``headers`` must not contain them."""

FORWARDING = frozenset(
    {
        b"cf-connecting-ip",
        b"client-ip",
        b"fastly-client-ip",
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-forwarded-for",
        b"x-original-host",
        b"x-original-url",
        b"x-real-ip",
        b"x-rewrite-url",
    }
)
"""What proxies say about the client, besides everything that starts with ``x-forwarded``."""

SIGNATURE = frozenset({b"x-amz-content-sha256", b"x-amz-date", b"x-amz-security-token"})
"""What belongs to an AWS signature besides Authorization; the token is a credential by itself."""

CREDENTIALS = SIGNATURE | {b"api-key", b"authorization", b"cookie", b"x-api-key", b"x-goog-api-key"}
"""By what a client shows who it is."""

_ACCOUNT = frozenset({b"openai-organization", b"openai-project", b"anthropic-workspace-id"})
"""For which account a credential is to act. It goes where the credential goes."""

_OWN_API = (
    *(b"anthropic-", b"x-claude-"),  # Anthropic's SDKs; Claude Code
    *(b"openai-", b"x-openai-", b"chatgpt-", b"x-codex-"),  # OpenAI's SDKs; Codex
    b"x-stainless-",  # both SDKs, of themselves
    *(b"x-amz-", b"x-amzn-", b"amz-sdk-"),  # AWS's SDKs
    *(b"x-goog-", b"x-ms-"),  # Google's SDKs; Azure's
)
"""How the names begin of what a client says to its own API, and only that understands."""

_OF_BODIES = (b"content-", b"if-")
"""How the names begin of what a client says of the body that it sent, or of the one that it has."""

_SECRET = re.compile(rb"auth|cookie|key|secret|token")
"""In the name of what may well be a credential, of a gateway in between for one."""

_LEFT_BEHIND = frozenset(
    {
        *(b"x-app", b"originator", b"api-version"),  # Claude Code; Codex; Azure: to their own API, too
        *(b"accept", b"accept-charset", b"digest", b"range", b"repr-digest"),  # of bodies, too
        b"idempotency-key",  # a promise that what comes with it is always the same; what is composed is not
    }
)

_JSON: Headers = [(b"accept", b"application/json"), (b"content-type", b"application/json")]

_SIGNED = b"AWS4-"
"""How an Authorization begins that is a signature; it holds for one body and one path."""

REQUEST_IDS = (
    b"request-id",  # Anthropic
    b"x-request-id",  # OpenAI, and most
    b"x-amzn-requestid",  # Bedrock
    *(b"x-oai-request-id", b"apim-request-id", b"x-ms-request-id"),  # OpenAI; Azure
    b"x-generation-id",  # OpenRouter
    b"x-correlation-id",
    b"cf-ray",  # the least: it is not the provider's, but that of the network in front
)
"""By what a provider finds a request again. Where it has several, the first of these is the one to ask it with."""

_STILL_TRUE = frozenset(
    {
        *REQUEST_IDS,
        *(b"retry-after", b"retry-after-ms"),
        *(b"traceparent", b"tracestate", b"x-amzn-trace-id"),
        *(b"date", b"server-timing", b"openai-processing-ms", b"x-envoy-upstream-service-time"),
    }
)
"""What an answer's translation does not change, besides the rate limits, which each vendor calls something else."""

_REQUEST = HOP_BY_HOP | ENGINE | FORWARDING
_OF_BODY = frozenset(
    {b"accept-encoding", b"content-digest", b"content-encoding", b"content-md5", b"digest", b"repr-digest"}
)
_DROPPED = {  # (generation, without the client's credentials)
    (False, False): _REQUEST,
    (False, True): _REQUEST | CREDENTIALS,
    (True, False): _REQUEST | _OF_BODY,
    (True, True): _REQUEST | _OF_BODY | CREDENTIALS,
}
_RESPONSE = HOP_BY_HOP | {b"content-length"}
_DECODED_RESPONSE = _RESPONSE | {b"content-encoding"}

_IDENTITY = (b"accept-encoding", b"identity")

_NAMES: Final = 256
"""Of so many names it is remembered whether they cross: those in use are few, and the rules have to look inside."""

# The usual values of Connection: they name nothing that is not in the sets above.
_NAMES_NOTHING = frozenset({b"keep-alive", b"close", b"Keep-Alive", b"Close"})


def request_headers(endpoint: Endpoint, call: Call, own: Headers) -> Headers:
    """Return those of the client's headers that ``endpoint`` is sent, ours, and the endpoint's.

    Args:
        endpoint: its ``headers`` replace the client's of the same name; if it has a credential (or ``"-"``), the
            client's are dropped.
        call: what the client asked. The body of a generation is taken to be decoded.
        own: what the API type adds, such as the credential; the client's of the same names are not among what passes.
    """
    dropped = _DROPPED[call.generation, call.strip_credentials or endpoint.own_credential]
    headers = [pair for pair in call.headers if pair[0] not in dropped and not pair[0].startswith(b"x-forwarded")]
    headers = _without_named(headers, call.headers)
    if call.generation:
        headers.append(_IDENTITY)
    headers += own
    if endpoint.headers:
        replaced = {name for name, _ in endpoint.headers}
        headers = [pair for pair in headers if pair[0] not in replaced]
        headers += endpoint.headers
    return headers


def response_headers(headers: Headers, *, decoded: bool = False) -> Headers:
    """Return those of an upstream's headers that the client is sent.

    Args:
        headers: all of the upstream's.
        decoded: the proxy has undone the body's content encoding.
    """
    dropped = _DECODED_RESPONSE if decoded else _RESPONSE
    kept = [pair for pair in headers if pair[0] not in dropped and not pair[0].startswith(b"x-hydrallm-")]
    return _without_named(kept, headers)


def translated_request_headers(headers: Headers, *, keep_credentials: bool) -> Headers:
    """Return those of a client's headers that go along with its request when that is composed in another wire format.

    They are the ``headers`` of a :class:`~hydrallm.endpoints.base.Call` and pass through :func:`request_headers` like
    any client's; the headers of the new format are to be added.

    Args:
        headers: all of the client's.
        keep_credentials: whether the client's credentials are meant for whoever is asked: no provider is shown the
            key of another one. A signature never goes along, as it is one of another body.
    """
    kept = [
        (name, value)
        for name, value in headers
        if _crosses(name)[keep_credentials] and not (name == b"authorization" and value.startswith(_SIGNED))
    ]
    return kept + _JSON


@functools.lru_cache(_NAMES)
def _crosses(name: bytes) -> tuple[bool, bool]:
    """Return whether a header goes along, without the client's credentials and with them."""
    if name in SIGNATURE:
        return False, False
    if name in CREDENTIALS or name in _ACCOUNT:
        return False, True
    if name in _LEFT_BEHIND or name.startswith(_OWN_API) or name.startswith(_OF_BODIES):
        return False, False
    return _SECRET.search(name) is None, True


def translated_response_headers(headers: Headers, request_id: bytes) -> Headers:
    """Return those of an upstream's headers that go along with its answer when that is delivered in another format.

    Args:
        headers: all of the upstream's.
        request_id: the header in which the SDKs of the client's API look for the id of a request, such as
            ``x-request-id``. Where the upstream has its id in another one, it is said in this one, too.

    Returns:
        without any ``content-type``: the format's is to be added.
    """
    kept = [pair for pair in headers if _stays_true(pair[0])]
    kept = _without_named(kept, headers)
    if header(kept, request_id) is None:
        identity = next(filter(None, (header(kept, name) for name in REQUEST_IDS)), None)
        if identity is not None:
            kept.append((request_id, identity))
    return kept


@functools.lru_cache(_NAMES)
def _stays_true(name: bytes) -> bool:
    is_limit = (b"ratelimit" in name or b"rate-limit" in name) and not name.startswith(b"x-hydrallm-")
    return is_limit or name in _STILL_TRUE


def _without_named(kept: Headers, headers: Headers) -> Headers:
    """Return ``kept`` without what a Connection header among ``headers`` names."""
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection" and value not in _NAMES_NOTHING:
            named.update(option.strip().lower() for option in value.split(b","))
    return [pair for pair in kept if pair[0] not in named] if named else kept
