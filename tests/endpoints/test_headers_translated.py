"""Which headers cross the proxy where a request or an answer is translated.

What SDKs say to their own API is taken from the SDKs, which are made to send real requests, and they read the answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import httpx2
import openai
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.app import FORMATS
from hydrallm.endpoints.base import ApiKey, Call, ClientCredential, Endpoint
from hydrallm.endpoints.headers import request_headers, translated_request_headers, translated_response_headers
from hydrallm.endpoints.url import parse_base_url
from hydrallm.formats.base import ApiType
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.message import Headers

JSON = [(b"accept", b"application/json"), (b"content-type", b"application/json")]
CUSTOM = {"x-team": "search", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


# ---- requests


class SentError(Exception):
    """Ends a request as soon as its headers are known."""


def heard(ask: Callable[[httpx2.Client], Any]) -> Headers:
    """Return the headers of the request that an SDK sends."""
    seen: Headers = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.extend((name.lower(), value) for name, value in request.headers.raw)
        return httpx2.Response(404)

    with pytest.raises((openai.NotFoundError, anthropic.NotFoundError)):
        ask(httpx2.Client(transport=httpx2.MockTransport(answer)))
    return seen


def ask_openai(http: httpx2.Client) -> object:
    client = openai.OpenAI(
        api_key="key",
        base_url="http://h",
        organization="org",
        project="project",
        max_retries=0,
        http_client=http,
        default_headers=CUSTOM,
    )
    headers = {"idempotency-key": "i", "openai-beta": "responses=experimental", "originator": "codex_cli_rs"}
    return client.chat.completions.create(model="m", messages=[], extra_headers=headers)


def ask_anthropic(http: httpx2.Client) -> object:
    client = anthropic.Anthropic(
        api_key="key", base_url="http://h", max_retries=0, http_client=http, default_headers=CUSTOM
    )
    headers = {
        "anthropic-beta": "files-api-2025-04-14",
        "anthropic-dangerous-direct-browser-access": "true",
        "anthropic-workspace-id": "workspace",
        "x-app": "cli",
    }
    return client.messages.create(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "c"}], extra_headers=headers
    )


def heard_of_boto3() -> Headers:
    """Return the headers of the request that boto3 signs and sends."""
    seen: Headers = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        for name, value in [*request.headers.items(), *CUSTOM.items()]:
            seen.append((name.lower().encode(), value if isinstance(value, bytes) else str(value).encode()))
        raise SentError

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url="http://h",
        region_name="us-east-1",
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
        aws_session_token="token",
    )
    client.meta.events.register("before-send", answer)
    with pytest.raises(SentError):
        client.converse(modelId="m", messages=[], guardrailConfig={"guardrailIdentifier": "g", "guardrailVersion": "1"})
    return seen


CLIENTS: dict[str, tuple[Callable[[], Headers], set[bytes]]] = {
    "openai": (
        lambda: heard(ask_openai),
        {b"authorization", b"openai-organization", b"openai-project"},
    ),
    "anthropic": (
        lambda: heard(ask_anthropic),
        {b"authorization", b"x-api-key", b"anthropic-workspace-id"},
    ),
    "boto3": (heard_of_boto3, set()),
}
# The engine writes the first four anew, and what a connection names must be known to drop it.
ENGINE = {b"host", b"connection", b"accept-encoding", b"content-length"}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("keep", [False, True])
def test_of_a_client_s_headers_its_own_api_s_stay_behind(client: str, keep: bool) -> None:
    listen, account = CLIENTS[client]
    sent = listen()
    went = translated_request_headers(sent, keep_credentials=keep)
    assert went[-2:] == JSON
    names = {name for name, _ in went[:-2]} - ENGINE
    kept = account & {name for name, _ in sent} if keep else set()
    assert names == {b"user-agent", b"x-team", b"traceparent"} | kept
    assert dict(went)[b"x-team"] == b"search"
    assert dict(went)[b"user-agent"] == dict(sent)[b"user-agent"]


@pytest.mark.parametrize(
    "name",
    [
        # what the body was, and how it was sent
        *(b"content-type", b"content-length", b"content-encoding", b"content-md5", b"content-digest", b"digest"),
        *(b"accept", b"idempotency-key", b"if-none-match", b"range"),
        # the client's API
        *(b"anthropic-version", b"anthropic-beta", b"x-stainless-retry-count", b"x-stainless-lang", b"openai-beta"),
        *(b"x-amzn-bedrock-guardrailidentifier", b"x-amzn-bedrock-trace", b"x-amz-checksum-crc32"),
        *(b"amz-sdk-invocation-id", b"amz-sdk-request", b"x-goog-api-client", b"api-version"),
        *(b"chatgpt-account-id", b"x-codex-turn-metadata", b"x-claude-code-session-id"),
        # a signature, even where credentials are kept
        *(b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"),
    ],
)
def test_stays_behind(name: bytes) -> None:
    for keep in (False, True):
        assert (name, b"value") not in translated_request_headers([(name, b"value")], keep_credentials=keep)


@pytest.mark.parametrize(
    "name", [b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"cookie", b"openai-organization"]
)
def test_credentials_go_only_where_they_are_meant_for(name: bytes) -> None:
    pair = (name, b"the client's")
    assert translated_request_headers([pair], keep_credentials=False) == JSON
    assert translated_request_headers([pair], keep_credentials=True) == [pair, *JSON]


def test_a_signature_is_one_of_another_body_and_a_key_is_none() -> None:
    signature = (b"authorization", b"AWS4-HMAC-SHA256 Credential=AKID/20261122/us-east-1/bedrock/aws4_request, ...")
    bearer = (b"authorization", b"Bearer bedrock-api-key-x")
    assert translated_request_headers([signature], keep_credentials=True) == JSON
    assert translated_request_headers([bearer], keep_credentials=True) == [bearer, *JSON]


@pytest.mark.parametrize(
    "name",
    [
        b"user-agent",
        b"x-request-id",
        b"traceparent",
        b"tracestate",
        b"baggage",
        b"b3",
        b"accept-language",
        b"helicone-x",
    ],
)
def test_goes_along(name: bytes) -> None:
    assert translated_request_headers([(name, b"a"), (name, b"b")], keep_credentials=False) == [
        (name, b"a"),
        (name, b"b"),
        *JSON,
    ]


def test_what_goes_along_passes_through_the_rules_for_all_requests() -> None:
    """Connection still drops what it names, and an endpoint's own key what the client has shown."""
    request = [(b"connection", b"x-hop"), (b"x-hop", b"1"), (b"authorization", b"k"), (b"x-forwarded-for", b"::1")]
    went = translated_request_headers(request, keep_credentials=True)
    call = Call(b"POST", b"/v1/messages", b"", went, b"{}", generation=True)
    url = parse_base_url("https://api.example/v1")
    identity = (b"accept-encoding", b"identity")
    own = (b"x-api-key", b"own")
    assert request_headers(Endpoint("e", url, ApiKey(Secret("own"))), call, [own]) == [*JSON, identity, own]
    assert request_headers(Endpoint("e", url, ClientCredential()), call, []) == [
        (b"authorization", b"k"),
        *JSON,
        identity,
    ]


