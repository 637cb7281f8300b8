"""Requests as Messages has them: turns, tools, and what is told of tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from tests.formats.anthropic_messages.samples import (
    ASSISTANT,
    CALL,
    HI,
    INVOKE,
    LOOP,
    MESSAGES,
    NEW,
    OLD,
    PDF,
    PNG,
    SCHEMA,
    SIGNED,
    STRICT,
    SYSTEM,
    USER,
    Body,
    F,
    asked,
    composed,
    unserved,
)

from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Document,
    JsonOutput,
    Message,
    Reasoning,
    Request,
    Role,
    Target,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
)
from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_least(body: Body) -> None:
    assert body(asked()) == {
        "model": "claude",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "hi"}],
    }


def test_all_that_can_be_said(body: Body) -> None:
    request = asked(
        Message(USER, (Text("look", cache=Cache("1h")), PNG, PDF, Document(text="plain", name="t"))),
        Message(ASSISTANT, (SIGNED, Thinking(redacted="enc", maker="anthropic"), Text("so"), CALL)),
        Message(USER, (ToolResult("t1", (Text("no"), PNG), is_error=True, cache=Cache()),)),
        stream=True,
        system=(Text("be"), Text("kind", cache=Cache())),
        tools=(msgspec.structs.replace(F, strict=True, cache=Cache()),),
        tool_choice=ToolChoice(Choice.AUTO),
        parallel=False,
        max_tokens=77,
        temperature=0.5,
        stop=("a", "b", "c", "d", "e"),
        output=JsonOutput(SCHEMA, name="n"),
        user="u",
        tier="auto",
    )
    mark = {"type": "ephemeral"}
    sent = body(request)
    assert composed(request).dropped == ()
    assert sent["stream"] is True
    assert sent["system"] == [
        {"type": "text", "text": "be"},
        {"type": "text", "text": "kind", "cache_control": mark},
    ]
    assert sent["tools"][0]["strict"] is True
    assert sent["tools"][0]["cache_control"] == mark
    assert sent["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert sent["messages"][0]["content"] == [
        {"type": "text", "text": "look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0x"},
            "title": "a.pdf",
            "context": "c",
            "citations": {"enabled": True},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "t"},
    ]
    assert sent["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "enc"},
    ]
    assert sent["messages"][2]["content"][0]["is_error"] is True
    assert sent["messages"][2]["content"][0]["cache_control"] == mark
    assert sent["output_config"] == {"format": {"type": "json_schema", "schema": json.loads(bytes(SCHEMA))}}
    assert (sent["max_tokens"], sent["temperature"], sent["stop_sequences"]) == (77, 0.5, list("abcde"))
    assert (sent["metadata"], sent["service_tier"]) == ({"user_id": "u"}, "auto")


def test_json_is_copied_byte_for_byte() -> None:
    request = asked(*LOOP, tools=(F,), output=JsonOutput(SCHEMA))
    sent = composed(request).body
    assert sent.count(bytes(SCHEMA)) == 2
    assert b'"input":{"a": 1.50}' in sent


def test_turns_of_one_role_are_joined_and_results_stand_in_front(body: Body) -> None:
    request = asked(
        Message(ASSISTANT, (Text("a"),)),
        Message(ASSISTANT, (ToolUse("1", "f", "{}"), ToolUse("2", "f", ""))),
        Message(USER, (ToolResult("1", (Text("one"),)),)),
        Message(USER, (Text("and"),)),
        Message(USER, (ToolResult("2", ()),)),
        tools=(F,),
    )
    turns = body(request)["messages"]
    assert [turn["role"] for turn in turns] == ["assistant", "user"]
    assert [block["type"] for block in turns[0]["content"]] == ["text", "tool_use", "tool_use"]
    assert turns[0]["content"][2]["input"] == {}
    assert [block["type"] for block in turns[1]["content"]] == ["tool_result", "tool_result", "text"]


def test_texts_without_a_word_are_left_out(body: Body) -> None:
    request = asked(
        Message(USER, (Text(""), Text("hi"), Text(" \n"))),
        Message(ASSISTANT, (Text("  "),)),
        Message(USER, (ToolResult("t1", (Text(""),)), Document(text=" "))),
        system=(Text("\t"),),
        tools=(F,),
    )
    sent = body(request)
    assert "system" not in sent
    assert sent["messages"] == [
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1"}, {"type": "text", "text": "hi"}],
        }
    ]


def test_instructions_in_the_middle_keep_their_place(body: Body) -> None:
    turns = body(asked(HI, Message(ASSISTANT, (Text("a"),)), Message(SYSTEM, (Text("now"),)), HI))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["text"] for block in turns[2]["content"]] == ["<system>\nnow\n</system>", "hi"]


def test_instructions_alone_are_a_question(body: Body) -> None:
    sent = body(Request(format="openai-chat", system=(Text("do it"),)))
    assert sent["messages"] == [{"role": "user", "content": "do it"}]
    assert "system" not in sent


def test_a_conversation_without_a_word_is_not_served() -> None:
    assert unserved(Request(format="openai-chat", messages=(Message(USER, (Text(" "),)),)))


def test_a_turn_to_be_continued(body: Body) -> None:
    request = asked(HI, Message(ASSISTANT, (Text("Well: "),)))
    assert body(request)["messages"][1] == {"role": "assistant", "content": "Well:"}
    assert unserved(request, NEW) == ("the model does not continue an assistant's turn",)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(Choice.AUTO), None, {"type": "auto"}),
        (ToolChoice(Choice.REQUIRED), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice(Choice.TOOL, "f"), True, {"type": "tool", "name": "f"}),
        (ToolChoice(Choice.NONE), False, {"type": "none"}),
    ],
)
def test_the_choice(body: Body, choice: ToolChoice | None, parallel: bool | None, expected: object) -> None:
    assert body(asked(tools=(F,), tool_choice=choice, parallel=parallel)).get("tool_choice") == expected


def test_a_choice_without_tools_is_none(body: Body) -> None:
    assert "tool_choice" not in body(asked(tool_choice=ToolChoice(Choice.AUTO), parallel=False))


def test_only_allowed_tools_are_offered(body: Body) -> None:
    other = msgspec.structs.replace(F, name="g")
    sent = body(asked(tools=(F, other), tool_choice=ToolChoice(Choice.REQUIRED, allowed=("g",))))
    assert [tool["name"] for tool in sent["tools"]] == ["g"]
    assert sent["tool_choice"] == {"type": "any"}


def test_a_history_with_tools_but_no_tools_names_those_it_used(body: Body) -> None:
    sent = body(asked(*LOOP))
    assert [tool["name"] for tool in sent["tools"]] == ["f"]
    assert sent["tool_choice"] == {"type": "none"}


def test_names_and_ids_that_the_api_forbids_are_changed_reversibly(body: Body) -> None:
    name, identity = "mcp.server/list issues" + "x" * 70, "functions.f:0"
    request = asked(
        HI,
        Message(ASSISTANT, (ToolUse(identity, name, "{}"),)),
        Message(USER, (ToolResult(identity, (Text("done"),)),)),
        tools=(msgspec.structs.replace(F, name=name),),
        tool_choice=ToolChoice(Choice.TOOL, name),
    )
    made, sent = composed(request), body(request)
    call = sent["messages"][1]["content"][0]
    assert made.names == {call["name"]: name}
    assert made.ids == {call["id"]: identity}
    assert call["name"] == sent["tools"][0]["name"] == sent["tool_choice"]["name"]
    assert call["id"] == sent["messages"][2]["content"][0]["tool_use_id"]
    assert len(call["name"]) <= 64


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (None, {"type": "object", "properties": {}}),
        (b"{}", {"type": "object"}),
        (b'{"properties":{"a":{}},"$defs":{}}', {"type": "object", "properties": {"a": {}}, "$defs": {}}),
    ],
)
def test_a_schema_says_that_it_is_of_an_object(body: Body, schema: bytes | None, expected: object) -> None:
    tool = Tool("f", schema=None if schema is None else msgspec.Raw(schema))
    assert body(asked(tools=(tool,)))["tools"][0]["input_schema"] == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("", {}), ('{"a":', {}), ('{"a":1,"b":"x', {"a": 1, "b": "x"}), ("words", {"input": "words"})],
)
def test_arguments_are_an_object(body: Body, arguments: str, expected: object) -> None:
    sent = body(asked(HI, Message(ASSISTANT, (ToolUse("t1", "f", arguments),)), LOOP[2], tools=(F,)))
    assert sent["messages"][1]["content"][0]["input"] == expected


def test_invoke_names_neither_model_nor_stream() -> None:
    request = asked(stream=True, tier="auto", betas=("output-128k-2025-02-19",))
    made = INVOKE.compose(request, Target("claude", OLD))
    assert json.loads(made.body) == {
        "anthropic_version": "bedrock-2023-05-31",
        "anthropic_beta": ["output-128k-2025-02-19"],
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "hi"}],
    }
    assert made.dropped == ()
    assert json.loads(INVOKE.compose(asked(), Target("c", Facts(), STRICT)).body)["anthropic_version"] == STRICT


def test_a_count_of_tokens(counted: Callable[[bytes], dict[str, Any]]) -> None:
    request = asked(
        *LOOP, system=(Text("s"),), tools=(F,), max_tokens=9, temperature=0.1, stop=("x",), user="u", stream=True,
        reasoning=Reasoning(effort="low"), output=JsonOutput(SCHEMA),
    )  # fmt: skip
    sent = counted(MESSAGES.compose_count(request, Target("claude", NEW)).body)
    assert sent.keys() == {"model", "messages", "system", "tools", "thinking", "output_config"}


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [turn["role"] for turn in messages]


def test_instructions_in_the_middle_are_the_systems_where_the_model_takes_them(body: Body) -> None:
    told, said = Message(Role.SYSTEM, (Text("now in French"),)), Message(ASSISTANT, (Text("yes"),))
    after, before = asked(HI, told, said, HI, told), asked(HI, said, told, HI)
    facts = Facts(system_turns=True)
    sent = body(after, facts)["messages"]
    assert roles(sent) == ["user", "system", "assistant", "user", "system"]
    assert sent[1]["content"] == "now in French"
    assert roles(body(after)["messages"]) == ["user", "assistant", "user"]
    # Only after the user's turn and before the model's.
    assert roles(body(before, facts)["messages"]) == ["user", "assistant", "user"]
    assert body(before, facts)["messages"][2]["content"][0]["text"] == "<system>\nnow in French\n</system>"
    assert roles(json.loads(INVOKE.compose(after, Target("c", facts)).body)["messages"]) == roles(
        body(after)["messages"]
    )
