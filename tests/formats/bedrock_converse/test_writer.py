"""Streams of Converse, written and read: boto3 reads what is written, the faulty provider writes what is read."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable
from typing import Any

import botocore.parsers
import botocore.session
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.assembly import assemble
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
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

BotoReads = Callable[[bytes], list[dict[str, Any]]]

CODEC = BedrockConverseCodec()
OPERATION = botocore.session.get_session().get_service_model("bedrock-runtime").operation_model("Converse")
ASKED = Asked("m", "id", 0, names={"a_1": "a.b"}, ids={"i_1": "i:1"})
START, STOP, END = Started("up", "model"), Stopped(Stop.END), Ended()
CITATION = msgspec.Raw(b'{"title":"t","location":{"web":{"url":"http://h"}}}')


def put_together(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer that events amount to, as a simple client has it: a delta adds to the block that came last."""
    message: dict[str, Any] = {"content": []}
    answer: dict[str, Any] = {"output": {"message": message}}
    block: dict[str, Any] = {}
    for (kind, event), index in zip((next(iter(event.items())) for event in events), itertools.count()):
        assert (kind == "messageStart") == (index == 0)
        if kind == "messageStart":
            message["role"] = event["role"]
        elif kind == "contentBlockStart":
            block["use"] = {**event["start"]["toolUse"], "input": ""}
        elif kind == "contentBlockDelta":
            assert event["contentBlockIndex"] == len(message["content"])
            add(block, event["delta"])
        elif kind == "contentBlockStop":
            assert event["contentBlockIndex"] == len(message["content"])
            message["content"].append(whole(block))
            block = {}
        elif kind == "messageStop":
            assert not block
            answer |= event
        else:
            assert kind == "metadata"
            answer |= event
    return answer


def add(block: dict[str, Any], delta: dict[str, Any]) -> None:
    ((kind, said),) = delta.items()
    match kind:
        case "text":
            block["text"] = block.get("text", "") + said
        case "toolUse":
            block["use"]["input"] += said["input"]
        case "citation":
            block.setdefault("citations", []).append(said)
        case "reasoningContent":
            ((name, value),) = said.items()
            assert name == "text" or name not in block, "signatures come whole"
            block[f"reasoning {name}"] = block.get(f"reasoning {name}", "") + value if name == "text" else value
        case _:
            raise AssertionError(kind)


def whole(block: dict[str, Any]) -> dict[str, Any]:
    if "use" in block:
        return {"toolUse": {**block["use"], "input": json.loads(block["use"]["input"])}}
    if "reasoning redactedContent" in block:
        return {"reasoningContent": {"redactedContent": block["reasoning redactedContent"]}}
    if any(name.startswith("reasoning") for name in block):
        signed = {"signature": block["reasoning signature"]} if "reasoning signature" in block else {}
        return {"reasoningContent": {"reasoningText": {"text": block.get("reasoning text", ""), **signed}}}
    if "citations" in block:
        return {"citationsContent": {"content": [{"text": block["text"]}], "citations": block["citations"]}}
    assert block["text"]
    return {"text": block["text"]}


def written(*events: Event) -> bytes:
    """Return what a writer makes of ``events``, given one by one; given at once they must come to the same."""
    writer = CODEC.writer(ASKED)
    wire = b"".join(writer.feed([event]) for event in events)
    assert CODEC.writer(ASKED).feed(list(events)) == wire
    return wire


def content(boto_reads: BotoReads, *events: Event) -> list[dict[str, Any]]:
    answer = put_together(boto_reads(written(START, *events, STOP, END)))
    found: list[dict[str, Any]] = answer["output"]["message"]["content"]
    return found


def test_a_stream(boto_reads: BotoReads) -> None:
    usage = Usage(input=10, cache_read=5, output=1)
    events = (
        START,
        Used(usage),
        PartStarted(0, Text("")),
        Added(0, "hel"),
        Added(0, "lo"),
        PartEnded(0),
        Stopped(Stop.SEQUENCE, "END"),
        Used(Usage(output=7)),
        END,
    )
    assert boto_reads(written(*events)) == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "hel"}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "lo"}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "END"}}},
        {
            "metadata": {
                "usage": {"inputTokens": 10, "outputTokens": 7, "totalTokens": 22, "cacheReadInputTokens": 5},
                "metrics": {"latencyMs": 0},
            }
        },
    ]


