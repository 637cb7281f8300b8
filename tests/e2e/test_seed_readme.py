"""Every example of the original's README does what that README says, in a real process, against simulated providers.

Only the providers' hosts are replaced. Fragments are completed with their missing endpoint or model, as in
``tests/config/test_readme.py``, which looks at what the examples load to.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import Answer, Fail
from hydrallm.message import header

if TYPE_CHECKING:
    from tests.e2e.conftest import Gateway, Serve

pytestmark = pytest.mark.asyncio(loop_scope="session")

README = (Path(__file__).parents[1] / "golden" / "seed-readme.md").read_text("utf-8")
MINIMAL, FALLBACK, OPENAI, ANTHROPIC, BEDROCK, FULL = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)

CHAT = {"model": "client's own", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE = CHAT | {"max_tokens": 10}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]}
A_MODEL = '\n[[models]]\nendpoint = "openai"\nmodel = "gpt-4o"\n'


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, object]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that the README's examples refer to; AWS_SESSION_TOKEN stays unset, as it may."""
    monkeypatch.setenv("OPENAI_API_KEY", "openai-key-of-the-config")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "anthropic-key-of-the-config")


async def post(gateway: Gateway, path: str, body: object) -> Reply:
    def send() -> Reply:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as connection:
            connection.request("POST", path, json.dumps(body), {"Authorization": "Bearer mine"})
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.headers.items()), json.load(answer))

    return await asyncio.to_thread(send)


def models(received: list[Received]) -> list[str]:
    return [json.loads(request.body)["model"] for request in received]


async def test_minimal_example_tries_three_times_with_the_key_of_the_environment(serve: Serve) -> None:
    async with Provider([Fail(status=500), Fail(status=500), Answer()]) as openai:
        gateway = await serve(MINIMAL.replace("https://api.openai.com", openai.url))
        reply = await post(gateway, "/v1/chat/completions", CHAT)
        assert (reply.status, reply.headers["x-hydrallm-attempts"]) == (200, "3")
        assert models(openai.received) == ["gpt-4o"] * 3
        assert {request.path for request in openai.received} == {"/v1/chat/completions"}
        assert {header(request.headers, b"authorization") for request in openai.received} == {
            b"Bearer openai-key-of-the-config"
        }


async def test_fallback_example_tries_models_in_order_each_as_often_as_it_says(serve: Serve) -> None:
    async with Provider(Fail(status=503)) as openai, Provider([Fail(status=503), Answer()]) as azure:
        endpoints = f'[endpoints.openai]\nurl = "{openai.url}/v1"\n[endpoints.azure]\nurl = "{azure.url}/openai/v1"\n'
        gateway = await serve(endpoints + FALLBACK)
        reply = await post(gateway, "/v1/chat/completions", CHAT)
        assert (reply.status, reply.headers["x-hydrallm-endpoint"], reply.headers["x-hydrallm-attempts"]) == (
            *(200, "azure", "5"),
        )
        assert (len(openai.received), len(azure.received)) == (3, 2)
        assert {request.path for request in azure.received} == {"/openai/v1/chat/completions"}


async def test_openai_is_the_default_type(serve: Serve) -> None:
    async with Provider(Answer()) as openai:
        gateway = await serve(OPENAI.replace("https://api.openai.com", openai.url) + A_MODEL)
        reply = await post(gateway, "/chat/completions", CHAT)
        assert reply.status == 200
        assert header(openai.received[0].headers, b"authorization") == b"Bearer openai-key-of-the-config"


async def test_anthropic_example_sends_the_key_and_the_version_as_anthropic_wants_them(serve: Serve) -> None:
    async with Provider(Answer()) as anthropic:
        gateway = await serve(ANTHROPIC.replace("https://api.anthropic.com", anthropic.url))
        reply = await post(gateway, "/v1/messages", MESSAGE)
        (request,) = anthropic.received
        assert reply.body["type"] == "message"
        assert (request.path, models([request])) == ("/v1/messages", ["claude-3-5-sonnet-20241022"])
        assert header(request.headers, b"x-api-key") == b"anthropic-key-of-the-config"
        assert header(request.headers, b"anthropic-version") == b"2023-06-01"
        assert header(request.headers, b"authorization") is None


async def test_bedrock_example_names_the_model_in_the_path_and_signs(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Provider(Answer()) as bedrock:
        config = BEDROCK.replace("https://bedrock-runtime.us-east-1.amazonaws.com", bedrock.url)
        # The process is given no AWS variables but those that the example names.
        for name, value in (("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret-of-the-config")):
            config = config.replace(f'"${name}"', f'"${name}_OF_TEST"')
            monkeypatch.setenv(f"{name}_OF_TEST", value)
        gateway = await serve(config)
        reply = await post(gateway, "/model/anything/converse", CONVERSE)
        (request,) = bedrock.received
        assert reply.status == 200
        assert request.path == "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/converse"
        authorization = header(request.headers, b"authorization") or b""
        assert re.match(rb"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/\d{8}/us-east-1/bedrock/aws4_request", authorization)
        assert header(request.headers, b"x-amz-security-token") is None


async def test_full_example_waits_its_interval_between_attempts(serve: Serve) -> None:
    async with Provider([Fail(status=500), Answer()]) as openai:
        gateway = await serve(f'{FULL}\n[endpoints.openai]\nurl = "{openai.url}/v1"\n')
        reply = await post(gateway, "/v1/chat/completions", CHAT)
        assert reply.status == 200
        first, second = openai.received
        assert second.at - first.at >= 0.199  # interval = "200ms"; the loop's clock counts milliseconds
