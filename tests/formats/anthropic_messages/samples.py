"""Requests in the canonical form, models of each generation, and what composing one for the other comes to."""

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
    Message,
    Request,
    Role,
    Source,
    Target,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
    UnservedError,
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


def unserved(request: Request, facts: Facts | None = None, version: str = "") -> tuple[str, ...]:
    with pytest.raises(UnservedError) as caught:
        composed(request, facts, version)
    return caught.value.reasons
