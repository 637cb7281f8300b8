"""Where in a stream a fault happens, why an answer ends, and signs of life, as the official SDKs see them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer

from hydrallm.faults import streams
from hydrallm.faults.answers import Question, Shape
from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer, Cut, Malformed, Stall, StreamError, numbered

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from hydrallm.faults.script import Finish, Place, Reply

CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"
TURN: list[Any] = [{"role": "user", "content": "hi"}]
CONVERSE_TURN = [{"role": "user", "content": [{"text": "hi"}]}]
INVOKE = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": TURN})
TEXT = numbered(6)
Seen = tuple[str, str | None]
"""What was said, and the word by which the stream says that it is complete."""


async def chat(url: str) -> Seen:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k") as client:
        stream = await client.chat.completions.create(model="m", messages=TURN, stream=True)
        choices = [chunk.choices[0] async for chunk in stream]
    return "".join(choice.delta.content or "" for choice in choices), choices[-1].finish_reason if choices else None


async def completions(url: str) -> Seen:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k") as client:
        stream = await client.completions.create(model="m", prompt="hi", stream=True)
        choices = [chunk.choices[0] async for chunk in stream]
    return "".join(choice.text for choice in choices), choices[-1].finish_reason if choices else None


async def responses(url: str) -> Seen:
    text, end = "", None
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k") as client:
        async for event in await client.responses.create(model="m", input="hi", stream=True):
            if event.type == "response.output_text.delta":
                text += event.delta
            elif event.type in {"response.completed", "response.incomplete"}:
                details = event.response.incomplete_details
                end = details.reason if details else event.response.status
    return text, end


def read_messages(events: list[dict[str, Any]]) -> Seen:
    stop = [event["delta"]["stop_reason"] for event in events if event["type"] == "message_delta"]
    text = "".join(event["delta"]["text"] for event in events if event["type"] == "content_block_delta")
    return text, stop[0] if events and events[-1]["type"] == "message_stop" else None


async def messages(url: str) -> Seen:
    async with anthropic.AsyncAnthropic(base_url=url, api_key="k") as client:
        stream = await client.messages.create(model="m", max_tokens=9, messages=TURN, stream=True)
        return read_messages([event.model_dump() async for event in stream])


Calls = dict[str, Any]


@pytest.fixture
def calls(bedrock: Callable[[str], Any]) -> Calls:
    def invoke(url: str) -> Seen:
        body = bedrock(url).invoke_model_with_response_stream(modelId=CLAUDE, body=INVOKE)["body"]
        with contextlib.closing(body):
            return read_messages([json.loads(event["chunk"]["bytes"]) for event in body])

    def converse(url: str) -> Seen:
        stream = bedrock(url).converse_stream(modelId=CLAUDE, messages=CONVERSE_TURN)["stream"]
        with contextlib.closing(stream):
            events = list(stream)
        deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
        stops = [event["messageStop"]["stopReason"] for event in events if "messageStop" in event]
        return "".join(deltas), stops[0] if stops else None

    return {
        "chat": chat, "completions": completions, "responses": responses, "messages": messages,
        "invoke": invoke, "converse": converse,
    }  # fmt: skip


async def see(calls: Calls, name: str, reply: Reply) -> Seen:
    call = calls[name]
    async with Provider(reply) as provider:
        pending = call(provider.url) if asyncio.iscoroutinefunction(call) else asyncio.to_thread(call, provider.url)
        seen: Seen = await pending
    return seen


SHAPES = ["chat", "completions", "responses", "messages", "invoke", "converse"]
every_shape = pytest.mark.parametrize("shape", SHAPES)


@every_shape
@pytest.mark.parametrize(("place", "said"), [("preamble", ""), ("content", "word1 word2 word3 "), ("closing", TEXT)])
async def test_a_place_means_the_same_in_every_format(shape: str, place: Place, said: str, calls: Calls) -> None:
    reply = Cut(at="after_events", events=place, how="clean", text=TEXT)
    assert await see(calls, shape, reply) == (said, None)


@every_shape
async def test_one_event_after_the_preamble_is_the_first_content(shape: str, calls: Calls) -> None:
    one_word = Cut(at="after_events", events="content", how="clean", text=numbered(2))
    assert await see(calls, shape, one_word) == ("word1 ", None)


ENDS: dict[str, dict[Finish, str]] = {
    "chat": {"stop": "stop", "length": "length", "filtered": "content_filter"},
    "completions": {"stop": "stop", "length": "length", "filtered": "content_filter"},
    "responses": {"stop": "completed", "length": "max_output_tokens", "filtered": "content_filter"},
    "messages": {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal"},
    "invoke": {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal"},
    "converse": {"stop": "end_turn", "length": "max_tokens", "filtered": "content_filtered"},
}


@every_shape
@pytest.mark.parametrize("finish", ["stop", "length", "filtered"])
@pytest.mark.parametrize("text", [TEXT, ""])
async def test_why_an_answer_ends(shape: str, finish: Finish, text: str, calls: Calls) -> None:
    assert await see(calls, shape, Answer(finish=finish, text=text)) == (text, ENDS[shape][finish])


async def test_plain_answers_that_the_filter_ended(bedrock: Callable[[str], Any]) -> None:
    async with Provider(Answer(finish="filtered", text="")) as provider:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
            completion = await client.chat.completions.create(model="m", messages=TURN)
            response = await client.responses.create(model="m", input="hi")
        async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="k") as claude:
            message = await claude.messages.create(model="m", max_tokens=9, messages=TURN)
        converse = bedrock(provider.url).converse
        conversed = await asyncio.to_thread(converse, modelId=CLAUDE, messages=CONVERSE_TURN)
    assert completion.choices[0].finish_reason == "content_filter"
    assert response.incomplete_details is not None
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert conversed["stopReason"] == "content_filtered"
    assert conversed["output"]["message"]["content"] == []


@every_shape
async def test_signs_of_life_say_nothing(shape: str, calls: Calls) -> None:
    reply = Stall(events="content", seconds=0.05, beat=0.01, text=TEXT)
    said, end = await see(calls, shape, reply)
    assert (said, end is not None) == (TEXT, True)


async def read(provider: Provider, body: bytes, path: str = "/v1/chat/completions") -> AsyncGenerator[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", provider.port)
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        while data := await reader.read(65536):
            yield data
    finally:
        writer.close()


async def test_signs_of_life_go_on_until_the_peer_leaves() -> None:
    async with Provider(Stall(events="preamble", beat=0.001)) as provider:
        seen = b""
        async with contextlib.aclosing(read(provider, b'{"stream": true}')) as stream:
            async for data in stream:
                seen += data
                if seen.count(b": still working on it\n\n") >= 20:
                    break
        await asyncio.wait_for(provider.received[0].wait_closed(), 5)
    assert seen.count(b"data: ") == 1, "the role chunk, and nothing after it"


@pytest.mark.parametrize("count", [1, 2])
async def test_malformed_events_stand_between_good_ones(count: int) -> None:
    async with Provider(Malformed(events="content", count=count, text=TEXT)) as provider:
        wire = b"".join([data async for data in read(provider, b'{"stream": true}')])
    lines = [line.removeprefix(b"data: ") for line in wire.split(b"\n") if line.startswith(b"data: {")]
    parsed = []
    for line in lines:
        try:
            parsed.append(json.loads(line)["choices"][0]["delta"].get("content") or "")
        except json.JSONDecodeError:
            parsed.append(None)
    broken = [index for index, piece in enumerate(parsed) if piece is None]
    assert broken == list(range(4, 4 + count))
    assert "".join(piece for piece in parsed if piece) == TEXT


@pytest.mark.parametrize("shape", ["invoke", "converse"])
async def test_a_wrong_checksum_is_one_to_botocore(shape: str, calls: Calls) -> None:
    with pytest.raises(ChecksumMismatch):
        await see(calls, shape, Malformed(what="crc", events="content"))


@pytest.mark.parametrize("shape", [Shape.INVOKE_STREAM, Shape.CONVERSE_STREAM])
def test_a_malformed_frame_has_right_checksums_and_no_json(shape: Shape) -> None:
    asked = Question(shape, "m", stream=True, include_usage=False, base64=False, input_tokens=1, serial=1)
    buffer = EventStreamBuffer()
    buffer.add_data(streams.malformed_event(asked))
    (message,) = buffer
    with pytest.raises(json.JSONDecodeError):
        json.loads(message.payload)


async def test_an_error_in_a_plain_answer_is_a_response() -> None:
    async with (
        Provider(StreamError(cause="context_length", events="content")) as provider,
        openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client,
    ):
        with pytest.raises(openai.BadRequestError) as caught:
            await client.chat.completions.create(model="m", messages=TURN)
    assert caught.value.code == "context_length_exceeded"
