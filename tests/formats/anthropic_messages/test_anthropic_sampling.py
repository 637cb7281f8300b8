"""Sampling, stops, and what only other formats know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import (
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
    ToolResult,
    ToolUse,
)
from hydrallm.formats.facts import Facts

Body = Callable[..., dict[str, Any]]
MESSAGES, INVOKE = AnthropicMessagesCodec(), BedrockInvokeCodec()
USER, ASSISTANT, SYSTEM = Role.USER, Role.ASSISTANT, Role.SYSTEM
HI = Message(USER, (Text("hi"),))
SCHEMA = msgspec.Raw(b'{"type":"object","properties":{"a":{"const":1.50}},"$defs":{"x":true}}')
F = Tool("f", "does", SCHEMA)
CALL, RESULT = ToolUse("t1", "f", '{"a": 1.50}'), ToolResult("t1", (Text("done"),))
LOOP = (HI, Message(ASSISTANT, (CALL,)), Message(USER, (RESULT,)))
PNG = Image(Source(data="iVBORw0KGgo=", media_type="image/png"))
PDF = Document(Source(data="JVBERi0x", media_type="application/pdf"), name="a.pdf", context="c", citations=True)
SIGNED = Thinking("hm", "sig", maker="anthropic")
OLD = Facts(budget=True, forced_tool_thinking=False, max_output=64000)
EFFORTS = ("low", "medium", "high", "xhigh", "max")
BOTH = Facts(budget=True, adaptive=True, efforts=EFFORTS, forced_tool_thinking=False, max_output=64000)
NEW = Facts(adaptive=True, efforts=EFFORTS, forced_tool_thinking=False, sampling=False, prefill=False)
ALWAYS = Facts(
    adaptive=True, efforts=EFFORTS, thinks_always=True, forced_tool_thinking=False, sampling=False, prefill=False
)
STRICT = "2026-10-21"


def asked(*messages: Message, format: str = "openai-chat", **members: Any) -> Request:  # noqa: A002, ANN401
    return Request(format=format, messages=messages or (HI,), **members)


def composed(request: Request, facts: Facts | None = None, version: str = "") -> Composed:
    return MESSAGES.compose(request, Target("claude", facts or Facts(), version))


def test_temperature_is_cut_to_the_scale(body: Body) -> None:
    assert body(asked(temperature=1.7, temperature_max=2.0))["temperature"] == 1
    assert body(asked(temperature=-1.0))["temperature"] == 0


@pytest.mark.parametrize(("facts", "version"), [(NEW, ""), (Facts(), STRICT), (Facts(), "bedrock-" + STRICT)])
def test_where_there_is_no_sampling(body: Body, facts: Facts, version: str) -> None:
    request = asked(temperature=0.3, top_p=0.4, top_k=5)
    assert not {"temperature", "top_p", "top_k"} & body(request, facts, version).keys()
    assert composed(request, facts, version).dropped == ("temperature", "top_p", "top_k")
    assert composed(asked(temperature=1.0, top_p=1.0), facts, version).dropped == ()


def test_one_of_temperature_and_top_p(body: Body) -> None:
    request = asked(temperature=0.3, top_p=0.4, top_k=5)
    sent = body(request)
    assert (sent["temperature"], sent.get("top_p"), sent["top_k"]) == (0.3, None, 5)
    assert composed(request).dropped == ("top_p",)
    assert body(asked(top_p=0.4))["top_p"] == 0.4


def test_sampling_of_a_model_that_thinks(body: Body) -> None:
    request = asked(temperature=0.3, top_p=0.97, top_k=5, reasoning=Reasoning(effort="high"))
    assert body(request, OLD)["top_p"] == 0.97
    assert composed(request, OLD).dropped == ("temperature", "top_k")
    assert "top_p" in composed(msgspec.structs.replace(request, top_p=0.5), OLD).dropped


def test_stops_have_words(body: Body) -> None:
    request = asked(stop=("END", " \n"))
    assert body(request)["stop_sequences"] == ["END"]
    assert composed(request).dropped == ("stop",)


def test_what_only_others_know_is_dropped_and_said(body: Body) -> None:
    request = asked(
        Message(USER, (Text("hi"),), name="bob"),
        seed=1,
        frequency_penalty=0.5,
        presence_penalty=0.0,
        verbosity="low",
        metadata={"a": "b"},
        cache_key="k",
        tier="flex",
        output=JsonOutput(),
        extra={"logit_bias": msgspec.Raw(b"{}")},
    )
    body(request)
    assert set(composed(request).dropped) == {
        "seed", "frequency_penalty", "verbosity", "metadata", "cache_key", "name", "logit_bias", "output", "tier",
    }  # fmt: skip
