"""Answers as streams of Chat Completions: the official SDK's types and its accumulating helper read them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx2
import msgspec
import openai
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
    Ended,
    Event,
    PartEnded,
    PartStarted,
    Signed,
    Started,
    Stop,
    Stopped,
    Usage,
    Used,
)
from hydrallm.formats.codec import Asked
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec

if TYPE_CHECKING:
    from openai.types.chat import ParsedChatCompletion

CODEC = OpenAIChatCodec()
ASKED = Asked("gpt", "0123", 1_790_000_000)
UNSIGNED: dict[type, dict[str, str]] = {Thinking: {"signature": ""}}
DONE = b"data: [DONE]\n\n"


def answer(stream: bytes) -> Answer:
    return assemble(CODEC.reader().feed(stream))


def final(stream: bytes, **options: Any) -> ParsedChatCompletion[object]:  # noqa: ANN401
    """Return what the official SDK's accumulating helper makes of a written stream."""
    headers = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, content=stream, headers=headers))
    with (
        openai.OpenAI(api_key="k", base_url="http://a/v1", http_client=httpx2.Client(transport=transport)) as client,
        client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "hi"}], **options
        ) as accumulated,
    ):
        # get_final_completion() raises where an answer ended early; up to that it returns this.
        return accumulated.until_done().current_completion_snapshot


def chunks(stream: bytes) -> list[ChatCompletionChunk]:
    """Return the chunks of a written stream, each strictly what the SDK's type says."""
    sent = [part.removeprefix(b"data: ") for part in stream.split(b"\n\n")]
    assert sent[-2:] == [b"[DONE]", b""]
    return [ChatCompletionChunk.model_validate_json(body, strict=True) for body in sent[:-2]]


def course(said: Answer, cut: int = 3) -> list[Event]:
    """Return an answer as a stream would say it, a few characters at a time."""
    events: list[Event] = [Started(said.id, said.model)]
    for index, part in enumerate(said.parts):
        text = part.arguments if isinstance(part, ToolUse) else part.text
        empty = {"arguments": ""} if isinstance(part, ToolUse) else {"text": ""}
        events.append(PartStarted(index, msgspec.structs.replace(part, **empty, **UNSIGNED.get(type(part), {}))))
        events += (Added(index, text[at : at + cut]) for at in range(0, len(text), cut))
        if isinstance(part, Thinking) and part.signature:
            events.append(Signed(index, part.signature))
        events.append(PartEnded(index))
    return [*events, Stopped(said.stop, said.stop_sequence), Used(said.usage), Ended()]


def written(events: list[Event], asked: Asked = ASKED) -> bytes:
    writer = CODEC.writer(asked)
    return b"".join(writer.feed([said]) for said in events)


FULL = Answer(
    "msg_1",
    "claude",
    (
        Thinking("hm", "sig", maker="anthropic"),
        Text("Let me "),
        Text("look."),
        ToolUse("toolu_1", "f", '{"a":1}'),
        ToolUse("toolu_2", "g", "{}"),
    ),
    Stop.TOOL_USE,
    usage=Usage(3, 4, 3, 5, 2),
)


def test_the_sdks_helper_makes_of_a_stream_what_the_whole_answer_says() -> None:
    streamed = final(written(course(FULL)), stream_options={"include_usage": True})
    whole = json.loads(CODEC.write_answer(FULL, ASKED))
    (choice,) = streamed.choices
    assert (streamed.id, streamed.model, streamed.created) == (whole["id"], whole["model"], whole["created"])
    assert (choice.message.content, choice.finish_reason) == ("Let me look.", "tool_calls")
    assert choice.message.model_extra is not None
    assert choice.message.model_extra["reasoning_content"] == "hm"
    assert [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()] == [
        ("toolu_1", "f", '{"a":1}'),
        ("toolu_2", "g", "{}"),
    ]
    assert streamed.usage is not None
    assert streamed.usage.model_dump(exclude_unset=True) == whole["usage"]


def test_the_order_of_the_chunks() -> None:
    first, *_, last, usage = chunks(written(course(FULL)))
    assert first.choices[0].delta.role == "assistant"
    assert last.choices[0].finish_reason == "tool_calls"
    assert usage.choices == []
    assert usage.usage is not None


def test_the_usage_is_hidden_from_a_client_that_did_not_ask() -> None:
    stream = written(course(FULL), Asked("gpt", "1", 1, usage_in_stream=False))
    assert b"usage" not in stream
    assert all(chunk.choices for chunk in chunks(stream))


def test_who_speaks_is_said_once_and_id_and_name_of_a_call_too() -> None:
    stream = written([Started("", ""), *course(FULL)])
    assert stream.count(b'"role"') == 1
    assert stream.count(b'"toolu_1"') == 1
    assert stream.count(b'"name"') == 2


