"""Which headers cross the proxy, in both directions.

PURE, and on the path of every request. What is not named here passes, so that a vendor's new header works on the day
it appears. Dropped are:

- hop-by-hop headers, and those that Connection names (RFC 9110, section 7.6.1);
- what the two HTTP engines write themselves: Host, Content-Length, Transfer-Encoding, Expect;
- what says where the client is: X-Forwarded-*, Forwarded, Via and their like; that is no provider's business;
- the client's credentials, where they are not meant for the endpoint. Cookies are credentials, too: a browser sends
  those of any other local server, because cookies do not know ports (RFC 6265, section 8.5);
- on generation requests Accept-Encoding, because a compressed answer cannot be looked at, and Content-Encoding,
  because the server engine has decoded the body;
- in responses, ``x-hydrallm-*``: that is ours to say.

What the config says for an endpoint wins over everything, also over the credential and the defaults of its API type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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

_REQUEST = HOP_BY_HOP | ENGINE | FORWARDING
_DROPPED = {  # (generation, without the client's credentials)
    (False, False): _REQUEST,
    (False, True): _REQUEST | CREDENTIALS,
    (True, False): _REQUEST | {b"accept-encoding", b"content-encoding"},
    (True, True): _REQUEST | {b"accept-encoding", b"content-encoding"} | CREDENTIALS,
}
_RESPONSE = HOP_BY_HOP | {b"content-length"}
_DECODED_RESPONSE = _RESPONSE | {b"content-encoding"}

_IDENTITY = (b"accept-encoding", b"identity")

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


def _without_named(kept: Headers, headers: Headers) -> Headers:
    """Return ``kept`` without what a Connection header among ``headers`` names."""
    named: set[bytes] = set()
    for name, value in headers:
        if name == b"connection" and value not in _NAMES_NOTHING:
            named.update(option.strip().lower() for option in value.split(b","))
    return [pair for pair in kept if pair[0] not in named] if named else kept
