"""Whatever a client asks, what is composed is legal, and says it."""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.formats.anthropic_messages.samples import (
    ASSISTANT,
    EFFORTS,
    MESSAGES,
    PDF,
    PNG,
    SCHEMA,
    STRICT,
    SYSTEM,
    USER,
    Body,
    F,
    composed,
)

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
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
    UnservedError,
)
from hydrallm.formats.facts import Facts

TEXTS = st.builds(Text, st.text(max_size=5), cache=st.none() | st.builds(Cache, st.sampled_from(["", "5m", "1h"])))
IMAGES = st.sampled_from([PNG, Image(Source(url="https://x/i"), detail="low")])
DOCUMENTS = st.sampled_from([PDF, Document(text="words"), Document(Source(url="https://x/d"), name="n")])
IDS = st.sampled_from(["t1", "t2", "call.3:x"])
PARTS: dict[Role, st.SearchStrategy[Part]] = {
    USER: st.one_of(
        TEXTS,
        IMAGES,
        DOCUMENTS,
        st.builds(
            ToolResult, IDS, st.lists(TEXTS | IMAGES, max_size=2).map(tuple), st.sampled_from([None, True, False])
        ),
    ),
    ASSISTANT: st.one_of(
        TEXTS,
        st.builds(Thinking, st.text(max_size=3), st.text(max_size=3), st.just(""), st.sampled_from(["", "anthropic"])),
        st.builds(
            ToolUse, IDS, st.sampled_from(["f", "g.h"]), st.sampled_from(["", "{}", '{"a":1}', '{"a', "x", "[1]"])
        ),
    ),
    SYSTEM: TEXTS,
}
TURNS = st.sampled_from(list(Role)).flatmap(
    lambda role: st.builds(Message, st.just(role), st.lists(PARTS[role], max_size=3).map(tuple))
)
REASONING = st.builds(
    Reasoning,
    enabled=st.sampled_from([None, True, False]),
    budget=st.none() | st.integers(0, 100_000),
    adaptive=st.booleans(),
    effort=st.sampled_from(["", "none", "minimal", "low", "high", "max"]),
    summary=st.sampled_from(["", "auto"]),
)
REQUESTS = st.builds(
    Request,
    format=st.sampled_from(["openai-chat", "anthropic-messages", "bedrock-converse"]),
    stream=st.booleans(),
    system=st.lists(TEXTS, max_size=2).map(tuple),
    messages=st.lists(TURNS, min_size=1, max_size=5).map(tuple),
    tools=st.sampled_from([(), (F,), (F, Tool("g.h"))]),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(list(Choice)), st.just("f")),
    parallel=st.sampled_from([None, True, False]),
    max_tokens=st.none() | st.integers(1, 100_000),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 50),
    stop=st.lists(st.text(max_size=2), max_size=6).map(tuple),
    reasoning=st.none() | REASONING,
    output=st.sampled_from([None, JsonOutput(), JsonOutput(SCHEMA)]),
    cache=st.none() | st.just(Cache()),
)
FACTS = st.builds(
    Facts,
    max_output=st.sampled_from([None, 1000, 8192]),
    efforts=st.sampled_from([(), ("low", "high"), EFFORTS]),
    **{
        name: st.booleans()
        for name in (
            *("budget", "adaptive", "thinks_always", "sampling", "forced_tool", "forced_tool_thinking"),
            *("prefill", "system_turns", "json_output", "cache"),
        )
    },
)


@settings(max_examples=150)
@given(REQUESTS, FACTS, st.sampled_from(["", STRICT]))
def test_whatever_is_composed_is_legal(body: Body, request: Request, facts: Facts, version: str) -> None:
    try:
        sent = body(request, facts, version)
    except UnservedError:
        return
    assert sent["max_tokens"] >= 1
    roles = [turn["role"] for turn in sent["messages"]]
    assert all(one != other for one, other in itertools.pairwise(roles))
    blocks = [block for turn in sent["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    assert all(block["text"].strip() for block in blocks if block["type"] == "text")
    assert str(sent).count("'cache_control'") <= 4
    thinking = sent.get("thinking", {})
    if "budget_tokens" in thinking:
        assert 1024 <= thinking["budget_tokens"] < sent["max_tokens"]
    if thinking.get("type") in {"enabled", "adaptive"}:
        assert sent.get("temperature", 1) == 1
        assert "top_k" not in sent
        assert roles[-1] != "assistant"
        assert facts.forced_tool_thinking or sent.get("tool_choice", {}).get("type") not in {"any", "tool"}
    if any(block["type"] in {"tool_use", "tool_result"} for block in blocks):
        assert sent["tools"]


@settings(max_examples=100)
@given(REQUESTS)
def test_what_is_composed_is_read_again(request: Request) -> None:
    try:
        made = composed(request)
    except UnservedError:
        return
    read = MESSAGES.read_request(made.body, model="", stream=False)
    assert (read.model, read.stream, read.bound, read.extra) == ("claude", request.stream, (), {})
    said = [
        f"<system>\n{part.text}\n</system>" if message.role is SYSTEM and part.text.strip() else part.text
        for message in request.messages
        for part in message.parts
        if isinstance(part, Text)
    ]
    again = [part.text for message in read.messages for part in message.parts if isinstance(part, Text)]
    told = [text.text for text in request.system if text.text.strip()]
    kept = [text for text in said if text.strip()]
    assert sorted(map(str.strip, again)) in (sorted(map(str.strip, kept)), sorted(map(str.strip, told)))
    calls = [part for message in read.messages for part in message.parts if isinstance(part, ToolUse)]
    before = [part for message in request.messages for part in message.parts if isinstance(part, ToolUse)]
    assert [made.ids.get(call.id, call.id) for call in calls] == [call.id for call in before]
    assert [made.names.get(call.name, call.name) for call in calls] == [call.name for call in before]
    assert composed(msgspec.structs.replace(read, format=request.format)).dropped == ()
