"""What the items of a client's conversation say; the official SDK's own types say that they are such."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from hydrallm.formats.canonical import (
    Cache,
    Document,
    Image,
    Message,
    Request,
    Role,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

CODEC = OpenAIResponsesCodec()
PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams)
USER = Role.USER
PIXEL = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()


def read(legal: bool = True, **body: Any) -> Request:  # noqa: ANN401
    """Read a request, of which the SDK says as well that it is one."""
    if legal:
        PARAMS.validate_python({"model": "m", "input": "hi", **body})
    return CODEC.read_request(json.dumps(body).encode(), model="", stream=False)


def turns(*items: dict[str, Any], legal: bool = True) -> tuple[Message, ...]:
    return read(legal, input=[*items]).messages


def said(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [*content]}


def test_a_turn_is_as_many_items_as_were_needed() -> None:
    assert turns(
        {"role": "user", "content": "hi"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "E",
        },
        {
            "type": "message",
            "id": "msg_1",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}', "id": "fc_1"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x = 1"},
        {"type": "function_call_output", "call_id": "c1", "output": "1"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "2"}]},
        {"role": "user", "content": "and?"},
    ) == (
        Message(USER, (Text("hi"),)),
        Message(
            Role.ASSISTANT,
            (
                Thinking("hm", "E", maker="openai", id="rs_1"),
                Text("I look."),
                ToolUse("c1", "f", '{"a":1}'),
                ToolUse("c2", "g", "x = 1", custom=True),
            ),
        ),
        Message(USER, (ToolResult("c1", (Text("1"),)), ToolResult("c2", (Text("2"),)))),
        Message(USER, (Text("and?"),)),
    )


def test_instructions_at_the_beginning_and_in_the_middle() -> None:
    asked = read(
        instructions="a",
        input=[
            {"role": "developer", "content": "b"},
            said("system", {"type": "input_text", "text": "c"}),
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": "d"},
        ],
    )
    assert asked.system == (Text("a"), Text("b"), Text("c"))
    assert asked.messages == (Message(USER, (Text("hi"),)), Message(Role.SYSTEM, (Text("d"),)))


def test_an_image_among_the_first_instructions_stays_where_it_is() -> None:
    asked = read(input=[said("system", {"type": "input_image", "detail": "auto", "image_url": "https://a/b.png"})])
    assert (asked.system, [message.role for message in asked.messages]) == ((), [Role.SYSTEM])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "a"}, Text("a")),
        (
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            Text("a", cache=Cache("1h")),
        ),
        ({"type": "input_image", "detail": "low", "image_url": "https://a/b"}, Image(Source(url="https://a/b"), "low")),
        (
            {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PIXEL}"},
            Image(Source(data=PIXEL, media_type="image/png"), "auto"),
        ),
        ({"type": "input_image", "detail": "auto", "file_id": "file-1"}, Image(Source(file="file-1"), "auto")),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            Document(Source(data="JVBERi0=", media_type="application/pdf"), name="a.pdf"),
        ),
        (
            {"type": "input_file", "filename": "a.PDF", "file_data": "JVBERi0="},
            Document(Source(data="JVBERi0=", media_type="application/pdf"), name="a.PDF"),
        ),
        ({"type": "input_file", "file_url": "https://a/b"}, Document(Source(url="https://a/b"))),
        ({"type": "input_file", "file_id": "file-1"}, Document(Source(file="file-1"))),
    ],
)
def test_content(part: dict[str, Any], expected: object) -> None:
    assert turns(said("user", part)) == (Message(USER, (expected,)),)  # type: ignore[arg-type]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": [part]}
    assert turns(call, result)[1] == Message(USER, (ToolResult("c", (expected,)),))  # type: ignore[arg-type]


def test_what_an_assistant_said() -> None:
    note = {"type": "file_path", "file_id": "f", "index": 0}
    content = ({"type": "output_text", "text": "a", "annotations": [note]}, {"type": "refusal", "refusal": "no"})
    item = {**said("assistant", *content), "id": "msg_1", "status": "completed"}
    (turn,) = turns(item)
    cited = turn.parts[0]
    assert isinstance(cited, Text)
    assert cited.citations is not None
    assert (cited.text, msgspec.json.decode(cited.citations)) == ("a", [note])
    assert turn.parts[1] == Text("no", refusal=True)
    assert turns({"role": "assistant", "content": "b"}) == (Message(Role.ASSISTANT, (Text("b"),)),)


def test_a_thought_without_a_summary_says_itself() -> None:
    item = {"type": "reasoning", "id": "rs", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    assert turns(item) == (Message(Role.ASSISTANT, (Thinking("hm", maker="openai", id="rs"),)),)


@pytest.mark.parametrize("arguments", ["", "{}"])
def test_a_call_without_arguments(arguments: str) -> None:
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": arguments}
    assert turns(item) == (Message(Role.ASSISTANT, (ToolUse("c", "f", "{}"),)),)
