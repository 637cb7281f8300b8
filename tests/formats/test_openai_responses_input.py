"""Conversations as the input of Responses: the official SDK's own types are the judge of what is composed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Composed,
    Document,
    Image,
    Message,
    Request,
    Role,
    Source,
    Target,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UnservedError,
)
from hydrallm.formats.facts import Facts
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

CODEC = OpenAIResponsesCodec()
PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams)
USER = Role.USER
HI = Message(USER, (Text("hi"),))
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"b":{"const":1.50},"a":{"$ref":"#/$defs/x"}}}')
TOOL = Tool("f", "d", SCHEMA)
PIXEL = "iVBORw0KGgo="


def asked(*messages: Message, format: str = "anthropic-messages", **members: Any) -> Request:  # noqa: A002, ANN401
    return Request(format=format, messages=messages or (HI,), **members)


def whole(value: object) -> object:
    """Return a validated value with what pydantic left to be checked as it is read."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, str | int | float | None):
        return value
    assert hasattr(value, "__iter__")
    return [whole(inner) for inner in value]


def composed(request: Request, **facts: Any) -> Composed:  # noqa: ANN401
    made = CODEC.compose(request, Target("gpt", Facts(**facts)))
    body = json.loads(made.body)
    # The types let unknown members pass and forget them; so what they let through has to be all there was.
    assert whole(PARAMS.validate_python(body)) == body
    return made


def body_of(request: Request, **facts: Any) -> dict[str, Any]:  # noqa: ANN401
    body: dict[str, Any] = json.loads(composed(request, **facts).body)
    return body


def items_of(*messages: Message, **members: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    found: list[dict[str, Any]] = body_of(asked(*messages, **members))["input"]
    return found


def reasons(request: Request, **facts: Any) -> tuple[str, ...]:  # noqa: ANN401
    with pytest.raises(UnservedError) as raised:
        CODEC.compose(request, Target("gpt", Facts(**facts)))
    return raised.value.reasons


def test_instructions() -> None:
    body = body_of(asked(HI, Message(Role.SYSTEM, (Text("c"),)), system=(Text("a"), Text("b"))))
    assert body["instructions"] == "a\n\nb"
    assert [item["role"] for item in body["input"]] == ["user", "system"]


def test_a_turn_of_all_kinds() -> None:
    turn = (
        Thinking("hm", "E", maker="openai", id="rs_1"),
        Text("I look."),
        ToolUse("c1", "f", '{"a": 1}'),
        ToolUse("c2", "g", "x = 1", custom=True),
    )
    results = (ToolResult("c1", (Text("1"),)), ToolResult("c2", (Text("2"),)), Text("and?"))
    assert items_of(HI, Message(Role.ASSISTANT, turn), Message(USER, results))[1:] == [
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "E",
        },
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x = 1"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": "2"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and?"}]},
    ]


def test_a_refusal_stays_one() -> None:
    (_, item) = items_of(HI, Message(Role.ASSISTANT, (Text("no", refusal=True),)))
    assert item["content"] == [{"type": "refusal", "refusal": "no"}]


def test_thoughts_of_other_makers_are_left_out_of_the_copy() -> None:
    turn = Message(Role.ASSISTANT, (Thinking("hm", "S", maker="anthropic"), Thinking("hm"), Text("a")))
    request = asked(HI, turn, HI)
    made = composed(request)
    assert b"reasoning" not in made.body
    assert made.dropped == ("thinking",)
    assert request.messages[1] == turn


def test_a_thought_from_which_nothing_followed_is_left_out() -> None:
    thought = Message(Role.ASSISTANT, (Thinking("hm", "E", maker="openai", id="rs_1"),))
    assert [item["type"] for item in items_of(HI, thought, HI)] == ["message", "message"]
    called = Message(Role.ASSISTANT, (ToolUse("c", "f", "{}"),))
    assert [item["type"] for item in items_of(HI, thought, called)][1:] == ["reasoning", "function_call"]


def test_a_call_without_arguments() -> None:
    assert items_of(HI, Message(Role.ASSISTANT, (ToolUse("c", "f", ""),)))[1]["arguments"] == "{}"


