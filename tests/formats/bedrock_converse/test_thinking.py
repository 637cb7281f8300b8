"""How much a model is told to think; the judge is AWS's service model (see conftest)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from hydrallm.formats.canonical import (
    Choice,
    Composed,
    Message,
    Part,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolResult,
    ToolUse,
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


EFFORTS = ("low", "medium", "high", "xhigh", "max")
BUDGET = Facts(budget=True, efforts=EFFORTS, max_output=64_000)
ADAPTIVE = Facts(adaptive=True, efforts=EFFORTS, forced_tool_thinking=False)
ALWAYS = Facts(adaptive=True, thinks_always=True, forced_tool_thinking=False)
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("reasoning", "facts", "max_tokens", "thinking", "effort"),
    [
        (Reasoning(enabled=True, budget=2000), BUDGET, 8000, {"type": "enabled", "budget_tokens": 2000}, None),
        (Reasoning(enabled=True, budget=9000), BUDGET, 8000, {"type": "enabled", "budget_tokens": 7999}, None),
        (Reasoning(enabled=True, budget=100), BUDGET, 8000, {"type": "enabled", "budget_tokens": 1024}, None),
        (Reasoning(effort="high"), BUDGET, 10_000, {"type": "enabled", "budget_tokens": 5000}, "high"),
        (Reasoning(effort="minimal"), BUDGET, 10_000, {"type": "enabled", "budget_tokens": 1024}, "low"),
        (Reasoning(effort="max"), BUDGET, None, {"type": "enabled", "budget_tokens": 32_768}, "max"),
        (Reasoning(adaptive=True), BUDGET, 10_000, {"type": "enabled", "budget_tokens": 5000}, None),
        (Reasoning(effort="high"), BUDGET, 100, None, "high"),
        (Reasoning(enabled=False), BUDGET, None, {"type": "disabled"}, None),
        (Reasoning(effort="none"), ADAPTIVE, None, {"type": "disabled"}, None),
        (Reasoning(effort="none"), Facts(), None, None, None),
        (Reasoning(effort="none"), ALWAYS, None, None, None),
        (Reasoning(effort="low"), ADAPTIVE, 100, {"type": "adaptive"}, "low"),
        (Reasoning(budget=2000), ADAPTIVE, 8000, {"type": "adaptive"}, None),
        (Reasoning(effort="low", summary="auto"), ADAPTIVE, 1, {"type": "adaptive", "display": "summarized"}, "low"),
        (Reasoning(adaptive=True, display="omitted"), ADAPTIVE, 1, {"type": "adaptive", "display": "omitted"}, None),
        (Reasoning(effort="high"), Facts(), None, None, None),
    ],
)
@pytest.mark.parametrize("model", [CLAUDE, PROFILE])
def test_how_much_claude_thinks(
    compose: Compose,
    model: str,
    reasoning: Reasoning,
    facts: Facts,
    max_tokens: int | None,
    thinking: object,
    effort: str | None,
) -> None:
    wire, composed = compose(ask(reasoning=reasoning, max_tokens=max_tokens), model, facts)
    assert wire.get("additionalModelRequestFields", {}).get("thinking") == thinking
    assert wire.get("outputConfig", {}).get("effort") == effort
    asked_for = reasoning.effort != "none" and reasoning.enabled is not False
    lost = (asked_for and thinking is None) or (not asked_for and facts.thinks_always)
    assert ("reasoning" in composed.dropped) == lost
    assert ("budget" in composed.dropped) == (reasoning.budget is not None and facts is ADAPTIVE)


def test_what_does_not_go_together_with_thinking(compose: Compose) -> None:
    think = {"reasoning": Reasoning(enabled=True, budget=2000), "max_tokens": 8000}
    wire, composed = compose(ask(temperature=0.2, top_p=0.5, top_k=3, **think), facts=BUDGET)
    assert wire["inferenceConfig"] == {"maxTokens": 8000}
    assert composed.dropped == ("temperature", "top_p", "top_k")
    wire, composed = compose(ask(temperature=1, top_p=None, **think), facts=BUDGET)
    assert wire["inferenceConfig"] == {"maxTokens": 8000, "temperature": 1.0}
    assert compose(ask(top_p=0.97, **think), facts=BUDGET)[0]["inferenceConfig"]["topP"] == 0.97


def test_case_8_thinking_is_off_where_a_pending_call_has_lost_its_thought(compose: Compose) -> None:
    think = {"reasoning": Reasoning(enabled=True, budget=2000), "max_tokens": 8000, "tools": (TOOL,)}
    wire, composed = compose(ask(*CALLED, **think), facts=BUDGET)
    assert "additionalModelRequestFields" not in wire
    assert composed.dropped == ("reasoning",)
    known = Thinking("hm", "c2ln", maker="anthropic")
    thought = (HELLO, Message(Role.ASSISTANT, (known, *CALLED[1].parts)), CALLED[2])
    assert "thinking" in compose(ask(*thought, **think), facts=BUDGET)[0]["additionalModelRequestFields"]
    assert "thinking" in compose(ask(*CALLED, **think), facts=ADAPTIVE)[0]["additionalModelRequestFields"]


def test_a_forced_tool_while_it_thinks(compose: Compose, refused: Refused) -> None:
    forced = {"tools": (TOOL,), "tool_choice": ToolChoice(Choice.REQUIRED), "reasoning": Reasoning(adaptive=True)}
    wire, composed = compose(ask(**forced), facts=ADAPTIVE)
    assert composed.dropped == ("reasoning",)
    assert wire["toolConfig"]["toolChoice"] == {"any": {}}
    (reason,) = refused(ask(**forced), facts=ALWAYS)
    assert reason == "the model always thinks, and takes no forced tool call while it does"
    assert refused(ask(**forced), facts=Facts(forced_tool=False)) == ("the model takes no forced tool call",)


@pytest.mark.parametrize(
    ("model", "effort", "fields", "config"),
    [
        (
            "us.amazon.nova-2-lite-v1:0",
            "high",
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            {},
        ),
        ("openai.gpt-oss-120b-1:0", "low", {"reasoning_effort": "low"}, {}),
        ("openai.gpt-6-sol", "max", {"reasoning": {"effort": "max"}}, {}),
        (LLAMA, "minimal", {}, {"effort": "low"}),
    ],
)
def test_how_much_others_think(
    compose: Compose, model: str, effort: str, fields: dict[str, Any], config: dict[str, Any]
) -> None:
    wire, composed = compose(ask(reasoning=Reasoning(effort=effort)), model, Facts(efforts=EFFORTS))
    assert wire.get("additionalModelRequestFields", {}) == fields
    assert wire.get("outputConfig", {}) == config
    assert composed.dropped == ()
    assert compose(ask(reasoning=Reasoning(effort=effort)), model)[1].dropped == ("reasoning",)