# ---- answers

BY_ANTHROPIC: Headers = [
    (b"date", b"Thu, 21 Aug 2025 12:41:00 GMT"),
    (b"content-type", b"application/json"),
    (b"content-encoding", b"gzip"),
    (b"anthropic-ratelimit-requests-remaining", b"999"),
    (b"anthropic-ratelimit-unified-reset", b"1755780060"),
    (b"retry-after", b"7"),
    (b"request-id", b"req_011"),
    (b"strict-transport-security", b"max-age=31536000"),
    (b"anthropic-organization-id", b"36562039"),
    (b"x-envoy-upstream-service-time", b"690"),
    (b"via", b"1.1 google"),
    (b"cf-cache-status", b"DYNAMIC"),
    (b"server", b"cloudflare"),
    (b"x-should-retry", b"true"),
    (b"cf-ray", b"972a33bb3977d246-FRA"),
]
BY_OPENAI: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"transfer-encoding", b"chunked"),
    (b"openai-organization", b"org-1"),
    (b"openai-processing-ms", b"345"),
    (b"openai-version", b"2020-10-01"),
    (b"x-ratelimit-remaining-tokens", b"149984"),
    (b"x-ratelimit-reset-tokens", b"6ms"),
    (b"retry-after-ms", b"6"),
    (b"x-request-id", b"req_abc"),
    (b"set-cookie", b"__cf_bm=x"),
    (b"set-cookie", b"_cfuvid=y"),
    (b"alt-svc", b'h3=":443"'),
    (b"etag", b'W/"1"'),
    (b"cf-ray", b"8-FRA"),
]
BY_BEDROCK: Headers = [
    (b"content-type", b"application/vnd.amazon.eventstream"),
    (b"x-amzn-requestid", b"1e4f"),
    (b"x-amzn-errortype", b"ThrottlingException:http://internal.amazon.com/coral/"),
    (b"x-amzn-bedrock-input-token-count", b"12"),
    (b"x-amzn-bedrock-invocation-latency", b"345"),
    (b"x-amzn-trace-id", b"Root=1-5759e988"),
]
BY_AZURE: Headers = [(b"apim-request-id", b"apim"), (b"x-ms-region", b"East US"), (b"x-accel-buffering", b"no")]

