"""Streams that are damaged: whatever a server sends, a reader gives a course of events that a writer can write, or says
that it cannot be read.

The streams are those of the APIs' documents, of many parts. An event is left out, said twice, moved, or one of its
members is another value; nothing in between looks at them.
"""

from __future__ import annotations

import base64
import copy
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrallm.faults import eventstream
from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_invoke import BedrockInvoke
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import (
    Added,
    Cited,
    Ended,
    PartEnded,
    PartStarted,
    Signed,
    Started,
    Stopped,
    Used,
)
from hydrallm.formats.codec import Asked
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from hydrallm.formats.base import WireFormat
    from hydrallm.formats.canonical_answer import Event
    from hydrallm.formats.codec import Codec

WIRE: dict[str, WireFormat] = {
    "chat": OpenAIChat(),
    "responses": OpenAIResponses(),
    "messages": AnthropicMessages(),
    "invoke": BedrockInvoke(),
    "converse": BedrockConverse(),
}
ASKED = Asked("m", "0123456789abcdef", 1_790_000_000, names={"f": "g/x"}, custom=("patch",))


def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"id": "c1", "model": "up", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def called(index: int, arguments: str, **first: str) -> dict[str, Any]:
    function = {"arguments": arguments} | ({"name": first.pop("name")} if first else {})
    return chunk({"tool_calls": [{"index": index, **first, "function": function}]})


CHAT = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "hm"}),
    chunk({"content": "hi"}),
    called(0, "", id="c1", name="f"),
    called(0, '{"a":'),
    called(1, '{"input":"x"}', id="c2", name="patch"),
    called(0, "1}"),
    chunk({}, "tool_calls"),
    {"id": "c1", "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
]


def of_response(kind: str, place: int, **members: object) -> dict[str, Any]:
    return {"type": f"response.{kind}", "output_index": place, **members}


def of_text(kind: str, place: int, **members: object) -> dict[str, Any]:
    return of_response(kind, place, content_index=0, **members)


NOTE = {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
MESSAGE = {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": "hi", "annotations": [NOTE]}]}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a":1}'}
CUSTOM = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "patch", "input": "x"}
USAGE = {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 3}}
RESPONSES = [
    {"type": "response.created", "response": {"id": "resp_1", "model": "up", "status": "in_progress", "output": []}},
    of_response("output_item.added", 0, item=REASONING),
    of_response("reasoning_summary_text.delta", 0, summary_index=0, delta="hm"),
    of_response("output_item.done", 0, item=REASONING),
    of_response("output_item.added", 1, item=MESSAGE | {"content": []}),
    of_text("output_text.delta", 1, delta="hi"),
    of_text("output_text.annotation.added", 1, annotation=NOTE),
    of_text("content_part.done", 1),
    of_response("output_item.done", 1, item=MESSAGE),
    of_response("output_item.added", 2, item=CALL | {"arguments": ""}),
    of_response("output_item.added", 3, item=CUSTOM | {"input": ""}),
    of_response("function_call_arguments.delta", 2, delta='{"a":'),
    of_response("custom_tool_call_input.delta", 3, delta="x"),
    of_response("function_call_arguments.delta", 2, delta="1}"),
    of_response("output_item.done", 3, item=CUSTOM),
    of_response("output_item.done", 2, item=CALL),
    of_response("refusal.delta", 4, content_index=0, delta="no"),
    {
        "type": "response.completed",
        "response": {
            "id": "resp_1",
            "status": "completed",
            "output": [REASONING, MESSAGE, CALL, CUSTOM],
            "usage": USAGE,
        },
    },
]


def block(index: int, **content: object) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": content}


def delta(index: int, **said: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": said}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


MESSAGES = [
    {"type": "message_start", "message": {"id": "msg_1", "model": "up", "usage": {"input_tokens": 5}}},
    block(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="hm"),
    delta(0, type="signature_delta", signature="sig"),
    stop(0),
    block(1, type="redacted_thinking", data="enc"),
    stop(1),
    block(2, type="text", text=""),
    delta(2, type="text_delta", text="hi"),
    delta(2, type="citations_delta", citation={"type": "char_location", "cited_text": "x"}),
    stop(2),
    block(3, type="tool_use", id="t1", name="f", input={}),
    delta(3, type="input_json_delta", partial_json='{"a":'),
    delta(3, type="input_json_delta", partial_json="1}"),
    stop(3),
    block(4, type="tool_use", id="t2", name="patch", input={"input": "x"}),
    stop(4),
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]


def of_converse(index: int, **said: object) -> dict[str, Any]:
    return {"contentBlockDelta": {"contentBlockIndex": index, "delta": said}}


def tool(index: int, identity: str, name: str) -> dict[str, Any]:
    use = {"toolUseId": identity, "name": name}
    return {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": use}}}


def ended(index: int) -> dict[str, Any]:
    return {"contentBlockStop": {"contentBlockIndex": index}}


CONVERSE = [
    {"messageStart": {"role": "assistant"}},
    of_converse(0, reasoningContent={"text": "hm"}),
    of_converse(0, reasoningContent={"signature": "c2ln"}),
    ended(0),
    of_converse(1, reasoningContent={"redactedContent": "ZW5j"}),
    ended(1),
    of_converse(2, text="hi"),
    of_converse(2, citation={"title": "t", "location": {"web": {"url": "u"}}}),
    ended(2),
    tool(3, "t1", "f"),
    tool(4, "t2", "patch"),
    of_converse(3, toolUse={"input": '{"a":'}),
    of_converse(4, toolUse={"input": '{"input":"x"}'}),
    of_converse(3, toolUse={"input": "1}"}),
    ended(4),
    ended(3),
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}}},
]

