"""Streamed answers, as the official SDKs' raw iterators and accumulating helpers read them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from botocore.exceptions import EventStreamError

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import TEXT, Answer, Malformed, StreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.faults.script import Encoding, Framing

CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"
TURN: list[Any] = [{"role": "user", "content": "hi"}]
CONVERSE_TURN = [{"role": "user", "content": [{"text": "hi"}]}]
WORDS = len(TEXT.split())


async def test_openai_chat(provider: Provider) -> None:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
        stream = await client.chat.completions.create(
            model="m", messages=TURN, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
        async with client.chat.completions.stream(model="m", messages=TURN) as helper:
            final = await helper.get_final_completion()
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage and chunks[-1].usage.completion_tokens) == ([], WORDS)
    assert final.choices[0].message.content == TEXT
    assert final.usage is None, "no usage was asked for"


async def test_openai_completions(provider: Provider) -> None:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
        stream = await client.completions.create(model="m", prompt="hi", stream=True)
        assert "".join([chunk.choices[0].text async for chunk in stream]) == TEXT


async def test_openai_responses(provider: Provider) -> None:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
        stream = await client.responses.create(model="m", input="hi", stream=True)
        kinds = [event.type async for event in stream]
        async with client.responses.stream(model="m", input="hi") as helper:
            final = await helper.get_final_response()
    assert kinds.count("response.output_text.delta") == WORDS
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    assert (final.output_text, final.status) == (TEXT, "completed")


async def test_anthropic_messages(provider: Provider) -> None:
    async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="k") as client:
        stream = await client.messages.create(model="m", max_tokens=9, messages=TURN, stream=True)
        kinds = [event.type async for event in stream]
        async with client.messages.stream(model="m", max_tokens=9, messages=TURN) as helper:
            text = "".join([piece async for piece in helper.text_stream])
            final = await helper.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert text == TEXT
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", WORDS)


async def test_boto3(provider: Provider, bedrock: Callable[[str], Any]) -> None:
    client = bedrock(provider.url)

    def run() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": TURN})
        invoked = client.invoke_model_with_response_stream(modelId=CLAUDE, body=body)
        conversed = client.converse_stream(modelId=CLAUDE, messages=CONVERSE_TURN)
        return [json.loads(event["chunk"]["bytes"]) for event in invoked["body"]], list(conversed["stream"])

    messages, events = await asyncio.to_thread(run)
    assert "".join(e["delta"]["text"] for e in messages if e["type"] == "content_block_delta") == TEXT
    assert messages[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == WORDS
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta["delta"]["text"] for delta in deltas) == TEXT
    assert not [event for event in events if "contentBlockStart" in event]
    assert events[-2] == {"messageStop": {"stopReason": "end_turn"}}
    assert events[-1]["metadata"]["usage"]["outputTokens"] == WORDS


async def test_anthropic_bedrock(provider: Provider) -> None:
    async with (
        anthropic.AsyncAnthropicBedrock(
            base_url=provider.url, aws_access_key="AKIDEXAMPLE", aws_secret_key="s", aws_region="us-east-1"
        ) as client,
        client.messages.stream(model=CLAUDE, max_tokens=9, messages=TURN) as helper,
    ):
        assert await helper.get_final_text() == TEXT


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate", "zstd"])
@pytest.mark.parametrize("framing", ["chunked", "eof", "length"])
@pytest.mark.parametrize("write_size", [0, 7])
async def test_codings_framings_and_cuts_inside_events_do_not_change_a_stream(
    encoding: Encoding, framing: Framing, write_size: int
) -> None:
    async with (
        Provider(Answer(encoding=encoding, framing=framing, write_size=write_size)) as provider,
        openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=TURN, stream=True)
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == TEXT


async def test_errors_inside_streams_are_errors_to_the_sdks(bedrock: Callable[[str], Any]) -> None:
    async with Provider(StreamError(events=2, status=529, message="told to")) as provider:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
            for create in (
                lambda: client.chat.completions.create(model="m", messages=TURN, stream=True),
                lambda: client.responses.create(model="m", input="hi", stream=True),
            ):
                stream = await create()
                with pytest.raises(openai.APIError, match="told to"):
                    [event async for event in stream]
        async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="k") as claude:
            messages = await claude.messages.create(model="m", max_tokens=9, messages=TURN, stream=True)
            with pytest.raises(anthropic.APIStatusError, match="told to") as caught:
                [event async for event in messages]
        assert caught.value.type == "overloaded_error"
        client_of_bedrock = bedrock(provider.url)

        def converse() -> None:
            answer = client_of_bedrock.converse_stream(modelId=CLAUDE, messages=CONVERSE_TURN)
            with contextlib.closing(answer["stream"]) as events:
                list(events)

        with pytest.raises(EventStreamError, match="told to"):
            await asyncio.to_thread(converse)


async def test_a_malformed_event_is_malformed_to_the_sdks() -> None:
    async with (
        Provider(Malformed(events=2)) as provider,
        openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client,
    ):
        stream = await client.chat.completions.create(model="m", messages=TURN, stream=True)
        with pytest.raises(json.JSONDecodeError):
            [event async for event in stream]
