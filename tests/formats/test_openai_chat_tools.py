"""Tools in Chat Completions, for the models that take them there only if they do not think, or not at all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hydrallm.config.facts import lookup
from hydrallm.formats.canonical import Message, Reasoning, Request, Role, Target, Text, Tool, ToolUse, UnservedError
from hydrallm.formats.facts import Facts
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_chat_composition import needs_responses

CODEC = OpenAIChatCodec()
HI = Message(Role.USER, (Text("hi"),))
CALLED = Message(Role.ASSISTANT, (ToolUse("a", "f", "{}"),))
EFFORTS = ("none", "low", "medium", "high")
QUIET = Facts(efforts=EFFORTS, chat_tools="quiet")


def asked(*messages: Message, **members: Any) -> Request:  # noqa: ANN401
    return Request(format="anthropic-messages", messages=messages or (HI,), **members)


@pytest.mark.parametrize(
    ("reasoning", "dropped"),
    [
        (None, ()),
        (Reasoning(enabled=False), ()),
        (Reasoning(effort="none"), ()),
        (Reasoning(effort="high"), ("effort",)),
        (Reasoning(enabled=True, budget=2000), ("budget",)),
        (Reasoning(enabled=True, adaptive=True), ("reasoning",)),
    ],
)
def test_a_model_is_told_not_to_think_where_it_takes_tools_only_then(
    reasoning: Reasoning | None, dropped: tuple[str, ...]
) -> None:
    made = CODEC.compose(asked(tools=(Tool("f"),), reasoning=reasoning), Target("gpt", QUIET))
    assert (json.loads(made.body)["reasoning_effort"], made.dropped) == ("none", dropped)


def test_without_tools_it_thinks() -> None:
    made = CODEC.compose(asked(reasoning=Reasoning(effort="high")), Target("gpt", QUIET))
    assert (json.loads(made.body)["reasoning_effort"], made.dropped) == ("high", ())
    assert b"reasoning_effort" not in CODEC.compose(asked(HI, CALLED, HI), Target("gpt", QUIET)).body


def test_a_model_that_takes_tools_in_responses_only() -> None:
    target = Target("gpt", Facts(efforts=("low",), chat_tools="none"))
    assert CODEC.compose(asked(HI, CALLED, HI), target).body
    with pytest.raises(UnservedError, match="in Responses only"):
        CODEC.compose(asked(tools=(Tool("f"),)), target)


@pytest.mark.parametrize(
    ("model", "serves"),
    [
        ("gpt-6-astra", "none"),
        ("gpt-6.1-sol", "none"),
        ("gpt-6-luna", "quiet"),
        ("gpt-5.6-terra", "quiet"),
        ("gpt-5.4", "quiet"),
        ("gpt-7", "none"),
        ("gpt-5.2", "any"),
        ("gpt-4o", "any"),
        ("claude-opus-5", "any"),
        ("llama", "any"),
    ],
)
def test_who_takes_tools_in_chat(model: str, serves: str) -> None:
    facts = lookup(model).facts
    assert facts.chat_tools == serves
    for request in (asked(tools=(Tool("f"),)), asked(HI, CALLED, HI)):
        assert needs_responses(request, facts) is (serves != "any")
    assert not needs_responses(asked(), facts)
