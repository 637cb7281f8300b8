"""What an endpoint of type anthropic is sent."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import anthropic
import httpx2
import pytest

from hydrallm.endpoints.anthropic import Anthropic
from hydrallm.endpoints.base import ApiKey, Call, ClientCredential, Credential, Endpoint, NoCredential
from hydrallm.endpoints.url import parse_base_url
from hydrallm.formats.base import ApiType
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from hydrallm.message import Headers, Request

NOW = datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)
CREDENTIALS = {b"authorization", b"x-api-key"}


def address(credential: Credential, headers: Headers, *, strip: bool = False) -> Request:
    endpoint = Endpoint("e", parse_base_url("https://api.example/api/anthropic"), credential)
    call = Call(b"POST", b"/v1/messages", b"beta=true", headers, b"{}", generation=True, strip_credentials=strip)
    return Anthropic().address(endpoint, call, NOW)


def test_it_is_addressed() -> None:
    request = address(ApiKey(Secret("sk-ours")), [(b"accept", b"a")])
    assert Anthropic().api_type is ApiType.ANTHROPIC
    assert request.method == b"POST"
    assert request.target == b"/api/anthropic/v1/messages?beta=true"
    assert request.body == b"{}"
    assert request.headers == [
        (b"accept", b"a"),
        (b"accept-encoding", b"identity"),
        (b"x-api-key", b"sk-ours"),
        (b"anthropic-version", b"2023-06-01"),
    ]


def sdk_headers(client: anthropic.Anthropic) -> Headers:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(500)

    with (
        client.with_options(max_retries=0, http_client=httpx2.Client(transport=httpx2.MockTransport(answer))) as there,
        pytest.raises(anthropic.InternalServerError),
    ):
        there.beta.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "c"}], betas=["b-1"])
    return [(name.lower(), value) for name, value in seen[0].headers.raw]


def test_the_sdks_version_and_betas_are_kept_and_its_key_is_not() -> None:
    headers = sdk_headers(anthropic.Anthropic(api_key="sk-theirs", base_url="http://h"))
    asked = dict(headers)
    assert CREDENTIALS & asked.keys()
    request = address(ApiKey(Secret("sk-ours")), headers)
    sent = dict(request.headers)
    assert sent[b"anthropic-version"] == asked[b"anthropic-version"]
    assert sent[b"anthropic-beta"] == asked[b"anthropic-beta"]
    assert b"b-1" in sent[b"anthropic-beta"]
    assert sent[b"x-api-key"] == b"sk-ours"
    assert b"sk-theirs" not in b"".join(value for _, value in request.headers)
    assert [name for name, _ in request.headers].count(b"anthropic-version") == 1


@pytest.mark.parametrize(
    ("credential", "strip", "expected"),
    [
        (ApiKey(Secret("ours")), False, {b"x-api-key": b"ours"}),
        (ApiKey(Secret("ours")), True, {b"x-api-key": b"ours"}),
        (NoCredential(), False, {}),
        (ClientCredential(), False, {b"x-api-key": b"theirs", b"authorization": b"Bearer theirs"}),
        (ClientCredential(), True, {}),
    ],
)
def test_whose_key_it_is(credential: Credential, strip: bool, expected: dict[bytes, bytes]) -> None:
    request = address(credential, [(b"x-api-key", b"theirs"), (b"authorization", b"Bearer theirs")], strip=strip)
    assert {name: value for name, value in request.headers if name in CREDENTIALS} == expected