ANSWERS: list[tuple[Headers, set[bytes], bytes]] = [
    (
        BY_ANTHROPIC,
        {
            *(b"date", b"anthropic-ratelimit-requests-remaining", b"anthropic-ratelimit-unified-reset", b"retry-after"),
            *(b"request-id", b"x-envoy-upstream-service-time", b"cf-ray"),
        },
        b"req_011",
    ),
    (
        BY_OPENAI,
        {
            *(b"openai-processing-ms", b"x-ratelimit-remaining-tokens", b"x-ratelimit-reset-tokens"),
            *(b"retry-after-ms", b"x-request-id", b"cf-ray"),
        },
        b"req_abc",
    ),
    (BY_BEDROCK, {b"x-amzn-requestid", b"x-amzn-trace-id"}, b"1e4f"),
    (BY_AZURE, {b"apim-request-id"}, b"apim"),
]
REQUEST_ID = {ApiType.OPENAI: b"x-request-id", ApiType.ANTHROPIC: b"request-id", ApiType.BEDROCK: b"x-amzn-requestid"}


@pytest.mark.parametrize(("headers", "kept", "identity"), ANSWERS, ids=["anthropic", "openai", "bedrock", "azure"])
@pytest.mark.parametrize("api_type", ApiType)
def test_of_an_answer_s_headers_what_is_still_true_goes_on(
    headers: Headers, kept: set[bytes], identity: bytes, api_type: ApiType
) -> None:
    name = REQUEST_ID[api_type]
    went = translated_response_headers(headers, name)
    expected = [pair for pair in headers if pair[0] in kept]
    assert went == (expected if name in kept else [*expected, (name, identity)])


@pytest.mark.parametrize("headers", [answer[0] for answer in ANSWERS], ids=["anthropic", "openai", "bedrock", "azure"])
def test_the_sdks_show_the_upstream_s_id(headers: Headers) -> None:
    """It is what the provider asks for, and the SDKs look in one header only."""
    identity = next(identity for sent, _, identity in ANSWERS if sent is headers).decode()

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(404, headers=translated_response_headers(headers, name), content=b"{}")

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    name = REQUEST_ID[ApiType.OPENAI]
    with pytest.raises(openai.NotFoundError) as of_openai:
        ask_openai(http)
    assert of_openai.value.request_id == identity
    name = REQUEST_ID[ApiType.ANTHROPIC]
    with pytest.raises(anthropic.NotFoundError) as of_anthropic:
        ask_anthropic(http)
    assert of_anthropic.value.request_id == identity


class Body:
    """The part of urllib3's response that botocore reads."""

    def stream(self) -> list[bytes]:
        return [b"{}"]


@pytest.mark.parametrize(("headers", "kept", "identity"), ANSWERS, ids=["anthropic", "openai", "bedrock", "azure"])
def test_boto3_shows_the_upstream_s_id(headers: Headers, kept: set[bytes], identity: bytes) -> None:
    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        went = translated_response_headers(headers, REQUEST_ID[ApiType.BEDROCK])
        return AWSResponse(request.url, 404, {name.decode(): value.decode() for name, value in went}, Body())

    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    client = boto3.client("bedrock-runtime", endpoint_url="http://h", region_name="us-east-1", **keys)
    client.meta.events.register("before-send", answer)
    with pytest.raises(ClientError) as caught:
        client.converse(modelId="m", messages=[])
    assert caught.value.response["ResponseMetadata"]["RequestId"] == identity.decode()


def test_the_formats_look_for_it_where_the_sdks_do() -> None:
    assert {format_.name: format_.request_id for format_ in FORMATS} == {
        format_.name: REQUEST_ID[format_.api_type] for format_ in FORMATS
    }


@pytest.mark.parametrize(
    "name",
    [
        *(b"x-hydrallm-request-id", b"x-hydrallm-ratelimit-x", b"content-type", b"content-length", b"content-encoding"),
        *(b"x-should-retry", b"set-cookie", b"strict-transport-security", b"connection", b"keep-alive", b"etag"),
        *(b"x-amzn-errortype", b"x-amzn-bedrock-cache-read-input-token-count", b"access-control-allow-origin"),
    ],
)
def test_does_not_go_on(name: bytes) -> None:
    assert translated_response_headers([(name, b"1")], b"request-id") == []


def test_what_connection_names_does_not_go_on() -> None:
    answer = [(b"connection", b"x-request-id, close"), (b"x-request-id", b"hop"), (b"retry-after", b"3")]
    assert translated_response_headers(answer, b"request-id") == [(b"retry-after", b"3")]


def test_without_an_id_none_is_made_up() -> None:
    assert translated_response_headers([(b"x-request-id", b""), (b"date", b"d")], b"request-id") == [
        (b"x-request-id", b""),
        (b"date", b"d"),
    ]


names = st.sampled_from([b"request-id", b"x-request-id", b"cf-ray", b"accept", b"authorization", b"x-a", b"connection"])


@given(headers=st.lists(st.tuples(names, st.sampled_from([b"x-a", b"1", b""])), max_size=8), keep=st.booleans())
def test_the_headers_themselves_are_not_touched(headers: Headers, keep: bool) -> None:
    before = list(headers)
    translated_request_headers(headers, keep_credentials=keep).append((b"x", b"y"))
    translated_response_headers(headers, b"request-id").append((b"x", b"y"))
    assert headers == before
    assert translated_request_headers([], keep_credentials=keep) == JSON
