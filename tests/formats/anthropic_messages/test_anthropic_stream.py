"""Streams of Messages, read."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
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


def read(*events: object) -> list[Event]:
    """Return what the events of a stream say; it is the same however they come."""
    chunks = [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events]  # type: ignore[index]
    whole = CODEC.reader().feed(b"".join(chunks))
    reader = CODEC.reader()
    assert [event for chunk in chunks for event in reader.feed(chunk)] == whole
    crlf = CODEC.reader().feed(
        b": hello\r\n\r\n" + b"".join(chunks).replace(b"\n", b"\r\n").replace(b"data: ", b"data:")
    )
    assert crlf == whole
    return whole


def start(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "c", "content": [], "usage": usage}}


def begin(index: int, **block: object) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **more: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": more}


def end(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


STOP = {"type": "message_stop"}
TEXT = begin(0, type="text", text="")
CALL = begin(0, type="tool_use", id="t", name="f")
CALL_WITH_INPUT = begin(0, type="tool_use", id="t", name="f", input={"a": 1})


def test_a_stream_is_read() -> None:
    usage = Usage(3, 4, 5, 1)
    assert read(
        start(input_tokens=3, cache_read_input_tokens=4, cache_creation_input_tokens=5, output_tokens=1),
        {"type": "ping"},
        begin(0, type="thinking", thinking="", signature=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="sig"),
        end(0),
        begin(1, type="redacted_thinking", data="enc"),
        end(1),
        begin(2, type="text", text=""),
        delta(2, type="text_delta", text="so"),
        delta(2, type="text_delta", text=""),
        end(2),
        begin(3, type="server_tool_use", id="s", name="web_search", input={}),
        delta(3, type="input_json_delta", partial_json="{}"),
        end(3),
        begin(4, type="tool_use", id="t", name="f", input={}),
        delta(4, type="input_json_delta", partial_json=""),
        delta(4, type="input_json_delta", partial_json='{"a":'),
        delta(4, type="input_json_delta", partial_json="1}"),
        end(4),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"input_tokens": 9, "output_tokens": 40, "output_tokens_details": {"thinking_tokens": 30}},
        },
        STOP,
        delta(2, type="text_delta", text="after the end"),
    ) == [
        Started("msg_1", "c"),
        Used(usage),
        PartStarted(0, Thinking(maker="anthropic")),
        Added(0, "hm"),
        Signed(0, "sig"),
        PartEnded(0),
        PartStarted(1, Thinking(redacted="enc", maker="anthropic")),
        PartEnded(1),
        PartStarted(2, Text("")),
        Added(2, "so"),
        PartEnded(2),
        PartStarted(3, ToolUse("t", "f", "")),
        Added(3, '{"a":'),
        Added(3, "1}"),
        PartEnded(3),
        Used(Usage(9, 4, 5, 40, 30)),
        Stopped(Stop.TOOL_USE),
        Ended(),
    ]


def test_a_citation_is_kept() -> None:
    said = read(start(), TEXT, delta(0, type="citations_delta", citation=CITATION), end(0))
    cited = [event for event in said if isinstance(event, Cited)]
    assert [json.loads(bytes(event.citation)) for event in cited] == [CITATION]


@pytest.mark.parametrize(
    ("events", "parts"),
    [
        ([start(), start(), begin(0, type="text", text="a"), STOP], (Text("a"),)),
        ([TEXT, TEXT, delta(0, text="a"), STOP], (Text("a"),)),
        ([start(), delta(0, type="text_delta", text="a"), end(0), STOP], (Text("a"),)),
        ([start(), delta(0, type="thinking_delta", thinking="a"), STOP], (Thinking("a", maker="anthropic"),)),
        (
            [start(), CALL_WITH_INPUT, end(0), STOP],
            (ToolUse("t", "f", '{"a": 1}'),),
        ),
        (
            [start(), CALL_WITH_INPUT, delta(0, partial_json='{"a":1}'), STOP],
            (ToolUse("t", "f", '{"a":1}'),),
        ),
        ([start(), CALL, end(0), STOP], (ToolUse("t", "f", "{}"),)),
        (
            [start(), TEXT, delta(0, text="a"), CALL, STOP],
            (Text("a"), ToolUse("t", "f", "{}")),
        ),
        (
            [start(), TEXT, delta(0, text="a"), end(0), TEXT, delta(0, text="b"), STOP],
            (Text("a"), Text("b")),
        ),
        ([STOP], ()),
    ],
)
def test_what_servers_forget(events: list[object], parts: object) -> None:
    said = read(*events)
    assert assemble(said).parts == parts
    assert sum(isinstance(event, Started) for event in said) == 1
    assert {event.index for event in said if isinstance(event, PartStarted)} == {
        event.index for event in said if isinstance(event, PartEnded)
    }
    assert said[-1] == Ended()


@pytest.mark.parametrize(
    "event",
    [
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"text":"\\ud83d"}}\n\n',
        b'data: {"type":"content_block_delta","index":0,\ndata: "delta":{"text":"?"}}\n\n',
        b'event: content_block_delta\ndata: {"index":0,"delta":{"text":"?"}}\n\n',
        b'id: data: 7\nevent: content_block_delta\ndata:{"index":0,"delta":{"text":"?"}}\n\n',
    ],
)
def test_odd_events_are_read(event: bytes) -> None:
    reader = CODEC.reader()
    reader.feed(b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n')
    assert reader.feed(event) == [Added(0, "?")]


@pytest.mark.parametrize(
    "event",
    [
        b"\n\n",
        b": data: {}\n\n",
        b"data: [DONE]\n\n",
        b'event: something_new\ndata: {"type":"something_new","delta":7}\n\n',
        b"event: ping\ndata: 12:00\n\n",
        b"data: {\n\n",
        b"data:" + b"[" * 9999 + b"\n\n",
    ],
)
def test_events_that_say_nothing(event: bytes) -> None:
    assert CODEC.reader().feed(event) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-1, 2) | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "text", "x"]), inner),
        max_leaves=6,
    )
)
def test_no_event_is_too_odd(value: object) -> None:
    for kind in ("message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop"):
        for member in ("message", "content_block", "delta", "usage", "index"):
            event = {"type": kind, member: value}
            with contextlib.suppress(UntranslatableError):
                CODEC.reader().feed(f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode())


def told(*events: object) -> list[Event]:
    return CODEC.reader().feed(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))


@pytest.mark.parametrize(
    ("usage", "figures"),
    [
        ({"output_tokens": 5.5}, Usage(output=5)),
        ({"output_tokens": "5", "input_tokens": 7.0}, Usage(7, output=5)),
        ({"output_tokens": -1, "input_tokens": 3}, Usage(3)),
        ({"output_tokens": 10**30, "output_tokens_details": 4, "service_tier": 7}, Usage()),
        ({"output_tokens": True, "input_tokens": None, "cache_read_input_tokens": [], "x": float("nan")}, Usage()),
        ([], Usage()),
        (7, Usage()),
        (None, Usage()),
    ],
)
def test_why_an_answer_ended_does_not_hang_on_its_figures(usage: object, figures: Usage) -> None:
    delta_ = {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": usage}
    answer = assemble(told(start(), TEXT, delta(0, text="a"), end(0), delta_, STOP))
    assert (answer.stop, answer.usage) == (Stop.LENGTH, figures)


@pytest.mark.parametrize("index", [None, "0", 0.0, []])
def test_why_an_answer_ended_does_not_hang_on_an_index(index: object) -> None:
    delta_ = {"type": "message_delta", "index": index, "delta": {"stop_reason": "max_tokens", "stop_sequence": 7}}
    if index == []:
        with pytest.raises(UntranslatableError, match="message_delta"):
            told(start(), delta_)
    else:
        assert Stopped(Stop.LENGTH) in told(start(), delta_, STOP)


def test_the_index_of_a_block_may_be_a_text_or_null() -> None:
    for index in ("2", 2.0):
        assert assemble(told(start(), {**delta(0, text="a"), "index": index}, STOP)).parts == (Text("a"),)
    events = ({**event, "index": None} for event in (TEXT, delta(0, text="a"), end(0)))
    assert assemble(told(start(), *events, STOP)).parts == (Text("a"),)


@pytest.mark.parametrize(
    "message", [{"id": None, "usage": {"input_tokens": 7}}, {"model": 5, "usage": {"input_tokens": 7}}]
)
def test_a_beginning_without_a_name_has_its_figures(message: object) -> None:
    assert told({"type": "message_start", "message": message}) == [Started("", ""), Used(Usage(7))]
    assert told({"type": "message_start", "message": "odd"}) == [Started("", "")]


@pytest.mark.parametrize(
    "event",
    [
        delta(0, text=5),
        {**delta(0, text="a"), "index": [1]},
        {**delta(0, text="a"), "index": "x"},
        {**end(0), "index": {}},
        begin(0, type="text", text=5),
        begin(0, type="tool_use", id="t", name=["f"]),
        {"type": "message_delta", "delta": {"stop_reason": 7}},
        {"type": "message_delta", "delta": "end"},
        delta(3, type="input_json_delta", partial_json="{}"),
    ],
)
def test_what_says_something_and_cannot_be_read_is_a_fault(event: object) -> None:
    with pytest.raises(UntranslatableError):
        told(start(), event)


def test_json_that_is_none_is_a_fault_where_the_event_has_a_name() -> None:
    with pytest.raises(UntranslatableError, match="content_block_delta"):
        CODEC.reader().feed(b"event: content_block_delta\ndata: {\n\n")


def test_blocks_of_hosted_tools_may_be_of_any_form() -> None:
    hosted = begin(0, type="new_tool_result", text=5, name={})
    assert assemble(told(start(), hosted, delta(0, text="x"), delta(0, partial_json="{"), end(0), STOP)).parts == ()


def test_what_does_not_fit_the_block_is_another_part() -> None:
    said = told(start(), CALL, delta(0, partial_json="{}"), delta(0, text="a"), delta(0, thinking="b"), STOP)
    assert assemble(said).parts == (ToolUse("t", "f", "{}"), Text("a"), Thinking("b", maker="anthropic"))
    with pytest.raises(UntranslatableError, match="arguments at index 0"):
        told(start(), TEXT, delta(0, text="a"), delta(0, partial_json="{}"))


def test_arguments_after_the_end_of_a_call_are_a_fault() -> None:
    with pytest.raises(UntranslatableError, match="arguments at index 0"):
        told(start(), CALL, delta(0, partial_json="{"), end(0), delta(0, partial_json="}"))
