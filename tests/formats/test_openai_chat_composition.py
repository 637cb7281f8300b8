"""Requests as Chat Completions has them: the official SDK's own types are the judge of what is composed."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParams
from pydantic import TypeAdapter

from hydrallm.formats import anthropic_request, bedrock_converse_request
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
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
CODEC = OpenAIChatCodec()
FORCED = ToolChoice(Choice.REQUIRED)
PARAMS: TypeAdapter[Any] = TypeAdapter(CompletionCreateParams)
USER, ASSISTANT = Role.USER, Role.ASSISTANT
HI = Message(USER, (Text("hi"),))
CALLING = Message(ASSISTANT, (ToolUse("a", "f", "{}"), ToolUse("b", "f", "{}")))
RAW = msgspec.Raw(b'{"type":"object","properties":{"a":{"const":1.50}}}')


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
    plain = {**body, "messages": [{k: v for k, v in m.items() if k != "reasoning_content"} for m in body["messages"]]}
    # The types let unknown members pass and forget them; so what they let through has to be all there was.
    assert whole(PARAMS.validate_python(plain)) == plain
    return made


def body_of(request: Request, **facts: Any) -> dict[str, Any]:  # noqa: ANN401
    body: dict[str, Any] = json.loads(composed(request, **facts).body)
    return body


def messages_of(*messages: Message, **members: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    found: list[dict[str, Any]] = body_of(asked(*messages, **members))["messages"]
    return found


def reasons(request: Request, **facts: Any) -> tuple[str, ...]:  # noqa: ANN401
    with pytest.raises(UnservedError) as raised:
        CODEC.compose(request, Target("gpt", Facts(**facts)))
    return raised.value.reasons


def test_the_plainest_request() -> None:
    assert body_of(asked()) == {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}


def test_a_stream_always_tells_its_usage() -> None:
    for wanted in (True, False):
        body = body_of(asked(stream=True, usage_in_stream=wanted))
        assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_instructions_are_one_message_of_text() -> None:
    assert messages_of(HI, system=(Text("a"), Text("b")))[0] == {"role": "system", "content": "a\n\nb"}


def test_instructions_in_the_middle_keep_their_place() -> None:
    said = messages_of(HI, Message(Role.SYSTEM, (Text("be brief"),)), HI)
    assert [message["role"] for message in said] == ["user", "system", "user"]


def test_all_that_a_model_says_in_a_turn_is_one_message() -> None:
    said = messages_of(
        HI,
        Message(ASSISTANT, (Text("I "),)),
        Message(ASSISTANT, (Text("look."), ToolUse("call_1", "f", ""))),
        Message(ASSISTANT, (ToolUse("call_2", "g", '{"a":1}'),)),
    )
    assert said[1] == {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": '{"a":1}'}},
        ],
    }


def test_results_come_right_after_the_calls_whatever_stands_before_them() -> None:
    said = messages_of(
        HI,
        Message(ASSISTANT, (ToolUse("a", "f", "{}"), ToolUse("b", "f", "{}"))),
        Message(USER, (Text("here:"), ToolResult("a", (Text("1"),)))),
        Message(USER, (ToolResult("b", ()),)),
    )
    assert said[2:] == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": ""},
        {"role": "user", "content": "here:"},
    ]


def test_that_a_tool_failed_is_said() -> None:
    result = Message(USER, (ToolResult("a", (Text("no such file"),), is_error=True),))
    assert messages_of(HI, CALLING, result)[2]["content"] == "Error: no such file"


def test_an_image_in_a_result_follows_in_a_message_of_the_user() -> None:
    image = Image(Source(data="iVBORw", media_type="image/png"))
    results = (ToolResult("a", (image,)), ToolResult("b", (Text("x"),)), Text("well?"))
    first, second, shown, rest = messages_of(HI, CALLING, Message(USER, results))[2:]
    assert [message["role"] for message in (first, second, shown, rest)] == ["tool", "tool", "user", "user"]
    assert first["content"]
    assert shown["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw"}}
    assert "a" in shown["content"][0]["text"]
    assert rest["content"] == "well?"


def test_documents() -> None:
    pdf = Document(Source(data="JVBE", media_type="application/pdf"), name="a.pdf", context="mine")
    text = Document(text="words", name="b.txt")
    unnamed = Document(Source(data="JVBE"))
    assert messages_of(Message(USER, (pdf, text, unnamed)))[0]["content"] == [
        {"type": "text", "text": "mine"},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        {"type": "text", "text": "b.txt\n\nwords"},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
    ]


def test_thoughts_go_back_to_a_model_that_wants_them() -> None:
    free, signed = Thinking("hm"), Thinking("secret", signature="s", maker="anthropic")
    hidden = Thinking(redacted="x", maker="anthropic")
    request = asked(HI, Message(ASSISTANT, (free, signed, hidden, Text("so"))))
    made = composed(request, thoughts_back=True)
    said = {"role": "assistant", "content": "so"}
    assert json.loads(made.body)["messages"][1] == {**said, "reasoning_content": "hmsecret"}
    assert made.dropped == ("thinking",)
    made = composed(request)
    assert (json.loads(made.body)["messages"][1], made.dropped) == (said, ("thinking",))


def test_cache_marks_for_a_model_that_takes_breakpoints() -> None:
    pdf = Document(Source(data="JVBE"), cache=Cache("1h"))
    request = asked(
        Message(USER, (Text("a"), Text("b", cache=Cache("1h")))), Message(USER, (pdf,)), system=(Text("s"),)
    )
    first, last = body_of(request, breakpoints=True)["messages"][1:]
    mark = {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    assert first["content"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b"} | mark]
    assert last["content"][0]["prompt_cache_breakpoint"] == mark["prompt_cache_breakpoint"]
    assert composed(request, breakpoints=True).dropped == ()
    assert (composed(request).dropped, b"breakpoint" in composed(request).body) == (("cache",), False)


def test_tools_and_their_choice() -> None:
    tools = (Tool("f", "d", RAW, strict=True), Tool("g", custom=True))
    request = asked(tools=tools, tool_choice=ToolChoice(Choice.TOOL, "g"), parallel=False, format="openai-chat")
    body = body_of(request)
    assert body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": {"type": "object", "properties": {"a": {"const": 1.5}}},
                "strict": True,
            },
        },
        {"type": "custom", "custom": {"name": "g"}},
    ]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "g"}}
    assert body["parallel_tool_calls"] is False


def test_a_schema_is_copied_byte_by_byte() -> None:
    assert bytes(RAW) in composed(asked(tools=(Tool("f", schema=RAW),))).body


def test_only_the_allowed_tools_are_sent() -> None:
    tools = (Tool("f", schema=RAW), Tool("g", schema=RAW))
    body = body_of(asked(tools=tools, tool_choice=ToolChoice(Choice.REQUIRED, allowed=("g",))))
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == "required"


def test_without_tools_nothing_is_said_of_them() -> None:
    body = body_of(asked(tool_choice=ToolChoice(Choice.AUTO), parallel=False))
    assert not body.keys() & {"tools", "tool_choice", "parallel_tool_calls"}


def test_names_and_ids_that_openai_refuses_are_changed_reversibly() -> None:
    name, identity = "mcp.server/" + "x" * 70, "toolu_" + "9" * 60
    made = composed(
        asked(
            HI,
            Message(ASSISTANT, (ToolUse(identity, name, "{}"),)),
            Message(USER, (ToolResult(identity, (Text("1"),)),)),
            tools=(Tool(name, schema=RAW),),
            tool_choice=ToolChoice(Choice.TOOL, name),
        )
    )
    body = json.loads(made.body)
    used, called = body["tools"][0]["function"]["name"], body["messages"][1]["tool_calls"][0]
    assert len(used) <= 64
    assert used.replace("_", "").replace("-", "").isalnum()
    assert called["function"]["name"] == body["tool_choice"]["function"]["name"] == used
    assert len(called["id"]) <= 40
    assert body["messages"][2]["tool_call_id"] == called["id"]
    assert (made.names, made.ids) == ({used: name}, {called["id"]: identity})


def test_the_limit_has_the_name_that_the_model_takes() -> None:
    assert body_of(asked(max_tokens=10))["max_tokens"] == 10
    assert body_of(asked(max_tokens=10), efforts=EFFORTS)["max_completion_tokens"] == 10
    assert body_of(asked(max_tokens=10), max_output=5)["max_tokens"] == 5


def test_temperature_is_clamped_and_not_scaled() -> None:
    assert body_of(asked(temperature=1.0, temperature_max=1.0))["temperature"] == 1.0
    assert body_of(asked(temperature=2.5, temperature_max=2.0))["temperature"] == 2.0


def test_a_model_without_sampling_is_not_told_how_to_sample() -> None:
    made = composed(asked(temperature=0.5, top_p=0.9), sampling=False)
    assert not json.loads(made.body).keys() & {"temperature", "top_p"}
    assert made.dropped == ("temperature", "top_p")


@pytest.mark.parametrize(
    ("reasoning", "said"),
    [
        (Reasoning(effort="xhigh"), "xhigh"),
        (Reasoning(enabled=True, budget=1024), "low"),
        (Reasoning(enabled=True, budget=10_000), "medium"),
        (Reasoning(enabled=True, budget=32_000), "high"),
        (Reasoning(enabled=False), "none"),
        (Reasoning(adaptive=True), None),
    ],
)
def test_reasoning_is_an_effort(reasoning: Reasoning, said: str | None) -> None:
    assert body_of(asked(reasoning=reasoning), efforts=EFFORTS).get("reasoning_effort") == said
    made = composed(asked(reasoning=reasoning))
    assert b"reasoning_effort" not in made.body
    assert bool(made.dropped) == (said not in {None, "none"})


def test_a_model_that_always_thinks_is_not_told_not_to() -> None:
    made = composed(asked(reasoning=Reasoning(enabled=False)), efforts=EFFORTS, thinks_always=True)
    assert json.loads(made.body)["reasoning_effort"] == "minimal"
    assert made.dropped == ("reasoning",)


def test_a_model_is_told_the_nearest_effort_that_it_takes() -> None:
    taken = ("low", "medium", "high")
    for wanted, told in (("minimal", "low"), ("max", "high"), ("xhigh", "high"), ("medium", "medium")):
        made = composed(asked(reasoning=Reasoning(effort=wanted)), efforts=taken)
        assert (json.loads(made.body)["reasoning_effort"], made.dropped) == (told, ())
    made = composed(asked(reasoning=Reasoning(enabled=False)), efforts=taken)
    assert (json.loads(made.body)["reasoning_effort"], made.dropped) == ("low", ("reasoning",))
    made = composed(asked(reasoning=Reasoning(effort="huge")), efforts=taken)
    assert ("reasoning_effort" in json.loads(made.body), made.dropped) == (False, ("effort",))


def test_a_forced_tool_comes_before_thoughts_where_both_do_not_go_together() -> None:
    forced = asked(
        tools=(Tool("f", schema=RAW),), tool_choice=ToolChoice(Choice.REQUIRED), reasoning=Reasoning(effort="high")
    )
    assert body_of(forced, efforts=EFFORTS)["reasoning_effort"] == "high"
    made = composed(forced, efforts=EFFORTS, forced_tool_thinking=False)
    assert (json.loads(made.body)["reasoning_effort"], made.dropped) == ("none", ("effort",))
    made = composed(forced, efforts=("low",), forced_tool_thinking=False)
    assert ("reasoning_effort" in json.loads(made.body), made.dropped) == (False, ("effort",))
    with pytest.raises(UnservedError, match="always thinks"):
        composed(forced, efforts=EFFORTS, forced_tool_thinking=False, thinks_always=True)


def test_structured_output() -> None:
    output = JsonOutput(RAW, "my answer", "d", strict=True)
    said = body_of(asked(output=output))["response_format"]["json_schema"]
    assert (said["strict"], said["description"]) == (True, "d")
    assert " " not in said["name"]
    assert body_of(asked(output=JsonOutput()))["response_format"] == {"type": "json_object"}


def test_a_user_longer_than_openai_takes_stays_the_same_user() -> None:
    long = "user_" + "a" * 150
    first, second = (body_of(asked(user=long))["user"] for _ in range(2))
    assert first == second
    assert len(first) <= 64
    assert body_of(asked(user="me"))["user"] == "me"


@pytest.mark.parametrize(
    ("tier", "said", "dropped"),
    [
        ("standard_only", "default", ()),
        ("auto", None, ()),
        ("priority", "priority", ()),
        ("x", None, ("tier",)),
    ],
)
def test_tiers(tier: str, said: str | None, dropped: tuple[str, ...]) -> None:
    made = composed(asked(tier=tier))
    assert (json.loads(made.body).get("service_tier"), made.dropped) == (said, dropped)


@pytest.mark.parametrize(
    ("format", "dropped"),
    [
        ("anthropic-messages", ("cache_control", "citations", "top_k", "metadata", "container")),
        (
            "bedrock-converse",
            ("cachePoint", "citations", "additionalModelRequestFields.top_k", "requestMetadata", "container"),
        ),
    ],
)
def test_what_chat_cannot_say_is_dropped_by_the_clients_name_for_it(format: str, dropped: tuple[str, ...]) -> None:  # noqa: A002
    document = Document(text="x", citations=True)
    made = composed(
        asked(
            Message(USER, (Text("a", cache=Cache()), document)),
            format=format,
            names={"anthropic-messages": anthropic_request, "bedrock-converse": bedrock_converse_request}[format].NAMES,
            top_k=5,
            metadata={"a": "b"},
            cache=Cache("1h"),
            extra={"container": msgspec.Raw(b"{}")},
        )
    )
    assert made.dropped == dropped


def test_a_chat_clients_own_members_are_kept() -> None:
    request = asked(format="openai-chat", extra={"logit_bias": msgspec.Raw(b'{"1":2}'), "store": msgspec.Raw(b"true")})
    made = composed(request)
    assert json.loads(made.body)["logit_bias"] == {"1": 2}
    assert made.dropped == ()


@pytest.mark.parametrize(
    ("request_", "facts", "reason"),
    [
        (asked(bound=("background",)), {}, "background"),
        (asked(stop=("a", "b", "c", "d", "e")), {}, "5 stop sequences"),
        (asked(Message(USER, (Image(Source(url="https://a")),))), {"images": False}, "images"),
        (asked(Message(USER, (Image(Source(file="file_1")),))), {}, "the id of an image"),
        (asked(Message(USER, (Document(Source(url="https://a")),))), {}, "the URL of a document"),
        (asked(Message(USER, (Document(Source(file="file_1")),))), {}, "another provider"),
        (asked(Message(USER, (Document(text="a"),))), {"documents": False}, "documents"),
        (asked(tools=(Tool("f", schema=RAW),)), {"tools": False}, "tools"),
        (asked(HI, Message(ASSISTANT, (ToolUse("a", "f", "{}"),))), {"tools": False}, "tools"),
        (asked(tools=(Tool("f", schema=RAW),), tool_choice=FORCED), {"forced_tool": False}, "forced"),
        (asked(HI, Message(ASSISTANT, (Text("{"),))), {"prefill": False}, "continue"),
        (asked(HI, Message(ASSISTANT, (Image(Source(url="https://a")),)), HI), {}, "assistant's turn"),
        (asked(Message(USER, (Text("a\ud83d"),))), {}, "surrogate"),
    ],
)
def test_what_cannot_be_served_is_refused(request_: Request, facts: dict[str, Any], reason: str) -> None:
    (said,) = reasons(request_, **facts)
    assert reason in said


def test_all_reasons_are_given_at_once() -> None:
    request = asked(Message(USER, (Image(Source(file="x")),)), stop=tuple("abcde"))
    assert len(reasons(request, images=False)) == 3
