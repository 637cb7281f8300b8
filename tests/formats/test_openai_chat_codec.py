"""What Chat Completions can say survives the way from the canonical form into a body and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParams
from pydantic import TypeAdapter

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
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
CODEC = OpenAIChatCodec()
PARAMS: TypeAdapter[Any] = TypeAdapter(CompletionCreateParams)
TARGET = Target("gpt", Facts(efforts=EFFORTS, thoughts_back=True))
USER, ASSISTANT = Role.USER, Role.ASSISTANT
RAW = msgspec.Raw(b'{"type":"object","properties":{"a":{"const":1.50}}}')

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NAMES = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
IDS = st.text("abc09_", min_size=1, max_size=40)
DATA = st.sampled_from(["iVBORw0KGgo=", "JVBERi0="])
IMAGES: st.SearchStrategy[Part] = st.builds(
    Image,
    st.builds(Source, data=DATA, media_type=st.just("image/png")) | st.builds(Source, url=st.just("https://a/b?c")),
    detail=st.sampled_from(["", "low", "high", "auto"]),
)
DOCUMENTS: st.SearchStrategy[Part] = st.builds(
    Document, st.builds(Source, data=DATA, media_type=st.just("application/pdf")), name=WORDS
)
CALLS: st.SearchStrategy[Part] = st.builds(
    ToolUse, IDS, NAMES, st.sampled_from(["{}", '{"a":1.50}', '{"a'])
) | st.builds(
    ToolUse,
    IDS,
    NAMES,
    WORDS,
    custom=st.just(True),
)
RESULTS: st.SearchStrategy[Part] = st.builds(ToolResult, IDS, st.lists(st.builds(Text, WORDS), max_size=1).map(tuple))
TEXT = st.builds(Text, WORDS)


@st.composite
def turns(draw: st.DrawFn) -> list[Message]:
    """Return a user's turn and a model's, in the form in which a chat client would have said them."""
    said: list[Message] = []
    if results := tuple(draw(st.lists(RESULTS, max_size=2))):
        said.append(Message(USER, results))
    mixed = (*draw(st.lists(TEXT | IMAGES, max_size=2)), draw(IMAGES | DOCUMENTS))
    said.append(Message(USER, draw(st.just((draw(TEXT),)) | st.just(mixed)), draw(st.just("") | NAMES)))
    parts: list[Part] = []
    if draw(st.booleans()):
        parts.append(Thinking(draw(WORDS)))
    if draw(st.booleans()):
        parts.append(draw(TEXT))
    if draw(st.booleans()):
        parts.append(Text(draw(WORDS), refusal=True))
    parts += draw(st.lists(CALLS, max_size=2))
    said.append(Message(ASSISTANT, tuple(parts)))
    if draw(st.booleans()):
        said.append(Message(Role.SYSTEM, (draw(TEXT),)))
    return said


TOOLS = st.lists(
    st.builds(Tool, NAMES, st.none() | WORDS, st.just(RAW), st.none() | st.booleans()), min_size=1, max_size=3
)
WITH_TOOLS = st.fixed_dictionaries(
    {
        "tools": TOOLS.map(tuple),
        "tool_choice": st.sampled_from([None, *map(ToolChoice, (Choice.AUTO, Choice.NONE, Choice.REQUIRED))]),
        "parallel": st.sampled_from([None, False]),
    }
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.booleans(),
    "system": st.lists(TEXT, max_size=1).map(tuple),
    "max_tokens": st.none() | st.integers(1, 10**6),
    "temperature": st.none() | st.floats(0, 2),
    "top_p": st.none() | st.floats(0, 1),
    "stop": st.lists(WORDS, max_size=4).map(tuple),
    "seed": st.none() | st.integers(-(2**63), 2**63 - 1),
    "frequency_penalty": st.none() | st.floats(-2, 2),
    "presence_penalty": st.none() | st.floats(-2, 2),
    "reasoning": st.none()
    | st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]).map(
        lambda effort: Reasoning(enabled=effort != "none", effort=effort)
    ),
    "output": st.none()
    | st.just(JsonOutput())
    | st.builds(JsonOutput, st.just(RAW), NAMES, st.none() | WORDS, st.none() | st.booleans()),
    "verbosity": st.sampled_from(["", "low", "medium", "high"]),
    "user": st.text("abc", max_size=64),
    "tier": st.sampled_from(["", "default", "flex", "scale", "priority", "fast"]),
    "cache_key": st.text("abc", max_size=5),
}


def checked(value: object) -> bool:
    """Let pydantic check what it has left to be checked as it is read; it raises."""
    if isinstance(value, dict):
        return all(map(checked, value.values()))
    return isinstance(value, str | int | float | None) or all(map(checked, value))  # type: ignore[call-overload]


@settings(max_examples=40)
@given(
    st.lists(turns(), min_size=1, max_size=2),
    st.fixed_dictionaries({}, optional=MEMBERS),
    st.just({}) | WITH_TOOLS,
)
def test_what_chat_can_say_survives(
    conversation: list[list[Message]], members: dict[str, Any], tools: dict[str, Any]
) -> None:
    said = tuple(message for turn in conversation for message in turn)
    request = Request(format="openai-chat", model="gpt", messages=said, temperature_max=2.0, **members, **tools)
    made = CODEC.compose(request, TARGET)
    assert made.dropped == ()
    assert checked(PARAMS.validate_python(json.loads(made.body)))
    read = CODEC.read_request(made.body, model="", stream=False)
    assert read == msgspec.structs.replace(request, usage_in_stream=request.stream, names=read.names)
    assert CODEC.compose(read, TARGET).body == made.body


ANY_TEXT = st.builds(
    Text, st.text(max_size=4), st.booleans(), st.none() | st.just(msgspec.Raw(b"[]")), st.none() | st.just(Cache("1h"))
)
ANY_SOURCE = st.builds(Source, data=DATA) | st.builds(Source, url=st.just("https://a")) | st.builds(Source, file=IDS)
ANY_SEEN = st.builds(Image, ANY_SOURCE, WORDS) | st.builds(Document, st.none() | ANY_SOURCE, WORDS, WORDS, WORDS)
ANY_PART: st.SearchStrategy[Part] = st.one_of(
    ANY_TEXT,
    ANY_SEEN,
    st.builds(Thinking, st.text(max_size=3), st.text(max_size=3), st.text(max_size=3), st.just("anthropic"), IDS),
    st.builds(ToolUse, st.text(max_size=70), st.text(max_size=90), st.text(max_size=5), st.booleans()),
    st.builds(ToolResult, st.text(max_size=70), st.lists(ANY_TEXT | ANY_SEEN, max_size=2).map(tuple), st.booleans()),
)
ANY_TOOL = st.builds(Tool, st.text(max_size=90), st.none() | WORDS, st.none() | st.just(RAW), st.none() | st.booleans())
ANY_REQUEST = st.builds(
    Request,
    format=st.sampled_from(["anthropic-messages", "bedrock-converse", "openai-responses", "openai-chat"]),
    system=st.lists(ANY_TEXT, max_size=2).map(tuple),
    messages=st.lists(
        st.builds(Message, st.sampled_from(Role), st.lists(ANY_PART, max_size=3).map(tuple), st.text(max_size=3)),
        max_size=4,
    ).map(tuple),
    tools=st.lists(ANY_TOOL, max_size=2).map(tuple),
    tool_choice=st.none()
    | st.builds(ToolChoice, st.sampled_from(Choice), WORDS, st.lists(WORDS, max_size=1).map(tuple)),
    stop=st.lists(st.text(max_size=2), max_size=6).map(tuple),
    reasoning=st.none() | st.builds(Reasoning, st.none() | st.booleans(), st.none() | st.integers(), st.booleans()),
    output=st.none() | st.builds(JsonOutput, st.none() | st.just(RAW), st.text(max_size=70)),
    user=st.text(max_size=90),
    tier=st.text(max_size=3),
    metadata=st.dictionaries(WORDS, WORDS, max_size=1),
)
ANY_FACTS = st.builds(
    Facts,
    efforts=st.sampled_from([(), ("low", "high"), EFFORTS]),
    **{
        name: st.booleans()
        for name in ("sampling", "images", "tools", "prefill", "breakpoints", "thoughts_back", "forced_tool_thinking")
    },
)


@settings(max_examples=60)
@given(ANY_REQUEST, ANY_FACTS)
def test_whatever_is_composed_is_legal(request: Request, facts: Facts) -> None:
    try:
        made = CODEC.compose(request, Target("gpt", facts))
    except UnservedError as error:
        assert all(error.reasons)  # noqa: PT017 - both outcomes are right
        return
    body = json.loads(made.body)
    assert checked(PARAMS.validate_python(body))
    calls = [call for message in body["messages"] for call in message.get("tool_calls", ())]
    results = [message["tool_call_id"] for message in body["messages"] if message["role"] == "tool"]
    assert all(len(identity) <= 40 for identity in [*results, *(call["id"] for call in calls)])
    assert len(body.get("stop", ())) <= 4