def test_only_the_end_ends_a_stream() -> None:
    wire = written(START, PartStarted(0, Text("a")), PartEnded(0), STOP, Used(Usage(1, 2, 3, 4)))
    scan = BedrockConverse().scan()
    scan.feed(wire)
    assert (scan.content, scan.ended) == (True, False)


def test_case_4_interleaved_calls(boto_reads: BotoReads) -> None:
    assert content(
        boto_reads,
        PartStarted(0, ToolUse("i_1", "a_1", "")),
        PartStarted(1, ToolUse("j", "b", '{"y":')),
        Added(0, '{"x":'),
        Added(1, "2"),
        Added(0, "1}"),
        Added(1, "}"),
        PartEnded(1),
        PartStarted(2, Text("and")),
        PartEnded(0),
        Added(2, " so"),
        PartEnded(2),
    ) == [
        {"toolUse": {"toolUseId": "i:1", "name": "a.b", "input": {"x": 1}}},
        {"toolUse": {"toolUseId": "j", "name": "b", "input": {"y": 2}}},
        {"text": "and so"},
    ]


def test_case_5_a_call_without_arguments(boto_reads: BotoReads) -> None:
    events = (PartStarted(0, ToolUse("i", "a", "")), Added(0, ""), PartEnded(0))
    assert content(boto_reads, *events)[0]["toolUse"]["input"] == {}


def test_case_6_a_call_that_is_cut(boto_reads: BotoReads) -> None:
    wire = written(START, PartStarted(0, ToolUse("i", "a", "")), Added(0, '{"x": "on'), Stopped(Stop.LENGTH), END)
    events = boto_reads(wire)
    assert events[2]["contentBlockDelta"]["delta"] == {"toolUse": {"input": '{"x": "on'}}
    assert [next(iter(event)) for event in events[3:]] == ["contentBlockStop", "messageStop", "metadata"]
    assert events[4]["messageStop"]["stopReason"] == "max_tokens"


def test_case_7_text_tool_text(boto_reads: BotoReads) -> None:
    found = content(
        boto_reads,
        PartStarted(0, Text("a")),
        PartEnded(0),
        PartStarted(1, ToolUse("i", "a", "{}")),
        PartEnded(1),
        PartStarted(2, Text("")),
        Added(2, "b"),
        PartEnded(2),
    )
    assert [next(iter(block)) for block in found] == ["text", "toolUse", "text"]


def test_case_8_thoughts(boto_reads: BotoReads) -> None:
    assert content(
        boto_reads,
        PartStarted(0, Thinking(maker="anthropic")),
        Signed(0, "c2"),
        Signed(0, "ln"),
        PartEnded(0),
        PartStarted(1, Thinking(redacted=base64.b64encode(b"enc").decode(), maker="anthropic")),
        PartEnded(1),
        PartStarted(2, Thinking("aloud")),
        Added(2, "!"),
        PartEnded(2),
        PartStarted(3, Thinking("", "enc", maker="openai", id="rs_1")),
        PartEnded(3),
    ) == [
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": b"enc"}},
        {"reasoningContent": {"reasoningText": {"text": "aloud!", "signature": "hydrallm:::"}}},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "hydrallm:openai:rs_1:enc"}}},
    ]


def test_parts_that_say_nothing_are_left_out(boto_reads: BotoReads) -> None:
    empty: list[Text | Thinking] = [
        Text(""),
        Thinking(maker="openai"),
        Thinking(redacted="not base64", maker="anthropic"),
    ]
    events: list[Event] = [
        e for i, part in enumerate(empty) for e in (PartStarted(i, part), Added(i, ""), PartEnded(i))
    ]
    assert content(boto_reads, *events, PartStarted(3, Text("a")), PartEnded(3)) == [{"text": "a"}]


def test_citations(boto_reads: BotoReads) -> None:
    foreign = msgspec.Raw(b'{"type":"char_location","cited_text":"x"}')
    events = (PartStarted(0, Text("a")), Cited(0, CITATION), Cited(0, foreign), PartEnded(0))
    assert content(boto_reads, *events) == [
        {"citationsContent": {"content": [{"text": "a"}], "citations": [json.loads(bytes(CITATION))]}}
    ]