def test_interleaved_calls_keep_their_indices() -> None:
    events: list[Event] = [
        Started("", ""),
        PartStarted(0, Text("a")),
        PartStarted(1, ToolUse("i", "f", "")),
        PartStarted(2, ToolUse("j", "g", "")),
        Added(1, '{"x":{"y":'),
        Added(2, '{"z"'),
        Added(1, "1}}"),
        Added(2, ":2}"),
        Stopped(Stop.TOOL_USE),
        Ended(),
    ]
    calls = final(written(events)).choices[0].message.tool_calls
    assert calls is not None
    assert [(call.index, call.function.arguments) for call in calls] == [(0, '{"x":{"y":1}}'), (1, '{"z":2}')]  # type: ignore[attr-defined]


def test_a_call_without_arguments_has_the_text_of_an_empty_object() -> None:
    events: list[Event] = [Started("", ""), PartStarted(0, ToolUse("i", "f", ""))]
    for end in ([PartEnded(0)], [Added(0, ""), PartEnded(0)], []):
        stream = written([*events, *end, Stopped(Stop.TOOL_USE), Ended()])
        calls = final(stream).choices[0].message.tool_calls
        assert calls is not None
        assert calls[0].function.arguments == "{}"


def test_names_and_ids_are_the_clients() -> None:
    asked = Asked("gpt", "1", 1, names={"f": "long.name"}, ids={"toolu_1": "mine"})
    calls = final(written(course(FULL), asked)).choices[0].message.tool_calls
    assert calls is not None
    assert (calls[0].id, calls[0].function.name) == ("mine", "long.name")


def test_a_custom_call_is_read_back() -> None:
    said = Answer("", "", (ToolUse("i", "g", "free text", custom=True),), Stop.TOOL_USE)
    assert answer(written(course(said))).parts == said.parts


def test_nothing_looks_like_an_end_before_the_end() -> None:
    events = course(FULL)
    assert isinstance(events[-1], Ended)
    cut = written(events[:-1])
    assert b'tool_calls"}' not in cut
    assert b"[DONE]" not in cut
    assert b'"finish_reason":"' not in cut


def test_after_the_end_nothing_follows() -> None:
    writer = CODEC.writer(ASKED)
    assert writer.feed(course(FULL)).endswith(DONE)
    assert writer.feed([Added(0, "x"), PartStarted(9, Text("x")), Ended()]) == b""


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)
CALLS = st.builds(
    ToolUse, st.text("abc0_", min_size=1, max_size=5), st.just("f"), st.sampled_from(["{}", '{"a":1}', '{"a":"{"}'])
)


@st.composite
def said(draw: st.DrawFn) -> Answer:
    """Return an answer that chat can say."""
    found: list[Text | Thinking | ToolUse] = []
    if draw(st.booleans()):
        found.append(Thinking(draw(WORDS)))
    if draw(st.booleans()):
        found.append(Text(draw(WORDS)))
    refusal = draw(st.booleans())
    if refusal:
        found.append(Text(draw(WORDS), refusal=True))
    calls = draw(st.lists(CALLS, max_size=3, unique_by=lambda call: call.id))
    stop = draw(st.sampled_from([Stop.LENGTH, Stop.REFUSAL, Stop.TOOL_USE if calls else Stop.END]))
    stop = Stop.REFUSAL if refusal and stop is Stop.END else Stop.TOOL_USE if calls and stop is Stop.REFUSAL else stop
    counts = st.integers(0, 10**6)
    usage = Usage(*(draw(counts) for _ in range(5)))
    return Answer("chatcmpl-0123", "gpt", (*found, *calls), stop, usage=usage)


@settings(max_examples=50)
@given(said(), st.integers(1, 4), st.data())
def test_a_stream_of_an_answer_is_the_answer(whole: Answer, cut: int, data: st.DataObject) -> None:
    events = course(whole, cut)
    assert CODEC.read_answer(CODEC.write_answer(whole, ASKED)) == whole
    stream = written(events)
    assert answer(stream) == whole
    # However the events come, the bytes are the same.
    at = sorted(data.draw(st.lists(st.integers(0, len(events)), max_size=4)))
    writer = CODEC.writer(ASKED)
    spans = zip([0, *at], [*at, len(events)], strict=True)
    assert b"".join(writer.feed(events[start:end]) for start, end in spans) == stream
    streamed, message = final(stream).choices[0], json.loads(CODEC.write_answer(whole, ASKED))["choices"][0]
    assert streamed.finish_reason == message["finish_reason"]
    assert (streamed.message.content or None, streamed.message.refusal) == (
        message["message"]["content"] or None,
        message["message"]["refusal"],
    )
