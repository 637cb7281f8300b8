"""Streams of Converse, read: event by event, as AWS's service and the faulty provider send them."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.faults import answers, eventstream, streams
from hydrallm.formats.assembly import assemble
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
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

CODEC = BedrockConverseCodec()
MODEL = botocore.session.get_session().get_service_model("bedrock-runtime")
START = ("messageStart", {"role": "assistant"})
STOP = ("messageStop", {"stopReason": "end_turn"})
USAGE = {"inputTokens": 1, "outputTokens": 2, "totalTokens": 15, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 8}
METADATA = ("metadata", {"usage": USAGE, "metrics": {"latencyMs": 9}})
USED = Used(Usage(1, 4, 8, 2))


def frame(kind: str, payload: object) -> bytes:
    return eventstream.event(kind, json.dumps(payload).encode())


def delta(index: int, **said: Any) -> tuple[str, object]:  # noqa: ANN401 - any member of a delta
    return ("contentBlockDelta", {"contentBlockIndex": index, "delta": said})


def stop(index: int) -> tuple[str, object]:
    return ("contentBlockStop", {"contentBlockIndex": index})


def tool(index: int, use_id: str = "i", name: str = "f", **more: str) -> tuple[str, object]:
    use = {"toolUseId": use_id, "name": name, **more}
    return ("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": use}})


def read(*events: tuple[str, object]) -> list[Event]:
    return CODEC.reader().feed(b"".join(frame(kind, payload) for kind, payload in events))


@pytest.mark.parametrize("finish", ["stop", "length", "filtered"])
def test_what_the_faulty_provider_streams_is_what_it_answers(finish: Any) -> None:  # noqa: ANN401 - a Finish
    whole = answers.question("POST", "/model/m/converse", {}, b"{}", 1)
    streamed = answers.question("POST", "/model/m/converse-stream", {}, b"{}", 1)
    events = CODEC.reader().feed(b"".join(streams.events(streamed, "one two three", finish)))
    assert assemble(events) == CODEC.read_answer(answers.plain(whole, "one two three", finish))
    assert events[-1] == Ended()
    assert events.count(Ended()) == 1


def test_text_has_no_start() -> None:
    assert read(START, delta(0, text="a"), delta(0, text=""), stop(0), delta(1, text="b"), stop(1), STOP, METADATA) == [
        Started("", ""),
        PartStarted(0, Text("")),
        Added(0, "a"),
        Added(0, ""),
        PartEnded(0),
        PartStarted(1, Text("")),
        Added(1, "b"),
        PartEnded(1),
        USED,
        Stopped(Stop.END),
        Ended(),
    ]


def test_calls_side_by_side() -> None:
    events = (tool(0), tool(1, "j", "g"), delta(1, toolUse={"input": '{"y":2'}), delta(0, toolUse={"input": ""}))
    more = (delta(1, toolUse={"input": "}"}), stop(0), stop(1), ("messageStop", {"stopReason": "tool_use"}), METADATA)
    answer = assemble(read(START, *events, *more))
    assert answer.parts == (ToolUse("i", "f", "{}"), ToolUse("j", "g", '{"y":2}'))
    assert answer.stop is Stop.TOOL_USE


def test_thoughts() -> None:
    read_ = read(
        START,
        delta(0, reasoningContent={"text": "h"}),
        delta(0, reasoningContent={"text": "m"}),
        delta(0, reasoningContent={"signature": "c2"}),
        delta(0, reasoningContent={"signature": "ln"}),
        stop(0),
        delta(1, reasoningContent={"signature": "c2ln"}),
        stop(1),
        delta(2, reasoningContent={"redactedContent": "YWI="}),
        delta(2, reasoningContent={"redactedContent": "Yw=="}),
        stop(2),
        delta(3, reasoningContent={"redactedContent": "ZA=="}),
        STOP,
        METADATA,
    )
    assert assemble(read_).parts == (
        Thinking("hm", "c2ln", maker="anthropic"),
        Thinking("", "c2ln", maker="anthropic"),
        Thinking(redacted="YWJj", maker="anthropic"),
        Thinking(redacted="ZA==", maker="anthropic"),
    )
    assert Signed(0, "ln") in read_


def test_citations() -> None:
    citation = {"title": "t", "location": {"web": {"url": "http://h"}}}
    reader = CODEC.reader()
    events = reader.feed(frame(*delta(0, text="a")) + frame(*delta(0, citation=citation)))
    assert isinstance(cited := events[-1], Cited)
    assert json.loads(bytes(cited.citation)) == citation
    (text,) = assemble(events).parts
    assert isinstance(text, Text)
    assert msgspec.json.decode(text.citations or b"") == [citation]


@pytest.mark.parametrize("before", [True, False])
def test_the_usage_comes_before_the_end_or_after_it(before: bool) -> None:
    last = (METADATA, STOP) if before else (STOP, METADATA)
    events = read(START, delta(0, text="a"), stop(0), *last)
    assert events[-1] == Ended()
    assert assemble(events).usage == USED.usage


def test_a_complete_stream_without_usage() -> None:
    reader = CODEC.reader()
    assert reader.finish() == []
    assert reader.feed(frame(*START) + frame(*delta(0, text="a")) + frame(*STOP))[-1] == Added(0, "a")
    assert reader.finish() == [PartEnded(0), Stopped(Stop.END), Ended()]
    assert reader.finish() == []
    assert reader.feed(frame(*METADATA)) == []


def test_the_stop_sequence() -> None:
    ended = ("messageStop", {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "END"}})
    assert read(START, ended, METADATA)[-2] == Stopped(Stop.SEQUENCE, "END")
    odd = ("messageStop", {"stopReason": "end_turn", "additionalModelResponseFields": [1]})
    assert read(START, odd, METADATA)[-2] == Stopped(Stop.END)


def test_what_was_not_asked_for_is_left_out() -> None:
    events = read(
        START,
        START,
        tool(0, type="server_tool_use"),
        delta(0, toolUse={"input": "{}"}),
        stop(0),
        ("contentBlockStart", {"contentBlockIndex": 1, "start": {"image": {"format": "png"}}}),
        delta(1, image={"source": {"bytes": "AA=="}}),
        stop(1),
        ("contentBlockStart", {"contentBlockIndex": 2, "start": {}}),
        ("contentBlockDelta", {"contentBlockIndex": 2}),
        stop(2),
        ("somethingNew", {"a": 1}),
        tool(3),
        tool(3),
        stop(3),
        stop(3),
    )
    assert events == [Started("", ""), PartStarted(0, ToolUse("i", "f", "")), PartEnded(0)]


def test_a_server_that_does_not_count_on() -> None:
    said = read(START, tool(0), tool(0, "j"), delta(0, toolUse={"input": "{}"}), delta(0, text="a"), STOP, METADATA)
    assert assemble(said).parts == (ToolUse("i", "f", "{}"), ToolUse("j", "f", "{}"), Text("a"))


def test_words_after_the_end_of_a_block_are_another_one() -> None:
    late = (delta(0, text="a"), delta(1, text="b"), stop(1), delta(1, text="c"), stop(0), STOP, delta(1, text="d"))
    said = read(START, *late, METADATA)
    assert assemble(said).parts == (Text("a"), Text("b"), Text("cd"))
    assert said[-2:] == [Stopped(Stop.END), Ended()]


@pytest.mark.parametrize("before", [(tool(0), stop(0)), (), (delta(0, text="a"),)])
def test_input_of_no_open_call_is_a_fault(before: tuple[tuple[str, object], ...]) -> None:
    assert read(START, *before, delta(0, toolUse={"input": ""}))
    with pytest.raises(UntranslatableError, match="no toolUse that it is of"):
        read(START, *before, delta(0, toolUse={"input": "{}"}))


@pytest.mark.parametrize("odd", [{"usage": 5}, [], {"usage": {"inputTokens": []}}, {"usage": USAGE, "serviceTier": 7}])
def test_nothing_hangs_on_metadata_that_cannot_be_read(odd: object) -> None:
    for last in ((("metadata", odd), STOP), (STOP, ("metadata", odd))):
        said = read(START, delta(0, text="a"), *last)
        assert said[-2:] == [Stopped(Stop.END), Ended()]
        assert assemble(said).parts == (Text("a"),)


def test_a_block_that_is_left_open_ends_with_the_message() -> None:
    assert read(START, delta(0, text="a"), STOP, METADATA)[-3:] == [PartEnded(0), Stopped(Stop.END), Ended()]


def test_every_event_is_decided_on() -> None:
    members = set(MODEL.operation_model("ConverseStream").output_shape.members["stream"].members)
    assert {name for name in members if not name.endswith("Exception")} == {
        "messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata"
    }  # fmt: skip


def test_what_others_read_is_read() -> None:
    half = eventstream.event("contentBlockDelta", b'\xef\xbb\xbf{"contentBlockIndex":0,"delta":{"text":"\\ud83d"}}')
    assert CODEC.reader().feed(half)[-1] == Added(0, "?")


def damaged(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (eventstream.event("contentBlockDelta", b'{"delta":'), "this is not a contentBlockDelta"),
        (eventstream.event("contentBlockDelta", b'{"delta":{"text":"a"}}'), "missing required field"),
        (eventstream.event("contentBlockStart", b"[]"), "this is not the payload of a contentBlockStart"),
        (frame("messageStop", {"stopReason": "malformed_model_output"}), "stopReason: the answer ended with"),
        (damaged(frame(*START)), "the checksum of a frame is wrong"),
    ],
)
def test_what_is_no_stream(wire: bytes, message: str) -> None:
    with pytest.raises(UntranslatableError) as caught:
        CODEC.reader().feed(wire)
    assert message in str(caught.value)


def test_exceptions_are_the_scans_business() -> None:
    assert CODEC.reader().feed(eventstream.exception("throttlingException", b'{"message":"no"}')) == []


KINDS = [START[0], "contentBlockStart", "contentBlockDelta", "contentBlockStop", STOP[0], METADATA[0]]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["contentBlockIndex", "delta", "text", "toolUse", "input", "start", "reasoningContent", "usage"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(st.lists(st.tuples(st.sampled_from(KINDS), VALUES), max_size=6))
def test_nothing_but_an_untranslatable_error(events: list[tuple[str, object]]) -> None:
    try:
        found = read(START, *events)
    except UntranslatableError:
        return
    assemble(found)
    # Whatever was read can be written, and be read again.
    CODEC.reader().feed(CODEC.writer(Asked("m", "id", 0)).feed(found))
