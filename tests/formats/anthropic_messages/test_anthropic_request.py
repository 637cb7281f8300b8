"""What clients of Messages send: the official SDK says how."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Document,
    Image,
    JsonOutput,
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

CODEC = AnthropicMessagesCodec()
HI = {"role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}, "required": ["a"]}


def sent(**members: Any) -> bytes:  # noqa: ANN401
    """Return the body that the SDK sends."""
    bodies = []

    def take(request: httpx2.Request) -> httpx2.Response:
        bodies.append(request.content)
        return httpx2.Response(200, json={"type": "message", "content": []})

    with anthropic.Anthropic(
        api_key="k", base_url="http://127.0.0.1", http_client=httpx2.Client(transport=httpx2.MockTransport(take))
    ) as client:
        client.messages.create(**{"model": "claude", "max_tokens": 9, "messages": [HI], **members})
    return bodies[0]


def read(body: bytes | dict[str, Any], *, model: str = "", stream: bool = False) -> Request:
    data = body if isinstance(body, bytes) else json.dumps({"messages": [HI], **body}).encode()
    return CODEC.read_request(data, model=model, stream=stream)


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    return read({"messages": [{"role": role, "content": list(blocks)}]}).messages[0].parts


def raw(value: Any) -> object:  # noqa: ANN401
    return json.loads(bytes(value or b"null"))


def test_the_least() -> None:
    request = read(sent())
    assert (request.format, request.model, request.max_tokens) == ("anthropic-messages", "claude", 9)
    assert request.messages == (Message(Role.USER, (Text("hi"),)),)
    assert (request.stream, request.bound, request.extra, request.temperature_max) == (False, (), {}, 1.0)


def test_all_the_settings() -> None:
    request = read(
        sent(
            system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
            tools=[{"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True, "type": "custom"}],
            tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            stop_sequences=["a", "b"],
            thinking={"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
            output_config={"effort": "max", "format": {"type": "json_schema", "schema": SCHEMA}},
            metadata={"user_id": "u"},
            service_tier="standard_only",
            cache_control={"type": "ephemeral"},
            stream=True,
            extra_body={"temperature": 0.5, "top_p": 1, "top_k": 3},
        )
    )
    assert request.system == (Text("s", cache=Cache("1h")),)
    tool = request.tools[0]
    assert (tool.name, tool.description, tool.strict, raw(tool.schema)) == ("f", "d", True, SCHEMA)
    assert (request.tool_choice, request.parallel) == (ToolChoice(Choice.TOOL, "f"), False)
    assert (request.stop, request.user, request.tier, request.cache) == (("a", "b"), "u", "standard_only", Cache())
    assert request.reasoning == Reasoning(enabled=True, budget=2000, effort="max", display="omitted")
    assert request.output is not None
    assert raw(request.output.schema) == SCHEMA
    assert (request.temperature, request.top_p, request.top_k, request.stream) == (0.5, 1.0, 3, True)
    assert (request.bound, request.extra) == ((), {})


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", cache=Cache())),
        ({"type": "text", "text": "a", "citations": None, "cache_control": None}, Text("a")),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
            Image(Source(data="AA", media_type="image/png")),
        ),
        ({"type": "image", "source": {"type": "url", "url": "https://x"}}, Image(Source(url="https://x"))),
        ({"type": "image", "source": {"type": "file", "file_id": "file_1"}}, Image(Source(file="file_1"))),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"},
                "title": "t",
                "context": "c",
                "citations": {"enabled": True},
                "cache_control": {"type": "ephemeral", "ttl": "5m"},
            },
            Document(Source(data="AA", media_type="application/pdf"), "", "t", "c", citations=True, cache=Cache("5m")),
        ),
        ({"type": "document", "source": {"type": "url", "url": "https://x"}}, Document(Source(url="https://x"))),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "title": None,
            },
            Document(text="words"),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": t} for t in "ab"]}},
            Document(text="a\n\nb"),
        ),
        ({"type": "document", "source": {"type": "content", "content": "ab"}}, Document(text="ab")),
        (
            {"type": "search_result", "source": "https://x", "title": "t", "content": [{"type": "text", "text": "a"}]},
            Document(text="a", name="t", context="https://x"),
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": "no", "is_error": True},
            ToolResult("t", (Text("no"),), is_error=True),
        ),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image", "source": {"type": "url", "url": "https://x"}},
                ],
            },
            ToolResult("t", (Text("see"), Image(Source(url="https://x")))),
        ),
        ({"type": "tool_result", "tool_use_id": "t"}, ToolResult("t", ())),
    ],
)
def test_what_a_user_says(block: dict[str, Any], part: Part) -> None:
    assert parts(block) == (part,)
    assert read(sent(messages=[{"role": "user", "content": [block]}])).messages[0].parts == (part,)


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "thinking", "thinking": "a", "signature": "s"}, Thinking("a", "s", maker="anthropic")),
        ({"type": "thinking", "thinking": "", "signature": "s"}, Thinking("", "s", maker="anthropic")),
        ({"type": "thinking", "thinking": "a", "signature": ""}, Thinking("a")),
        ({"type": "redacted_thinking", "data": "e"}, Thinking(redacted="e", maker="anthropic")),
        (
            {"type": "thinking", "thinking": "a", "signature": "hydrallm:openai:rs_1:e:nc"},
            Thinking("a", "e:nc", maker="openai", id="rs_1"),
        ),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {}}, ToolUse("t", "f", "{}")),
    ],
)
def test_what_an_assistant_said(block: dict[str, Any], part: Part) -> None:
    assert parts(block, role="assistant") == (part,)


def test_arguments_are_kept_as_they_are_written() -> None:
    call = b'{"type":"tool_use","id":"t","name":"f","input":{"a": 1.50, "b":"\\u00e9"}}'
    assert read(b'{"messages":[{"role":"assistant","content":[' + call + b"]}]}").messages[0].parts == (
        ToolUse("t", "f", '{"a": 1.50, "b":"\\u00e9"}'),
    )


def test_citations_are_kept() -> None:
    citation = {"type": "char_location", "cited_text": "s"}
    (text,) = parts({"type": "text", "text": "a", "citations": [citation]}, role="assistant")
    assert isinstance(text, Text)
    assert raw(text.citations) == [citation]


def test_instructions_in_the_middle() -> None:
    request = read({"system": "", "messages": [HI, {"role": "system", "content": "now"}, HI]})
    assert request.system == ()
    assert request.messages[1] == Message(Role.SYSTEM, (Text("now"),))


@pytest.mark.parametrize(
    ("thinking", "effort", "reasoning"),
    [
        (None, None, None),
        ({"type": "adaptive"}, "low", Reasoning(enabled=True, adaptive=True, effort="low")),
        (
            {"type": "adaptive", "display": "summarized"},
            None,
            Reasoning(enabled=True, adaptive=True, display="summarized"),
        ),
        ({"type": "disabled"}, None, Reasoning(enabled=False)),
        (None, "high", Reasoning(effort="high")),
    ],
)
def test_reasoning(thinking: object, effort: str | None, reasoning: Reasoning | None) -> None:
    assert read({"thinking": thinking, "output_config": {"effort": effort}}).reasoning == reasoning


def test_the_output_format_of_the_beta() -> None:
    request = read({"output_format": {"type": "json_schema", "schema": SCHEMA}})
    assert isinstance(request.output, JsonOutput)
    assert raw(request.output.schema) == SCHEMA


SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"container": "c1"}, "`container`"),
        ({"max_tokens": 0}, "`max_tokens` of 0, which only warms a cache"),
        (
            {"tools": [SEARCH], "tool_choice": {"type": "tool", "name": "web_search"}},
            "a forced call of a tool that Anthropic runs",
        ),
        ({"tools": [SEARCH], "tool_choice": {"type": "any"}}, "a forced call of a tool that Anthropic runs"),
        (
            {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]},
            "content of the type 'container_upload'",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "s3"}}]}]},
            "content of the type 's3'",
        ),
    ],
)
def test_what_only_anthropic_can_serve(members: dict[str, Any], reason: str) -> None:
    assert read(members).bound == (reason,)


def test_what_says_nothing_binds_nothing() -> None:
    request = read({"container": None, "mcp_servers": [], "tools": None, "speed": "standard", "betas": []})
    assert (request.bound, request.extra) == ((), {})


def test_members_that_nobody_knows() -> None:
    request = read(
        {
            "context_management": {"edits": [{"type": "x"}]},
            "speed": None,
            "output_config": {"task_budget": 3},
            "thinking": {"type": "between_tools"},
            "tools": [{"name": "f", "input_schema": {}, "defer_loading": True}],
        }
    )
    assert {name: raw(value) for name, value in request.extra.items()} == {
        "context_management": {"edits": [{"type": "x"}]},
        "output_config.task_budget": 3,
        "thinking": {"type": "between_tools"},
        "tools.defer_loading": True,
    }
    assert (request.bound, request.reasoning) == ((), None)


def test_the_path_says_model_and_stream_on_bedrock() -> None:
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [HI]}).encode()
    request = BedrockInvokeCodec().read_request(body, model="anthropic.claude", stream=True)
    assert (request.format, request.model, request.stream) == ("bedrock-invoke", "anthropic.claude", True)
    assert request.extra == {}


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[]", "expected `object`"),
        (b"{}", "`messages`"),
        (b'{"messages":[]}', "messages"),
        (b'{"prompt":"Human: hi"}', "`messages`"),
        (b'{"messages":[{"role":"tool","content":"x"}]}', r"messages\[0?\.*\]?.*role"),
        (b'{"messages":[{"role":"user","content":7}]}', "content"),
        (b'{"messages":[{"role":"user","content":[{"text":"x"}]}]}', r"messages\[0\]\.content\[0\]: .*`type`"),
        (b'{"messages":[{"role":"user","content":[{"type":"text","text":7}]}]}', r"content\[0\]\.text: expected `str`"),
        (b'{"messages":[{"role":"user","content":[{"type":"tool_use","id":"a","name":"b","input":[]}]}]}', "input"),
        (
            b'{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url"}}]}]}',
            "source: it says 'url'",
        ),
        (
            b'{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":[{"type":"thinking","thinking":""}]}]}]}',
            "texts, images and documents only",
        ),
        (b'{"messages":[{"role":"user","content":"x"}],"system":[{"type":"thinking","thinking":""}]}', "system"),
        (b'{"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f"}]}', r"tools\[0\]: .*`input_schema`"),
        (b'{"messages":[{"role":"user","content":"x"}],"tools":[{"name":"f","input_schema":[]}]}', "input_schema"),
        (b'{"messages":[{"role":"user","content":"x"}],"thinking":{"type":"enabled"}}', "budget_tokens"),
        (b'{"messages":[{"role":"user","content":"x"}],"max_tokens":-1}', "max_tokens"),
        (b'{"messages":[{"role":"user","content":"\xff"}]}', "UTF-8"),
        (b'{"messages":[{"role":"user","content":[' + b"[" * 9999, "nested too deep|no JSON"),
        (
            b'{"messages":[{"role":"user","content":"x"}],"output_format":{"type":"json_schema","schema":3}}',
            "schema: expected `object`",
        ),
    ],
)
def test_what_is_no_request(body: bytes, where: str) -> None:
    with pytest.raises(UntranslatableError, match=where):
        read(body)


def test_half_a_character_is_a_question_mark() -> None:
    for content in (b'"a\\ud83d"', b'[{"type":"text","text":"a\\ud83d"}]'):
        request = read(b'{"messages":[{"role":"user","content":' + content + b"}]}")
        assert request.messages[0].parts == (Text("a?"),)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "source", "input", "name", "id", "role", "ttl", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
KINDS = [
    "text",
    "image",
    "document",
    "search_result",
    "thinking",
    "redacted_thinking",
    "tool_use",
    "tool_result",
    "new",
]


@given(
    st.dictionaries(st.sampled_from(sorted({*Request.__struct_fields__, "thinking", "output_config"})), ANYTHING),
    ANYTHING,
)
def test_anything_is_read_or_refused(members: dict[str, Any], content: object) -> None:
    for message in ({"role": "user", "content": content}, {"role": "assistant", "content": [content]}):
        try:
            request = read(json.dumps({"messages": [message], **members}).encode())
        except UntranslatableError:
            continue
        assert request.messages


MEMBERS = [
    "text",
    "source",
    "content",
    "input",
    "id",
    "name",
    "data",
    "tool_use_id",
    "cache_control",
    "title",
    "thinking",
]


@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(MEMBERS), ANYTHING))
def test_any_block_is_read_or_refused(kind: str, members: dict[str, Any]) -> None:
    body = {"messages": [{"role": "user", "content": [{**members, "type": kind}]}]}
    try:
        request = read(json.dumps(body).encode())
    except UntranslatableError:
        return
    assert request.messages[0].parts or request.extra or request.bound[0].startswith(("a ", "content of the type "))
