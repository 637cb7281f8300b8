"""Streams of Responses, written: the official SDK's types and its accumulating helper are the judges."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI, omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
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
from hydrallm.formats.openai_responses import ResponsesScan
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

CODEC = OpenAIResponsesCodec()
ASKED = Asked("gpt", "0123456789abcdef", 1_790_000_000, names={"f_1": "f.1"}, ids={"c1": "toolu:1"})
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
START = Started("chatcmpl-1", "m")
NOTE = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "https://a/b"}
TEXT: list[Event] = [START, PartStarted(0, Text("")), Added(0, "Hel"), Added(0, "lo"), PartEnded(0)]
END: list[Event] = [Stopped(Stop.END), Used(Usage(10, 60, 30, 9, 4)), Ended()]


def written(events: list[Event]) -> bytes:
    return CODEC.writer(ASKED).feed(events)


def said(stream: bytes) -> list[dict[str, Any]]:
    """Return the JSON of the events of a stream, of which the SDK's types say that it is right."""
    found = []
    for index, sent in enumerate(stream.split(b"\n\n")[:-1]):
        name, _, data = sent.partition(b"\n")
        body = json.loads(data.removeprefix(b"data: "))
        assert name == b"event: " + body["type"].encode()
        assert body["sequence_number"] == index
        EVENT.validate_python(body, strict=True)
        found.append(body)
    return found


def accumulated(events: list[Event]) -> Response:
    """Return what the SDK's helper makes of a stream."""
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=[], text_format=omit)
    for body in said(written(events)):
        state.handle_event(EVENT.validate_python(body))
    response = state._completed_response  # noqa: SLF001 - what the helper gives out in the end
    assert response is not None
    return response


def kinds(events: list[Event]) -> list[str]:
    return [body["type"].removeprefix("response.") for body in said(written(events))]


def test_the_course_of_a_text() -> None:
    assert kinds([*TEXT, *END]) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_the_sdk_streams_it() -> None:
    class Greeting(BaseModel):
        a: int

    events: list[Event] = [START, PartStarted(0, Text("")), Added(0, '{"a": '), Added(0, "1}"), PartEnded(0), *END]
    stream = written(events)
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=stream)
    )
    client = OpenAI(api_key="k", base_url="http://a", http_client=httpx2.Client(transport=transport), max_retries=0)
    with client.responses.stream(model="gpt", input="hi", text_format=Greeting) as helper:
        deltas = [event.delta for event in helper if event.type == "response.output_text.delta"]
        final = helper.get_final_response()
    assert deltas == ['{"a": ', "1}"]
    assert (final.output_parsed, final.model, final.id) == (Greeting(a=1), "gpt", f"resp_{ASKED.id}")
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.total_tokens) == (100, 109)


def test_calls_side_by_side() -> None:
    events: list[Event] = [
        START,
        PartStarted(0, ToolUse("c1", "f_1", "")),
        PartStarted(1, ToolUse("c2", "g", "")),
        Added(0, '{"x":'),
        Added(1, '{"y":'),
        Added(0, "1}"),
        Added(1, "2}"),
        PartEnded(1),
        PartEnded(0),
        Stopped(Stop.TOOL_USE),
        Ended(),
    ]
    first, second = accumulated(events).output
    assert first.type == second.type == "function_call"
    assert (first.call_id, first.name, first.arguments) == ("toolu:1", "f.1", '{"x":1}')
    assert (second.call_id, second.name, second.arguments) == ("c2", "g", '{"y":2}')
    deltas = [body for body in said(written(events)) if body["type"].endswith("arguments.delta")]
    assert [body["output_index"] for body in deltas] == [0, 1, 0, 1]


def test_a_call_without_arguments() -> None:
    events: list[Event] = [
        START,
        PartStarted(0, ToolUse("c", "f", "")),
        Added(0, ""),
        PartEnded(0),
        Stopped(Stop.TOOL_USE),
        Ended(),
    ]
    bodies = said(written(events))
    (delta,) = (body for body in bodies if body["type"].endswith("arguments.delta"))
    (done,) = (body for body in bodies if body["type"].endswith("arguments.done"))
    assert delta["delta"] == done["arguments"] == bodies[-1]["response"]["output"][0]["arguments"] == "{}"


