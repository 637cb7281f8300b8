"""Streams of Messages, written: the SDK's accumulator is the judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from anthropic.types import Message

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Cited,
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

SdkAnswer = Callable[[bytes], Message]
SdkStream = Callable[[bytes], dict[str, Any]]
CODEC = AnthropicMessagesCodec()
ASKED = Asked("claude", "ex1", 1_790_000_000)
CITATION = {
    "type": "char_location",
    "cited_text": "s",
    "document_index": 0,
    "document_title": "t",
    "end_char_index": 1,
    "start_char_index": 0,
}
CITED = json.dumps([CITATION]).encode()


def data(stream: bytes) -> list[dict[str, Any]]:
    """Return the JSON of a stream's events, each of which must be named by its type."""
    events = []
    for event in stream.split(b"\n\n")[:-1]:
        name, payload = event.split(b"\n")
        value = json.loads(payload.removeprefix(b"data: "))
        assert name == b"event: " + value["type"].encode()
        events.append(value)
    return events


def write(*events: Event, asked: Asked = ASKED) -> bytes:
    """Return the stream of events, which is the same however they come."""
    stream = CODEC.writer(asked).feed(list(events))
    if isinstance(events[0], Started) and not isinstance(events[1], Used):
        writer = CODEC.writer(asked)
        assert b"".join(writer.feed([event]) for event in events) == stream
    return stream