def test_what_comes_twice_or_never_began(boto_reads: BotoReads) -> None:
    assert content(
        boto_reads,
        START,
        PartStarted(0, Text("a")),
        PartStarted(0, Text("b")),
        Added(9, "nowhere"),
        PartEnded(9),
        PartEnded(0),
        PartEnded(0),
        Added(0, "late"),
    ) == [{"text": "a"}]


def test_many_parts_at_once(boto_reads: BotoReads) -> None:
    many = range(3000)
    events: list[Event] = [
        *(PartStarted(i, Text(str(i))) for i in many),
        *(PartEnded(i) for i in reversed(many)),
    ]
    assert [block["text"] for block in content(boto_reads, *events)] == [str(i) for i in many]


# ---- a stream says what the whole answer says

WORDS = st.text(min_size=1, max_size=6)
STARTS = st.one_of(
    st.builds(Text, st.just("") | WORDS),
    st.builds(Thinking, st.just("") | WORDS, maker=st.sampled_from(["", "anthropic", "openai"])),
    st.builds(ToolUse, WORDS, WORDS, st.just("")),
)


@st.composite
def courses(draw: st.DrawFn) -> list[Event]:
    """Return the events of an answer whose parts go on side by side."""
    parts: list[list[Event]] = []
    for index in range(draw(st.integers(0, 4))):
        part = draw(STARTS)
        course: list[Event] = [PartStarted(index, part)]
        if isinstance(part, ToolUse):
            arguments = json.dumps(draw(st.dictionaries(WORDS, st.integers() | WORDS, max_size=3)))
            cuts = sorted(draw(st.lists(st.integers(0, len(arguments)), max_size=3)))
            edges = [0, *cuts, len(arguments)]
            course += [Added(index, arguments[a:b]) for a, b in itertools.pairwise(edges)]
        else:
            course += [Added(index, word) for word in draw(st.lists(WORDS, max_size=3))]
        if isinstance(part, Thinking) and part.maker:
            course += [Signed(index, piece) for piece in draw(st.lists(st.just("c2ln"), max_size=2))]
        if isinstance(part, Text) and len(course) > 1:
            course += [Cited(index, CITATION) for _ in range(draw(st.integers(0, 1)))]
        parts.append([*course, PartEnded(index)])
    events: list[Event] = [START]
    while parts := [part for part in parts if part]:
        events.append(parts[draw(st.integers(0, len(parts) - 1))].pop(0))
    calls = any(isinstance(event, PartStarted) and isinstance(event.part, ToolUse) for event in events)
    stops = [stop for stop in Stop if stop not in ({Stop.END, Stop.PAUSE} if calls else {Stop.TOOL_USE})]
    last: list[Event] = [Used(Usage(3, None, 1, 2)), Stopped(draw(st.sampled_from(stops)))]
    return [*events, *draw(st.permutations(last)), END]


@given(courses())
def test_a_stream_says_what_the_whole_answer_says(boto_reads: BotoReads, events: list[Event]) -> None:
    parsed = botocore.parsers.create_parser("rest-json").parse(
        {"status_code": 200, "headers": {}, "body": CODEC.write_answer(assemble(events), ASKED)}, OPERATION.output_shape
    )
    parsed.pop("ResponseMetadata")
    # Parts are in the order in which they began.
    began = [event.index for event in events if isinstance(event, PartStarted)]
    inverse = msgspec.structs.replace(assemble(events), parts=tuple(assemble(events).parts[i] for i in began))
    parsed["output"] = json_of(CODEC.write_answer(inverse, ASKED))["output"]
    assert put_together(boto_reads(written(*events))) == parsed


def json_of(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body)
    return found


@given(events=courses(), data=st.data())
def test_what_is_written_is_read_however_it_is_split(events: list[Event], data: st.DataObject) -> None:
    wire = written(*events)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    reader = CODEC.reader()
    found = [event for a, b in itertools.pairwise([0, *cuts, len(wire)]) for event in reader.feed(wire[a:b])]
    assert found == CODEC.reader().feed(wire)
    assert found[-1] == Ended()
    assert reader.finish() == []
    # Read and written once more it says the same: nothing is lost on the way.
    assert CODEC.writer(Asked("m", "id", 0)).feed(found) == wire