def test_a_call_that_is_cut_off_is_not_done() -> None:
    events: list[Event] = [START, PartStarted(0, ToolUse("c", "f", "")), Added(0, '{"a'), PartEnded(0)]
    assert kinds(events)[-1] == "function_call_arguments.delta", "whether it is whole is not known yet"
    bodies = said(written([*events, Stopped(Stop.LENGTH), Ended()]))
    (item,) = (body["item"] for body in bodies if body["type"] == "response.output_item.done")
    response = bodies[-1]["response"]
    assert (item["arguments"], item["status"]) == ('{"a', "incomplete")
    assert (bodies[-1]["type"], response["status"]) == ("response.incomplete", "incomplete")
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert response["output"] == [item]


def test_only_the_last_part_is_cut_off() -> None:
    events: list[Event] = [
        START,
        PartStarted(0, Text("a")),
        PartEnded(0),
        PartStarted(1, Text("b")),
        Stopped(Stop.LENGTH),
        Ended(),
    ]
    assert [item["status"] for item in said(written(events))[-1]["response"]["output"]] == ["completed", "incomplete"]


def test_a_thought_has_its_summary_and_what_its_maker_needs() -> None:
    thought = Thinking(maker="openai", id="rs_1")
    events: list[Event] = [
        START,
        PartStarted(0, thought),
        Added(0, "hm"),
        Signed(0, "E"),
        Signed(0, "F"),
        PartEnded(0),
        *END,
    ]
    (item,) = accumulated(events).output
    assert item.type == "reasoning"
    assert (item.id, item.summary[0].text, item.encrypted_content) == ("rs_1", "hm", "EF")
    assert "reasoning_summary_part.added" in kinds(events)


def test_a_signature_of_another_maker_is_marked() -> None:
    events: list[Event] = [START, PartStarted(0, Thinking(maker="anthropic")), Signed(0, "SIGNED"), PartEnded(0), *END]
    (item,) = accumulated(events).output
    assert item.type == "reasoning"
    assert item.encrypted_content == "hydrallm:anthropic::SIGNED"
    assert not [kind for kind in kinds(events) if "summary" in kind], "nothing was said"


def test_a_refusal() -> None:
    part = PartStarted(0, Text("", refusal=True))
    events: list[Event] = [START, part, Added(0, "no"), PartEnded(0), Stopped(Stop.REFUSAL), Ended()]
    (item,) = accumulated(events).output
    assert item.type == "message"
    assert item.content[0].type == "refusal"
    assert "refusal.done" in kinds(events)


def test_a_filter_is_no_refusal() -> None:
    response = said(written([*TEXT, Stopped(Stop.REFUSAL), Ended()]))[-1]["response"]
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})


def test_calls_have_ids_of_their_own() -> None:
    calls: list[Event] = [PartStarted(index, ToolUse(id_, "f", "{}")) for index, id_ in enumerate(["c", "", "c"])]
    output = accumulated([START, *calls, *END]).output
    ids = [item.call_id for item in output if item.type == "function_call"]
    assert ids == ["c", f"call_{ASKED.id}_1", f"call_{ASKED.id}_2"]
    whole = Answer("x", "m", (ToolUse("c", "f", "{}"), ToolUse("", "f", "{}"), ToolUse("c", "f", "{}")), Stop.TOOL_USE)
    assert [item["call_id"] for item in json.loads(CODEC.write_answer(whole, ASKED))["output"]] == ids


def test_a_custom_tool() -> None:
    events: list[Event] = [START, PartStarted(0, ToolUse("c", "g", "", custom=True)), Added(0, "x"), PartEnded(0), *END]
    (item,) = accumulated(events).output
    assert item.type == "custom_tool_call"
    assert (item.input, item.name) == ("x", "g")
    assert "custom_tool_call_input.done" in kinds(events)


