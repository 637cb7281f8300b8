"""Chains as the official SDKs use them, through a real ``hydrallm serve``."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import openai
import pytest
import pytest_asyncio
from botocore.config import Config

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import TEXT, Fail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.e2e.conftest import Gateway, Serve

pytestmark = pytest.mark.asyncio(loop_scope="session")

TURN: list[Any] = [{"role": "user", "content": "hi"}]
LISTED = [
    "default",
    "agent",
    "search",
    "only/openai/gpt-big",
    "only/claude",
    "only/openai/gpt-small",
    "only/embedding",
    *(f"only/openai/spare-{number}" for number in range(20)),
]


@pytest_asyncio.fixture(loop_scope="session")
async def provider() -> AsyncIterator[Provider]:
    async with Provider() as provider:
        yield provider
        assert provider.rejected == []


@pytest_asyncio.fixture(loop_scope="session")
async def gateway(provider: Provider, serve: Serve) -> Gateway:
    spare = [{"endpoint": "openai", "model": f"spare-{number}"} for number in range(20)]
    return await serve(
        {
            "endpoints": {
                "openai": {"url": f"{provider.url}/v1", "api_key": "k"},
                "anthropic": {"url": provider.url, "api_key": "k", "type": "anthropic"},
            },
            "models": [
                {"endpoint": "openai", "model": "gpt-big"},
                {"endpoint": "anthropic", "model": "claude-big", "id": "claude"},
                {"endpoint": "openai", "model": "gpt-small"},
                {"endpoint": "openai", "model": "text-embedding-9", "id": "embedding"},
                *spare,
            ],
            "chains": {
                "agent": {"models": ["openai/gpt-small", "claude"], "match": ["*haiku*", "gpt-4o-mini"]},
                "search": {"models": ["embedding", "openai/spare-1"], "match": ["text-embedding-*"]},
            },
        }
    )


@pytest_asyncio.fixture(loop_scope="session")
async def gpt(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def claude(gateway: Gateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="any", max_retries=0) as client:
        yield client


def asked(provider: Provider) -> list[str]:
    return [json.loads(received.body)["model"] for received in provider.received]


async def test_openais_sdk_lists_and_retrieves(gpt: openai.AsyncOpenAI, provider: Provider) -> None:
    assert [model.id async for model in gpt.models.list()] == LISTED
    for name in LISTED:
        model = await gpt.models.retrieve(name)
        assert (model.id, model.object) == (name, "model")
    with pytest.raises(openai.NotFoundError, match='no model is called "gpt-4o" here; there are default, agent'):
        await gpt.models.retrieve("gpt-4o")
    assert provider.received == []


@pytest.mark.parametrize("limit", [1, 7, 27, 1000])
async def test_anthropics_sdk_lists_page_by_page(limit: int, claude: anthropic.AsyncAnthropic) -> None:
    assert [model.id async for model in claude.models.list(limit=limit)] == LISTED
    backwards = await claude.models.list(limit=limit, before_id=LISTED[-1])
    assert [model.id async for model in backwards][: min(limit, 26)] == LISTED[-1 - min(limit, 26) : -1]


async def test_anthropics_sdk_retrieves(claude: anthropic.AsyncAnthropic, provider: Provider) -> None:
    assert len((await claude.models.list()).data) == 20  # a page, as with Anthropic's own API
    for name in LISTED:
        model = await claude.models.retrieve(name)
        assert (model.id, model.type) == (name, "model")
    assert (await claude.models.retrieve("only/claude")).display_name == "anthropic/claude-big"
    with pytest.raises(anthropic.NotFoundError, match="there are default, agent"):
        await claude.models.retrieve("claude-opus-4-8")
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        await claude.models.list(limit=0)
    assert provider.received == []


async def test_a_coding_agents_small_model_has_its_own_chain(
    gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, provider: Provider, gateway: Gateway
) -> None:
    for name in ("gpt-5.5", "gpt-4o-mini", "agent", "only/openai/spare-3"):
        completion = await gpt.chat.completions.create(model=name, messages=TURN)
        assert completion.choices[0].message.content == TEXT
    for name in ("claude-opus-4-8", "claude-haiku-4-5", "only/claude"):
        async with claude.messages.stream(model=name, max_tokens=9, messages=TURN) as stream:
            assert await stream.get_final_text() == TEXT
    assert asked(provider) == [
        "gpt-big", "gpt-small", "gpt-small", "spare-3", "gpt-big", "gpt-small", "claude-big",
    ]  # fmt: skip
    await gateway.stop()
    lines = [json.loads(line) for line in gateway.lines]
    listening = next(line for line in lines if "listening" in line["message"])
    assert listening["chains"] == "agent, search"
    told = [(line["requested"], line.get("chain")) for line in lines if line["message"].startswith("POST")]
    assert told == [
        ("gpt-5.5", None),
        ("gpt-4o-mini", "agent"),
        ("agent", "agent"),
        ("only/openai/spare-3", "only/openai/spare-3"),
        ("claude-opus-4-8", None),
        ("claude-haiku-4-5", "agent"),
        ("only/claude", "only/claude"),
    ]


async def test_an_unknown_pin_raises_not_found(
    gpt: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, provider: Provider
) -> None:
    with pytest.raises(openai.NotFoundError, match='no model is called "only/nothing"'):
        await gpt.chat.completions.create(model="only/nothing", messages=TURN)
    with pytest.raises(anthropic.NotFoundError, match='no model is called "only/nothing"'):
        await claude.messages.create(model="only/nothing", max_tokens=9, messages=TURN)
    assert provider.received == []


async def test_embeddings_have_a_chain_and_fall_back_in_it(gpt: openai.AsyncOpenAI, provider: Provider) -> None:
    answer = await gpt.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
    assert len(answer.data[0].embedding) > 0
    provider.play([Fail(status=503)])
    with pytest.raises(openai.InternalServerError):
        await gpt.embeddings.create(model="search", input="a")
    assert asked(provider)[:3] == ["text-embedding-9", "text-embedding-9", "spare-1"]


async def test_boto3_pins_a_model(provider: Provider, serve: Serve) -> None:
    bedrock = {"url": provider.url, "aws_region": "eu-central-1", "api_key": "k", "type": "bedrock"}
    gateway = await serve(
        {
            "endpoints": {"aws": bedrock},
            "models": [{"endpoint": "aws", "model": f"anthropic.claude-{number}-v1:0"} for number in (1, 2)],
        }
    )
    client = boto3.client(
        "bedrock-runtime",
        region_name="eu-central-1",
        endpoint_url=gateway.url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}),
    )
    messages = [{"role": "user", "content": [{"text": "hi"}]}]
    answer = await asyncio.to_thread(client.converse, modelId="only/aws/anthropic.claude-2-v1:0", messages=messages)
    assert answer["output"]["message"]["content"][0]["text"] == TEXT
    assert provider.received[0].path == "/model/anthropic.claude-2-v1%3A0/converse"
    with pytest.raises(client.exceptions.ResourceNotFoundException, match='no model is called "only/x"'):
        await asyncio.to_thread(client.converse, modelId="only/x", messages=messages)
