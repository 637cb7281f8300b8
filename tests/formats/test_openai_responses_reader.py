"""Streams of Responses, read: what a stream amounts to is the answer that its last event has whole."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.faults import answers, streams
from hydrallm.faults.answers import Question, Shape
from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
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
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

CODEC = OpenAIResponsesCodec()
QUESTION = Question(
    shape=Shape.RESPONSES, model="m", stream=True, include_usage=False, base64=False, input_tokens=3, serial=1
)
NOTE = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "https://a/b"}
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 109,
}


def event(kind: str, **members: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps({"type": kind, **members}).encode() + b"\n\n"


def created() -> bytes:
    return event("response.created", response={"id": "resp_1", "model": "m", "status": "in_progress", "output": []})


def completed(*output: dict[str, Any], **members: Any) -> bytes:  # noqa: ANN401
    body = {"id": "resp_1", "model": "m", "status": "completed", "output": [*output], **members}
    return event(f"response.{body['status']}", response=body)


def message(*texts: str, annotations: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": annotations or []} for text in texts]
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}


def call(arguments: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": arguments, **members}


def added(place: int, item: dict[str, Any]) -> bytes:
    return event("response.output_item.added", output_index=place, item=item)


def done(place: int, item: dict[str, Any]) -> bytes:
    return event("response.output_item.done", output_index=place, item=item)


def words(text: str, place: int = 0, content: int = 0) -> bytes:
    return event("response.output_text.delta", output_index=place, content_index=content, delta=text)


def arguments(text: str, place: int = 0) -> bytes:
    return event("response.function_call_arguments.delta", output_index=place, delta=text)


def read(*events: bytes) -> list[Event]:
    reader = CODEC.reader()
    return [said for sent in events for said in reader.feed(sent)]


def parts(*events: bytes) -> tuple[Text | Thinking | ToolUse, ...]:
    heard = read(created(), *events)
    assert sum(isinstance(said, Started) for said in heard) == 1
    started = [said.index for said in heard if isinstance(said, PartStarted)]
    assert started == list(range(len(started)))
    if isinstance(heard[-1], Ended):
        assert sorted(said.index for said in heard if isinstance(said, PartEnded)) == started
    return assemble(heard).parts


@pytest.mark.parametrize("finish", ["stop", "length", "filtered"])
def test_a_stream_of_the_faulty_provider_is_its_whole_answer(finish: Any) -> None:  # noqa: ANN401
    whole = CODEC.read_answer(answers.plain(QUESTION, "hi there you", finish))
    sent = streams.events(QUESTION, "hi there you", finish)
    assert assemble(read(*sent)) == assemble(read(b"".join(sent))) == whole


def test_what_is_said_of_a_text_and_when() -> None:
    reader = CODEC.reader()
    assert reader.feed(created()) == [Started("resp_1", "m")]
    assert reader.feed(event("response.in_progress", response={"id": "resp_1"})) == []
    assert reader.feed(added(0, message())) == []
    assert reader.feed(event("response.content_part.added", part={"type": "output_text", "text": ""})) == []
    assert reader.feed(words("a")) == [PartStarted(0, Text("")), Added(0, "a")]
    assert reader.feed(words("")) == []
    assert reader.feed(words("b")) == [Added(0, "b")]
    assert reader.feed(event("response.output_text.done", output_index=0, content_index=0, text="ab")) == []
    assert reader.feed(event("response.content_part.done", output_index=0, content_index=0)) == [PartEnded(0)]
    assert reader.feed(done(0, message("ab"))) == []
    assert reader.feed(completed(message("ab"), usage=USAGE)) == [
        Used(Usage(10, 60, 30, 9, 4)),
        Stopped(Stop.END),
        Ended(),
    ]
    assert reader.feed(completed(message("ab"))) == []
    assert reader.finish() == []


def test_calls_side_by_side() -> None:
    assert parts(
        added(0, call("", call_id="a")),
        added(1, call("", call_id="b")),
        arguments('{"x":', 0),
        arguments('{"y":', 1),
        arguments("1}", 0),
        arguments("2}", 1),
        done(1, call('{"y":2}', call_id="b")),
        done(0, call('{"x":1}', call_id="a")),
        completed(),
    ) == (ToolUse("a", "f", '{"x":1}'), ToolUse("b", "f", '{"y":2}'))


def test_a_text_after_a_call_is_another_one() -> None:
    found = parts(words("a", 0), added(1, call("")), words("b", 2), completed())
    assert found == (Text("a"), ToolUse("c", "f", "{}"), Text("b"))


def test_a_custom_tool() -> None:
    item = {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c", "name": "g", "input": "x y"}
    delta = event("response.custom_tool_call_input.delta", output_index=0, delta="x y")
    for sent in ((added(0, {**item, "input": ""}), delta, done(0, item)), (done(0, item),)):
        assert parts(*sent, completed(item)) == (ToolUse("c", "g", "x y", custom=True),)


@pytest.mark.parametrize("said", ["", "{}"])
def test_a_call_without_arguments(said: str) -> None:
    for sent in (
        (added(0, call("")), arguments(said), done(0, call(said))),
        (added(0, call(said)), done(0, call(said))),
    ):
        assert parts(*sent, completed()) == (ToolUse("c", "f", "{}"),)


def test_a_call_that_is_cut_off_stays_so() -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    heard = read(created(), added(0, call("")), arguments('{"a'), completed(call('{"a'), **cut))
    assert assemble(heard) == Answer("resp_1", "m", (ToolUse("c", "f", '{"a'),), Stop.LENGTH)


def test_a_thought_of_two_paragraphs() -> None:
    def summary(text: str, index: int) -> bytes:
        return event("response.reasoning_summary_text.delta", output_index=0, summary_index=index, delta=text)

    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "first"}
    said = [{"type": "summary_text", "text": "ab"}, {"type": "summary_text", "text": "c"}]
    item_done = {**item, "summary": said, "encrypted_content": "E"}
    heard = read(created(), added(0, item), summary("a", 0), summary("b", 0), summary("c", 1), done(0, item_done))
    assert heard[1] == PartStarted(0, Thinking(maker="openai", id="rs_1"))
    assert heard[-2:] == [Signed(0, "E"), PartEnded(0)]
    whole = CODEC.read_answer(json.dumps({"id": "resp_1", "model": "m", "output": [item_done]}).encode())
    assert assemble([*heard, *read(completed(item_done))[1:]]).parts == whole.parts


def test_a_thought_in_its_own_words() -> None:
    delta = event("response.reasoning_text.delta", output_index=0, content_index=0, delta="hm")
    assert parts(delta, completed()) == (Thinking("hm", maker="openai"),)


def test_a_thought_that_is_only_encrypted() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"}
    assert parts(added(0, item), done(0, item), completed(item)) == (Thinking("", "E", maker="openai", id="rs_1"),)


def test_an_empty_thought_is_none() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    assert parts(added(0, item), done(0, item), words("a", 1), completed(item, message("a"))) == (Text("a"),)


def test_a_refusal() -> None:
    delta = event("response.refusal.delta", output_index=0, content_index=0, delta="no")
    heard = read(created(), delta, completed())
    assert assemble(heard) == Answer("resp_1", "m", (Text("no", refusal=True),), Stop.REFUSAL)


def test_citations() -> None:
    note = event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=NOTE)
    item = message("a", annotations=[NOTE, NOTE])
    for sent in ((words("a"), note), (words("a"), note, note), (note, words("a")), ()):
        (text,) = parts(*sent, done(0, item), completed(item))
        assert isinstance(text, Text)
        assert text.citations is not None
        assert (text.text, msgspec.json.decode(text.citations)) == ("a", [NOTE, NOTE])


@pytest.mark.parametrize(
    "sent",
    [
        (done(0, message("hi")), done(1, call('{"a":1}'))),
        (added(0, message()), done(0, message("hi")), added(1, call(""))),
        (
            added(0, message()),
            words("hi"),
            added(1, call("", name="")),
            arguments('{"a":1}', 1),
            done(1, call('{"a":1}')),
        ),
        (words("hi"), arguments('{"a":1}', 1), done(1, call('{"a":1}'))),
        (),
    ],
)
def test_what_was_not_said_word_by_word_is_said_at_the_end(sent: tuple[bytes, ...]) -> None:
    found = parts(*sent, completed(message("hi"), call('{"a":1}')))
    assert found == (Text("hi"), ToolUse("c", "f", '{"a":1}'))


def test_items_that_the_response_counts_in_another_way_are_not_said_twice() -> None:
    item = message("hi")
    assert parts(added(1, item), words("hi", 1), done(1, item), completed(item)) == (Text("hi"),)


def test_a_stream_that_does_not_say_that_it_begins() -> None:
    assert read(words("a"))[0] == Started("", "")


@pytest.mark.parametrize(
    "noise",
    [
        b": comment\n\n",
        b"data: [DONE]\n\n",
        b'event: ping\ndata: {"type":"ping"}\n\n',
        event("response.queued", response={}),
        event("response.web_search_call.searching", output_index=0, item_id="ws"),
        event("response.output_item.added", output_index=7, item=None),
        event("response.output_item.added", output_index=7, item={"type": 5}),
        event("response.output_item.done", output_index=7, item={"type": "web_search_call"}),
        event("response.content_part.done", output_index=7, content_index=7),
        event("response.function_call_arguments.delta", output_index=7, delta=""),
        event("response.output_text.annotation.added", output_index=0, content_index=0, annotation=None),
        event("response.output_text.delta", output_index=0, delta=None),
        event("response.in_progress", response=5),
        b"\n",
        b"event: response.created\n\n",
    ],
)
def test_what_says_nothing(noise: bytes) -> None:
    assert parts(words("a"), noise, words("b"), noise, completed()) == (Text("ab"),)


@pytest.mark.parametrize(
    "odd",
    [
        words("\u00e9").replace(b"\n", b"\r\n"),
        words("\u00e9").replace(b"\n", b"\r"),
        words("\u00e9").replace(b"data: ", b"data:"),
        words("\u00e9").replace(b', "delta"', b',\ndata: "delta"'),
        b'id: 5\nevent: response.output_text.delta\ndata: {"delta": "\xc3\xa9"}\n\n',
        words("\u00e9").replace(b'"delta":', b'"logprob": NaN, "delta":'),
        words("\u00e9").removesuffix(b"\n"),
    ],
)
def test_odd_framing(odd: bytes) -> None:
    assert read(created(), odd)[1:] == [PartStarted(0, Text("")), Added(0, "\u00e9")]


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    sent = b'data: {"type": "response.output_text.delta", "delta": "a\\ud800"}\n\n'
    assert read(created(), sent)[-1] == Added(0, "a?")


@given(st.data())
def test_a_stream_in_other_pieces_says_the_same(data: st.DataObject) -> None:
    sent = [
        created(),
        added(0, message()),
        *map(words, "abc"),
        done(0, message("abc")),
        added(1, call("")),
        *(arguments(text, 1) for text in ('{"', 'a":', "1}")),
        done(1, call('{"a":1}')),
        completed(message("abc"), call('{"a":1}'), usage=USAGE),
    ]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1))))
    pieces = [b"".join(sent[start:end]) for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert read(*pieces) == read(*sent)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "content", "text", "name", "output", "usage", "id"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)


@given(
    VALUES,
    st.sampled_from(
        ["output_item.added", "output_item.done", "output_text.delta", "completed", "created", "refusal.delta"]
    ),
    st.sampled_from(["item", "response", "delta", "output_index", "content_index"]),
)
def test_no_json_is_too_odd(value: object, kind: str, member: str) -> None:
    sent = event(f"response.{kind}", **{member: value})
    try:
        heard = read(created(), words("a"), sent, words("b"), completed())
    except UntranslatableError:
        assert kind != "created"
        return
    assert isinstance(heard[-1], Ended)
    assert sum(isinstance(said, Ended) for said in heard) == 1


@pytest.mark.parametrize(
    ("usage", "figures"),
    [
        ({"input_tokens": 5.5, "output_tokens": 1}, Usage(5, output=1)),
        ({"input_tokens": "5"}, Usage(5)),
        ({"input_tokens": 5, "input_tokens_details": 7, "output_tokens": -1}, Usage(5)),
        ("5", Usage()),
        ([], Usage()),
        (None, Usage()),
    ],
)
def test_no_answer_hangs_on_its_figures(usage: object, figures: Usage) -> None:
    cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    members = {"usage": usage, "id": 7, "service_tier": 7}
    assert assemble(read(created(), words("a"), completed(**members))).stop is Stop.END
    heard = read(created(), words("a"), completed(**cut, **members))
    assert heard[-1] == Ended()
    assert (assemble(heard).stop, assemble(heard).usage) == (Stop.LENGTH, figures)
    whole = {"model": "m", "output": [message("a")], **cut, **members}
    assert CODEC.read_answer(json.dumps(whole).encode()).usage == figures


@pytest.mark.parametrize(
    "odd",
    [
        completed().replace(b'"output": []', b'"output": {}'),
        done(0, {"type": "function_call", "name": "f", "arguments": 5}),
        added(0, {"type": "message", "content": 5}),
    ],
)
def test_an_item_that_cannot_be_read_is_a_fault(odd: bytes) -> None:
    with pytest.raises(UntranslatableError):
        read(created(), odd)


def test_words_after_the_end_of_a_text_are_another_one() -> None:
    ended = event("response.content_part.done", output_index=0, content_index=0)
    assert parts(words("a"), ended, words("b"), done(0, message("a")), completed()) == (Text("a"), Text("b"))
    assert parts(words("a"), done(0, message("a")), words("b"), completed(message("a"))) == (Text("a"), Text("b"))


def test_thoughts_after_the_end_of_a_thought_are_another_one() -> None:
    delta = event("response.reasoning_text.delta", output_index=0, content_index=0, delta="hm")
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    thought = Thinking("hm", maker="openai", id="rs_1")
    assert parts(added(0, item), delta, done(0, item), delta, completed()) == (thought, thought)


def test_arguments_after_the_end_of_a_call_are_a_fault() -> None:
    assert read(created(), added(0, call("")), arguments("{}"), done(0, call("{}")), arguments(""))
    with pytest.raises(UntranslatableError, match="the call is done"):
        read(created(), added(0, call("")), arguments("{}"), done(0, call("{}")), arguments("{}"))


def test_arguments_that_no_call_claims_are_a_fault() -> None:
    with pytest.raises(UntranslatableError, match="no call that they are of"):
        read(created(), words("a"), arguments("{}", 1), completed())