def test_a_stream_is_written(sdk_stream: SdkStream) -> None:
    stream = write(
        Started("up-1", "gpt"),
        PartStarted(0, Thinking(maker="anthropic")),
        Added(0, "hm"),
        Signed(0, "s1"),
        Signed(0, "s2"),
        PartEnded(0),
        PartStarted(1, Text("")),
        Added(1, "so "),
        Added(1, "é"),
        Cited(1, msgspec.Raw(CITED[1:-1])),
        Cited(1, msgspec.Raw(b'{"type":"url_citation"}')),
        PartEnded(1),
        PartStarted(2, ToolUse("t", "f_1", "")),
        Added(2, '{"a":1}'),
        PartEnded(2),
        Stopped(Stop.TOOL_USE),
        Used(Usage(3, 4, 5, 6, 2)),
        Ended(),
        asked=Asked("claude", "ex1", 0, names={"f_1": "f.1"}, ids={"t": "call.t"}),
    )
    kinds = [event["type"].removeprefix("content_block_") for event in data(stream)]
    assert kinds == [
        "message_start", "start", "delta", "delta", "stop", "start", "delta", "delta", "delta", "stop",
        "start", "delta", "stop", "message_delta", "message_stop",
    ]  # fmt: skip
    assert sdk_stream(stream) == {
        "id": "msg_ex1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "s1s2"},
            {"type": "text", "text": "so é", "citations": [CITATION]},
            {"type": "tool_use", "id": "call.t", "name": "f.1", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "usage": {
            "input_tokens": 3,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 5,
            "output_tokens": 6,
            "output_tokens_details": {"thinking_tokens": 2},
        },
    }


def test_usage_that_comes_with_the_beginning_is_told_at_the_beginning() -> None:
    first = data(CODEC.writer(ASKED).feed([Started("msg_up", "c"), Used(Usage(7, output=1))]))
    assert first[0]["message"]["id"] == "msg_up"
    assert first[0]["message"]["usage"] == {"input_tokens": 7, "output_tokens": 1}


def test_only_the_end_ends_a_stream() -> None:
    writer = CODEC.writer(ASKED)
    before = writer.feed([Started("a", "b"), PartStarted(0, Text("so")), PartEnded(0), Stopped(Stop.END)])
    assert b"message_delta" not in before
    assert [event["type"] for event in data(writer.feed([Ended()]))] == ["message_delta", "message_stop"]
    assert writer.feed([Ended(), Added(0, "more"), Started("a", "b")]) == b""


def test_an_answer_of_nothing(sdk_stream: SdkStream) -> None:
    nothing: list[list[Event]] = [
        [Ended()],
        [Started("a", "b"), Started("a", "b"), PartStarted(0, Text("")), PartEnded(0), Ended()],
    ]
    for events in nothing:
        stream = CODEC.writer(ASKED).feed(events)
        assert [event["type"] for event in data(stream)] == ["message_start", "message_delta", "message_stop"]
        assert sdk_stream(stream)["stop_reason"] == "end_turn"


def test_calls_side_by_side_are_written_one_after_the_other(sdk_stream: SdkStream) -> None:
    writer = CODEC.writer(ASKED)
    first = writer.feed(
        [
            Started("a", "b"),
            PartStarted(0, ToolUse("t0", "f", "")),
            Added(0, '{"x":'),
            PartStarted(1, ToolUse("t1", "g", "")),
            Added(1, '{"y":'),
            Added(0, "1}"),
            PartStarted(2, Text("")),
            Added(1, "2}"),
            PartEnded(1),
            Added(2, "so"),
        ]
    )
    assert [event.get("index") for event in data(first)] == [None, 0, 0, 0]
    then = writer.feed([PartEnded(0)])
    assert [event["index"] for event in data(then)] == [0, 1, 1, 1, 1, 2, 2]
    message = sdk_stream(first + then + writer.feed([Stopped(Stop.TOOL_USE), Ended()]))
    assert message["content"] == [
        {"type": "tool_use", "id": "t0", "name": "f", "input": {"x": 1}},
        {"type": "tool_use", "id": "t1", "name": "g", "input": {"y": 2}},
        {"type": "text", "text": "so"},
    ]


def test_nothing_is_added_to_a_part_after_its_end(sdk_stream: SdkStream) -> None:
    events: list[Event] = [
        Started("", ""),
        PartStarted(0, Text("a")),
        PartStarted(1, Text("b")),
        PartStarted(2, Text("c")),
    ]
    late: list[Event] = [
        PartEnded(1),
        Added(1, "lost"),
        PartEnded(1),
        PartEnded(0),
        Added(0, "lost"),
        PartEnded(2),
        Added(1, "lost"),
    ]
    said = sdk_stream(write(*events, *late, Stopped(Stop.END), Ended()))
    assert [block["text"] for block in said["content"]] == ["a", "b", "c"]


def test_any_number_of_parts_may_wait() -> None:
    calls = range(5_000)
    begun = [PartStarted(index, ToolUse(f"t{index}", "f", "{}")) for index in calls]
    stream = CODEC.writer(ASKED).feed([Started("", ""), *begun, *map(PartEnded, reversed(calls)), Ended()])
    stopped = [event["index"] for event in data(stream) if event["type"] == "content_block_stop"]
    assert stopped == list(calls)


def test_a_call_without_arguments_and_one_that_was_cut(sdk_stream: SdkStream) -> None:
    stream = write(
        Started("a", "b"),
        PartStarted(0, ToolUse("t0", "f", "")),
        PartEnded(0),
        PartStarted(1, ToolUse("t1", "f", '{"a":1,"b')),
        Stopped(Stop.LENGTH),
        Ended(),
    )
    message = sdk_stream(stream)
    assert [block["input"] for block in message["content"]] == [{}, {"a": 1}]
    assert message["stop_reason"] == "max_tokens"


def test_thoughts_that_are_only_signed(sdk_stream: SdkStream) -> None:
    stream = write(
        Started("a", "b"),
        PartStarted(0, Thinking("", "sig", maker="anthropic")),
        PartEnded(0),
        PartStarted(1, Thinking(redacted="enc", maker="anthropic")),
        PartEnded(1),
        PartStarted(2, Thinking(maker="openai", id="rs_1")),
        Signed(2, "enc"),
        PartEnded(2),
        PartStarted(3, Thinking(maker="openai")),
        PartEnded(3),
        PartStarted(4, Thinking("why")),
        PartEnded(4),
        Ended(),
    )
    assert sdk_stream(stream)["content"] == [
        {"type": "thinking", "thinking": "", "signature": "sig"},
        {"type": "redacted_thinking", "data": "enc"},
        {"type": "thinking", "thinking": "", "signature": "hydrallm:openai:rs_1:enc"},
        {"type": "thinking", "thinking": "why", "signature": "hydrallm:::"},
    ]


def test_half_a_character_is_written_as_a_question_mark() -> None:
    assert "a?" in json.dumps(data(write(Started("a", "b"), PartStarted(0, Text("a\ud83d")), Ended())))


def test_a_free_text_for_a_tool_is_its_input(sdk_stream: SdkStream) -> None:
    call = ToolUse("t", "patch", "", custom=True)
    stream = write(Started("a", "b"), PartStarted(0, call), Added(0, 'a "b"'), Added(0, "c"), Ended())
    assert sdk_stream(stream)["content"][0]["input"] == {"input": 'a "b"c'}