def test_citations_of_this_format_only() -> None:
    cites: list[Event] = [
        Cited(0, msgspec.Raw(json.dumps(note).encode())) for note in (NOTE, {"type": "char_location"}, NOTE)
    ]
    bodies = said(written([START, PartStarted(0, Text("a")), *cites, PartEnded(0), *END]))
    notes = [body for body in bodies if body["type"].endswith("annotation.added")]
    assert [note["annotation_index"] for note in notes] == [0, 1]
    assert bodies[-1]["response"]["output"][0]["content"][0]["annotations"] == [NOTE, NOTE]


def test_what_a_part_says_at_once() -> None:
    parts: tuple[Text | Thinking | ToolUse, ...] = (
        Text("a"),
        Thinking("b", "E", maker="openai", id="rs_1"),
        ToolUse("c", "f", '{"d":1}'),
    )
    begun: list[Event] = [PartStarted(index, part) for index, part in enumerate(parts)]
    assert [body["delta"] for body in said(written([START, *begun])) if "delta" in body] == ["a", "b", '{"d":1}']
    last = said(written([START, *begun, *END]))[-1]["response"]
    assert CODEC.read_answer(json.dumps(last).encode()).parts == parts


def test_late_usage_counts() -> None:
    events = [*TEXT, Used(Usage(input=1, output=1)), Stopped(Stop.END), Used(Usage(output=7)), Ended()]
    usage = said(written(events))[-1]["response"]["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (1, 7)


def test_a_second_beginning_is_not_told() -> None:
    assert written([START, START, *TEXT[1:], START, *END]) == written([*TEXT, *END])


def test_a_second_end_of_a_part_is_not_told() -> None:
    assert written([*TEXT, PartEnded(0), *END]) == written([*TEXT, *END])


@pytest.mark.parametrize("events", [TEXT, [*TEXT, *END[:-1]], [START], []])
def test_a_stream_ends_only_where_it_ended(events: list[Event]) -> None:
    scan = ResponsesScan()
    scan.feed(written(events))
    assert not scan.complete
    assert b"response.completed" not in written(events)


def test_the_scan_of_this_format_passes_it_on() -> None:
    stream = written([*TEXT, *END])
    scan = ResponsesScan()
    assert (scan.feed(stream), scan.complete, scan.content, scan.dropped) == (stream, True, True, 0)


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    events: list[Event] = [START, PartStarted(0, Text("")), Added(0, "a\ud800"), PartEnded(0), *END]
    assert said(written(events))[-1]["response"]["output"][0]["content"][0]["text"] == "a?"


def test_nothing_is_added_to_a_part_after_its_end() -> None:
    late: list[Event] = [
        Added(0, "lost"),
        Signed(0, "s"),
        Cited(0, msgspec.Raw(json.dumps(NOTE).encode())),
        PartEnded(0),
    ]
    settled: list[Event] = [PartStarted(1, Text("b")), *late, PartEnded(1)]
    output = accumulated([*TEXT, *settled, *END]).to_dict()["output"]
    assert [item["content"][0]["text"] for item in output] == ["Hello", "b"]  # type: ignore[attr-defined]


def test_the_part_that_was_cut_is_the_last_that_has_begun_of_those_that_go_on() -> None:
    parts: list[Event] = [PartStarted(0, Text("a")), PartStarted(1, Text("b")), PartEnded(1), PartStarted(2, Text("c"))]
    events: list[Event] = [START, *parts, PartEnded(0), PartEnded(2), Stopped(Stop.LENGTH), Ended()]
    output = said(written(events))[-1]["response"]["output"]
    assert [item["status"] for item in output] == ["completed", "completed", "incomplete"]


# ---- any course of events

WORDS = st.text(st.characters(codec="utf-8"), max_size=4)
PARTS = (
    st.builds(Text, st.just(""), refusal=st.booleans())
    | st.just(Thinking(maker="openai", id="rs_1"))
    | st.builds(ToolUse, st.sampled_from(["a", "b"]), st.just("f"), st.just(""), st.booleans())
)


@st.composite
def courses(draw: st.DrawFn, most: int = 3) -> list[Event]:
    """Return a course of events in which up to ``most`` parts go on side by side."""
    events: list[Event] = [START]
    open_: list[int] = []
    parts: list[Text | Thinking | ToolUse] = []
    arguments: dict[int, list[str]] = {}  # of functions: what is left of an object
    for step in draw(st.lists(st.sampled_from(["begin", "add", "add", "end", "use"]), max_size=12)):
        if step == "begin" and len(open_) < most:
            parts.append(draw(PARTS))
            open_.append(len(parts) - 1)
            events.append(PartStarted(open_[-1], parts[-1]))
            if isinstance(parts[-1], ToolUse) and not parts[-1].custom:
                arguments[open_[-1]] = ['{"a', '":"\u00e9', '"}']
        elif step == "add" and open_:
            index = draw(st.sampled_from(open_))
            if index not in arguments or arguments[index]:
                events.append(Added(index, arguments[index].pop(0) if index in arguments else draw(WORDS)))
        elif step == "end" and open_:
            index = open_.pop(draw(st.integers(0, len(open_) - 1)))
            events += [*(Added(index, text) for text in arguments.get(index, ())), PartEnded(index)]
        elif step == "use":
            events.append(Used(Usage(input=draw(st.integers(0, 9)), output=3)))
    for index in open_:
        events += [*(Added(index, text) for text in arguments.get(index, ())), PartEnded(index)]
    refuses = any(isinstance(part, Text) and part.refusal for part in parts)
    calls = any(isinstance(part, ToolUse) for part in parts)
    stop = Stop.TOOL_USE if calls else Stop.REFUSAL if refuses else Stop.END
    return [*events, Stopped(draw(st.sampled_from([stop, Stop.LENGTH]))), Used(Usage(1, 2, 3, 4, 5)), Ended()]


def plain(answer: Answer) -> Answer:
    """Return an answer without what says nothing, and without ids, which have to differ."""
    said = tuple(
        part if isinstance(part, Text) else msgspec.structs.replace(part, id="")
        for part in answer.parts
        if isinstance(part, ToolUse) or part.text
    )
    return msgspec.structs.replace(answer, id="", model="", parts=said)


def three_ways(events: list[Event]) -> list[Answer]:
    """Return what a course amounts to: itself, read from its stream, and from the stream's last event."""
    stream = written(events)
    again = assemble(CODEC.reader().feed(stream))
    whole = CODEC.read_answer(json.dumps(said(stream)[-1]["response"]).encode())
    itself = assemble(events)
    if any(isinstance(part, Text) and part.refusal and not part.text for part in itself.parts):
        again, whole = (msgspec.structs.replace(answer, stop=itself.stop) for answer in (again, whole))
    return [plain(itself), plain(again), plain(whole)]


@given(courses(most=1))
def test_what_is_written_and_read_again_is_the_course(events: list[Event]) -> None:
    itself, again, whole = three_ways(events)
    assert again == whole == itself


@given(courses())
def test_parts_side_by_side_are_read_in_the_order_of_their_first_words(events: list[Event]) -> None:
    itself, again, whole = three_ways(events)
    assert whole == itself
    assert sorted(map(repr, again.parts)) == sorted(map(repr, itself.parts))
    assert (again.stop, again.usage) == (itself.stop, itself.usage)


@given(courses(), st.data())
def test_events_in_other_pieces_are_the_same_stream(events: list[Event], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events)))))
    writer = CODEC.writer(ASKED)
    pieces = [writer.feed(events[start:end]) for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True)]
    assert b"".join(pieces) == written(events)


@settings(max_examples=30)
@given(courses())
def test_the_helper_of_the_sdk_takes_any_course(events: list[Event]) -> None:
    if any(isinstance(event, Stopped) and event.stop is Stop.LENGTH for event in events):
        events = [Stopped(Stop.END) if isinstance(event, Stopped) else event for event in events]
    response = accumulated(events)
    assert [item.type for item in response.output] == [
        {Text: "message", Thinking: "reasoning", ToolUse: "function_call"}[type(event.part)]
        if not (isinstance(event.part, ToolUse) and event.part.custom)
        else "custom_tool_call"
        for event in events
        if isinstance(event, PartStarted)
    ]
