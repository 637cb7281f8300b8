"""Streams of Chat Completions, in the words of many servers."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.faults import answers, streams
from hydrallm.faults.answers import question
from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
    Ended,
    Event,
    PartEnded,
    PartStarted,
    Started,
    Stop,
    Stopped,
    Usage,
    Used,
)
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_choices import ChoicesScan

CODEC = OpenAIChatCodec()
DONE = b"data: [DONE]\n\n"


def event(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def delta(said: dict[str, Any], finish: str | None = None, **more: object) -> bytes:
    return event({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": said, "finish_reason": finish}], **more})


def tool(index: int | None, arguments: str | None, identity: str | None = None, name: str | None = None) -> bytes:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    call = {"index": index, "id": identity, "function": function}
    return delta({"tool_calls": [{key: value for key, value in call.items() if value is not None}]})


def read(*sent: bytes) -> list[Event]:
    reader = CODEC.reader()
    return [said for chunk in sent for said in reader.feed(chunk)]


def answer(*sent: bytes) -> Answer:
    return assemble(read(*sent))


def parts(*sent: bytes) -> tuple[Text | Thinking | ToolUse, ...]:
    return answer(*sent).parts


def test_a_course_of_events() -> None:
    sent = (
        delta({"role": "assistant", "content": ""}),
        delta({"content": "Hel"}),
        delta({"content": "lo"}),
        delta({}, "stop"),
        event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
        DONE,
    )
    assert read(*sent) == [
        Started("c1", "m"),
        PartStarted(0, Text("Hel")),
        Added(0, "lo"),
        Used(Usage(3, output=2)),
        PartEnded(0),
        Stopped(Stop.END),
        Ended(),
    ]


@pytest.mark.parametrize("finish", ["stop", "length", "filtered"])
def test_a_healthy_stream_is_the_healthy_answer(finish: Any) -> None:  # noqa: ANN401
    asked = question("POST", "/v1/chat/completions", {}, b'{"stream":true,"stream_options":{"include_usage":true}}', 1)
    streamed = answer(*streams.events(asked, "Hello there, you.", finish))
    whole = CODEC.read_answer(answers.plain(asked, "Hello there, you.", finish))
    assert (streamed.id, streamed.parts, streamed.stop, streamed.usage) == (
        whole.id,
        whole.parts,
        whole.stop,
        whole.usage,
    )


def test_interleaved_calls_are_told_apart_by_their_index() -> None:
    assert parts(
        tool(0, "", "a", "f"),
        tool(1, "", "b", "g"),
        tool(0, '{"x":{"y":'),
        tool(1, "2}"),
        tool(0, "1}}"),
        delta({}, "tool_calls"),
        DONE,
    ) == (ToolUse("a", "f", '{"x":{"y":1}}'), ToolUse("b", "g", "2}"))


@pytest.mark.parametrize(
    "sent",
    [
        (tool(0, '{"a":', "a", "f"), tool(0, "1}", "a", "f"), tool(1, "{}", "b", "g")),  # id and name every time
        (tool(None, '{"a":1}', "a", "f"), tool(None, "{}", "b", "g")),  # no index
        (tool(0, '{"a":1}', "a", "f"), tool(0, "{}", "b", "g")),  # the same index for all
        (tool(0, '{"a":', "a"), tool(0, "1}", None, "f"), tool(1, None, "b", "g")),  # the name after the id
        (tool(0, '{"a":', "a", "f"), tool(0, "1}", "zzz"), tool(1, "", "b", "g")),  # an id of its own for each chunk
    ],
    ids=["repeated", "no-index", "one-index", "late-name", "changing-id"],
)
def test_habits_of_servers_with_calls(sent: tuple[bytes, ...]) -> None:
    assert parts(*sent, DONE) == (ToolUse("a", "f", '{"a":1}'), ToolUse("b", "g", "{}"))


PARIS, ROME = '{"city":"Paris"}', '{"city":"Rome"}'


def call(arguments: str, name: str | None = None, **more: object) -> dict[str, Any]:
    return {"type": "function", "function": {"arguments": arguments} | ({"name": name} if name else {}), **more}


@pytest.mark.parametrize(
    "sent",
    [
        ([call(PARIS, "f", id="")], [call(ROME, "f", id="")]),  # no index, no ids
        ([call(PARIS, "f", id="", index=0)], [call(ROME, "f", id="", index=0)]),  # one index for all
        ([call(PARIS, "f", id=""), call(ROME, "f", id="")],),  # both in one chunk
        ([call(PARIS, "f", index=0), call(ROME, "f", index=0)],),
        ([call('{"city":', "f")], [call('"Paris"}')], [call(ROME, "f")]),  # in pieces
        ([call(PARIS, "f", id="1", index=0)], [call(ROME, "f", id="2", index=0)]),
        ([call(PARIS, "f", id=1, index="0")], [call(ROME, "f", id=2, index="1")]),  # numbers for texts, and back
        ([call(PARIS, "f", index=0.0)], [call(ROME, "f", index=1.0)]),
    ],
)
def test_two_calls_of_one_tool_are_two(sent: tuple[list[dict[str, Any]], ...]) -> None:
    found = parts(*(delta({"tool_calls": calls}) for calls in sent), delta({}, "stop"), DONE)
    assert [(part.name, part.arguments) for part in found if isinstance(part, ToolUse)] == [("f", PARIS), ("f", ROME)]
    assert len({part.id for part in found if isinstance(part, ToolUse)}) == 2


def test_two_tools_are_called_by_their_names_alone() -> None:
    sent = (delta({"tool_calls": [call("", "f")]}), delta({"tool_calls": [call("", "g")]}), DONE)
    assert [part.name for part in parts(*sent) if isinstance(part, ToolUse)] == ["f", "g"]


def test_a_name_that_is_said_again_is_no_call() -> None:
    again = [delta({"tool_calls": [call(piece, "f", index=0)]}) for piece in ('{"city":', '"Par', 'is"}', "")]
    (found,) = parts(*again, DONE)
    assert isinstance(found, ToolUse)
    assert found.arguments == PARIS


def test_the_call_that_there_was_before_there_were_tools() -> None:
    pieces = [
        delta({"function_call": {"name": "f", "arguments": '{"city":'}}),
        delta({"function_call": {"arguments": '"Paris"}'}}),
    ]
    found = answer(*pieces, delta({}, "function_call"), DONE)
    (called,) = found.parts
    assert isinstance(called, ToolUse)
    assert (called.name, called.arguments, found.stop) == ("f", PARIS, Stop.TOOL_USE)


def test_a_finish_reason_ends_nothing() -> None:
    """Some servers say one in every chunk, or before the last words."""
    stops = [delta({"content": word}, "stop") for word in ("a", "b")]
    found = answer(*stops, tool(0, '{"x"', "i", "f"), delta({}, "tool_calls"), tool(0, ":1}"), DONE)
    assert found.parts == (Text("ab"), ToolUse("i", "f", '{"x":1}'))
    assert found.stop is Stop.TOOL_USE
    assert answer(delta({"content": "a"}, "length"), delta({}, "stop"), DONE).stop is Stop.LENGTH


ODD_USAGE = [
    ({"prompt_tokens": 11.0, "completion_tokens": "7", "total_tokens": 18}, Usage(11, output=7)),
    ({"prompt_tokens": 11, "completion_tokens": -1, "prompt_tokens_details": []}, Usage(11)),
    ({"prompt_tokens": {}, "completion_tokens": 7, "completion_tokens_details": "none"}, Usage(output=7)),
    ([11, 7], Usage()),
    ("a lot", Usage()),
]


@pytest.mark.parametrize(("usage", "read_as"), ODD_USAGE)
@pytest.mark.parametrize("index", [0, "0", 0.0, None])
def test_odd_figures_cost_no_answer(usage: object, read_as: Usage, index: object) -> None:
    choice = {"index": index, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
    whole = CODEC.read_answer(json.dumps({"id": 5, "created": 1.5, "choices": [choice], "usage": usage}).encode())
    streamed = [{"index": index, "delta": {"content": "a"}}, {"index": index, "finish_reason": "stop"}]
    found = answer(*(event({"choices": [choice], "usage": usage}) for choice in streamed), DONE)
    for one in (whole, found):
        assert (one.parts, one.stop, one.usage) == ((Text("a"),), Stop.END, read_as)


def test_calls_without_ids_get_some_of_their_own() -> None:
    first, second = parts(tool(0, "{}", None, "f"), tool(1, "{}", None, "f"), DONE)
    assert isinstance(first, ToolUse)
    assert isinstance(second, ToolUse)
    assert first.id
    assert second.id
    assert first.id != second.id


def test_a_call_whose_name_never_comes_is_not_forgotten() -> None:
    assert parts(tool(0, "{}", "a"), DONE) == (ToolUse("a", "", "{}"),)


def test_one_chunk_with_several_things_is_split() -> None:
    sent = delta(
        {
            "reasoning_content": "hm",
            "content": "so",
            "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}],
        },
        "tool_calls",
        usage={"prompt_tokens": 1, "completion_tokens": 1},
    )
    found = answer(sent, DONE)
    assert found.parts == (Thinking("hm"), Text("so"), ToolUse("a", "f", "{}"))
    assert (found.stop, found.usage) == (Stop.TOOL_USE, Usage(1, output=1))


def test_text_after_a_call_is_a_new_part() -> None:
    sent = (delta({"content": "a"}), tool(0, "{}", "i", "f"), delta({"content": "b"}), delta({"content": "c"}), DONE)
    assert parts(*sent) == (Text("a"), ToolUse("i", "f", "{}"), Text("bc"))


def test_thoughts_between_texts_and_a_refusal() -> None:
    sent = (
        delta({"reasoning": "h"}),
        delta({"reasoning": "m"}),
        delta({"content": "a"}),
        delta({"reasoning": "ah"}),
        delta({"refusal": "n"}),
        delta({"refusal": "o"}),
        delta({}, "stop"),
        DONE,
    )
    found = answer(*sent)
    assert found.parts == (Thinking("hm"), Text("a"), Thinking("ah"), Text("no", refusal=True))
    assert found.stop is Stop.REFUSAL


def test_a_call_cut_by_the_limit_stays_as_it_is() -> None:
    found = answer(tool(0, '{"a', "i", "f"), delta({}, "length"), DONE)
    assert (found.parts, found.stop) == ((ToolUse("i", "f", '{"a'),), Stop.LENGTH)


def test_late_usage_wins_and_other_choices_are_not_read() -> None:
    found = answer(
        delta({"content": "a"}, usage={"prompt_tokens": 9, "completion_tokens": 1}),
        event({"choices": [{"index": 1, "delta": {"content": "x"}}]}),
        delta({}, "stop", usage={"prompt_tokens": 9, "completion_tokens": 4}),
        DONE,
    )
    assert (found.parts, found.usage) == ((Text("a"),), Usage(9, output=4))


def test_what_says_nothing_says_nothing() -> None:
    sent = (
        b": waiting\n\n",
        b"event: ping\ndata: 12:00\n\n",
        event({"choices": [], "prompt_filter_results": []}),
        event({"choices": None}),
        delta({"role": "assistant", "content": None, "tool_calls": None, "reasoning_content": ""}),
    )
    assert read(*sent) == [Started("c1", "m")]


def test_a_stream_ends_once() -> None:
    reader = CODEC.reader()
    said = reader.feed(delta({"content": "a"}, "stop") + delta({}, "stop") + DONE + DONE)
    assert [kind for kind in said if isinstance(kind, Stopped | Ended)] == [Stopped(Stop.END), Ended()]
    assert reader.finish() == []
    assert reader.feed(delta({"content": "b"})) == []


def test_a_complete_stream_without_done_is_ended_by_the_one_who_knows() -> None:
    reader = CODEC.reader()
    assert Ended() not in reader.feed(delta({"content": "a"}, "stop"))
    assert reader.finish() == [PartEnded(0), Stopped(Stop.END), Ended()]
    assert reader.finish() == []


@pytest.mark.parametrize("newline", [b"\r\n", b"\r", b"\n"])
def test_line_ends_and_data_without_a_space(newline: bytes) -> None:
    sent = (delta({"content": "a"}) + delta({"content": "b"}) + DONE).replace(b"data: ", b"data:")
    assert parts(sent.replace(b"\n", newline)) == (Text("ab"),)


def test_half_a_surrogate_pair_and_no_number() -> None:
    odd = b'data: {"choices":[{"delta":{"content":"a\\ud83d"},"logprobs":NaN}],"id":"c","x":1e400}\n\n'
    assert parts(odd, DONE) == (Text("a?"),)


def test_what_is_no_chunk_is_refused() -> None:
    with pytest.raises(UntranslatableError, match="chunk of a chat completion: choices"):
        read(event({"choices": 1}))


SENT = (
    delta({"role": "assistant", "content": ""}),
    b": comment\n\n",
    delta({"reasoning_content": "h\N{SNOWMAN}m"}),
    delta({"content": "a\N{GRINNING FACE}"}),
    delta({"content": "b"}),
    tool(0, '{"a":', "i", "f"),
    tool(1, "", "j", "g"),
    tool(0, "1}"),
    delta({}, "tool_calls"),
    event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
    DONE,
)


@given(st.lists(st.integers(0, len(b"".join(SENT))), max_size=6), st.sampled_from([b"\n", b"\r\n"]))
def test_a_stream_cut_anywhere_says_the_same(cuts: list[int], newline: bytes) -> None:
    stream = b"".join(SENT).replace(b"\n", newline)
    at = [0, *sorted(cuts), len(stream)]
    scan, reader = ChoicesScan(), CODEC.reader()
    said = [
        found
        for start, end in pairwise(at)
        if (events := scan.feed(stream[start:end]))
        for found in reader.feed(events)
    ]
    assert said == read(*SENT)