def test_that_a_tool_failed_is_said_in_words() -> None:
    call = Message(Role.ASSISTANT, (ToolUse("c", "f", "{}"),))
    plain = ToolResult("c", (Text("no file"),), is_error=True)
    assert items_of(HI, call, Message(USER, (plain,)))[2]["output"] == "Error: no file"
    seen = ToolResult("c", (Text("a"), Image(Source(data=PIXEL))), is_error=True)
    assert items_of(HI, call, Message(USER, (seen,)))[2]["output"] == [
        {"type": "input_text", "text": "Error:"},
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"},
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Image(Source(url="https://a/b"), "low"), {"detail": "low", "image_url": "https://a/b"}),
        (
            Image(Source(data=PIXEL, media_type="image/webp")),
            {"detail": "auto", "image_url": f"data:image/webp;base64,{PIXEL}"},
        ),
        (
            Document(Source(data="JVBE", media_type="application/pdf")),
            {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        ),
        (
            Document(Source(data="JVBE"), name="a.pdf"),
            {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        ),
        (Document(Source(url="https://a/b.pdf")), {"file_url": "https://a/b.pdf"}),
        (Document(text="words", name="title"), {"text": "title\n\nwords"}),
        (Document(text="words"), {"text": "words"}),
    ],
)
def test_images_and_documents(part: Image | Document, expected: dict[str, Any]) -> None:
    (item,) = items_of(Message(USER, (part,)))
    (content,) = item["content"]
    del content["type"]
    assert content == expected


def test_what_is_said_about_a_document_comes_before_it() -> None:
    document = Document(Source(url="https://a/b"), context="of 2020", citations=True)
    made = composed(asked(Message(USER, (document,))))
    assert [part["type"] for part in json.loads(made.body)["input"][0]["content"]] == ["input_text", "input_file"]
    assert made.dropped == ("citations",)


def test_a_stored_file_is_of_its_provider() -> None:
    turn = Message(USER, (Image(Source(file="file-1")), Document(Source(file="file-2"))))
    body = body_of(asked(turn, format="openai-chat"))
    assert [part["file_id"] for part in body["input"][0]["content"]] == ["file-1", "file-2"]
    assert reasons(asked(turn)) == ("the id of a file at another provider",)


def test_cache_marks_are_written_for_models_that_take_breakpoints() -> None:
    marked = Message(USER, (Text("a", cache=Cache("1h")), Text("b", cache=Cache())))
    tool = msgspec.structs.replace(TOOL, cache=Cache())
    request = asked(marked, system=(Text("s", cache=Cache("5m")),), tools=(tool,), cache=Cache())
    made = composed(request)
    assert b"prompt_cache_breakpoint" not in made.body
    assert made.dropped == ("cache",)
    (first, second) = body_of(asked(marked, system=(Text("s", cache=Cache("5m")),)), breakpoints=True)["input"]
    assert first["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert (first["role"], second["content"][0]["prompt_cache_breakpoint"]) == (
        "system",
        {"mode": "explicit", "ttl": "12h"},
    )


def test_names_and_ids_are_changed_so_that_they_can_be_changed_back() -> None:
    name, identity = "mcp.files/read file", "x" * 70
    turn = Message(Role.ASSISTANT, (ToolUse(identity, name, "{}"),))
    request = asked(
        HI,
        turn,
        Message(USER, (ToolResult(identity, (Text("1"),)),)),
        tools=(Tool(name, schema=SCHEMA), Tool("", schema=SCHEMA), TOOL),
        tool_choice=ToolChoice(Choice.TOOL, name),
    )
    made = composed(request)
    body = json.loads(made.body)
    changed, empty, kept = (tool["name"] for tool in body["tools"])
    assert kept == "f"
    assert {changed, empty} == made.names.keys()
    assert (made.names[changed], made.names[empty]) == (name, "")
    assert body["tool_choice"]["name"] == body["input"][1]["name"] == changed
    call, result = body["input"][1:]
    assert call["call_id"] == result["call_id"]
    assert made.ids == {call["call_id"]: identity}
    assert len(call["call_id"]) <= 64


def test_a_thought_of_the_user_is_no_request() -> None:
    assert reasons(asked(Message(USER, (Thinking("hm"),))))


def test_half_a_surrogate_pair_cannot_be_served() -> None:
    assert len(reasons(asked(Message(USER, (Text("\ud800"),))))) == 1
