"""Whole answers of Responses: the official SDK parses what is written, and another provider's answers are read."""

from __future__ import annotations

import json
from typing import Any, get_args

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from openai.types.responses import Response
from openai.types.responses.response import IncompleteDetails
from pydantic import BaseModel

from hydrallm.faults import answers
from hydrallm.faults.answers import Question, Shape
from hydrallm.formats import foreign_thought
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import Answer, Stop, Usage
from hydrallm.formats.codec import Asked
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

CODEC = OpenAIResponsesCodec()
ASKED = Asked("gpt", "0123456789abcdef", 1_790_000_000)
QUESTION = Question(
    shape=Shape.RESPONSES, model="m", stream=False, include_usage=False, base64=False, input_tokens=3, serial=1
)
NOTE = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "https://a/b"}
CITED = Text("a", citations=msgspec.Raw(json.dumps([NOTE, {"type": "char_location"}]).encode()))


def read(*output: dict[str, Any], **members: Any) -> Answer:  # noqa: ANN401
    body = {"id": "resp_1", "model": "m", "status": "completed", "output": [*output], **members}
    return CODEC.read_answer(json.dumps(body).encode())


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [*content]}


def call(**members: Any) -> dict[str, Any]:  # noqa: ANN401
    return {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}", **members}


def answer(*parts: Text | Thinking | ToolUse, stop: Stop = Stop.END, **members: Any) -> Answer:  # noqa: ANN401
    return Answer("resp_1", "m", parts, stop, **members)


def served(body: bytes) -> OpenAI:
    """Return a client of a server that answers with ``body``."""
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, headers={"content-type": "application/json"}, content=body)
    )
    return OpenAI(api_key="k", base_url="http://a", http_client=httpx2.Client(transport=transport), max_retries=0)


def parsed(given: Answer, asked: Asked = ASKED) -> Response:
    """Return what the SDK understands of an answer, checked against its types, which it does not check by itself."""
    body = CODEC.write_answer(given, asked)
    Response.model_validate(json.loads(body), strict=True)
    return served(body).responses.create(model="gpt", input="hi")


# ---- reading


@pytest.mark.parametrize(("finish", "stop"), [("stop", Stop.END), ("length", Stop.LENGTH), ("filtered", Stop.REFUSAL)])
def test_an_answer_of_the_faulty_provider(finish: Any, stop: Stop) -> None:  # noqa: ANN401
    found = CODEC.read_answer(answers.plain(QUESTION, "hi there", finish))
    usage = Usage(input=3, cache_read=0, cache_write=0, output=2, reasoning=0)
    assert found == Answer(f"resp_{1:024d}", "m", (Text("hi there"),), stop, usage=usage)


def test_items_of_all_kinds() -> None:
    found = read(
        {"type": "reasoning", "id": "rs_0", "summary": []},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
            "encrypted_content": "E",
        },
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        message({"type": "output_text", "text": "a", "annotations": [NOTE]}, {"type": "output_text", "text": ""}),
        call(arguments='{"a": 1}'),
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
        service_tier="flex",
    )
    assert found.parts[0] == Thinking("a\n\nb", "E", maker="openai", id="rs_1")
    assert isinstance(found.parts[1], Text)
    assert found.parts[1].citations is not None
    assert msgspec.json.decode(found.parts[1].citations) == [NOTE]
    assert found.parts[2:] == (ToolUse("c", "f", '{"a": 1}'), ToolUse("d", "g", "x", custom=True))
    assert (found.stop, found.tier) == (Stop.TOOL_USE, "flex")


@pytest.mark.parametrize(
    ("members", "stop"),
    [
        ({}, Stop.TOOL_USE),
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, Stop.LENGTH),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, Stop.REFUSAL),
        ({"status": "incomplete", "incomplete_details": {"reason": "steered"}}, Stop.END),
        ({"status": "incomplete", "incomplete_details": None}, Stop.END),
        ({"incomplete_details": {}}, Stop.TOOL_USE),
    ],
)
def test_why_it_ended(members: dict[str, Any], stop: Stop) -> None:
    assert read(call(arguments='{"a'), **members) == answer(ToolUse("c", "f", '{"a'), stop=stop)


