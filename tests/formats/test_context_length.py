"""Requests that are too long, judged by the expressions with which agents look for that (as of 2026).

The messages of upstreams are as their users have reported them.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.base import ApiType
from hydrallm.formats.context_length import Excess, excess, is_said, said_for

CLAUDE_CODE = re.compile(r"prompt is too long|input is too long for requested model", re.IGNORECASE)
CLAUDE_CODE_FIGURES = re.compile(r"prompt is too long[^0-9]*(\d+)\s*tokens?\s*>\s*(\d+)", re.IGNORECASE)
CLAUDE_CODE_ANSWER = re.compile(r"input length and `max_tokens` exceed context limit: (\d+) \+ (\d+) > (\d+)")
CLINE = re.compile(r"context\s*(length|window)|maximum\s*context", re.IGNORECASE)
LITELLM = re.compile(r"exceed context limit|this model's maximum context length is", re.IGNORECASE)
PI = re.compile(
    r"prompt is too long|input is too long for requested model|maximum context length is \d+ tokens", re.IGNORECASE
)

ANTHROPIC = "prompt is too long: 210118 tokens > 200000 maximum"
ANTHROPIC_ANSWER = (
    "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length or "
    "`max_tokens` and try again"
)
BEDROCK = "Input is too long for requested model."
BEDROCK_MODEL = "The model returned the following errors: prompt is too long: 204805 tokens > 200000 maximum"
OPENAI = (
    "This model's maximum context length is 8192 tokens. However, your messages resulted in 14837 tokens. Please "
    "reduce the length of the messages."
)
OPENAI_RESPONSES = "Your input exceeds the context window of this model. Please adjust your input and try again."
OLDER_VLLM = (
    "This model's maximum context length is 16384 tokens. However, you requested 22946 tokens (12946 in the messages, "
    "10000 in the completion). Please reduce the length of the messages or completion."
)
FUNCTIONS = (
    "This model's maximum context length is 8192 tokens. However, you requested 9100 tokens (7000 in the messages, 100 "
    "in the functions, and 2000 in the completion)."
)
OPENROUTER = (
    "This endpoint's maximum context length is 1000000 tokens. However, you requested about 1007978 tokens (4502 of "
    "text input, 3476 of tool input, 1000000 in the output). Please reduce the length of either one."
)
VLLM = (
    "This model's maximum context length is 96000 tokens. However, you requested 4096 output tokens and your prompt "
    "contains 93000 input tokens, for a total of 97096 tokens."
)
VLLM_AT_LEAST = (
    "This model's maximum context length is 32768 tokens. However, you requested 32000 output tokens and your prompt "
    "contains at least 769 input tokens, for a total of at least 32769 tokens. Please reduce the length of the input "
    "prompt or the number of requested output tokens. (parameter=input_tokens, value=769)"
)
VLLM_INPUT = (
    "This model's maximum context length is 262144 tokens. However, you requested 0 output tokens and your prompt "
    "contains at least 262145 input tokens, for a total of at least 262145 tokens."
)
LLAMA_CPP = "the request exceeds the available context size, try increasing it"

FIGURES = {
    ANTHROPIC: Excess(200000, 210118),
    ANTHROPIC_ANSWER: Excess(200000, 188240, 21333),
    BEDROCK: None,
    BEDROCK_MODEL: Excess(200000, 204805),
    OPENAI: Excess(8192, 14837),
    OPENAI_RESPONSES: None,
    OLDER_VLLM: Excess(16384, 12946, 10000),
    FUNCTIONS: Excess(8192, 7100, 2000),
    OPENROUTER: Excess(1000000, 7978, 1000000),
    VLLM: Excess(96000, 93000, 4096),
    VLLM_AT_LEAST: None,
    VLLM_INPUT: Excess(262144, 262145),
    LLAMA_CPP: None,
}
every_message = pytest.mark.parametrize("message", FIGURES)


@every_message
def test_the_figures_are_found(message: str) -> None:
    assert is_said(message)
    assert excess(message) == FIGURES[message]


@every_message
def test_claude_code_finds_what_to_do(message: str) -> None:
    said = said_for(message, ApiType.ANTHROPIC)
    figures = FIGURES[message]
    asks_for_less = CLAUDE_CODE_ANSWER.search(said)
    if figures is not None and figures.output:
        assert asks_for_less is not None
        assert [int(number) for number in asks_for_less.groups()] == [figures.input, figures.output, figures.limit]
    else:
        assert asks_for_less is None
        assert CLAUDE_CODE.search(said)
        found = CLAUDE_CODE_FIGURES.search(said)
        assert (found and [int(number) for number in found.groups()]) == (figures and [figures.input, figures.limit])


@every_message
def test_claude_code_at_bedrock_and_others_find_it(message: str) -> None:
    said = said_for(message, ApiType.BEDROCK)
    assert CLAUDE_CODE.search(said) or CLAUDE_CODE_ANSWER.search(said)


@every_message
def test_those_who_speak_with_openai_find_it(message: str) -> None:
    said = said_for(message, ApiType.OPENAI)
    assert CLINE.search(said)
    assert LITELLM.search(said) or message == OPENAI_RESPONSES  # the code tells it
    if FIGURES[message] is not None:
        assert PI.search(said)


@every_message
@pytest.mark.parametrize("api_type", ApiType)
def test_the_message_stays_whole_and_nothing_is_said_twice(message: str, api_type: ApiType) -> None:
    said = said_for(message, api_type)
    assert said.endswith(message)
    assert said_for(said, api_type) == said


def test_each_api_s_own_messages_stay_as_they_are() -> None:
    for message in (OPENAI, OPENAI_RESPONSES, OLDER_VLLM, VLLM_AT_LEAST):
        assert said_for(message, ApiType.OPENAI) == message
    for message in (ANTHROPIC, ANTHROPIC_ANSWER):
        assert said_for(message, ApiType.ANTHROPIC) == message
    for message in (BEDROCK, BEDROCK_MODEL):
        assert said_for(message, ApiType.BEDROCK) == message


@pytest.mark.parametrize("api_type", ApiType)
def test_an_upstream_that_says_nothing(api_type: ApiType) -> None:
    said = said_for("", api_type)
    assert is_said(said)
    assert not said.endswith((":", " "))


@pytest.mark.parametrize(
    "message",
    ["", "max_tokens is too large", "Invalid 'user': string too long", "messages: at least one message is required"],
)
def test_other_errors(message: str) -> None:
    assert not is_said(message)
    assert excess(message) is None


def test_figures_that_do_not_exceed_are_not_believed() -> None:
    assert excess("prompt is too long: 10 tokens > 200000 maximum") is None
    assert said_for(
        "maximum context length is 9 tokens. However, you requested 8 tokens", ApiType.ANTHROPIC
    ).startswith("prompt is too long: maximum")


counts = st.integers(0, 10**9)


@given(limit=counts, given_=counts, asked=counts)
def test_the_figures_survive_the_way_there_and_back(limit: int, given_: int, asked: int) -> None:
    first = f"input length and `max_tokens` exceed context limit: {given_} + {asked} > {limit}"
    assert excess(said_for(first, ApiType.OPENAI)) == excess(first)
