"""What a client of Responses asks; that the requests are such is checked with the official SDK's own types."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from hydrallm.formats.canonical import (
    Choice,
    JsonOutput,
    Message,
    Reasoning,
    Request,
    Role,
    Text,
    Tool,
    ToolChoice,
    UntranslatableError,
)
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

CODEC = OpenAIResponsesCodec()
PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams)
USER = Role.USER


def read(legal: bool = True, **body: Any) -> Request:  # noqa: ANN401
    """Read a request, of which the SDK says as well that it is one."""
    if legal:
        PARAMS.validate_python({"model": "m", "input": "hi", **body})
    return CODEC.read_request(json.dumps(body).encode(), model="", stream=False)


def test_the_plainest_request() -> None:
    asked = read(model="gpt", input="hi")
    assert msgspec.structs.replace(asked, names={}) == Request(
        format="openai-responses", model="gpt", messages=(Message(USER, (Text("hi"),)),), temperature_max=2.0
    )


def test_members_that_every_format_has() -> None:
    schema = {"type": "object", "properties": {"b": {"const": 1.5}, "a": {"enum": ["x"]}}}
    asked = read(
        input="hi",
        instructions="be brief",
        stream=True,
        max_output_tokens=100,
        temperature=1.7,
        top_p=0.5,
        parallel_tool_calls=False,
        tools=[
            {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": True},
            {"type": "function", "name": "g", "parameters": None, "strict": None},
            {"type": "custom", "name": "c", "format": {"type": "text"}},
        ],
        tool_choice="required",
        reasoning={"effort": "high", "summary": "auto"},
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True}},
        safety_identifier="me",
        metadata={"a": "b"},
        service_tier="flex",
        prompt_cache_key="k",
        store=False,
        include=["reasoning.encrypted_content"],
        truncation="disabled",
        top_logprobs=0,
        background=False,
    )
    raw = msgspec.Raw(json.dumps(schema).encode())
    assert (asked.system, asked.stream, asked.max_tokens) == ((Text("be brief"),), True, 100)
    assert (asked.temperature, asked.temperature_max, asked.top_p, asked.parallel) == (1.7, 2.0, 0.5, False)
    assert asked.tools == (
        Tool("f", "d", raw, strict=True),
        Tool("g", None, msgspec.Raw(b'{"type":"object","properties":{}}')),
        Tool("c", schema=msgspec.Raw(b'{"type": "text"}'), custom=True),
    )
    assert asked.tool_choice == ToolChoice(Choice.REQUIRED)
    assert asked.reasoning == Reasoning(effort="high", summary="auto")
    assert (asked.output, asked.verbosity) == (JsonOutput(raw, "n", strict=True), "low")
    assert (asked.user, asked.metadata, asked.tier, asked.cache_key) == ("me", {"a": "b"}, "flex", "k")
    assert (asked.bound, asked.extra) == ((), {})


def test_what_is_null_is_not_said() -> None:
    names = ["instructions", "temperature", "metadata", "reasoning", "previous_response_id", "max_output_tokens"]
    names += ["stream", "tools", "tool_choice", "text", "include", "truncation", "top_logprobs", "conversation", "user"]
    assert read(False, input="hi", **dict.fromkeys(names)) == read(input="hi")


def test_the_model_and_the_stream_of_a_path() -> None:
    asked = CODEC.read_request(b'{"input":"hi","model":"body"}', model="path", stream=True)
    assert (asked.model, asked.stream) == ("path", True)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", ToolChoice(Choice.NONE)),
        ("auto", ToolChoice(Choice.AUTO)),
        ({"type": "function", "name": "f"}, ToolChoice(Choice.TOOL, "f")),
        ({"type": "custom", "name": "f"}, ToolChoice(Choice.TOOL, "f")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}]},
            ToolChoice(Choice.REQUIRED, allowed=("f",)),
        ),
    ],
)
def test_tool_choice(choice: object, expected: ToolChoice) -> None:
    assert read(input="hi", tool_choice=choice).tool_choice == expected


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "logprobs"),
        ({"tools": [{"type": "local_shell"}]}, "the tool 'local_shell', which only OpenAI defines"),
        ({"tool_choice": {"type": "file_search"}}, "a forced call of a tool that OpenAI runs"),
        ({"tools": [{"type": "web_search"}], "tool_choice": "required"}, "a forced call of a tool that OpenAI runs"),
        (
            {
                "tools": [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": {}}],
                "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
            },
            "a forced call of a tool that OpenAI runs",
        ),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "item_reference"),
        ({"input": [{"id": "msg_1"}]}, "item_reference"),
        ({"input": [{"type": "compaction_trigger"}]}, "compaction_trigger"),
        (
            {"input": [{"type": "local_shell_call_output", "id": "a", "output": "b"}]},
            "local_shell_call_output",
        ),
    ],
)
def test_what_only_this_format_can_serve(body: dict[str, Any], reason: str) -> None:
    (found,) = read(**{"input": "hi", **body}).bound
    assert reason in found


def test_an_unknown_content_part_only_this_format_can_serve() -> None:
    (found,) = read(False, input=[{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]).bound
    assert "input_audio" in found


def test_unknown_members_are_extra() -> None:
    asked = read(
        False,
        input="hi",
        store=True,
        truncation="auto",
        hm=[1.50],
        stop="x",
        reasoning={"mode": "pro", "effort": "huge"},
    )
    assert {name: bytes(raw) for name, raw in asked.extra.items()} == {
        "store": b"true",
        "truncation": b'"auto"',
        "hm": b"[1.5]",
        "stop": b'"x"',
        "reasoning.mode": b'"pro"',
        "reasoning.effort": b'"huge"',
    }
    assert asked.reasoning is None


def test_json_without_a_schema() -> None:
    assert read(input="hi", text={"format": {"type": "json_object"}}).output == JsonOutput()
    assert read(input="hi", text={"format": {"type": "text"}}).output is None


def test_not_to_think() -> None:
    assert read(input="hi", reasoning={"effort": "none"}).reasoning == Reasoning(enabled=False, effort="none")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "`input`"),
        ({"input": 5}, "input"),
        ({"input": []}, "`input`"),
        ({"input": [5]}, "input[0]"),
        ({"input": [{"role": "tool", "content": "a"}]}, "input[0]"),
        ({"input": ["a"]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 5}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "output": "a"}]}, "input[0]"),
        ({"input": "hi", "tools": [{"type": "function"}]}, "tools[0]"),
        ({"input": "hi", "tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"input": "hi", "tool_choice": "any"}, "tool_choice"),
        ({"input": "hi", "tool_choice": {"mode": 5}}, "tool_choice"),
        ({"input": "hi", "text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format"),
        ({"input": "hi", "max_output_tokens": 0}, "max_output_tokens"),
        ({"input": "hi", "temperature": "hot"}, "temperature"),
        ({"input": "hi", "reasoning": {"effort": 3}}, "reasoning.effort"),
        ([], "a request of Responses"),
    ],
)
def test_what_is_no_request(body: object, where: str) -> None:
    with pytest.raises(UntranslatableError) as raised:
        CODEC.read_request(json.dumps(body).encode(), model="", stream=False)
    assert where in str(raised.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"{",
        b'{"input":"\xff"}',
        b'{"zz":"\xff","input":"a"}',
        b'{"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"input":[{"role":"user","content":' + b"[" * 5_000 + b"]" * 5_000 + b"}]}",
        b'{"input":"a","temperature":1e400}',
    ],
)
def test_no_body_is_too_broken(body: bytes) -> None:
    with pytest.raises(UntranslatableError):
        CODEC.read_request(body, model="", stream=False)


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    asked = CODEC.read_request(b'{"input":"a\\ud800"}', model="", stream=False)
    assert asked.messages == (Message(USER, (Text("a?"),)),)


ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["user", "function", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "name", "id", "call_id", "output", "text", "summary", "tools"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
MEMBERS = ("input", "tools", "tool_choice", "text", "reasoning", "include", "metadata", "stream", "instructions", "hm")
KINDS = (
    "message",
    "function_call",
    "function_call_output",
    "reasoning",
    "custom_tool_call",
    "function",
    "allowed_tools",
)


@given(body=VALUES, member=st.sampled_from(MEMBERS), kind=st.sampled_from(KINDS))
@example(body={"content": [{"type": "input_image", "image_url": "data:,"}]}, member="input", kind="message")
@example(body={"content": [{"type": "input_image", "image_url": "data:"}]}, member="input", kind="message")
def test_no_json_is_too_odd(body: object, member: str, kind: str) -> None:
    typed = {**body, "type": kind} if isinstance(body, dict) else body
    for value in (body, {member: body}, {"input": "a", member: typed}, {"input": [ITEM, typed], member: [typed]}):
        try:
            asked = CODEC.read_request(json.dumps(value).encode(), model="", stream=False)
        except UntranslatableError:
            continue
        assert asked.format == "openai-responses"
