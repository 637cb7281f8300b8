"""Whether a model thinks, how much, and where it may not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from tests.formats.anthropic_messages.samples import (
    ALWAYS,
    ASSISTANT,
    BOTH,
    CALL,
    HI,
    LOOP,
    NEW,
    OLD,
    SIGNED,
    Body,
    F,
    asked,
    composed,
    unserved,
)

from hydrallm.formats.canonical import (
    Choice,
    Message,
    Reasoning,
    Text,
    Thinking,
    ToolChoice,
)
from hydrallm.formats.facts import Facts


def test_max_tokens_has_a_default_and_a_limit(body: Body) -> None:
    assert body(asked(), Facts(default_output=100))["max_tokens"] == 100
    assert body(asked(), Facts(default_output=100, max_output=50))["max_tokens"] == 50
    assert body(asked(max_tokens=9000), Facts(max_output=8192))["max_tokens"] == 8192


ADAPTIVE, DISABLED = {"type": "adaptive"}, {"type": "disabled"}


def budget(tokens: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": tokens}


@pytest.mark.parametrize(
    ("asks", "facts", "thinking", "effort", "max_tokens"),
    [
        (None, OLD, None, None, 4096),
        (None, NEW, None, None, 4096),
        (Reasoning(effort="high"), OLD, budget(16384), None, 16384 + 4096),
        (Reasoning(effort="high"), BOTH, ADAPTIVE, "high", 4096),
        (Reasoning(effort="minimal"), NEW, ADAPTIVE, "low", 4096),
        (Reasoning(effort="xhigh"), ALWAYS, ADAPTIVE, "xhigh", 4096),
        (Reasoning(enabled=True, budget=5000), OLD, budget(5000), None, 9096),
        (Reasoning(enabled=True, budget=5000), BOTH, budget(5000), None, 9096),
        (Reasoning(enabled=True, budget=5000), NEW, ADAPTIVE, "medium", 4096),
        (Reasoning(enabled=True, budget=500), OLD, budget(1024), None, 5120),
        (Reasoning(enabled=True, adaptive=True), OLD, budget(8192), None, 12288),
        (Reasoning(enabled=True, adaptive=True, effort="max"), NEW, ADAPTIVE, "max", 4096),
        (Reasoning(enabled=False), OLD, DISABLED, None, 4096),
        (Reasoning(effort="none"), BOTH, DISABLED, None, 4096),
        (Reasoning(enabled=False), Facts(), None, None, 4096),
        (Reasoning(summary="auto"), NEW, None, None, 4096),
        (Reasoning(effort="low", summary="auto"), NEW, {**ADAPTIVE, "display": "summarized"}, "low", 4096),
        (
            Reasoning(enabled=True, budget=2000, display="omitted"),
            OLD,
            {**budget(2000), "display": "omitted"},
            None,
            6096,
        ),
    ],
)
def test_thinking(
    body: Body, asks: Reasoning, facts: Facts, thinking: object, effort: str | None, max_tokens: int
) -> None:
    request = asked(reasoning=asks)
    sent = body(request, facts)
    assert sent.get("thinking") == thinking
    assert sent.get("output_config", {}).get("effort") == effort
    assert sent["max_tokens"] == max_tokens
    assert composed(request, facts).dropped == ()


@pytest.mark.parametrize(
    ("asks", "facts", "thinking"),
    [
        (Reasoning(effort="high"), Facts(), None),
        (Reasoning(enabled=True, budget=2000), Facts(), None),
        (Reasoning(enabled=False), ALWAYS, None),
        (Reasoning(effort="none"), ALWAYS, None),
    ],
)
def test_thinking_that_cannot_be_asked_for(body: Body, asks: Reasoning, facts: Facts, thinking: object) -> None:
    request = asked(reasoning=asks)
    assert body(request, facts).get("thinking") == thinking
    assert composed(request, facts).dropped == ("reasoning",)


@pytest.mark.parametrize(
    ("max_tokens", "thinking"), [(100, DISABLED), (1024, DISABLED), (1025, budget(1024)), (4000, budget(2000))]
)
def test_an_effort_fits_into_the_client_s_tokens(body: Body, max_tokens: int, thinking: object) -> None:
    sent = body(asked(max_tokens=max_tokens, reasoning=Reasoning(effort="high")), OLD)
    assert (sent["thinking"], sent["max_tokens"]) == (thinking, max_tokens)


def test_an_effort_in_anthropic_s_words_asks_for_no_thoughts(body: Body) -> None:
    sent = body(asked(format="anthropic-messages", reasoning=Reasoning(effort="low")), BOTH)
    assert "thinking" not in sent
    assert sent["output_config"] == {"effort": "low"}


def test_a_forced_tool_and_thinking(body: Body) -> None:
    request = asked(tools=(F,), tool_choice=ToolChoice(Choice.REQUIRED), reasoning=Reasoning(effort="high"))
    for facts in (OLD, BOTH):
        assert body(request, facts)["thinking"] == DISABLED
        assert composed(request, facts).dropped == ("reasoning",)
    quiet = msgspec.structs.replace(request, reasoning=None)
    assert "thinking" not in body(quiet, OLD)
    assert body(quiet, BOTH)["thinking"] == DISABLED, "a model that may think by itself is told not to"
    for request_ in (request, quiet):
        (reason,) = unserved(request_, ALWAYS)
        assert reason == "the model always thinks, and takes no forced tool call while it does"
    willing = msgspec.structs.replace(ALWAYS, forced_tool_thinking=True)
    assert body(request, willing)["thinking"] == ADAPTIVE


def test_a_loop_that_another_maker_began_is_not_thought_about_with_a_budget(body: Body) -> None:
    foreign = Message(ASSISTANT, (Thinking("hm", "enc", maker="openai", id="rs_1"), CALL))
    native = Message(ASSISTANT, (SIGNED, CALL))
    reasoning = Reasoning(effort="high")
    request = asked(HI, foreign, LOOP[2], tools=(F,), reasoning=reasoning)
    assert body(request, OLD)["thinking"] == DISABLED
    assert set(composed(request, OLD).dropped) == {"thinking", "reasoning"}
    assert body(request, BOTH)["thinking"] == ADAPTIVE, "thinking as much as it wants, a model needs no thought before"
    assert body(asked(HI, native, LOOP[2], tools=(F,), reasoning=reasoning), OLD)["thinking"] == budget(16384)
    later = asked(HI, foreign, LOOP[2], Message(ASSISTANT, (Text("so"),)), HI, tools=(F,), reasoning=reasoning)
    assert body(later, OLD)["thinking"] == budget(16384)


def test_a_turn_to_be_continued_is_not_thought_about(body: Body) -> None:
    request = asked(HI, Message(ASSISTANT, (Text("Well"),)), reasoning=Reasoning(effort="high"))
    assert body(request, OLD)["thinking"] == DISABLED


def test_thoughts_of_others_are_stripped_from_the_copy(body: Body) -> None:
    thoughts = (Thinking("a"), Thinking("b", "s", maker="openai"), Thinking(redacted="r", maker="openai"), SIGNED)
    request = asked(HI, Message(ASSISTANT, (*thoughts, Thinking("", "only", maker="anthropic"), Text("so"))), HI)
    content = body(request)["messages"][1]["content"]
    assert [block.get("signature") for block in content] == ["sig", "only", None]
    assert composed(request).dropped == ("thinking",)
    assert request.messages[1].parts[:4] == thoughts
