"""What is beside the conversation in a request composed for Converse, and whatever else may be asked."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Composed,
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
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UnservedError,
)
from hydrallm.formats.facts import Facts

Compose = Callable[..., tuple[dict[str, Any], Composed]]
Refused = Callable[..., tuple[str, ...]]

CLAUDE, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-pro-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
HELLO = Message(Role.USER, (Text("hello"),))
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}}
TOOL = Tool("look", "looks", msgspec.Raw(msgspec.json.encode(SCHEMA)))
CALLED = (
    HELLO,
    Message(Role.ASSISTANT, (ToolUse("call-1", "look", '{"x": 1}'),)),
    Message(Role.USER, (ToolResult("call-1", (Text("seen"),)),)),
)


def ask(*messages: Message, **members: Any) -> Request:  # noqa: ANN401 - any member of a Request
    return Request(format="openai-chat", messages=messages or (HELLO,), **members)


def user(*parts: Part) -> Message:
    return Message(Role.USER, parts)


@pytest.mark.parametrize(
    ("choice", "parallel", "said"),
    [
        (None, None, ({}, {})),
        (ToolChoice(Choice.AUTO), True, ({}, {})),
        (ToolChoice(Choice.REQUIRED), None, ({"any": {}}, {})),
        (ToolChoice(Choice.TOOL, "look"), None, ({"tool": {"name": "look"}}, {})),
        (None, False, ({}, {"type": "auto", "disable_parallel_tool_use": True})),
        (ToolChoice(Choice.REQUIRED), False, ({}, {"type": "any", "disable_parallel_tool_use": True})),
        (
            ToolChoice(Choice.TOOL, "look"),
            False,
            ({}, {"type": "tool", "name": "look", "disable_parallel_tool_use": True}),
        ),
    ],
)
def test_which_tools_are_called(
    compose: Compose, choice: ToolChoice | None, parallel: bool | None, said: tuple[Any, Any]
) -> None:
    request = ask(tools=(TOOL,), tool_choice=choice, parallel=parallel)
    wire, composed = compose(request)
    config, own = said
    assert wire["toolConfig"].get("toolChoice", {}) == config
    assert wire.get("additionalModelRequestFields", {}).get("tool_choice", {}) == own
    assert composed.dropped == ()
    other, composed = compose(request, NOVA)
    assert "additionalModelRequestFields" not in other
    assert composed.dropped == (("parallel",) if parallel is False else ())


def test_cache_marks_after_tools_are_for_claude(compose: Compose) -> None:
    request = ask(user(Text("hi", cache=Cache())), tools=(msgspec.structs.replace(TOOL, cache=Cache()),))
    point = {"cachePoint": {"type": "default"}}
    wire, composed = compose(request)
    assert (wire["toolConfig"]["tools"][1:], composed.dropped) == ([point], ())
    wire, composed = compose(request, NOVA)
    assert (wire["toolConfig"]["tools"][1:], composed.dropped) == ([], ("cache",))
    assert wire["messages"][0]["content"][1:] == [point]


def test_no_tool_may_be_called(compose: Compose) -> None:
    none = ToolChoice(Choice.NONE)
    wire, composed = compose(ask(tools=(TOOL,), tool_choice=none, parallel=False))
    assert "toolConfig" not in wire, "without a history it is enough not to send them"
    assert "additionalModelRequestFields" not in wire
    wire, composed = compose(ask(*CALLED, tools=(TOOL,), tool_choice=none))
    assert wire["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    assert "toolChoice" not in wire["toolConfig"]
    assert composed.dropped == ()
    wire, composed = compose(ask(*CALLED, tools=(TOOL,), tool_choice=none), NOVA)
    assert composed.dropped == ("tool_choice",)


def test_a_choice_without_tools(compose: Compose) -> None:
    wire, composed = compose(ask(tool_choice=ToolChoice(Choice.AUTO), parallel=False))
    assert wire == {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
    assert composed.dropped == ()


def test_only_the_tools_that_are_allowed(compose: Compose, refused: Refused) -> None:
    tools = (TOOL, Tool("b"), Tool("c"))
    allowed = ToolChoice(Choice.REQUIRED, allowed=("c", "look"))
    wire, _ = compose(ask(tools=tools, tool_choice=allowed))
    assert [tool["toolSpec"]["name"] for tool in wire["toolConfig"]["tools"]] == ["look", "c"]
    nobody = ask(tools=tools, tool_choice=ToolChoice(Choice.AUTO, allowed=("x",)))
    assert refused(nobody) == ("none of the tools that may be called is there",)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (None, {"type": "object", "properties": {}}),
        (b"{}", {"type": "object"}),
        (b"true", {"type": "object", "properties": {}}),
        (b'{"properties":{"a":{}}}', {"type": "object", "properties": {"a": {}}}),
        (b'{"type":"object","$defs":{"n":{"x-mine":[1]}}}', {"type": "object", "$defs": {"n": {"x-mine": [1]}}}),
    ],
)
def test_the_whole_schema(compose: Compose, schema: bytes | None, said: dict[str, Any]) -> None:
    tool = Tool("f", " ", msgspec.Raw(schema) if schema else None, strict=True)
    wire, _ = compose(ask(tools=(tool,)))
    assert wire["toolConfig"]["tools"] == [{"toolSpec": {"name": "f", "inputSchema": {"json": said}, "strict": True}}]


def test_sampling_is_clamped(compose: Compose, refused: Refused) -> None:
    request = ask(max_tokens=100_000, temperature=1.7, temperature_max=2.0, top_p=1.5, top_k=5, stop=("END", " "))
    wire, composed = compose(request, NOVA, Facts(max_output=5000))
    assert wire["inferenceConfig"] == {"maxTokens": 5000, "temperature": 1.0, "topP": 1.0, "stopSequences": ["END"]}
    assert wire["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 5}}
    assert "additionalModelResponseFieldPaths" not in wire
    assert composed.dropped == ("stop",)
    wire, composed = compose(request)
    assert wire["inferenceConfig"] == {"maxTokens": 100_000, "temperature": 1.0, "stopSequences": ["END"]}
    assert wire["additionalModelRequestFields"] == {"top_k": 5}
    assert wire["additionalModelResponseFieldPaths"] == ["/stop_sequence"], "Claude says which one it met if asked"
    assert composed.dropped == ("top_p", "stop")
    wire, composed = compose(request, facts=Facts(sampling=False))
    assert composed.dropped == ("temperature", "top_p", "stop", "top_k")
    assert compose(request, LLAMA)[1].dropped == ("stop", "top_k")
    assert refused(ask(stop=("x",) * 2501)) == ("2501 stop sequences: Converse takes 2500",)


def test_output(compose: Compose) -> None:
    schema = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"string"}},"x":1}')
    wire, _ = compose(ask(output=JsonOutput(schema, "answer", "what it is", strict=True)))
    text_format = wire["outputConfig"]["textFormat"]
    assert text_format == {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": bytes(schema).decode(), "name": "answer", "description": "what it is"}},
    }
    assert compose(ask(output=JsonOutput()))[1].dropped == ("output",)


def test_what_cannot_be_said_is_dropped_by_name(compose: Compose) -> None:
    request = ask(
        Message(Role.USER, (Text("hi", citations=msgspec.Raw(b"[]")),), name="bob"),
        seed=1,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        verbosity="low",
        cache_key="k",
        tier="scale",
        user="{json}",
        metadata={"ok": "fine", "naïve": "x"},
        extra={"safety": msgspec.Raw(b"1")},
    )
    wire, composed = compose(request)
    assert wire["requestMetadata"] == {"ok": "fine"}
    assert set(composed.dropped) == {
        "name", "citations", "seed", "frequency_penalty", "presence_penalty", "verbosity", "cache_key", "tier",
        "user", "metadata", "safety",
    }  # fmt: skip


def test_metadata_and_tiers(compose: Compose) -> None:
    many = {f"k{number}": "v" for number in range(20)}
    wire, composed = compose(ask(user="u-1", metadata=many, tier="flex"))
    assert len(wire["requestMetadata"]) == 16
    assert wire["requestMetadata"]["user_id"] == "u-1"
    assert wire["serviceTier"] == {"type": "flex"}
    assert composed.dropped == ("metadata",)
    assert compose(ask(tier="standard_only"))[0]["serviceTier"] == {"type": "default"}
    assert compose(ask(tier="auto"))[1].dropped == ()


TEXTS = st.text(max_size=8)
CACHES = st.none() | st.builds(Cache, st.sampled_from(["", "5m", "1h", "2h"]))
IMAGES = st.builds(Image, st.builds(Source, data=st.just(PNG)), cache=CACHES)
WORDS = st.builds(Text, TEXTS, cache=CACHES)
DOCUMENTS = st.builds(Document, text=TEXTS, name=TEXTS, context=TEXTS, citations=st.booleans(), cache=CACHES)
RESULTS = st.builds(
    ToolResult,
    TEXTS,
    st.lists(WORDS | IMAGES, max_size=2).map(tuple),
    is_error=st.none() | st.booleans(),
    cache=CACHES,
)
ARGUMENTS = st.sampled_from(["", "{}", '{"a": [1, {"b": null}]}', '{"cut": "of', "[1]", "nothing"])
USES = st.builds(ToolUse, TEXTS, TEXTS, ARGUMENTS, cache=CACHES)
THOUGHTS = st.builds(
    Thinking, TEXTS, TEXTS, st.sampled_from(["", "ZW5j"]), st.sampled_from(["", "openai", "anthropic"])
)
MESSAGES = st.one_of(
    st.builds(Message, st.just(Role.USER), st.lists(WORDS | IMAGES | DOCUMENTS | RESULTS, max_size=4).map(tuple)),
    st.builds(Message, st.just(Role.ASSISTANT), st.lists(WORDS | USES | THOUGHTS, max_size=4).map(tuple)),
    st.builds(Message, st.just(Role.SYSTEM), st.lists(WORDS, max_size=2).map(tuple)),
)
CHOICES = st.none() | st.builds(ToolChoice, st.sampled_from(Choice), TEXTS)
REQUESTS = st.builds(
    Request,
    format=st.just("openai-chat"),
    messages=st.lists(MESSAGES, max_size=6).map(tuple),
    system=st.lists(WORDS, max_size=2).map(tuple),
    tools=st.lists(st.builds(Tool, TEXTS, TEXTS, strict=st.none() | st.booleans(), cache=CACHES), max_size=3).map(
        tuple
    ),
    tool_choice=CHOICES,
    parallel=st.none() | st.booleans(),
    max_tokens=st.none() | st.integers(0, 100_000),
    temperature=st.none() | st.floats(-1, 3),
    top_p=st.none() | st.floats(-1, 2),
    top_k=st.none() | st.integers(),
    stop=st.lists(TEXTS, max_size=5).map(tuple),
    reasoning=st.none()
    | st.builds(
        Reasoning,
        enabled=st.none() | st.booleans(),
        budget=st.none() | st.integers(0, 99_999),
        effort=st.sampled_from(["", "none", "minimal", "high", "max"]),
    ),
    user=TEXTS,
    metadata=st.dictionaries(TEXTS, TEXTS, max_size=3),
    tier=st.sampled_from(["", "auto", "priority", "fast"]),
    cache=CACHES,
)
FACTS = st.builds(
    Facts,
    max_output=st.none() | st.integers(1, 64_000),
    budget=st.booleans(),
    adaptive=st.booleans(),
    efforts=st.sampled_from([(), ("low", "high"), ("low", "medium", "high", "xhigh", "max")]),
    sampling=st.booleans(),
    cache=st.booleans(),
)


@settings(max_examples=150)
@given(request=REQUESTS, facts=FACTS, model=st.sampled_from([CLAUDE, NOVA, LLAMA]))
def test_whatever_is_asked_is_legal_or_refused(compose: Compose, request: Request, facts: Facts, model: str) -> None:
    try:
        wire, _ = compose(request, model, facts)
    except UnservedError:
        return
    thinking = wire.get("additionalModelRequestFields", {}).get("thinking", {})
    limit = min(wire.get("inferenceConfig", {}).get("maxTokens", 10**9), facts.max_output or 10**9)
    assert thinking.get("budget_tokens", 1024) >= 1024
    assert thinking.get("budget_tokens", 0) < limit
