"""Whole answers of Chat Completions: those of many servers are read, and the official SDK reads what is written."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionMessageFunctionToolCall

from hydrallm.faults import answers
from hydrallm.faults.answers import question
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import Answer, Stop, Usage
from hydrallm.formats.codec import Asked
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec

CODEC = OpenAIChatCodec()
ASKED = Asked("gpt", "0123", 1_790_000_000)


def completion(message: dict[str, Any], finish: str | None = "stop", **members: object) -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return CODEC.read_answer(json.dumps({"id": "c1", "model": "m", "choices": [choice], **members}).encode())


def parts(message: dict[str, Any]) -> tuple[Text | Thinking | ToolUse, ...]:
    return completion(message).parts


def seen(answer: Answer, asked: Asked = ASKED) -> ChatCompletion:
    """Return what the official SDK makes of a written answer."""
    body = CODEC.write_answer(answer, asked)
    transport = httpx2.MockTransport(
        lambda _: httpx2.Response(200, content=body, headers={"content-type": "application/json"})
    )
    with openai.OpenAI(api_key="k", base_url="http://a/v1", http_client=httpx2.Client(transport=transport)) as client:
        found = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    ChatCompletion.model_validate_json(body, strict=True)  # create() itself does not check
    return found


def call(identity: str | None = "call_1", name: str = "f", arguments: object = '{"a":1}') -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


# ---- reading


def test_a_healthy_answer() -> None:
    asked = question("POST", "/v1/chat/completions", {}, b'{"model":"m"}', 1)
    answer = CODEC.read_answer(answers.plain(asked, "Hello there.", "stop"))
    assert (answer.model, answer.parts, answer.stop) == ("m", (Text("Hello there."),), Stop.END)
    assert answer.id
    assert (answer.usage.output, answer.tier) == (2, "default")


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_thoughts_under_either_name(member: str) -> None:
    assert parts({member: "hm", "content": "so"}) == (Thinking("hm"), Text("so"))


def test_a_thought_said_under_both_names_is_one() -> None:
    assert parts({"reasoning_content": "hm", "reasoning": "hm", "content": None}) == (Thinking("hm"),)


def test_a_content_of_parts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    assert parts({"content": [thinking, {"type": "text", "text": "so"}]}) == (Thinking("hm"), Text("so"))


def test_calls() -> None:
    answer = completion({"content": None, "tool_calls": [call(), call("call_2", arguments="")]}, "tool_calls")
    assert answer.parts == (ToolUse("call_1", "f", '{"a":1}'), ToolUse("call_2", "f", "{}"))
    assert answer.stop is Stop.TOOL_USE


def test_arguments_that_are_an_object() -> None:
    assert parts({"tool_calls": [call(arguments={"a": 1})]}) == (ToolUse("call_1", "f", '{"a": 1}'),)


def test_calls_without_ids_get_some_of_their_own() -> None:
    first, second = parts({"tool_calls": [call(None), call("")]})
    assert isinstance(first, ToolUse)
    assert isinstance(second, ToolUse)
    assert first.id
    assert second.id
    assert first.id != second.id


def test_the_call_that_there_was_before_there_were_tools() -> None:
    message = {"content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}}
    found = completion(message, "function_call")
    (called,) = found.parts
    assert isinstance(called, ToolUse)
    assert (called.name, called.arguments, found.stop) == ("f", '{"a":1}', Stop.TOOL_USE)
    assert called.id


def test_a_custom_call() -> None:
    custom = {"id": "call_1", "type": "custom", "custom": {"name": "g", "input": "free"}}
    assert parts({"tool_calls": [custom]}) == (ToolUse("call_1", "g", "free", custom=True),)


@pytest.mark.parametrize(
    ("message", "finish", "stop"),
    [
        ({"content": "a"}, "stop", Stop.END),
        ({"content": "a"}, None, Stop.END),
        ({"content": "a"}, "eos", Stop.END),
        ({"content": "a"}, "length", Stop.LENGTH),
        ({"content": ""}, "content_filter", Stop.REFUSAL),
        ({"refusal": "no"}, "stop", Stop.REFUSAL),
        ({"tool_calls": [call()]}, "tool_calls", Stop.TOOL_USE),
        ({"tool_calls": [call()]}, "stop", Stop.TOOL_USE),
        ({"tool_calls": [call(arguments='{"a')]}, "length", Stop.LENGTH),
        ({"content": "a", "tool_calls": []}, "tool_calls", Stop.END),
    ],
)
def test_why_it_ended(message: dict[str, Any], finish: str | None, stop: Stop) -> None:
    assert completion(message, finish).stop is stop


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, Usage()),
        ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}, Usage(10, output=5)),
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 2},
            },
            Usage(3, 4, 3, 5, 2),
        ),
        ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}, Usage(6, 4, output=5)),
        ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4}, Usage(6, 4, output=5)),
        (  # thoughts that are in the total alone
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 35,
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            Usage(10, output=25, reasoning=20),
        ),
    ],
)
def test_usage(usage: object, read: Usage) -> None:
    assert completion({"content": "a"}, usage=usage).usage == read


def test_what_nobody_needs_may_be_anything() -> None:
    answer = completion({"content": "a", "x": 1}, id=7, model=None, service_tier=None, created="now", y=float("nan"))
    assert (answer.id, answer.model, answer.parts) == ("", "", (Text("a"),))


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "choices"),
        (b'{"choices":[]}', "choices: the first one is missing"),
        (b'{"choices":[{"message":{"content":1}}]}', "choices[0].message.content"),
        (b"<html>", "no JSON"),
    ],
)
def test_what_is_no_answer_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(UntranslatableError, match="this is not a chat completion") as raised:
        CODEC.read_answer(body)
    assert said in str(raised.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "message", "content", "tool_calls", "usage", "index", "function", "arguments"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_nothing_but_an_untranslatable_error_is_raised(value: object) -> None:
    try:
        answer = CODEC.read_answer(json.dumps(value).encode())
    except UntranslatableError as error:
        assert "chat completion" in str(error)  # noqa: PT017 - both outcomes are right
    else:
        assert isinstance(answer, Answer)


# ---- writing


def test_the_sdk_reads_a_text() -> None:
    found = seen(Answer("msg_1", "claude", (Text("a"), Text("b")), Stop.END, usage=Usage(3, 4, 3, 5, 2)))
    assert (found.object, found.model, found.created) == ("chat.completion", "gpt", 1_790_000_000)
    assert found.id == "chatcmpl-0123"
    assert found.choices[0].message.content == "ab"
    assert found.choices[0].message.refusal is None
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (10, 5, 15)
    assert found.usage.prompt_tokens_details is not None
    assert found.usage.prompt_tokens_details.cached_tokens == 4
    assert found.usage.prompt_tokens_details.cache_write_tokens == 3
    assert found.usage.completion_tokens_details is not None
    assert found.usage.completion_tokens_details.reasoning_tokens == 2


def test_the_sdk_reads_calls_under_the_clients_names() -> None:
    asked = Asked("gpt", "1", 1, names={"short": "long.name"}, ids={"i": "toolu_1"})
    answer = Answer("", "", (ToolUse("i", "short", '{"a": 1}'), ToolUse("j", "g", "")), Stop.TOOL_USE)
    message = seen(answer, asked).choices[0].message
    assert message.content is None
    assert message.tool_calls is not None
    calls = [found for found in message.tool_calls if isinstance(found, ChatCompletionMessageFunctionToolCall)]
    assert [(found.id, found.function.name, found.function.arguments) for found in calls] == [
        ("toolu_1", "long.name", '{"a": 1}'),
        ("j", "g", "{}"),
    ]


def test_thoughts_are_written_where_compatible_servers_write_them() -> None:
    found = seen(Answer("", "", (Thinking("hm", "sig", maker="anthropic"), Text("so")), Stop.END))
    assert found.choices[0].message.model_extra == {"reasoning_content": "hm"}


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        (Stop.END, "stop"),
        (Stop.LENGTH, "length"),
        (Stop.CONTEXT, "length"),
        (Stop.SEQUENCE, "stop"),
        (Stop.TOOL_USE, "tool_calls"),
        (Stop.REFUSAL, "content_filter"),
        (Stop.PAUSE, "stop"),
    ],
)
def test_finish_reasons(stop: Stop, finish: str) -> None:
    assert seen(Answer("", "", (Text("a"),), stop)).choices[0].finish_reason == finish


def test_a_refusal_in_words_is_no_filter() -> None:
    (choice,) = seen(Answer("", "", (Text("no", refusal=True),), Stop.REFUSAL)).choices
    assert (choice.message.refusal, choice.message.content, choice.finish_reason) == ("no", None, "stop")


@pytest.mark.parametrize(
    ("tier", "said"), [("standard", "default"), ("priority", "priority"), ("batch", None), ("", None)]
)
def test_tiers(tier: str, said: str | None) -> None:
    assert seen(Answer("", "", (), Stop.END, tier=tier)).service_tier == said


def test_what_has_no_utf8_becomes_a_question_mark() -> None:
    assert seen(Answer("", "", (Text("a\ud83d"),), Stop.END)).choices[0].message.content == "a?"
