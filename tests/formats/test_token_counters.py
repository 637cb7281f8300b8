"""Counts of tokens, asked: the official SDKs say whether that is what they would have asked."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anthropic
import boto3
import httpx2
import openai
import pytest
from anthropic.types import MessageTokensCount
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from openai.types.responses.input_token_count_params import InputTokenCountParams
from pydantic import TypeAdapter

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_count import counted_model
from hydrallm.formats.canonical import Image, Message, Request, Role, Source, Target, UnservedError, UntranslatableError
from hydrallm.formats.facts import Facts
from hydrallm.formats.token_count import Counting, write_count
from hydrallm.formats.token_counters import COUNTERS

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = {
    "model": "claude",
    "system": "Be brief.",
    "tools": [{"name": "f", "description": "does f", "input_schema": {"type": "object", "properties": {}}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "go", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "done"}]},
    ],
}
BASE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
Sent = tuple[str, dict[str, Any]]


def request() -> Request:
    return AnthropicMessagesCodec().read_request(json.dumps(ASKED).encode(), model="", stream=False)


def counting(name: str, model: str, facts: Facts | None = None) -> Counting:
    return COUNTERS[name].compose(request(), Target(model, facts or Facts(budget=True)))


def through_httpx(answer: dict[str, Any]) -> tuple[httpx2.Client, list[Sent]]:
    """Return a client that gets ``answer``, and what it sends."""
    sent: list[Sent] = []

    def take(asked: httpx2.Request) -> httpx2.Response:
        sent.append((asked.url.path, json.loads(asked.content)))
        return httpx2.Response(200, json=answer)

    return httpx2.Client(transport=httpx2.MockTransport(take)), sent


def boto_counts(model: str, said: dict[str, Any]) -> Sent:
    """Return what boto3 sends, once it has validated it."""
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url="http://127.0.0.1",
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )
    sent: list[Sent] = []

    class Body:
        def stream(self) -> list[bytes]:
            return [b'{"inputTokens":17}']

    def take(request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore has no types
        sent.append((urlsplit(request.url).path, json.loads(request.body)))
        return AWSResponse(request.url, 200, {"content-type": "application/json"}, Body())

    client.meta.events.register("before-send", take)
    assert client.count_tokens(modelId=model, input=said)["inputTokens"] == 17
    return sent[0]


def test_anthropic_is_asked_as_its_sdk_asks() -> None:
    asked = counting("anthropic-messages", "claude-sonnet-4-5")
    http, sent = through_httpx({"input_tokens": 17})
    client = anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1", http_client=http)
    assert client.messages.count_tokens(**json.loads(asked.body)).input_tokens == 17
    assert sent == [(asked.path.decode(), json.loads(asked.body))]
    assert json.loads(asked.body) == {**ASKED, "model": "claude-sonnet-4-5"}
    assert asked.headers == [(b"anthropic-version", b"2023-06-01")]


def test_bedrock_is_asked_about_invoke_as_boto3_asks() -> None:
    asked = counting("bedrock-invoke", f"eu.{BASE}")
    said = json.loads(asked.body)["input"]
    body = base64.b64decode(said["invokeModel"]["body"], validate=True)
    assert boto_counts(BASE, {"invokeModel": {"body": body}}) == (asked.path.decode(), json.loads(asked.body))
    inner = json.loads(body)
    assert inner["anthropic_version"] == "bedrock-2023-05-31"
    assert inner["max_tokens"] > inner["thinking"]["budget_tokens"] == 2000
    assert inner["messages"] == ASKED["messages"]
    assert not {"model", "stream"} & set(inner)
    assert asked.headers == []


@pytest.mark.parametrize("model", [f"global.{BASE}", "qwen.qwen3-32b-v1:0"])
def test_bedrock_is_asked_about_converse_as_boto3_asks(model: str) -> None:
    asked = counting("bedrock-converse", model, Facts(budget="claude" in model, cache=False))
    said = json.loads(asked.body)["input"]
    assert boto_counts(counted_model(model), said) == (asked.path.decode(), json.loads(asked.body))
    assert {"messages", "system", "toolConfig"} <= set(said["converse"])
    assert ("additionalModelRequestFields" in said["converse"]) is ("claude" in model)


def test_openai_is_asked_as_its_sdk_asks() -> None:
    asked = counting("openai-responses", "gpt-6", Facts(efforts=("low", "high")))
    said = json.loads(asked.body)
    TypeAdapter(InputTokenCountParams).validate_python(said)
    http, sent = through_httpx({"object": "response.input_tokens", "input_tokens": 17})
    client = openai.OpenAI(api_key="k", base_url="http://127.0.0.1/v1", http_client=http)
    assert client.responses.input_tokens.count(**said).input_tokens == 17
    assert sent == [(asked.path.decode(), said)]
    assert (
        {"model", "input", "instructions", "tools", "reasoning"}
        <= set(said)
        <= set(InputTokenCountParams.__annotations__)
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [
        (BASE, BASE),
        (f"us.{BASE}", BASE),
        (f"us-gov.{BASE}", BASE),
        (f"apac.{BASE}", BASE),
        (f"global.{BASE}", BASE),
        (f"arn:aws:bedrock:us-east-1::foundation-model/{BASE}", BASE),
        (f"arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.{BASE}", BASE),
        ("us.deepseek.r1-v1:0", "deepseek.r1-v1:0"),
        ("zai.glm-4.7", "zai.glm-4.7"),
    ],
)
def test_a_model_is_counted_for_by_its_own_id(name: str, model: str) -> None:
    assert counted_model(name) == model


@pytest.mark.parametrize(
    "kind", ["application-inference-profile", "provisioned-model", "custom-model", "imported-model"]
)
@pytest.mark.parametrize("format_", ["bedrock-invoke", "bedrock-converse"])
def test_a_model_behind_a_name_of_one_s_own_is_not_asked(format_: str, kind: str) -> None:
    with pytest.raises(UnservedError, match="CountTokens takes the id of a model"):
        counting(format_, f"arn:aws:bedrock:us-east-1:123456789012:{kind}/abc123", Facts(cache=False))


def test_what_cannot_be_said_is_not_asked() -> None:
    far = Image(Source(url="https://example.com/a.png"))
    picture = Request(format="openai-chat", messages=(Message(Role.USER, (far,)),))
    for format_ in ("bedrock-invoke", "bedrock-converse"):
        with pytest.raises(UnservedError):
            COUNTERS[format_].compose(picture, Target(BASE, Facts()))


@pytest.mark.parametrize("name", COUNTERS)
def test_answers(name: str) -> None:
    member = "inputTokens" if name.startswith("bedrock") else "input_tokens"
    read: Callable[[bytes], int] = COUNTERS[name].read
    assert read(json.dumps({member: 2095, "object": "response.input_tokens"}).encode()) == 2095
    for odd in (b"", b"{}", b"[]", b'{"%b":-1}' % member.encode(), b'{"%b":"9"}' % member.encode(), b"\xff"):
        with pytest.raises(UntranslatableError):
            read(odd)


def test_the_count_is_told_as_anthropic_tells_it() -> None:
    assert MessageTokensCount.model_validate_json(write_count(2095), strict=True).input_tokens == 2095