def test_a_refusal() -> None:
    assert read(message({"type": "refusal", "refusal": "no"})) == answer(Text("no", refusal=True), stop=Stop.REFUSAL)


@pytest.mark.parametrize("arguments", ["", None, "{}"])
def test_a_call_without_arguments(arguments: str | None) -> None:
    assert read(call(arguments=arguments)).parts == (ToolUse("c", "f", "{}"),)


def test_a_call_with_one_id() -> None:
    assert read(call(call_id=None)).parts == (ToolUse("fc_1", "f", "{}"),)


def test_cached_usage_is_told_apart() -> None:
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 109,
    }
    assert read(usage=usage).usage == Usage(input=10, cache_read=60, cache_write=30, output=9, reasoning=4)
    assert read(usage={"input_tokens": 5, "output_tokens": 1}).usage == Usage(input=5, output=1)
    assert read(usage=None).usage == Usage()


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"output":5}', b'{"output":[5]}', b'{"output":[],"status":"failed"}', b'{"output":null}',
     b'{"output":[{"type":"message","content":[{"type":5}]}]}', b'{"output":[{"type":"function_call","name":5}]}'],
)  # fmt: skip
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UntranslatableError):
        CODEC.read_answer(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "content", "summary", "text", "name", "id"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(VALUES, st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call"]))
def test_no_json_is_too_odd(value: object, kind: str) -> None:
    item = {**value, "type": kind} if isinstance(value, dict) else value
    for body in (value, {"output": value}, {"output": [item]}, {"output": [], "usage": value, "id": value}):
        try:
            found = CODEC.read_answer(json.dumps(body).encode())
        except UntranslatableError:
            continue
        assert found.stop in {Stop.END, Stop.TOOL_USE}


# ---- writing


def test_the_sdk_reads_what_is_written() -> None:
    found = parsed(
        answer(
            Thinking("hm", "E", maker="openai", id="rs_1"),
            Text("Hello"),
            ToolUse("c1", "f_1", '{"a": 1}'),
            ToolUse("c2", "g", "x", custom=True),
            stop=Stop.TOOL_USE,
            usage=Usage(input=10, cache_read=60, cache_write=30, output=9, reasoning=4),
            tier="flex",
        ),
        msgspec.structs.replace(ASKED, names={"f_1": "f.1"}, ids={"c1": "toolu:1"}),
    )
    thought, text, called, custom = found.output
    assert (found.id, found.model, found.status, found.service_tier) == (f"resp_{ASKED.id}", "gpt", "completed", "flex")
    assert thought.type == "reasoning"
    assert (thought.id, thought.summary[0].text, thought.encrypted_content) == ("rs_1", "hm", "E")
    assert (text.type, found.output_text) == ("message", "Hello")
    assert called.type == "function_call"
    assert (called.call_id, called.name, called.arguments) == ("toolu:1", "f.1", '{"a": 1}')
    assert custom.type == "custom_tool_call"
    assert (custom.call_id, custom.input) == ("c2", "x")
    assert found.usage is not None
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (100, 9, 109)
    assert found.usage.input_tokens_details.cached_tokens == 60
    assert found.usage.output_tokens_details.reasoning_tokens == 4
    assert len({item.id for item in found.output}) == 4


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        (Stop.END, None),
        (Stop.SEQUENCE, None),
        (Stop.PAUSE, None),
        (Stop.LENGTH, "max_output_tokens"),
        (Stop.CONTEXT, "max_output_tokens"),
        (Stop.REFUSAL, "content_filter"),
    ],
)
def test_how_an_end_is_told(stop: Stop, reason: str | None) -> None:
    cut = stop in {Stop.LENGTH, Stop.CONTEXT}
    found = parsed(answer(Text("a"), ToolUse("c", "f", '{"a' if cut else "{}"), stop=stop))
    assert found.status == ("incomplete" if reason else "completed")
    assert (found.incomplete_details.reason if found.incomplete_details else None) == reason
    assert reason is None or reason in get_args(get_args(IncompleteDetails.model_fields["reason"].annotation)[0])
    assert [getattr(item, "status", "") for item in found.output] == ["completed", "incomplete" if cut else "completed"]


