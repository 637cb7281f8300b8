"""What an endpoint of type bedrock is sent: boto3's own requests, signed again, must come out as boto3 signed them."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from hydrallm.endpoints.base import (
    ApiKey,
    AwsChain,
    AwsKeys,
    Call,
    ClientCredential,
    Credential,
    Endpoint,
    NoCredential,
)
from hydrallm.endpoints.bedrock import Bedrock
from hydrallm.endpoints.url import parse_base_url
from hydrallm.formats.base import ApiType
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.message import Headers, Request

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
URL = "https://bedrock-runtime.eu-west-1.amazonaws.com"
ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-v2:1"
CREDENTIALS = {b"authorization", b"x-api-key", b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"}

SIGNED: Headers = [
    (b"authorization", b"AWS4-HMAC-SHA256 Credential=AKIDCLIENT/20261122/us-east-1/bedrock/aws4_request"),
    (b"x-amz-date", b"20261122T115959Z"),
    (b"x-amz-security-token", b"theirs"),
    (b"x-amz-content-sha256", b"e3b0"),
    (b"x-amzn-bedrock-guardrailversion", b"1"),
]


def keys(token: str | None = None) -> AwsKeys:
    return AwsKeys("AKIDOURS", Secret("wJalrXUtnFEMI/K7MDENG"), None if token is None else Secret(token), "eu-west-1")


def address(credential: Credential, headers: Headers, *, strip: bool = False) -> Request:
    call = Call(b"POST", b"/model/a%3A0/converse", b"", headers, b"{}", generation=True, strip_credentials=strip)
    return Bedrock().address(Endpoint("e", parse_base_url(URL), credential), call, NOW)


def capture(ask: Callable[[Any], object], url: str, token: str | None) -> AWSPreparedRequest:
    """Return the request that boto3 would send."""
    seen: list[AWSPreparedRequest] = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        seen.append(request)
        raw = type("Raw", (), {"stream": lambda _: iter([b"{}"]), "read": lambda *_: b""})()
        return AWSResponse(request.url, 400, {}, raw)

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=url,
        region_name="eu-west-1",
        aws_access_key_id=keys().access_key_id,
        aws_secret_access_key=keys().secret_access_key.reveal(),
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    client.meta.events.register("before-send", answer)
    with pytest.raises(ClientError):
        ask(client)
    return seen[0]


MESSAGES = [{"role": "user", "content": [{"text": "Grüße"}]}]


@pytest.mark.parametrize("url", [URL, "http://127.0.0.1:8080", "https://h:8443/base/path"])
@pytest.mark.parametrize("token", [None, "session/token+=="])
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.converse(modelId=ARN, messages=MESSAGES),
        lambda client: client.converse_stream(modelId="amazon.nova-lite-v1:0", messages=MESSAGES),
        lambda client: client.invoke_model(modelId=ARN, body=b'{"a": 1}'),
        lambda client: client.invoke_model_with_response_stream(modelId=ARN, body=b"{}", guardrailIdentifier="g  1"),
        lambda client: client.list_async_invokes(maxResults=1, statusEquals="Completed", sortOrder="Ascending"),
    ],
)
def test_the_signature_is_boto3s(ask: Callable[[Any], object], token: str | None, url: str) -> None:
    sent = capture(ask, url, token)
    theirs = {name.lower(): value for name, value in sent.headers.items()}
    theirs = {name: value.decode() if isinstance(value, bytes) else value for name, value in theirs.items()}
    base = parse_base_url(url)
    target = sent.url.removeprefix(url)
    path, _, query = target.partition("?")
    names = theirs["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    call = Call(
        sent.method.encode(),
        path.encode(),
        query.encode(),
        [(name.encode(), theirs[name].encode()) for name in names if name != "host"],
        bytes(sent.body or b""),
        generation=False,
    )
    now = datetime.datetime.strptime(theirs["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
    request = Bedrock().address(Endpoint("e", base, keys(token)), call, now)
    ours = {name.decode(): value.decode() for name, value in request.headers}
    assert ours.get("x-amz-security-token") == token
    assert ours["authorization"] == theirs["authorization"]


def test_nothing_of_the_clients_signature_is_left() -> None:
    request = address(keys("ours"), SIGNED)
    sent = dict(request.headers)
    assert Bedrock().api_type is ApiType.BEDROCK
    assert [name for name, _ in request.headers if name in CREDENTIALS] == [
        b"x-amz-date",
        b"x-amz-security-token",
        b"authorization",
    ]
    assert sent[b"x-amz-date"] == b"20261122T120000Z"
    assert sent[b"x-amz-security-token"] == b"ours"
    assert (
        b"SignedHeaders=host;x-amz-date;x-amz-security-token;x-amzn-bedrock-guardrailversion," in sent[b"authorization"]
    )


@pytest.mark.parametrize(
    ("credential", "strip", "headers", "expected"),
    [
        (ApiKey(Secret("ours")), False, SIGNED, {b"authorization": b"Bearer ours"}),
        (ApiKey(Secret("ours")), False, [(b"authorization", b"Bearer theirs")], {b"authorization": b"Bearer ours"}),
        (NoCredential(), False, SIGNED, {}),
        (NoCredential(), False, [(b"authorization", b"Bearer theirs")], {}),
        (ClientCredential(), False, SIGNED, {}),
        (ClientCredential(), False, [(b"authorization", b"Bearer theirs")], {b"authorization": b"Bearer theirs"}),
        (ClientCredential(), False, [(b"x-api-key", b"theirs")], {b"x-api-key": b"theirs"}),
        (ClientCredential(), True, [(b"authorization", b"Bearer theirs")], {}),
    ],
)
def test_without_aws_keys(credential: Credential, strip: bool, headers: Headers, expected: dict[bytes, bytes]) -> None:
    request = address(credential, headers, strip=strip)
    assert request.target == b"/model/a%3A0/converse"
    assert request.body == b"{}"
    assert {name: value for name, value in request.headers if name in CREDENTIALS} == expected


def test_an_authorization_that_the_config_sets_wins_over_the_signature() -> None:
    own = (b"authorization", b"Bearer of-the-config")
    call = Call(b"POST", b"/model/a%3A0/converse", b"", SIGNED, b"{}", generation=True)
    request = Bedrock().address(Endpoint("e", parse_base_url(URL), keys("ours"), headers=(own,)), call, NOW)
    assert [pair for pair in request.headers if pair[0] in CREDENTIALS] == [own]


def test_nothing_goes_out_unsigned_because_nobody_has_resolved_its_keys() -> None:
    with pytest.raises(AssertionError):
        address(AwsChain("profile", "eu-west-1"), [])


@pytest.mark.parametrize(
    ("credential", "own", "signs"),
    [
        (keys(), True, True),
        (AwsChain(None, None), True, True),
        (ApiKey(Secret("ours")), True, False),
        (NoCredential(), True, False),
        (ClientCredential(), False, False),
    ],
)
def test_what_an_endpoint_is_shown(credential: Credential, own: bool, signs: bool) -> None:
    endpoint = Endpoint("e", parse_base_url(URL), credential)
    assert (endpoint.own_credential, endpoint.signs) == (own, signs)
