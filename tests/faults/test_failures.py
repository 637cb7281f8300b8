"""Each cause of a failure in each API's words, as the official SDKs and the service model of botocore know them."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, get_args

import anthropic
import botocore.session
import openai
import pytest
from botocore.exceptions import ClientError, EventStreamError

from hydrallm.faults import answers, failures
from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Cause, Fail, StreamError

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.faults.script import ErrorForm

CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"
TURN: list[Any] = [{"role": "user", "content": "hi"}]
CONVERSE_TURN = [{"role": "user", "content": [{"text": "hi"}]}]
CAUSES = get_args(Cause)

OPENAI: dict[str, tuple[type[openai.APIStatusError], str | None]] = {
    "rate_limited": (openai.RateLimitError, "rate_limit_exceeded"),
    "quota": (openai.RateLimitError, "insufficient_quota"),
    "server": (openai.InternalServerError, None),
    "overloaded": (openai.InternalServerError, None),
    "transient": (openai.APIStatusError, None),
    "auth": (openai.AuthenticationError, "invalid_api_key"),
    "model_unknown": (openai.NotFoundError, "model_not_found"),
    "context_length": (openai.BadRequestError, "context_length_exceeded"),
    "content_filter": (openai.BadRequestError, "content_filter"),
    "client_error": (openai.BadRequestError, "invalid_type"),
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_openai(cause: Cause) -> None:
    raised, code = OPENAI[cause]
    async with (
        Provider(Fail(cause=cause)) as provider,
        openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(raised) as caught:
            await client.chat.completions.create(model="m", messages=TURN)
    assert caught.value.code == code
    assert caught.value.type


@pytest.mark.parametrize("cause", CAUSES)
async def test_anthropic(cause: Cause) -> None:
    async with (
        Provider(Fail(cause=cause)) as provider,
        anthropic.AsyncAnthropic(base_url=provider.url, api_key="k", max_retries=0) as client,
    ):
        with pytest.raises(anthropic.APIStatusError) as caught:
            await client.messages.create(model="m", max_tokens=1, messages=TURN)
    assert caught.value.type in get_args(anthropic.types.ErrorType)
    assert caught.value.status_code >= 400


@pytest.mark.parametrize("cause", CAUSES)
async def test_bedrock_has_these_exceptions_with_these_statuses(cause: Cause, bedrock: Callable[[str], Any]) -> None:
    async with Provider(Fail(cause=cause)) as provider:
        client = bedrock(provider.url)
        with pytest.raises(ClientError) as caught:
            await asyncio.to_thread(client.invoke_model, modelId=CLAUDE, body=b"{}")
    name, status = caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    model = botocore.session.get_session().get_service_model("bedrock-runtime")
    modelled = {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in model.error_shapes}
    common = {"UnrecognizedClientException": 403}  # of every AWS service, so in no service's model
    assert (common | modelled)[name] == status
    assert caught.value.response["Error"]["Message"]


@pytest.mark.parametrize("shape", [answers.Shape.CHAT, answers.Shape.MESSAGES, answers.Shape.CONVERSE])
def test_what_is_said_explicitly_wins(shape: answers.Shape) -> None:
    asked = answers.Question(shape, "m", stream=False, include_usage=False, base64=False, input_tokens=1, serial=1)
    told = Fail(cause="quota", status=200, type="odd", code="7", message="so")
    assert failures.failure(asked, told, 500) == failures.Failure(200, "odd", "so", "7")
    assert failures.failure(asked, StreamError(), 503).status == 503
    assert failures.failure(asked, StreamError(status=500), 503).status == 500


@pytest.mark.parametrize("cause", CAUSES)
async def test_inside_a_stream_the_sdks_raise_it(cause: Cause, bedrock: Callable[[str], Any]) -> None:
    async with Provider(StreamError(cause=cause, events="content")) as provider:
        async with openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client:
            stream = await client.chat.completions.create(model="m", messages=TURN, stream=True)
            with pytest.raises(openai.APIError) as caught:
                [event async for event in stream]
            assert caught.value.code == OPENAI[cause][1]
        async with anthropic.AsyncAnthropic(base_url=provider.url, api_key="k") as claude:
            messages = await claude.messages.create(model="m", max_tokens=9, messages=TURN, stream=True)
            with pytest.raises(anthropic.APIStatusError):
                [event async for event in messages]
        client_of_bedrock = bedrock(provider.url)

        def converse() -> None:
            answer = client_of_bedrock.converse_stream(modelId=CLAUDE, messages=CONVERSE_TURN)
            with contextlib.closing(answer["stream"]) as events:
                list(events)

        with pytest.raises(EventStreamError):
            await asyncio.to_thread(converse)


@pytest.mark.parametrize("form", ["nested", "flat", "failed"])
async def test_the_three_ways_in_which_responses_fail(form: ErrorForm) -> None:
    reply = StreamError(cause="quota", events="preamble", form=form)
    async with (
        Provider(reply) as provider,
        openai.AsyncOpenAI(base_url=f"{provider.url}/v1", api_key="k") as client,
    ):
        stream = await client.responses.create(model="m", input="hi", stream=True)
        if form == "nested":
            with pytest.raises(openai.APIError, match="exceeded your current quota"):
                [event async for event in stream]
            return
        last = [event async for event in stream][-1]
    if form == "flat":
        assert last.type == "error"
        assert last.code == "insufficient_quota"
    else:
        assert last.type == "response.failed"
        assert last.response.error is not None
        assert last.response.status == "failed"
        assert "quota" in last.response.error.message