@pytest.mark.parametrize("cited", [b"5", b"[5]", b"null", b'[{"type":["x"]}]', b'{"type":7}', b"[" * 999 + b"]" * 999])
def test_citations_of_any_form_are_left_out(cited: bytes) -> None:
    body = CODEC.write_answer(answer(Text("a", citations=msgspec.Raw(cited))), ASKED)
    assert json.loads(body)["output"][0]["content"][0]["annotations"] == []


def test_a_refusal_of_the_model_is_a_complete_answer() -> None:
    found = parsed(answer(Text("no", refusal=True), stop=Stop.REFUSAL))
    assert found.status == "completed"
    assert CODEC.read_answer(found.to_json().encode()).parts == (Text("no", refusal=True),)


THOUGHTS_OF_OTHERS = (
    Thinking("hm", "S", maker="anthropic"),
    Thinking("", "S", maker="anthropic"),
    Thinking(redacted="R", maker="anthropic"),
    Thinking("of nobody who seals"),
)


def test_thoughts_of_other_makers_are_marked_and_come_back_as_they_were() -> None:
    items = [item for item in parsed(answer(*THOUGHTS_OF_OTHERS, Text("a"))).output if item.type == "reasoning"]
    assert [[part.text for part in item.summary] for item in items] == [["hm"], [], [], ["of nobody who seals"]]
    for item, thought in zip(items, THOUGHTS_OF_OTHERS, strict=True):
        body = json.dumps({"input": [item.to_dict(), {"role": "user", "content": "hi"}]}).encode()
        assert foreign_thought.may_have(body)
        assert CODEC.read_request(body, model="m", stream=False).messages[0].parts == (thought,)


def test_citations_of_other_formats_are_left_out() -> None:
    (item,) = parsed(answer(CITED)).output
    assert item.type == "message"
    (content,) = item.content
    assert content.type == "output_text"
    assert [note.type for note in content.annotations] == ["url_citation"]


def test_unknown_usage_is_not_invented() -> None:
    assert parsed(answer(Text("a"))).usage is None


def test_the_parsing_helper_of_the_sdk() -> None:
    class Point(BaseModel):
        x: int

    body = CODEC.write_answer(answer(Text('{"x": 1}')), ASKED)
    assert served(body).responses.parse(model="gpt", input="hi", text_format=Point).output_parsed == Point(x=1)


PARTS = (
    st.builds(Text, st.text(min_size=1, max_size=4), refusal=st.booleans())
    | st.builds(Thinking, st.text(min_size=1, max_size=4), st.text("E", max_size=1), maker=st.just("openai"),
                id=st.just("rs_1"))
    | st.builds(ToolUse, st.text(min_size=1, max_size=4), st.text(min_size=1, max_size=4), st.just('{"a": 1}'))
    | st.builds(ToolUse, st.just("d"), st.just("g"), st.text(max_size=4), st.just(True))
)  # fmt: skip
COUNTS = st.integers(0, 99)
USAGES = st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)


def without_ids(answer: Answer) -> Answer:
    parts = (part if isinstance(part, Text) else msgspec.structs.replace(part, id="") for part in answer.parts)
    return msgspec.structs.replace(answer, id="", model="", parts=tuple(parts))


@given(st.lists(PARTS, max_size=4), USAGES, st.booleans())
def test_what_is_written_and_read_again_is_the_answer(
    parts: list[Text | Thinking | ToolUse], usage: Usage, cut: bool
) -> None:
    calls = any(isinstance(part, ToolUse) for part in parts)
    refuses = any(isinstance(part, Text) and part.refusal for part in parts)
    stop = Stop.LENGTH if cut else Stop.TOOL_USE if calls else Stop.REFUSAL if refuses else Stop.END
    given_ = Answer("x", "m", tuple(parts), stop, usage=usage, tier="default")
    body = CODEC.write_answer(given_, ASKED)
    again = CODEC.read_answer(body)
    assert (again.id, again.model) == (f"resp_{ASKED.id}", "gpt")
    ids = [part.id for part in again.parts if not isinstance(part, Text)]
    assert len(set(ids)) == len(ids)
    assert without_ids(again) == without_ids(given_)
