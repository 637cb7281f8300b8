"""The official SDKs through the gateway, the first model of the chain failing in each of the usual ways."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import msgspec
import openai
import pytest
from botocore.config import Config

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer, Cut, Fail, Hang, Malformed, Raw, Stall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.e2e.conftest import Connect, Serve, Standing

    from hydrallm.faults.script import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "The second model answers, word by word: caf\u00e9 \u2603."
TURN: list[Any] = [{"role": "user", "content": "hi"}]
CONVERSE_TURN = [{"role": "user", "content": [{"text": "hi"}]}]
CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"


def async_openai(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="client-key", max_retries=0)


def sync_openai(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key="client-key", max_retries=0)


async def chat(url: str) -> str | None:
    async with async_openai(url) as client:
        completion = await client.chat.completions.create(model="client-model", messages=TURN)
    return completion.choices[0].message.content


async def chat_stream(url: str) -> str:
    async with async_openai(url) as client:
        stream = await client.chat.completions.create(model="client-model", messages=TURN, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def chat_helper(url: str) -> str | None:
    async with async_openai(url) as client, client.chat.completions.stream(model="m", messages=TURN) as helper:
        return (await helper.get_final_completion()).choices[0].message.content


def chat_sync(url: str) -> str | None:
    with sync_openai(url) as client:
        return client.chat.completions.create(model="client-model", messages=TURN).choices[0].message.content


def chat_stream_sync(url: str) -> str:
    with sync_openai(url) as client:
        stream = client.chat.completions.create(model="client-model", messages=TURN, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


async def completion(url: str) -> str:
    async with async_openai(url) as client:
        return (await client.completions.create(model="client-model", prompt="hi")).choices[0].text


async def responses(url: str) -> str:
    async with async_openai(url) as client:
        return (await client.responses.create(model="client-model", input="hi")).output_text


async def responses_stream(url: str) -> str:
    async with async_openai(url) as client:
        stream = await client.responses.create(model="client-model", input="hi", stream=True)
        return "".join([event.delta async for event in stream if event.type == "response.output_text.delta"])


async def responses_helper(url: str) -> str:
    async with async_openai(url) as client, client.responses.stream(model="m", input="hi") as helper:
        return (await helper.get_final_response()).output_text


def responses_sync(url: str) -> str:
    with sync_openai(url) as client:
        return client.responses.create(model="client-model", input="hi").output_text


def responses_helper_sync(url: str) -> str:
    with sync_openai(url) as client, client.responses.stream(model="m", input="hi") as helper:
        return helper.get_final_response().output_text


def said(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


async def messages(url: str) -> str:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="client-key", max_retries=0) as client:
        return said(await client.messages.create(model="client-model", max_tokens=9, messages=TURN))


async def messages_stream(url: str) -> str:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="client-key", max_retries=0) as client:
        stream = await client.messages.create(model="client-model", max_tokens=9, messages=TURN, stream=True)
        deltas = [event.delta async for event in stream if event.type == "content_block_delta"]
    return "".join(delta.text for delta in deltas if delta.type == "text_delta")


async def messages_helper(url: str) -> str:
    async with (
        anthropic.AsyncAnthropic(base_url=url, api_key="client-key", max_retries=0) as client,
        client.messages.stream(model="client-model", max_tokens=9, messages=TURN) as helper,
    ):
        return await helper.get_final_text()


def messages_sync(url: str) -> str:
    with anthropic.Anthropic(base_url=url, api_key="client-key", max_retries=0) as client:
        return said(client.messages.create(model="client-model", max_tokens=9, messages=TURN))


def messages_helper_sync(url: str) -> str:
    with (
        anthropic.Anthropic(base_url=url, api_key="client-key", max_retries=0) as client,
        client.messages.stream(model="client-model", max_tokens=9, messages=TURN) as helper,
    ):
        return helper.get_final_text()


def anthropic_bedrock(url: str) -> anthropic.AnthropicBedrock:
    return anthropic.AnthropicBedrock(
        base_url=url, aws_access_key="AKIDCLIENT", aws_secret_key="s", aws_region="us-east-1", max_retries=0
    )


def bedrock_messages(url: str) -> str:
    with anthropic_bedrock(url) as client:
        return said(client.messages.create(model=CLAUDE, max_tokens=9, messages=TURN))


async def bedrock_messages_async(url: str) -> str:
    async with (
        anthropic.AsyncAnthropicBedrock(
            base_url=url, aws_access_key="AKIDCLIENT", aws_secret_key="s", aws_region="us-east-1", max_retries=0
        ) as client,
        client.messages.stream(model=CLAUDE, max_tokens=9, messages=TURN) as helper,
    ):
        return await helper.get_final_text()


def bedrock_messages_stream(url: str) -> str:
    with anthropic_bedrock(url) as client, client.messages.stream(model=CLAUDE, max_tokens=9, messages=TURN) as helper:
        return helper.get_final_text()


@contextlib.contextmanager
def boto(url: str) -> Iterator[Any]:
    session = boto3.session.Session(
        aws_access_key_id="AKIDCLIENT", aws_secret_access_key="client-secret", region_name="us-east-1"
    )
    config = Config(retries={"total_max_attempts": 1}, read_timeout=20)
    with contextlib.closing(session.client("bedrock-runtime", endpoint_url=url, config=config)) as client:
        yield client


INVOKE_BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": TURN})


def invoke(url: str) -> str:
    with boto(url) as client:
        return str(
            json.loads(client.invoke_model(modelId=CLAUDE, body=INVOKE_BODY)["body"].read())["content"][0]["text"]
        )


def invoke_stream(url: str) -> str:
    with boto(url) as client:
        answer = client.invoke_model_with_response_stream(modelId=CLAUDE, body=INVOKE_BODY)
        events = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    return "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")


def converse(url: str) -> str:
    with boto(url) as client:
        return str(client.converse(modelId=CLAUDE, messages=CONVERSE_TURN)["output"]["message"]["content"][0]["text"])


def converse_stream(url: str) -> str:
    with boto(url) as client:
        events = list(client.converse_stream(modelId=CLAUDE, messages=CONVERSE_TURN)["stream"])
    return "".join(event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event)


CALLS: list[Callable[[str], Any]] = [
    chat, chat_stream, chat_helper, chat_sync, chat_stream_sync, completion,
    responses, responses_stream, responses_helper, responses_sync, responses_helper_sync,
    messages, messages_stream, messages_helper, messages_sync, messages_helper_sync,
    bedrock_messages, bedrock_messages_stream, bedrock_messages_async, invoke, invoke_stream, converse, converse_stream,
]  # fmt: skip

FAULTS: dict[str, Reply] = {
    "429": Fail(status=429),
    "500": Fail(status=500),
    "cut-before-headers": Cut(),
    "reset-before-headers": Cut(how="rst"),
    "cut-before-the-first-byte": Cut(at="after_headers"),
}


async def run(call: Callable[[str], Any], url: str) -> str | None:
    if asyncio.iscoroutinefunction(call):
        coroutine: Awaitable[str | None] = call(url)
        return await coroutine
    answer: str | None = await asyncio.to_thread(call, url)
    return answer


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_the_second_model_answers_what_the_first_fails(
    call: Callable[[str], Any], fault: Reply, standing: Standing
) -> None:
    standing.first.play(fault)
    standing.second.play(Answer(text=TEXT))
    assert await run(call, standing.gateway.url) == TEXT
    assert len(standing.first.received) >= 1
    (received,) = standing.second.received
    names = (received.path + received.body.decode()).replace("%3A", ":")
    assert "-second" in names
    assert "client-model" not in names
    assert CLAUDE not in names
    assert not [value for _, value in received.headers if b"client-key" in value or b"AKIDCLIENT" in value]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_the_second_model_answers_when_the_first_refuses_connections(
    call: Callable[[str], Any], standing: Standing
) -> None:
    standing.second.play(Answer(text=TEXT))
    await standing.first.stop()
    try:
        assert await run(call, standing.gateway.url) == TEXT
    finally:
        await standing.first.start()
    assert len(standing.second.received) == 1


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_a_healthy_first_model_is_the_only_one_asked(call: Callable[[str], Any], standing: Standing) -> None:
    standing.first.play(Answer(text=TEXT))
    assert await run(call, standing.gateway.url) == TEXT
    assert (len(standing.first.received), len(standing.second.received)) == (1, 0)


@pytest.mark.parametrize("call", [chat, messages, bedrock_messages, converse], ids=lambda call: call.__name__)
async def test_a_json_answer_cut_in_the_middle_is_asked_for_again(
    call: Callable[[str], Any], standing: Standing
) -> None:
    standing.first.play(Cut(at="after_events"))
    standing.second.play(Answer(text=TEXT))
    assert await run(call, standing.gateway.url) == TEXT


BROKEN: dict[str, Reply] = {
    **{
        f"malformed-{what}": msgspec.convert({"reply": "malformed", "what": what}, Malformed)
        for what in (
            *("status_line", "header", "chunk_size", "chunk_end"),
            *("two_lengths", "length_and_chunked", "not_http"),
        )
    },
    "cut-inside-headers": Cut(at="inside_headers"),
    "reset-inside-headers": Cut(at="inside_headers", how="rst", pause=0.01),
    "empty-200": Fail(status=200, body=""),
    "101": Raw(data="HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", how=None),
    "huge-header": Raw(data="HTTP/1.1 200 OK\r\nx: " + "y" * 300_000 + "\r\n\r\n"),
    "nothing-but-interim": Raw(data="HTTP/1.1 103 Early Hints\r\n\r\n" * 3),
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("call", [chat, chat_stream], ids=lambda call: call.__name__)
async def test_what_is_not_an_answer_goes_to_the_next_model(
    call: Callable[[str], Any], fault: Reply, standing: Standing
) -> None:
    standing.first.play(fault)
    standing.second.play(Answer(text=TEXT))
    assert await run(call, standing.gateway.url) == TEXT


@pytest.mark.parametrize("call", [chat, chat_stream], ids=lambda call: call.__name__)
@pytest.mark.parametrize("reply", [Hang(), Stall(events=0)], ids=["no-headers", "no-body"])
async def test_a_silent_first_model_is_left_for_the_second(
    call: Callable[[str], Any], reply: Reply, serve: Serve
) -> None:
    async with Provider(reply) as silent, Provider(Answer(text=TEXT)) as healthy:
        gateway = await serve(
            {
                "retry": {"default_timeout": "200ms", "first_token_timeout": "200ms"},
                "endpoints": {
                    "silent": {"url": f"{silent.url}/v1", "api_key": "k"},
                    "healthy": {"url": f"{healthy.url}/v1", "api_key": "k"},
                },
                "models": [{"endpoint": "silent", "model": "a"}, {"endpoint": "healthy", "model": "b"}],
            }
        )
        assert await run(call, gateway.url) == TEXT
        (received,) = silent.received
        await asyncio.wait_for(received.wait_closed(), 5)


async def test_a_stream_that_falls_silent_is_cut(serve: Serve, connect: Connect) -> None:
    async with Provider(Stall(events=3)) as provider:
        gateway = await serve(
            {
                "retry": {"idle_timeout": "200ms"},
                "endpoints": {"up": {"url": f"{provider.url}/v1", "api_key": "k"}},
                "models": [{"endpoint": "up", "model": "m"}],
            }
        )
        async with await connect(gateway.port) as client:
            reply = await client.ask(b'{"model":"m","messages":[],"stream":true}')
        assert not reply.complete
        *events, error = reply.body.split(b"data: ")[1:]
        assert len(events) == 3
        assert json.loads(error)["error"]["type"] == "timeout_error"
        await asyncio.wait_for(provider.received[0].wait_closed(), 5)
