"""What an endpoint of type openai is sent, and how the official SDK's own request compares."""

from __future__ import annotations

import datetime

import httpx2
import openai
import pytest

from hydrallm.endpoints.base import ApiKey, Call, ClientCredential, Credential, Endpoint, NoCredential
from hydrallm.endpoints.openai import OpenAI
from hydrallm.endpoints.url import parse_base_url
from hydrallm.errors import RequestError
from hydrallm.formats.base import ApiType
from hydrallm.message import Headers, header
from hydrallm.secret import Secret

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)


def endpoint(credential: Credential, *headers: tuple[bytes, bytes]) -> Endpoint:
    return Endpoint("e", parse_base_url("https://api.example/v1"), credential, headers=headers, query=b"q=1")


def call(headers: Headers, *, strip_credentials: bool = False) -> Call:
    return Call(
        b"POST", b"/v1/chat/completions", b"a=b", headers, b"{}", generation=True, strip_credentials=strip_credentials
    )


def test_it_is_addressed() -> None:
    request = OpenAI().address(endpoint(ApiKey(Secret("sk-ours"))), call([(b"accept", b"a")]), NOW)
    assert OpenAI().api_type is ApiType.OPENAI
    assert request.method == b"POST"
    assert request.target == b"/v1/chat/completions?a=b&q=1"
    assert request.body == b"{}"
    assert request.headers == [
        (b"accept", b"a"),
        (b"accept-encoding", b"identity"),
        (b"authorization", b"Bearer sk-ours"),
    ]


def test_the_key_stands_where_the_sdk_puts_it() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(500)

    client = openai.OpenAI(
        api_key="sk-ours",
        base_url="https://api.example/v1",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=[])
    sent = seen[0]
    request = OpenAI().address(
        Endpoint("e", parse_base_url("https://api.example/v1"), ApiKey(Secret("sk-ours"))), call([]), NOW
    )
    assert header(request.headers, b"authorization") == sent.headers["authorization"].encode()
    assert request.target.partition(b"?")[0] == sent.url.raw_path


@pytest.mark.parametrize(
    ("credential", "strip", "expected"),
    [
        (ApiKey(Secret("ours")), False, [b"Bearer ours"]),
        (ApiKey(Secret("ours")), True, [b"Bearer ours"]),
        (NoCredential(), False, []),
        (ClientCredential(), False, [b"Bearer theirs"]),
        (ClientCredential(), True, []),
    ],
)
def test_whose_key_it_is(credential: Credential, strip: bool, expected: list[bytes]) -> None:
    request = OpenAI().address(
        endpoint(credential), call([(b"authorization", b"Bearer theirs")], strip_credentials=strip), NOW
    )
    assert [value for name, value in request.headers if name == b"authorization"] == expected


def test_a_configured_header_wins_over_the_key() -> None:
    azure = endpoint(ApiKey(Secret("ours")), (b"authorization", b"Custom x"))
    request = OpenAI().address(azure, call([(b"authorization", b"Bearer theirs")]), NOW)
    assert [value for name, value in request.headers if name == b"authorization"] == [b"Custom x"]


def test_a_path_that_climbs_out_is_refused() -> None:
    climbing = Call(b"GET", b"/v1/../admin", b"", [], b"", generation=False)
    with pytest.raises(RequestError, match="climbs out"):
        OpenAI().address(endpoint(NoCredential()), climbing, NOW)
