"""Whole answers of Converse: botocore's parser reads what is written, the faulty provider writes what is read."""

from __future__ import annotations

import base64
import json
from typing import Any

import botocore.parsers
import botocore.session
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.faults import answers
from hydrallm.formats.answer import CONVERSE_FAILURES, examine_converse
from hydrallm.formats.bedrock_converse_answer import STOP_WORDS, STOPS
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import Answer, Stop, Usage
from hydrallm.formats.codec import Asked

CODEC = BedrockConverseCodec()
MODEL = botocore.session.get_session().get_service_model("bedrock-runtime")
ASKED = Asked("m", "id", 0, names={"a_1": "a.b"}, ids={"i_1": "i:1"})
CITATION = {"title": "t", "sourceContent": [{"text": "s"}], "location": {"web": {"url": "http://h"}}}


def boto_reads(body: bytes) -> dict[str, Any]:
    """Return what a program that uses boto3 gets."""
    parsed: dict[str, Any] = botocore.parsers.create_parser("rest-json").parse(
        {"status_code": 200, "headers": {"content-type": "application/json"}, "body": body},
        MODEL.operation_model("Converse").output_shape,
    )
    return parsed


def written(*parts: Text | Thinking | ToolUse, stop: Stop = Stop.END, **members: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what boto3 reads of an answer; it has to be an answer for the proxy too."""
    body = CODEC.write_answer(Answer("up", "model", parts, stop, **members), ASKED)
    assert examine_converse(body) is None or not parts
    return boto_reads(body)


def content(*parts: Text | Thinking | ToolUse) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = written(*parts)["output"]["message"]["content"]
    return found


def test_an_answer_written() -> None:
    usage = Usage(input=10, cache_read=5, cache_write=3, output=7, reasoning=2)
    parsed = written(Text("hello"), stop=Stop.SEQUENCE, stop_sequence="END", usage=usage, tier="flex")
    parsed.pop("ResponseMetadata")
    assert parsed == {
        "output": {"message": {"role": "assistant", "content": [{"text": "hello"}]}},
        "stopReason": "stop_sequence",
        "usage": {
            "inputTokens": 10,
            "outputTokens": 7,
            "totalTokens": 25,
            "cacheReadInputTokens": 5,
            "cacheWriteInputTokens": 3,
        },
        "metrics": {"latencyMs": 0},
        "serviceTier": {"type": "flex"},
        "additionalModelResponseFields": {"stop_sequence": "END"},
    }


def test_usage_that_was_not_told() -> None:
    assert written(Text("a"))["usage"] == {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}


def test_parts_written() -> None:
    cited = msgspec.Raw(json.dumps([CITATION]).encode())
    foreign = msgspec.Raw(b'[{"type":"char_location","cited_text":"x"}]')
    assert content(
        Thinking("hm", "c2ln", maker="anthropic"),
        Thinking(redacted=base64.b64encode(b"enc").decode(), maker="anthropic"),
        Thinking(redacted="not base64", maker="anthropic"),
        Thinking("aloud"),
        Thinking(),
        Text(""),
        Text("a", citations=cited),
        Text("b", citations=foreign),
        Text("no", refusal=True),
        ToolUse("i_1", "a_1", '{"x": [1.50, null]}'),
        ToolUse("i", "a", ""),
    ) == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": b"enc"}},
        {"reasoningContent": {"reasoningText": {"text": "aloud", "signature": "hydrallm:::"}}},
        {"citationsContent": {"content": [{"text": "a"}], "citations": [CITATION]}},
        {"text": "b"},
        {"text": "no"},
        {"toolUse": {"toolUseId": "i:1", "name": "a.b", "input": {"x": [1.5, None]}}},
        {"toolUse": {"toolUseId": "i", "name": "a", "input": {}}},
    ]


def test_case_6_a_call_that_was_cut_is_delivered_as_far_as_it_came() -> None:
    parsed = written(ToolUse("i", "a", '{"x": "one", "y": "tw'), stop=Stop.LENGTH)
    assert parsed["stopReason"] == "max_tokens"
    assert parsed["output"]["message"]["content"][0]["toolUse"]["input"] == {"x": "one", "y": "tw"}


def test_every_stop_reason_is_decided_on() -> None:
    words = set(MODEL.shape_for("StopReason").enum)
    assert set(STOPS) | CONVERSE_FAILURES == words
    assert set(STOP_WORDS) == set(Stop)
    assert set(STOP_WORDS.values()) < words


@pytest.mark.parametrize("word", sorted(STOPS))
def test_stop_reasons(word: str) -> None:
    block = {"toolUse": {"toolUseId": "i", "name": "f", "input": {}}} if word == "tool_use" else {"text": "a"}
    body = json.dumps({"output": {"message": {"content": [block]}}, "stopReason": word}).encode()
    stop = CODEC.read_answer(body).stop
    assert stop is STOPS[word]
    assert STOP_WORDS[stop] == ("content_filtered" if word == "guardrail_intervened" else word)


@pytest.mark.parametrize("finish", ["stop", "length", "filtered"])
def test_what_the_faulty_provider_answers(finish: Any) -> None:  # noqa: ANN401 - a Finish
    question = answers.question("POST", "/model/m/converse", {}, b"{}", 1)
    answer = CODEC.read_answer(answers.plain(question, "one two three", finish))
    stop = {"stop": Stop.END, "length": Stop.LENGTH, "filtered": Stop.REFUSAL}[finish]
    assert answer == Answer("", "", (Text("one two three"),), stop, usage=Usage(input=1, output=3))


@pytest.mark.parametrize("word", ["end_turn", "something_new"])
def test_an_answer_with_calls_ends_for_them_whatever_it_says(word: str) -> None:
    call = {"toolUse": {"toolUseId": "i", "name": "f", "input": {}}}
    body = json.dumps({"output": {"message": {"content": [call]}}, "stopReason": word}).encode()
    assert CODEC.read_answer(body).stop is Stop.TOOL_USE


def test_an_answer_read() -> None:
    blocks = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": "ZW5j"}},
        {"text": ""},
        {"citationsContent": {"content": [{"text": "a"}, {"text": "b"}], "citations": [CITATION]}},
        {"toolUse": {"toolUseId": "i", "name": "f", "input": {"a": 1e3}}},
        {"toolUse": {"toolUseId": "j", "name": "f", "input": '{"cut": '}},
        {"toolUse": {"toolUseId": "k", "name": "web", "input": {}, "type": "server_tool_use"}},
        {"image": {"format": "png", "source": {"bytes": "AA=="}}},
        {"somethingNew": {}},
    ]
    body = {
        "output": {"message": {"role": "assistant", "content": blocks}},
        "stopReason": "something_new",
        "usage": {
            "inputTokens": 1,
            "outputTokens": 2,
            "totalTokens": 10,
            "cacheReadInputTokens": 3,
            "cacheDetails": [],
        },
        "serviceTier": {"type": "priority"},
        "additionalModelResponseFields": {"stop_sequence": "END"},
        "trace": {},
    }
    raw = json.dumps(body).encode()
    answer = CODEC.read_answer(raw)
    cited = answer.parts[3]
    assert isinstance(cited, Text)
    assert json.loads(bytes(cited.citations or b"")) == [CITATION]
    assert answer == Answer(
        "",
        "",
        (
            Thinking("hm", "c2ln", maker="anthropic"),
            Thinking(redacted="ZW5j", maker="anthropic"),
            Text(""),
            Text("ab", citations=cited.citations),
            ToolUse("i", "f", '{"a": 1000.0}'),
            ToolUse("j", "f", '{"cut": '),
        ),
        Stop.TOOL_USE,
        "END",
        Usage(input=1, cache_read=3, output=2),
        "priority",
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "this is not an answer of Converse"),
        (b'{"message":"no"}', "this is not an answer of Converse"),
        (b'{"output":{"message":{"content":[1]}},"stopReason":"end_turn"}', "output.message.content[0]"),
        (b'{"output":{"message":{}},"stopReason":"malformed_tool_use"}', "stopReason: the answer ended with"),
    ],
)
def test_what_is_no_answer(body: bytes, message: str) -> None:
    with pytest.raises(UntranslatableError) as caught:
        CODEC.read_answer(body)
    assert message in str(caught.value)


@given(st.binary(max_size=80) | st.text(max_size=20).map(lambda text: json.dumps({"output": text}).encode()))
def test_nothing_but_an_untranslatable_error(body: bytes) -> None:
    with pytest.raises(UntranslatableError):
        CODEC.read_answer(body)


WORDS = st.text(min_size=1, max_size=10)
CITED = st.just(msgspec.Raw(json.dumps([CITATION]).encode()))
PARTS = st.one_of(
    st.builds(Text, WORDS),
    st.builds(Text, WORDS, citations=CITED),
    st.builds(Thinking, WORDS, st.text("abc=", max_size=3), maker=st.just("anthropic")),
    st.builds(
        Thinking, redacted=st.binary(min_size=1).map(lambda b: base64.b64encode(b).decode()), maker=st.just("anthropic")
    ),
    st.builds(Thinking, WORDS, WORDS, maker=st.just("openai"), id=st.sampled_from(["", "rs_1"])),
    st.builds(
        ToolUse,
        st.text("aZ09_-", max_size=64),
        WORDS,
        st.dictionaries(st.text(max_size=3), st.integers()).map(json.dumps),
    ),
)
COUNTS = st.none() | st.integers(0, 10**9)
ANSWERS = st.builds(
    Answer,
    st.just(""),
    st.just(""),
    st.lists(PARTS, max_size=5).map(tuple),
    st.sampled_from([stop for stop in Stop if stop is not Stop.PAUSE]),
    st.none() | WORDS,
    st.builds(Usage, st.integers(0, 10**9), COUNTS, COUNTS, st.integers(0, 10**9)),
    st.sampled_from(["", "default", "flex"]),
)


@given(ANSWERS)
def test_what_is_written_is_read_as_it_was(answer: Answer) -> None:
    body = CODEC.write_answer(answer, Asked("m", "id", 0))
    assert len(boto_reads(body)["output"]["message"]["content"]) == len(answer.parts)
    # A plain end with calls, and the other way round, is read as what it must be.
    calls = any(isinstance(part, ToolUse) for part in answer.parts)
    if answer.stop in {Stop.END, Stop.TOOL_USE}:
        answer = msgspec.structs.replace(answer, stop=Stop.TOOL_USE if calls else Stop.END)
    assert msgspec.json.encode(CODEC.read_answer(body)) == msgspec.json.encode(answer)
