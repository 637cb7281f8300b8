"""What a client is told when nothing could answer, and by which headers it finds out what happened."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Cut, Fail, Hang

if TYPE_CHECKING:
    from tests.e2e.conftest import Connect, Serve, Standing

pytestmark = pytest.mark.asyncio(loop_scope="session")

TURN: list[Any] = [{"role": "user", "content": "hi"}]
CONVERSE_TURN = [{"role": "user", "content": [{"text": "hi"}]}]
CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"
BODY = b'{"model":"m","messages":[]}'
BODY_FOR_CLAUDE = b'{"model":"claude","messages":[]}'


async def ask_openai(url: str) -> openai.APIStatusError:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="m", messages=TURN)
    return caught.value


async def ask_anthropic(url: str) -> anthropic.APIStatusError:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client:
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model="claude", max_tokens=9, messages=TURN)
    return caught.value


async def ask_bedrock(url: str) -> ClientError:
    session = boto3.session.Session("AKIDCLIENT", "client-secret", region_name="us-east-1")
    client = session.client(
        "bedrock-runtime", endpoint_url=url, config=Config(retries={"total_max_attempts": 1}, read_timeout=20)
    )
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(
            client.converse, modelId=CLAUDE, messages=[{"role": "user", "content": [{"text": "x"}]}]
        )
    client.close()
    return caught.value


async def test_the_last_upstream_error_reaches_the_client_whole(standing: Standing, connect: Connect) -> None:
    standing.first.play(Fail(status=500, body='{"error": {"message": "the first"}}'))
    last = '{"error":  {"message": "the last, as it was sent", "type": "odd", "code": 7}}'
    standing.second.play(Fail(status=503, body=last, headers={"x-vendor": "kept", "retry-after": "3"}))
    async with await connect(standing.gateway.port) as client:
        reply = await client.ask(BODY)
    assert (reply.status, reply.body.decode()) == (503, last)
    assert (reply.headers["x-vendor"], reply.headers["retry-after"]) == ("kept", "3")


@pytest.mark.parametrize(
    ("status", "raised"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError)],
)
async def test_openai_raises_what_the_last_model_said(
    status: int, raised: type[openai.APIStatusError], standing: Standing
) -> None:
    standing.first.play(Fail(status=500))
    standing.second.play(Fail(status=status, message="the last"))
    error = await ask_openai(standing.gateway.url)
    assert isinstance(error, raised)
    assert (error.status_code, error.message.count("the last")) == (status, 1)


@pytest.mark.parametrize("status", [400, 411, 422])
async def test_an_error_of_the_clients_own_is_not_tried_elsewhere(status: int, standing: Standing) -> None:
    standing.first.play(Fail(status=status, message="your fault"))
    assert (await ask_openai(standing.gateway.url)).status_code == status
    assert (await ask_anthropic(standing.gateway.url)).status_code == status
    assert (await ask_bedrock(standing.gateway.url)).response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert standing.second.received == []


@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_an_error_of_our_own_key_goes_to_the_next_model(status: int, standing: Standing) -> None:
    standing.first.play(Fail(status=status))
    async with openai.AsyncOpenAI(base_url=f"{standing.gateway.url}/v1", api_key="k", max_retries=0) as client:
        completion = await client.chat.completions.create(model="m", messages=TURN)
    assert completion.model == "gpt-second"


async def test_nothing_reachable_is_a_502_that_each_sdk_understands(standing: Standing) -> None:
    for provider in (standing.first, standing.second):
        provider.play(Cut())
    error = await ask_openai(standing.gateway.url)
    assert isinstance(error, openai.InternalServerError)
    assert error.status_code == 502
    assert error.message
    assert error.type
    claude = await ask_anthropic(standing.gateway.url)
    assert (claude.status_code, claude.type) == (502, "api_error")
    bedrock = (await ask_bedrock(standing.gateway.url)).response
    assert bedrock["ResponseMetadata"]["HTTPStatusCode"] == 502
    assert bedrock["Error"]["Code"].endswith("Exception")
    assert bedrock["Error"]["Message"]


async def test_refused_connections_are_a_502(standing: Standing) -> None:
    for provider in (standing.first, standing.second):
        await provider.stop()
    try:
        assert (await ask_openai(standing.gateway.url)).status_code == 502
        assert (await ask_anthropic(standing.gateway.url)).status_code == 502
    finally:
        for provider in (standing.first, standing.second):
            await provider.start()


async def test_a_silent_upstream_is_a_504(serve: Serve) -> None:
    async with Provider(Hang()) as silent:
        gateway = await serve(
            {
                "retry": {"default_timeout": "100ms", "max_cycles": 2},
                "endpoints": {"one": {"url": f"{silent.url}/v1", "api_key": "k"},
                              "two": {"url": silent.url, "api_key": "k"}},
                "models": [{"endpoint": "one", "model": "a"}, {"endpoint": "two", "type": "anthropic", "model": "b"}],
                "chains": {"default": {"models": ["one/a"]}, "claude": {"models": ["two/b"]}},
            }
        )  # fmt: skip
        error = await ask_openai(gateway.url)
        claude = await ask_anthropic(gateway.url)
    assert isinstance(error, openai.InternalServerError)
    assert error.status_code == 504
    assert (claude.status_code, claude.type) == (504, "timeout_error")
    assert len(silent.received) == 2, "a model that timed out gets no further cycle"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"stream":1,"stream":2}', "stream"),
    ],
)
async def test_a_body_that_cannot_be_routed_is_a_400(
    body: bytes, message: str, standing: Standing, connect: Connect
) -> None:
    async with await connect(standing.gateway.port) as client:
        reply = await client.ask(body)
        claude = await client.ask(body, "/v1/messages")
    assert reply.status == claude.status == 400
    assert message in json.loads(reply.body)["error"]["message"]
    assert json.loads(claude.body)["error"]["type"] == "invalid_request_error"
    assert standing.first.received == []


async def test_a_stream_cut_in_the_middle_is_cut_for_the_client(standing: Standing, connect: Connect) -> None:
    for how in ("fin", "rst"):
        standing.first.play(Cut(at="after_events", events=4, how=how, pause=0.01))
        async with await connect(standing.gateway.port) as client:
            reply = await client.ask(b'{"model":"m","messages":[],"stream":true}')
        assert reply.status == 200
        assert not reply.complete
        assert b"[DONE]" not in reply.body
        *events, error = reply.body.split(b"data: ")[1:]
        assert len(events) == 4
        assert json.loads(error)["error"]["message"]
    assert standing.second.received == []


async def test_each_answer_says_where_it_came_from(standing: Standing) -> None:
    standing.first.play(Fail(status=503))
    async with openai.AsyncOpenAI(base_url=f"{standing.gateway.url}/v1", api_key="k", max_retries=0) as client:
        for stream in (False, True):
            async with client.chat.completions.with_streaming_response.create(
                model="m", messages=TURN, stream=stream
            ) as response:
                await response.read()
            assert response.headers["x-hydrallm-model"] == "gpt-second"
            assert response.headers["x-hydrallm-endpoint"] == "openai-second"
            assert response.headers["x-hydrallm-attempts"] == "2"
            assert response.headers["x-hydrallm-request-id"]
    error = await ask_openai_after(standing)
    assert error.response.headers["x-hydrallm-attempts"] == "2"


async def ask_openai_after(standing: Standing) -> openai.APIStatusError:
    standing.second.play(Fail(status=503))
    return await ask_openai(standing.gateway.url)


async def test_health(standing: Standing) -> None:
    def get() -> tuple[int, dict[str, Any]]:
        with urllib.request.urlopen(f"{standing.gateway.url}/_hydra/health", timeout=5) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)

    status, health = await asyncio.to_thread(get)
    assert status == 200
    assert health["version"]
    assert standing.first.received == []


async def test_credentials_and_versions_are_the_endpoints(standing: Standing, connect: Connect) -> None:
    sent = "Authorization: Bearer client\r\nX-Api-Key: client\r\nApi-Key: client\r\nX-Vendor-New: kept\r\n"
    async with await connect(standing.gateway.port) as client:
        await client.ask(BODY, headers=sent)
        await client.ask(BODY_FOR_CLAUDE, "/v1/messages", headers=sent + "anthropic-beta: b1\r\n")
        await client.ask(BODY_FOR_CLAUDE, "/v1/messages", headers="anthropic-version: 2026-10-21\r\n")
    chat, messages, versioned = (dict(received.headers) for received in standing.first.received)
    assert (chat[b"authorization"], chat[b"x-vendor-new"]) == (b"Bearer key-first", b"kept")
    assert messages[b"x-api-key"] == b"key-first"
    assert (messages[b"anthropic-version"], messages[b"anthropic-beta"]) == (b"2023-06-01", b"b1")
    assert versioned[b"anthropic-version"] == b"2026-10-21"
    assert not [value for headers in (chat, messages) for value in headers.values() if b"client" in value]
