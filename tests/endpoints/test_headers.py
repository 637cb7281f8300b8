"""Which headers cross the proxy. The lists here are written out again, from the RFCs and from the promises made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.endpoints.base import ApiKey, AwsKeys, Call, ClientCredential, Credential, Endpoint, NoCredential
from hydrallm.endpoints.headers import request_headers, response_headers
from hydrallm.endpoints.url import parse_base_url
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from hydrallm.message import Headers

URL = parse_base_url("https://api.example/v1")
OWN: list[Credential] = [
    ApiKey(Secret("k")),
    AwsKeys("AKID", Secret("s"), None, "us-east-1"),
    NoCredential(),
]


def call(headers: Headers, *, generation: bool = False, strip_credentials: bool = False) -> Call:
    return Call(b"POST", b"/v1/x", b"", headers, b"{}", generation, strip_credentials)


def endpoint(credential: Credential | None = None, *headers: tuple[bytes, bytes]) -> Endpoint:
    return Endpoint("e", URL, credential or ClientCredential(), headers=headers)


@pytest.mark.parametrize("generation", [False, True])
@pytest.mark.parametrize(
    "name",
    [
        # RFC 9110, section 7.6.1, and RFC 9112
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        # what the client engine writes
        b"host",
        b"content-length",
        b"expect",
        # where the client is
        b"forwarded",
        b"via",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-made-up",
        b"x-real-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
    ],
)
def test_never_sent_on(name: bytes, generation: bool) -> None:
    headers = request_headers(endpoint(), call([(name, b"x"), (b"accept", b"*/*")], generation=generation), [])
    assert name not in dict(headers)
    assert (b"accept", b"*/*") in headers


PASSING: Headers = [
    (b"user-agent", b"OpenAI/Python 3.54"),
    (b"content-type", b"application/json"),
    (b"accept", b"text/event-stream"),
    (b"anthropic-version", b"2026-10-21"),
    (b"anthropic-beta", b"a"),
    (b"anthropic-beta", b"b"),
    (b"openai-organization", b"org"),
    (b"x-stainless-retry-count", b"1"),
    (b"x-amzn-bedrock-guardrailidentifier", b"g"),
    (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    (b"x-a-header-of-next-year", b"\xe9 kept as it is "),
    (b"range", b"bytes=0-9"),
]


@pytest.mark.parametrize("generation", [False, True])
@pytest.mark.parametrize("credential", [ClientCredential(), *OWN])
def test_everything_else_passes_in_order(generation: bool, credential: Credential) -> None:
    headers = request_headers(endpoint(credential), call(PASSING, generation=generation), [])
    assert headers[: len(PASSING)] == PASSING


CREDENTIALS = [
    b"authorization",
    b"x-api-key",
    b"api-key",
    b"x-goog-api-key",
    b"cookie",
    b"x-amz-security-token",
    b"x-amz-date",
    b"x-amz-content-sha256",
]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_clients_credentials_are_for_those_they_are_meant_for(name: bytes) -> None:
    request = [(name, b"the client's")]
    assert dict(request_headers(endpoint(), call(request), []))[name] == b"the client's"
    assert name not in dict(request_headers(endpoint(), call(request, strip_credentials=True), []))
    for credential in OWN:
        assert name not in dict(request_headers(endpoint(credential), call(request), []))
        assert name not in dict(request_headers(endpoint(credential), call(request, generation=True), []))


def test_generation_is_asked_for_uncompressed() -> None:
    request = [(b"accept-encoding", b"gzip, zstd"), (b"content-encoding", b"zstd")]
    assert request_headers(endpoint(), call(request, generation=True), []) == [(b"accept-encoding", b"identity")]
    assert request_headers(endpoint(), call(request), []) == request


def test_what_connection_names_goes_with_it() -> None:
    request = [
        (b"connection", b"X-Secret , close"),
        (b"x-secret", b"1"),
        (b"connection", b"accept"),
        (b"accept", b"*/*"),
        (b"x-other", b"2"),
    ]
    assert request_headers(endpoint(), call(request), []) == [(b"x-other", b"2")]
    assert response_headers(request) == [(b"x-other", b"2")]


@pytest.mark.parametrize("value", [b"keep-alive", b"Keep-Alive", b"close", b"", b",", b"keep-alive, , Upgrade"])
def test_the_usual_connection_names_nothing(value: bytes) -> None:
    assert request_headers(endpoint(), call([(b"accept", b"a"), (b"connection", value)]), []) == [(b"accept", b"a")]


def test_the_endpoints_own_headers_win() -> None:
    own = endpoint(ApiKey(Secret("k")), (b"user-agent", b"ours"), (b"accept-encoding", b"gzip"), (b"x-new", b"1"))
    request = [(b"user-agent", b"a"), (b"accept", b"*/*"), (b"user-agent", b"b"), (b"connection", b"x-new")]
    assert request_headers(own, call(request, generation=True), []) == [
        (b"accept", b"*/*"),
        (b"user-agent", b"ours"),
        (b"accept-encoding", b"gzip"),
        (b"x-new", b"1"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"content-length",
        b"x-hydrallm-model",
        b"x-hydrallm-request-id",
    ],
)
def test_never_sent_back(name: bytes) -> None:
    assert response_headers([(name, b"x"), (b"server", b"s")]) == [(b"server", b"s")]


def test_the_answers_other_headers_pass_in_order() -> None:
    answer = [
        (b"content-type", b"application/json"),
        (b"content-encoding", b"gzip"),
        (b"set-cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"retry-after", b"3"),
        (b"x-request-id", b"r"),
        (b"x-should-retry", b"false"),
    ]
    assert response_headers(answer) == answer
    decoded = [pair for pair in answer if pair[0] != b"content-encoding"]
    assert response_headers(answer, decoded=True) == decoded


names = st.sampled_from([b"host", b"authorization", b"accept", b"cookie", b"x-a", b"x-b", b"connection", b"te"])
pairs = st.lists(st.tuples(names, st.sampled_from([b"x-a", b"x-b, close", b"keep-alive", b"1"])), max_size=8)


@given(request=pairs, own=pairs, generation=st.booleans(), strip=st.booleans())
def test_the_clients_headers_are_not_touched(request: Headers, own: Headers, generation: bool, strip: bool) -> None:
    """The list belongs to the exchange, which needs it again for the next attempt."""
    before = list(request)
    ours = endpoint(None, *own)
    first = request_headers(ours, call(request, generation=generation, strip_credentials=strip), [])
    first.append((b"authorization", b"ours"))
    assert request == before
    assert ours.headers == tuple(own)
    answer = response_headers(request)
    answer.append((b"x", b"y"))
    assert request == before