STREAMS: dict[str, list[dict[str, Any]]] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "messages": MESSAGES,
    "invoke": MESSAGES,
    "converse": CONVERSE,
}


def wire(name: str, event: dict[str, Any]) -> bytes:
    """Return the bytes of an event; those of Converse stand under their type."""
    if name == "converse":
        (kind, payload), *_ = event.items() or [("nothing", None)]
        return eventstream.event(kind, json.dumps(payload).encode())
    data = json.dumps(event).encode()
    if name == "invoke":
        return eventstream.event("chunk", b'{"bytes":"%b"}' % base64.b64encode(data))
    return b"data: " + data + b"\n\n"


# ---- what happens to them

ODD = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1,
        2.5,
        10**30,
        "",
        "x",
        "1",
        "\ud83d",
        [],
        {},
        [None],
        [["x"]],
        {"type": "text"},
        "{",
        '{"b":2}',
    ]
)


def places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return where there are values in ``value``."""
    found = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return found + [place for name, member in inner for place in places(member, (*path, name))]


@st.composite
def damaged(draw: st.DrawFn, whole: list[dict[str, Any]]) -> list[dict[str, Any]]:
    events = copy.deepcopy(whole)
    for what in draw(st.lists(st.sampled_from(["leave out", "repeat", "move", "change", "change"]), max_size=3)):
        at = draw(st.integers(0, len(events) - 1))
        match what:
            case "leave out" if len(events) > 1:
                del events[at]
            case "repeat":
                events.insert(draw(st.integers(0, len(events))), copy.deepcopy(events[at]))
            case "move":
                events.insert(draw(st.integers(0, len(events) - 1)), events.pop(at))
            case _:
                *path, last = draw(st.sampled_from(places(events[at])))
                holder: Any = events[at]
                for name in path:
                    holder = holder[name]
                holder[last] = copy.deepcopy(draw(ODD))
    return events


# ---- what comes of them


def check(course: list[Event]) -> None:
    """Check a course's grammar: a beginning; parts side by side, begun once and ended once; why it ended; the end."""
    begun: list[Text | Thinking | ToolUse] = []
    open_: set[int] = set()
    assert [isinstance(event, Started) for event in course] == [True] + [False] * (len(course) - 1)
    for event in course:
        match event:
            case PartStarted(index=index, part=part):
                assert index == len(begun)
                begun.append(part)
                open_.add(index)
            case Added(index=index) | Signed(index=index) | Cited(index=index):
                assert index in open_
                assert isinstance(event, Added) or isinstance(
                    begun[index], Thinking if isinstance(event, Signed) else Text
                )
            case PartEnded(index=index):
                open_.remove(index)
            case Started() | Used():
                pass
            case Stopped() | Ended():
                assert not open_
    for event, following in pairwise(course):
        assert not isinstance(event, Stopped) or isinstance(following, Ended)
        assert isinstance(event, Stopped) or not isinstance(following, Ended)
        assert not isinstance(event, Ended)


def read(codec: Codec, name: str, events: list[dict[str, Any]]) -> list[Event] | None:
    """Return what a stream says; None if it cannot be read."""
    reader = codec.reader()
    try:
        said = [event for sent in events for event in reader.feed(wire(name, sent))]
        if name == "chat":
            said += reader.feed(b"data: [DONE]\n\n")
    except UntranslatableError:
        return None
    return said


@pytest.mark.parametrize("name", STREAMS)
def test_the_streams_themselves_are_read(name: str, codecs: dict[str, Codec]) -> None:
    course = read(codecs[name], name, STREAMS[name])
    assert course is not None
    check(course)
    assert {type(event.part) for event in course if isinstance(event, PartStarted)} == {Text, Thinking, ToolUse}
    assert isinstance(course[-1], Ended)


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_stream_is_a_course_of_events_or_an_error(
    name: str, codecs: dict[str, Codec], data: st.DataObject
) -> None:
    course = read(codecs[name], name, data.draw(damaged(STREAMS[name])))
    if not course:
        return
    check(course)
    for client, codec in codecs.items():
        writer, scan = codec.writer(ASKED), WIRE[client].scan()
        try:
            stream = b"".join(writer.feed([event]) for event in course)
        except UntranslatableError:
            continue
        scan.feed(stream)
        assert (scan.broken, scan.problem, scan.dropped) == ("", None, 0)
        assert scan.complete == isinstance(course[-1], Ended)
