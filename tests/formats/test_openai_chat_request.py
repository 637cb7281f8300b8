"""What clients of Chat Completions ask, as they write it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Source,
    Text,
    Thinking,
    ToolChoice,
    ToolResult,
    ToolUse,
    UntranslatableError,
)
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec

CODEC = OpenAIChatCodec()
HI = {"role": "user", "content": "hi"}


def read(*messages: dict[str, Any], **members: object) -> Request:
    body = json.dumps({"model": "m", "messages": list(messages or (HI,)), **members}).encode()
    return CODEC.read_request(body, model="", stream=False)


def user(*content: dict[str, Any] | str) -> tuple[Part, ...]:
    return read({"role": "user", "content": list(content)}).messages[0].parts


def call(identity: str | None = "call_1", name: str = "f", arguments: object = "{}") -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def refusal_of(body: object) -> str:
    with pytest.raises(UntranslatableError) as raised:
        CODEC.read_request(json.dumps(body).encode(), model="", stream=False)
    return str(raised.value)


def test_every_member_has_its_place() -> None:
    asked = read(
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        max_completion_tokens=100,
        temperature=1.7,
        top_p=0.5,
        stop=["a", "b"],
        seed=7,
        frequency_penalty=0.1,
        presence_penalty=0.2,
        reasoning_effort="high",
        verbosity="low",
        user="me",
        metadata={"a": "b", "n": 1},
        service_tier="flex",
        prompt_cache_key="key",
        parallel_tool_calls=False,
        n=1,
        logprobs=False,
        modalities=["text"],
        logit_bias={"50256": -100},
        store=True,
        something=None,
    )
    assert (asked.model, asked.format, asked.stream, asked.usage_in_stream) == ("m", "openai-chat", True, True)
    assert (asked.max_tokens, asked.temperature, asked.temperature_max, asked.top_p) == (100, 1.7, 2.0, 0.5)
    assert (asked.stop, asked.seed, asked.frequency_penalty, asked.presence_penalty) == (("a", "b"), 7, 0.1, 0.2)
    assert (asked.reasoning, asked.verbosity) == (Reasoning(enabled=True, effort="high"), "low")
    assert (asked.user, asked.metadata, asked.tier, asked.cache_key) == ("me", {"a": "b", "n": "1"}, "flex", "key")
    assert asked.parallel is False
    assert asked.bound == ()
    assert {name: bytes(raw) for name, raw in asked.extra.items()} == {"logit_bias": b'{"50256": -100}'}


def test_null_is_not_said() -> None:
    nulls = dict.fromkeys(
        ("stream", "stream_options", "tools", "tool_choice", "temperature", "stop", "n", "response_format", "metadata")
    )
    assert read(**nulls) == read()


def test_a_whole_number_may_be_written_as_a_float() -> None:
    assert read(max_tokens=100.0).max_tokens == 100


def test_no_effort_is_no_thought() -> None:
    assert read(reasoning_effort="none").reasoning == Reasoning(enabled=False, effort="none")


def test_the_newer_limit_and_identifier_win() -> None:
    asked = read(max_tokens=1, max_completion_tokens=2, user="old", safety_identifier="new")
    assert (asked.max_tokens, asked.user) == (2, "new")


def test_instructions_before_the_conversation_are_the_system_and_later_ones_keep_their_place() -> None:
    asked = read(
        {"role": "developer", "content": "one"},
        {"role": "system", "content": [{"type": "text", "text": "two"}, {"type": "text", "text": "three"}]},
        HI,
        {"role": "system", "content": "four"},
    )
    assert asked.system == (Text("one"), Text("two"), Text("three"))
    assert asked.messages == (Message(Role.USER, (Text("hi"),)), Message(Role.SYSTEM, (Text("four"),)))


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ({"type": "text", "text": "a"}, Text("a")),
        ("a", Text("a")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO", "detail": "low"}},
            Image(Source(data="iVBO", media_type="image/png"), "low"),
        ),
        ({"type": "image_url", "image_url": "https://a/b.png"}, Image(Source(url="https://a/b.png"))),
        (
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
            Document(Source(data="JVBE", media_type="application/pdf"), name="a.pdf"),
        ),
        ({"type": "file", "file": {"file_id": "file-1"}}, Document(Source(file="file-1"))),
        (
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
            Text("a", cache=Cache()),
        ),
        (
            {"type": "text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            Text("a", cache=Cache("1h")),
        ),
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            Text("a", cache=Cache("1h")),
        ),
    ],
)
def test_parts_of_a_users_message(content: dict[str, Any] | str, parts: Part) -> None:
    assert user(content) == (parts,)


def test_a_models_turn() -> None:
    said = read(
        HI,
        {
            "role": "assistant",
            "content": "text",
            "reasoning_content": "hm",
            "refusal": "no",
            "tool_calls": [
                call(),
                call("call_2", arguments=""),
                call("call_3", arguments={"a": [1.50]}),
                {"id": "call_4", "type": "custom", "custom": {"name": "g", "input": "free text"}},
            ],
        },
    ).messages[1]
    assert said.parts == (
        Thinking("hm"),
        Text("text"),
        Text("no", refusal=True),
        ToolUse("call_1", "f", "{}"),
        ToolUse("call_2", "f", "{}"),
        ToolUse("call_3", "f", '{"a": [1.5]}'),
        ToolUse("call_4", "g", "free text", custom=True),
    )


@pytest.mark.parametrize("content", [None, "", []])
def test_a_message_that_says_nothing_has_no_parts(content: object) -> None:
    asked = read(HI, {"role": "assistant", "content": content, "tool_calls": [call()]})
    assert asked.messages[1].parts == (ToolUse("call_1", "f", "{}"),)


def test_results_that_follow_each_other_are_one_turn_of_the_users() -> None:
    asked = read(
        HI,
        {"role": "assistant", "tool_calls": [call(), call("call_2")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "1"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "2"}]},
        {"role": "user", "content": "and?"},
    )
    assert asked.messages[2:] == (
        Message(Role.USER, (ToolResult("call_1", (Text("1"),)), ToolResult("call_2", (Text("2"),)))),
        Message(Role.USER, (Text("and?"),)),
    )


def test_tools() -> None:
    schema = '{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"const":1.0}}}'
    body = (
        '{"messages":[{"role":"user","content":"hi"}],"tools":['
        '{"type":"function","function":{"name":"f","description":"d","parameters":' + schema + ',"strict":true}},'
        '{"type":"function","function":{"name":"none"}},'
        '{"type":"custom","custom":{"name":"g","format":{"type":"text"}}}]}'
    )
    first, second, third = CODEC.read_request(body.encode(), model="", stream=False).tools
    assert first.schema is not None
    assert bytes(first.schema).decode() == schema
    assert (first.name, first.description, first.strict) == ("f", "d", True)
    assert second.schema is not None
    assert json.loads(bytes(second.schema)) == {"type": "object", "properties": {}}
    assert (third.name, third.custom) == ("g", True)


@pytest.mark.parametrize(
    ("written", "choice"),
    [
        ("auto", ToolChoice(Choice.AUTO)),
        ("none", ToolChoice(Choice.NONE)),
        ("required", ToolChoice(Choice.REQUIRED)),
        ("any", ToolChoice(Choice.REQUIRED)),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(Choice.TOOL, "f")),
        ({"type": "custom", "custom": {"name": "g"}}, ToolChoice(Choice.TOOL, "g")),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
            },
            ToolChoice(Choice.REQUIRED, allowed=("f",)),
        ),
    ],
)
def test_tool_choice(written: object, choice: ToolChoice) -> None:
    assert read(tool_choice=written).tool_choice == choice


def test_structured_output() -> None:
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True, "description": "d"}
    output = read(response_format={"type": "json_schema", "json_schema": schema}).output
    assert output is not None
    assert output.schema is not None
    assert json.loads(bytes(output.schema)) == {"type": "object"}
    assert (output.name, output.strict, output.description) == ("n", True, "d")
    assert read(response_format={"type": "text"}).output is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"n": 2}, "`n` over 1"),
        ({"logprobs": True}, "`logprobs`"),
        ({"top_logprobs": 3}, "`top_logprobs`"),
        ({"modalities": ["text", "audio"]}, "`modalities` other than text"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "`audio`"),
        ({"functions": [{"name": "f"}], "function_call": "auto"}, "`functions`, the older form of `tools`"),
        ({"function_call": {"name": "f"}}, "`function_call`, the older form of `tool_choice`"),
        (
            {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
            "a forced call of a tool that the provider runs",
        ),
        (
            {"tools": [{"type": "web_search"}], "tool_choice": "required"},
            "a forced call of a tool that the provider runs",
        ),
        ({"response_format": {"type": "grammar"}}, "`response_format` of the type 'grammar'"),
    ],
)
def test_what_only_chat_can_serve_binds_the_request(members: dict[str, Any], reason: str) -> None:
    assert read(**members).bound == (reason,)


@pytest.mark.parametrize("choice", [None, "auto", "none", "required"])
def test_a_tool_that_the_provider_runs_is_done_without_if_it_is_only_offered(choice: str | None) -> None:
    function = {"type": "function", "function": {"name": "f"}}
    asked = read(tools=[{"type": "web_search"}, function], tool_choice=choice, web_search_options={})
    assert (asked.bound, [tool.name for tool in asked.tools]) == ((), ["f"])
    assert set(asked.extra) == {"tools.web_search", "web_search_options"}


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}]},
        {"role": "assistant", "audio": {"id": "audio_1"}},
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "1"},
    ],
)
def test_messages_that_only_chat_has_bind_the_request(message: dict[str, Any]) -> None:
    assert read(HI, message).bound


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "messages"),
        ({"messages": None}, "messages: expected `array`"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role: 'robot'"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content: expected"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text: it is missing"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id: it is missing"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages[0].tool_calls[0].function"),
        ({"messages": [HI], "tools": [{"type": "function"}]}, "tools[0].function: it is missing"),
        ({"messages": [HI], "tool_choice": "perhaps"}, "tool_choice: 'perhaps' is none of"),
        ({"messages": [HI], "max_tokens": 1.5}, "max_tokens: 1.5 is not a whole number"),
        ({"messages": [HI], "temperature": "warm"}, "temperature: expected"),
        ({"messages": [HI], "temperature": float("inf")}, ""),
        ({"messages": [HI], "reasoning_effort": "heroic"}, "reasoning_effort: invalid enum value"),
        ([], "expected `object`"),
    ],
)
def test_what_is_no_chat_request_is_refused_with_its_place(body: object, where: str) -> None:
    said = refusal_of(body)
    assert said.startswith("this is not a chat request: ")
    assert where in said


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    body = b'{"messages":[{"role":"user","content":"a\\ud83d"}]}'
    assert CODEC.read_request(body, model="", stream=False).messages[0].parts == (Text("a?"),)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(["user", "assistant", "tool", "system", "text", "file", "image_url", "function", "data:", "f"])
NAMES = st.sampled_from(
    ["role", "content", "type", "text", "image_url", "file", "tool_calls", "function", "name", "arguments", "url", "id"]
)
ALMOST = st.recursive(
    JSON | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from(["tools", "tool_choice", "stop", "response_format", "metadata", "n", "max_tokens", "x"])


@given(st.lists(ALMOST, max_size=3), st.dictionaries(MEMBERS, ALMOST, max_size=3))
def test_nothing_but_an_untranslatable_error_is_raised(messages: list[object], members: dict[str, object]) -> None:
    body = json.dumps({"messages": messages, **members}).encode()
    try:
        asked = CODEC.read_request(body, model="m", stream=True)
    except UntranslatableError as error:
        assert str(error).startswith("this is not a chat request: ")  # noqa: PT017 - both outcomes are right
        return
    assert (asked.model, asked.stream) == ("m", True)
