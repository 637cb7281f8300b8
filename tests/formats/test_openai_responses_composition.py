"""Requests as Responses has them: the official SDK's own types are the judge of what is composed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from hydrallm.formats.canonical import (
    Cache,
    Choice,
    Composed,
    Document,
    Image,
    JsonOutput,
    Message,
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
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
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


def reasons(request: Request, **facts: Any) -> tuple[str, ...]:  # noqa: ANN401
    with pytest.raises(UnservedError) as raised:
        CODEC.compose(request, Target("gpt", Facts(**facts)))
    return raised.value.reasons


def test_the_plainest_request_stores_nothing() -> None:
    content = [{"type": "input_text", "text": "hi"}]
    assert body_of(asked()) == {
        "model": "gpt",
        "store": False,
        "input": [{"type": "message", "role": "user", "content": content}],
    }


def test_tools_keep_their_schema_and_are_not_strict_unless_asked() -> None:
    custom = Tool("c", schema=msgspec.Raw(b'{"type":"grammar","syntax":"lark","definition":"x"}'), custom=True)
    strict = Tool("s", schema=SCHEMA, strict=True)
    made = composed(asked(tools=(TOOL, strict, custom), parallel=False))
    assert bytes(SCHEMA) in made.body
    body = json.loads(made.body)
    assert [tool.get("strict") for tool in body["tools"]] == [False, True, None]
    assert (body["tools"][2]["type"], body["parallel_tool_calls"]) == ("custom", False)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(Choice.AUTO), "auto"),
        (ToolChoice(Choice.NONE), "none"),
        (ToolChoice(Choice.REQUIRED), "required"),
        (ToolChoice(Choice.TOOL, "f"), {"type": "function", "name": "f"}),
        (ToolChoice(Choice.TOOL, "c"), {"type": "custom", "name": "c"}),
        (
            ToolChoice(Choice.AUTO, allowed=("f", "c")),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}],
            },
        ),
    ],
)
def test_tool_choice(choice: ToolChoice, expected: object) -> None:
    assert body_of(asked(tools=(TOOL, Tool("c", custom=True)), tool_choice=choice))["tool_choice"] == expected


def test_a_choice_without_tools() -> None:
    assert "tool_choice" not in body_of(asked(tool_choice=ToolChoice(Choice.AUTO), parallel=True))
    assert len(reasons(asked(tool_choice=ToolChoice(Choice.REQUIRED)))) == 1


def test_sampling() -> None:
    request = asked(temperature=2.5, temperature_max=5.0, top_p=0.5, top_k=3, seed=4, frequency_penalty=1.0)
    made = composed(request)
    body = json.loads(made.body)
    assert (body["temperature"], body["top_p"]) == (2.0, 0.5)
    assert made.dropped == ("top_k", "seed", "frequency_penalty")
    none = composed(request, sampling=False)
    assert {"temperature", "top_p"} < set(none.dropped)
    assert not {"temperature", "top_p"} & json.loads(none.body).keys()


@pytest.mark.parametrize(("wanted", "most", "expected"), [(1, None, 16), (100, None, 100), (9_000, 4_096, 4_096)])
def test_max_tokens(wanted: int, most: int | None, expected: int) -> None:
    assert body_of(asked(max_tokens=wanted), max_output=most)["max_output_tokens"] == expected


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        (Reasoning(effort="high"), {"effort": "high"}),
        (Reasoning(budget=1024), {"effort": "low"}),
        (Reasoning(budget=10_000), {"effort": "medium"}),
        (Reasoning(enabled=True, budget=32_000), {"effort": "high"}),
        (Reasoning(enabled=False), {"effort": "none"}),
        (Reasoning(adaptive=True, display="summarized"), {"summary": "auto"}),
        (Reasoning(effort="low", summary="detailed"), {"effort": "low", "summary": "detailed"}),
        (Reasoning(adaptive=True), None),
    ],
)
def test_reasoning(reasoning: Reasoning, expected: object) -> None:
    body = body_of(asked(reasoning=reasoning), efforts=EFFORTS)
    assert (body.get("reasoning"), body["include"]) == (expected, ["reasoning.encrypted_content"])
    plain = composed(asked(reasoning=reasoning))
    assert not {"reasoning", "include"} & json.loads(plain.body).keys()
    assert plain.dropped == (("reasoning",) if expected and expected != {"effort": "none"} else ())


def test_a_model_that_always_thinks_is_not_told_not_to() -> None:
    made = composed(asked(reasoning=Reasoning(enabled=False)), efforts=EFFORTS, thinks_always=True)
    assert json.loads(made.body)["reasoning"] == {"effort": "minimal"}
    assert made.dropped == ("reasoning",)


def test_the_form_of_the_answer() -> None:
    output = JsonOutput(SCHEMA, "a b", "d", strict=True)
    made = composed(asked(output=output, verbosity="low"))
    assert bytes(SCHEMA) in made.body
    text = json.loads(made.body)["text"]
    form = text["format"]
    assert (form["type"], form["description"], form["strict"], text["verbosity"]) == ("json_schema", "d", True, "low")
    assert form["name"].startswith("a_b_")
    assert body_of(asked(output=JsonOutput(SCHEMA)))["text"]["format"]["name"] == "answer"
    assert body_of(asked(output=JsonOutput()))["text"] == {"format": {"type": "json_object"}}


def test_who_asks() -> None:
    long = "user_" + "a" * 200
    body = body_of(asked(user=long, cache_key="k" * 65, metadata={"a": "b"}))
    again = body_of(asked(user=long))
    assert len(body["safety_identifier"]) == len(body["prompt_cache_key"]) == 64
    assert (body["safety_identifier"], body["metadata"]) == (again["safety_identifier"], {"a": "b"})
    assert body_of(asked(user="me"))["safety_identifier"] == "me"


def test_metadata_that_is_too_much() -> None:
    made = composed(asked(metadata={**{str(n): "v" for n in range(20)}, "k" * 65: "v", "w": "v" * 513}))
    assert len(json.loads(made.body)["metadata"]) == 16
    assert made.dropped == ("metadata",)


def test_tiers() -> None:
    assert body_of(asked(tier="standard_only"))["service_tier"] == "default"
    made = composed(asked(tier="reserved"))
    assert ("service_tier" in json.loads(made.body), made.dropped) == (False, ("tier",))


def test_what_nobody_knows_is_dropped() -> None:
    assert composed(asked(extra={"hm": msgspec.Raw(b"1")})).dropped == ("hm",)
    assert composed(asked(Message(USER, (Text("hi"),), name="me"))).dropped == ("name",)


def test_what_cannot_be_served_is_said_at_once() -> None:
    picture = Image(Source(url="https://a/b"))
    request = asked(
        Message(USER, (picture, Document(text="a"))),
        Message(Role.ASSISTANT, (picture,)),
        tools=(TOOL,),
        tool_choice=ToolChoice(Choice.REQUIRED),
        stop=("x",),
    )
    found = reasons(request, images=False, documents=False, tools=False, forced_tool=False, prefill=False)
    assert found == (
        "the model takes no images",
        "the model takes no documents",
        "an image or a document in an assistant's turn",
        "the model takes no tools",
        "the model takes no forced tool call",
        "stop sequences: Responses takes none",
        "the model does not continue an assistant's turn",
    )


# ---- what is composed and read again is what was asked

WORDS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5)
TEXTS = st.builds(Text, text=WORDS)
SOURCES = st.builds(Source, url=st.just("https://a/b")) | st.just(Source(data=PIXEL, media_type="image/png"))
IMAGES = st.builds(Image, SOURCES, st.sampled_from(["low", "high", "auto"]))
FILES = st.builds(Document, st.just(Source(data="JVBE", media_type="application/pdf")), name=st.just("a.pdf"))
SEEN = TEXTS | IMAGES | FILES
RESULTS = st.builds(ToolResult, st.sampled_from(["a", "b"]), st.lists(SEEN, max_size=3).map(tuple))
CALLS = st.builds(ToolUse, st.sampled_from(["a", "b"]), st.sampled_from(["f", "g"]), st.just('{"a": "b"}'))
REFUSALS = st.builds(Text, text=WORDS, refusal=st.just(True))
THOUGHTS = st.builds(Thinking, WORDS, st.just("E"), maker=st.just("openai"), id=st.just("rs_1"))
TURNS = st.lists(
    st.builds(Message, st.just(USER), st.lists(SEEN | RESULTS, min_size=1, max_size=4).map(tuple))
    | st.builds(Message, st.just(Role.ASSISTANT), st.lists(TEXTS | REFUSALS | CALLS, min_size=1, max_size=4).map(tuple))
    | st.builds(Message, st.just(Role.ASSISTANT), st.tuples(THOUGHTS, TEXTS | CALLS)),
    min_size=1,
    max_size=4,
)
REQUESTS = st.builds(
    Request,
    format=st.just("openai-responses"),
    messages=TURNS.map(lambda turns: (HI, *turns)),
    system=st.lists(TEXTS, max_size=2).map(tuple),
    stream=st.booleans(),
    tools=st.just((Tool("f", "d", SCHEMA, strict=False), Tool("g", schema=SCHEMA, strict=True))),
    tool_choice=st.none()
    | st.builds(ToolChoice, st.sampled_from([Choice.AUTO, Choice.NONE, Choice.REQUIRED]))
    | st.just(ToolChoice(Choice.TOOL, "g"))
    | st.just(ToolChoice(Choice.REQUIRED, allowed=("f",))),
    parallel=st.none() | st.booleans(),
    max_tokens=st.none() | st.integers(16, 10_000),
    temperature=st.none() | st.floats(0, 2),
    temperature_max=st.just(2.0),
    top_p=st.none() | st.floats(0, 1),
    reasoning=st.none() | st.builds(Reasoning, effort=st.sampled_from(["low", "max"]), summary=st.just("auto")),
    output=st.none() | st.builds(JsonOutput, st.just(SCHEMA), st.just("n"), st.none() | WORDS, st.booleans()),
    verbosity=st.sampled_from(["", "low"]),
    user=st.sampled_from(["", "me"]),
    metadata=st.dictionaries(WORDS, WORDS, max_size=3),
    tier=st.sampled_from(["", "flex"]),
    cache_key=st.sampled_from(["", "k"]),
)


def joined(request: Request) -> Request:
    """Return ``request`` in the one form of several: turns of one role, and instructions, in one piece."""
    turns: list[tuple[Role, list[Any]]] = []
    for message in request.messages:
        if not turns or turns[-1][0] is not message.role:
            turns.append((message.role, []))
        turns[-1][1].extend(message.parts)
    system = "\n\n".join(text.text for text in request.system)
    messages = tuple(Message(role, tuple(parts)) for role, parts in turns)
    return msgspec.structs.replace(request, system=(Text(system),) if system else (), messages=messages, model="gpt")


@given(REQUESTS)
def test_what_is_composed_and_read_again_is_what_was_asked(request: Request) -> None:
    made = composed(request, efforts=EFFORTS)
    again = CODEC.read_request(made.body, model="", stream=False)
    expected = joined(request)
    again = msgspec.structs.replace(again, names={})
    assert msgspec.json.encode(joined(again)) == msgspec.json.encode(expected)
    assert (made.dropped, made.names, made.ids) == ((), {}, {})


ODD_IDS = st.sampled_from(["a", "", "toolu/1:\u00e9", "x" * 80])
ODD_PARTS = (
    st.builds(Text, st.text(max_size=2), st.booleans(), cache=st.none() | st.just(Cache("1h")))
    | st.builds(
        Thinking, st.text(max_size=2), st.sampled_from(["", "S"]), maker=st.sampled_from(["", "anthropic", "openai"])
    )
    | st.builds(ToolUse, ODD_IDS, ODD_IDS, st.sampled_from(["", '{"a', "{}"]), st.booleans())
    | st.builds(ToolResult, ODD_IDS, st.lists(SEEN, max_size=2).map(tuple), st.none() | st.booleans())
    | SEEN
    | st.just(Document(text="a", context="b", citations=True))
)
ODD_REQUESTS = st.builds(
    Request,
    format=st.sampled_from(["anthropic-messages", "openai-chat"]),
    messages=st.lists(
        st.builds(Message, st.sampled_from(Role), st.lists(ODD_PARTS, max_size=3).map(tuple)), max_size=3
    ).map(tuple),
    system=st.lists(st.builds(Text, st.text(max_size=2), cache=st.just(Cache())), max_size=2).map(tuple),
    tools=st.lists(st.builds(Tool, ODD_IDS, schema=st.just(SCHEMA), strict=st.none()), max_size=2).map(tuple),
    tool_choice=st.none() | st.builds(ToolChoice, st.sampled_from(Choice), ODD_IDS),
    max_tokens=st.none() | st.integers(1, 40),
    temperature=st.none() | st.floats(0, 9),
    reasoning=st.none()
    | st.builds(Reasoning, st.none() | st.booleans(), st.none() | st.integers(0, 99_999), st.booleans()),
    tier=st.sampled_from(["", "reserved", "priority"]),
    user=st.text(max_size=2),
)


@given(
    ODD_REQUESTS,
    st.builds(
        Facts,
        efforts=st.sampled_from([(), ("low", "high"), EFFORTS]),
        thinks_always=st.booleans(),
        sampling=st.booleans(),
    ),
)
def test_what_is_composed_is_legal(request: Request, facts: Facts) -> None:
    try:
        made = composed(request, **msgspec.structs.asdict(facts))
    except UnservedError:
        return
    assert made.names.keys().isdisjoint(made.names.values())
