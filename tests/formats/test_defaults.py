"""Settings that ask for nothing are nowhere dropped, and make nobody unable to serve."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import Target
from hydrallm.formats.facts import Facts
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

if TYPE_CHECKING:
    from hydrallm.formats.codec import Codec

CODECS: dict[str, Codec] = {
    "chat": OpenAIChatCodec(),
    "responses": OpenAIResponsesCodec(),
    "messages": AnthropicMessagesCodec(),
    "invoke": BedrockInvokeCodec(),
    "converse": BedrockConverseCodec(),
}
TURN: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
BLOCKS: list[dict[str, Any]] = [{"role": "user", "content": [{"text": "hi"}]}]
BODIES: dict[str, dict[str, Any]] = {
    "chat": {"messages": TURN},
    "responses": {"input": "hi"},
    "messages": {"messages": TURN, "max_tokens": 9},
    "converse": {"messages": BLOCKS},
}
NOTHING: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"frequency_penalty": 0, "presence_penalty": 0.0}),
    ("chat", {"temperature": 1, "top_p": 1}),
    ("chat", {"top_k": 0}),
    ("chat", {"top_k": -1}),
    ("chat", {"n": 1, "logprobs": False, "top_logprobs": 0}),
    ("chat", {"logit_bias": {}, "metadata": {}, "user": ""}),
    ("chat", {"store": False}),
    ("chat", {"store": True}),
    ("chat", {"parallel_tool_calls": True, "tool_choice": "auto"}),
    ("chat", {"stream_options": {"include_usage": True}}),
    ("chat", {"service_tier": "auto"}),
    ("chat", {"service_tier": "default"}),
    ("chat", {"stop": ""}),
    ("chat", {"stop": []}),
    ("chat", {"verbosity": "medium", "modalities": ["text"], "response_format": {"type": "text"}}),
    ("chat", {"function_call": "none"}),
    ("responses", {"store": False, "top_logprobs": 0, "truncation": "disabled", "background": False}),
    ("responses", {"temperature": 1.0, "top_p": 1.0, "metadata": {}, "include": []}),
    ("responses", {"parallel_tool_calls": True, "tool_choice": "auto", "tools": []}),
    ("responses", {"service_tier": "default", "text": {"format": {"type": "text"}, "verbosity": "medium"}}),
    ("responses", {"stream_options": {"include_obfuscation": False}, "reasoning": {}}),
    ("messages", {"temperature": 1.0, "top_p": 1, "top_k": 0, "stop_sequences": [], "metadata": {}}),
    ("messages", {"context_management": {"edits": []}, "speed": "standard", "betas": [], "mcp_servers": []}),
    ("messages", {"service_tier": "auto", "tools": [], "container": None}),
    ("converse", {"inferenceConfig": {"temperature": 1, "topP": 1, "stopSequences": []}}),
    ("converse", {"performanceConfig": {"latency": "standard"}, "additionalModelResponseFieldPaths": []}),
    ("converse", {"promptVariables": {}, "requestMetadata": {}, "serviceTier": {"type": "default"}}),
]
FACTS = [Facts(), Facts(sampling=False), Facts(efforts=("low", "high")), Facts(budget=True)]


@pytest.mark.parametrize("model", CODECS)
@pytest.mark.parametrize(("client", "said"), NOTHING, ids=str)
def test_what_asks_for_nothing(client: str, said: dict[str, Any], model: str) -> None:
    body = json.dumps(BODIES[client] | said).encode()
    request = CODECS[client].read_request(body, model="m", stream=False)
    assert request.bound == ()
    for facts in FACTS:
        assert CODECS[model].compose(request, Target("us.anthropic.claude-x", facts)).dropped == ()


@pytest.mark.parametrize("model", [name for name in CODECS if name != "chat"])
def test_what_asks_for_something_is_dropped(model: str) -> None:
    said = {"frequency_penalty": 0.5, "presence_penalty": -0.5, "seed": 0, "logit_bias": {"1": 2}}
    request = CODECS["chat"].read_request(json.dumps(BODIES["chat"] | said).encode(), model="m", stream=False)
    assert set(CODECS[model].compose(request, Target("us.anthropic.claude-x", Facts())).dropped) == set(said)


@pytest.mark.parametrize("model", CODECS)
def test_sampling_that_a_model_does_not_take_is_dropped_unless_it_is_the_default(model: str) -> None:
    said = {"temperature": 0.5, "top_p": 0.5}
    request = CODECS["chat"].read_request(json.dumps(BODIES["chat"] | said).encode(), model="m", stream=False)
    composed = CODECS[model].compose(request, Target("us.anthropic.claude-x", Facts(sampling=False)))
    assert composed.dropped == ("temperature", "top_p")
