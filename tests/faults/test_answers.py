"""Plain answers and errors, as the official SDKs read them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from botocore.exceptions import ClientError

from hydrallm.faults import answers
from hydrallm.faults.provider import Provider
from hydrallm.faults.script import TEXT, Fail

if TYPE_CHECKING:
    from collections.abc import Callable

CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"
TURN: list[Any] = [{"role": "user", "content": "hi"}]
CONVERSE_TURN = [{"role": "user", "content": [{"text": "hi"}]}]


async def test_openai(provider: Provider) -> None:
    async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
        chat = await client.chat.completions.create(model="gpt-4o", messages=TURN)
        completion = await client.completions.create(model="gpt-4o", prompt="hi")
        response = await client.responses.create(model="gpt-4o", input="hi")
        embedding = await client.embeddings.create(model="embed", input="hi")
        models = await client.models.list()
        model = await client.models.retrieve("gpt-4o")
    assert chat.model == "gpt-4o"
    assert chat.choices[0].message.content == TEXT
    assert chat.usage is not None
    assert chat.usage.completion_tokens == len(TEXT.split())
    assert completion.choices[0].text == TEXT
    assert (response.output_text, response.status, response.model) == (TEXT, "completed", "gpt-4o")
    assert embedding.data[0].embedding == [0.25, -0.5, 1.0]
    assert [model.id for model in models.data] == [answers.UNNAMED_MODEL]
    assert model.id == "gpt-4o"


async def test_anthropic(provider: Provider) -> None:
    async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="k") as client:
        message = await client.messages.create(model="claude", max_tokens=100, messages=TURN)
        count = await client.messages.count_tokens(model="claude", messages=TURN)
        models = await client.models.list()
    assert isinstance(message.content[0], anthropic.types.TextBlock)
    assert (message.content[0].text, message.stop_reason, message.model) == (TEXT, "end_turn", "claude")
    assert count.input_tokens > 0
    assert [model.id for model in models.data] == [answers.UNNAMED_MODEL]


async def test_boto3(provider: Provider, bedrock: Callable[[str], Any]) -> None:
    client = bedrock(provider.url)
    body = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": TURN})
    invoked = await asyncio.to_thread(client.invoke_model, modelId=CLAUDE, body=body)
    conversed = await asyncio.to_thread(client.converse, modelId=CLAUDE, messages=CONVERSE_TURN)
    answer = json.loads(await asyncio.to_thread(invoked["body"].read))
    assert (answer["content"][0]["text"], answer["model"]) == (TEXT, CLAUDE)
    assert conversed["output"]["message"]["content"] == [{"text": TEXT}]
    assert conversed["stopReason"] == "end_turn"
    assert [request.path for request in provider.received] == [
        "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/invoke",
        "/model/anthropic.claude-3-sonnet-20240229-v1%3A0/converse",
    ]


async def test_anthropic_bedrock(provider: Provider) -> None:
    async with anthropic.AsyncAnthropicBedrock(
        base_url=provider.url, aws_access_key="AKIDEXAMPLE", aws_secret_key="s", aws_region="us-east-1"
    ) as client:
        message = await client.messages.create(model=CLAUDE, max_tokens=100, messages=TURN)
    assert isinstance(message.content[0], anthropic.types.TextBlock)
    assert message.content[0].text == TEXT


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (400, openai.BadRequestError, "invalid_request_error"),
        (401, openai.AuthenticationError, "authentication_error"),
        (404, openai.NotFoundError, "invalid_request_error"),
        (429, openai.RateLimitError, "rate_limit_error"),
        (503, openai.InternalServerError, "server_error"),
    ],
)
async def test_openai_errors(status: int, raised: type[openai.APIStatusError], kind: str) -> None:
    async with (
        Provider(Fail(status=status, message="told to")) as provider,
        openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(raised, match="told to") as caught:
            await client.chat.completions.create(model="m", messages=TURN)
    assert (caught.value.status_code, caught.value.type) == (status, kind)
    assert caught.value.request_id == "req_000000000000000000000001"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
async def test_anthropic_errors(status: int, kind: str) -> None:
    async with (
        Provider(Fail(status=status, message="told to")) as provider,
        anthropic.AsyncAnthropic(base_url=provider.url, api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(anthropic.APIStatusError, match="told to") as caught:
            await client.messages.create(model="m", max_tokens=1, messages=TURN)
    assert (caught.value.status_code, caught.value.type) == (status, kind)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (403, "AccessDeniedException"),
        (424, "ModelErrorException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (503, "ServiceUnavailableException"),
    ],
)
async def test_bedrock_errors(status: int, code: str, bedrock: Callable[[str], Any]) -> None:
    async with Provider(Fail(status=status, message="told to")) as provider:
        client = bedrock(provider.url)
        with pytest.raises(ClientError, match="told to") as caught:
            await asyncio.to_thread(client.converse, modelId=CLAUDE, messages=CONVERSE_TURN)
    assert isinstance(caught.value, getattr(client.exceptions, code))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("body", [b"", b"[]", b'{"model": 3}', b"\xff", b"[" * 100_000, b'{"model": "' + b"9" * 5000])
def test_a_body_that_is_no_request_asks_for_the_defaults(body: bytes) -> None:
    asked = answers.question("POST", "/v1/chat/completions", {}, body, 1)
    assert (asked.model, asked.stream) == (answers.UNNAMED_MODEL, False)


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/v4/chat/completions", answers.Shape.CHAT),
        ("/chat/completions", answers.Shape.CHAT),
        ("/api/anthropic/v1/messages", answers.Shape.MESSAGES),
        ("/model/arn%3Aaws%3Abedrock%2Fx/converse-stream", answers.Shape.CONVERSE_STREAM),
        ("/v1/files", answers.Shape.OTHER),
    ],
)
def test_paths_say_what_they_ask_for(path: str, shape: answers.Shape) -> None:
    assert answers.question("POST", path, {}, b"{}", 1).shape is shape
