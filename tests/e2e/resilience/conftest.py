"""What the official SDKs make of an answer: all that was said, in order, and whether it ended or an error was raised.

The SDKs do not retry here. They are the judges of what reached the client, so nothing of ours reads an answer.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import anthropic
import boto3
import httpx2
import openai
import pytest
import pytest_asyncio
import urllib3.exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

TURN: list[Any] = [{"role": "user", "content": "hi"}]
CONVERSE_TURN = [{"role": "user", "content": [{"text": "hi"}]}]
CLAUDE = "anthropic.claude-3-sonnet-20240229-v1:0"
INVOKE_BODY = json.dumps({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": TURN})

RAISED = (
    openai.OpenAIError, anthropic.AnthropicError, ClientError, BotoCoreError,
    httpx2.HTTPError, urllib3.exceptions.HTTPError,
)  # fmt: skip
"""What an SDK may raise. Anything else is a bug: in the gateway, which let something through, or in a test."""

FINISHED = {"stop", "end_turn", "completed"}
SDK_PATIENCE = 30.0


class Heard:
    """What one call has heard.

    Attributes:
        pieces: what was said, as it came.
        finish: the word by which the answer says that it is complete, in its format; None until it has said so.
        error: what the SDK raised.
        seconds: how long it all took.
    """

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.finish: str | None = None
        self.error: Exception | None = None
        self.seconds = 0.0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def whole(self) -> bool:
        """Whether this is a success in the eyes of the client's program."""
        return self.error is None and self.finish in FINISHED

    def __str__(self) -> str:
        raised = "" if self.error is None else f", raised {type(self.error).__name__}: {str(self.error)[:160]}"
        return f"{self.text!r}, finish {self.finish}{raised}, after {self.seconds:.2f} s"


class Sdk(NamedTuple):
    """The SDKs, pointed at one gateway."""

    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    bedrock: Any
    threads: concurrent.futures.Executor


async def chat(sdk: Sdk, heard: Heard) -> None:
    completion = await sdk.openai.chat.completions.create(model="m", messages=TURN)
    heard.pieces.append(completion.choices[0].message.content or "")
    heard.finish = completion.choices[0].finish_reason


async def chat_stream(sdk: Sdk, heard: Heard) -> None:
    async for chunk in await sdk.openai.chat.completions.create(model="m", messages=TURN, stream=True):
        for choice in chunk.choices:
            heard.pieces.append(choice.delta.content or "")
            heard.finish = choice.finish_reason or heard.finish


async def responses(sdk: Sdk, heard: Heard) -> None:
    response = await sdk.openai.responses.create(model="m", input="hi")
    heard.pieces.append(response.output_text)
    heard.finish = response.incomplete_details.reason if response.incomplete_details else response.status


async def responses_stream(sdk: Sdk, heard: Heard) -> None:
    async for event in await sdk.openai.responses.create(model="m", input="hi", stream=True):
        if event.type == "response.output_text.delta":
            heard.pieces.append(event.delta)
        elif event.type in {"response.completed", "response.incomplete"}:
            details = event.response.incomplete_details
            heard.finish = details.reason if details else event.response.status


async def messages(sdk: Sdk, heard: Heard) -> None:
    message = await sdk.anthropic.messages.create(model="claude", max_tokens=9, messages=TURN)
    heard.pieces += [block.text for block in message.content if block.type == "text"]
    heard.finish = message.stop_reason


async def messages_stream(sdk: Sdk, heard: Heard) -> None:
    reason = None
    async for event in await sdk.anthropic.messages.create(model="claude", max_tokens=9, messages=TURN, stream=True):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            heard.pieces.append(event.delta.text)
        elif event.type == "message_delta":
            reason = event.delta.stop_reason
        elif event.type == "message_stop":
            heard.finish = reason


def _invoke(sdk: Sdk, heard: Heard) -> None:
    message = json.loads(sdk.bedrock.invoke_model(modelId=CLAUDE, body=INVOKE_BODY)["body"].read())
    heard.pieces += [block["text"] for block in message["content"]]
    heard.finish = message["stop_reason"]


def _invoke_stream(sdk: Sdk, heard: Heard) -> None:
    reason = None
    body = sdk.bedrock.invoke_model_with_response_stream(modelId=CLAUDE, body=INVOKE_BODY)["body"]
    with contextlib.closing(body):
        for frame in body:
            event = json.loads(frame["chunk"]["bytes"])
            if event["type"] == "content_block_delta":
                heard.pieces.append(event["delta"]["text"])
            elif event["type"] == "message_delta":
                reason = event["delta"]["stop_reason"]
            elif event["type"] == "message_stop":
                heard.finish = reason


def _converse(sdk: Sdk, heard: Heard) -> None:
    answer = sdk.bedrock.converse(modelId=CLAUDE, messages=CONVERSE_TURN)
    heard.pieces += [block["text"] for block in answer["output"]["message"]["content"]]
    heard.finish = answer["stopReason"]


def _converse_stream(sdk: Sdk, heard: Heard) -> None:
    stream = sdk.bedrock.converse_stream(modelId=CLAUDE, messages=CONVERSE_TURN)["stream"]
    with contextlib.closing(stream):
        for event in stream:
            if "contentBlockDelta" in event:
                heard.pieces.append(event["contentBlockDelta"]["delta"]["text"])
            elif "messageStop" in event:
                heard.finish = event["messageStop"]["stopReason"]


def _threaded(call: Callable[[Sdk, Heard], None]) -> Callable[[Sdk, Heard], Awaitable[None]]:
    async def run(sdk: Sdk, heard: Heard) -> None:
        await asyncio.get_running_loop().run_in_executor(sdk.threads, call, sdk, heard)

    return run


CALLS: dict[str, Callable[[Sdk, Heard], Awaitable[None]]] = {
    "chat": chat,
    "chat-stream": chat_stream,
    "responses": responses,
    "responses-stream": responses_stream,
    "messages": messages,
    "messages-stream": messages_stream,
    "invoke": _threaded(_invoke),
    "invoke-stream": _threaded(_invoke_stream),
    "converse": _threaded(_converse),
    "converse-stream": _threaded(_converse_stream),
}


class Caller:
    """Makes calls with the SDKs."""

    def __init__(self, sdk: Callable[[str], Sdk]) -> None:
        self._sdk = sdk

    async def __call__(self, url: str, name: str, limit: float) -> Heard:
        """Make the call ``name`` at the gateway ``url``.

        Raises:
            TimeoutError: it took longer than ``limit`` seconds: the client hangs.
            Exception: what no SDK may raise.
        """
        heard = Heard()
        begun = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await CALLS[name](self._sdk(url), heard)
        except RAISED as error:
            heard.error = error
        heard.seconds = time.monotonic() - begun
        return heard


Ask = Caller


class Question(NamedTuple):
    """A streaming or plain request as it stands on the wire, for what the SDKs hide.

    Attributes:
        path: where to.
        fields: the body's, to which a test may add its own.
    """

    path: str
    fields: dict[str, Any]

    def body(self, **marks: Any) -> bytes:  # noqa: ANN401 - any JSON
        """Return the body; ``marks`` are for the provider's script to tell the requests apart."""
        return json.dumps(self.fields | marks).encode()


_MODEL = "/model/anthropic.claude-v1%3A0"
_INVOKE: dict[str, Any] = json.loads(INVOKE_BODY)

QUESTIONS: dict[str, Question] = {
    "chat": Question("/v1/chat/completions", {"model": "m", "messages": TURN}),
    "completions": Question("/v1/completions", {"model": "m", "prompt": "hi"}),
    "responses": Question("/v1/responses", {"model": "m", "input": "hi"}),
    "messages": Question("/v1/messages", {"model": "claude", "max_tokens": 9, "messages": TURN}),
    "invoke": Question(f"{_MODEL}/invoke", _INVOKE),
    "converse": Question(f"{_MODEL}/converse", {"messages": CONVERSE_TURN}),
}
STREAMED: dict[str, Question] = {
    **{name: Question(QUESTIONS[name].path, {**QUESTIONS[name].fields, "stream": True})
       for name in ("chat", "completions", "responses", "messages")},
    "invoke": Question(f"{_MODEL}/invoke-with-response-stream", _INVOKE),
    "converse": Question(f"{_MODEL}/converse-stream", {"messages": CONVERSE_TURN}),
}  # fmt: skip


@pytest.fixture
def plain() -> dict[str, Question]:
    """A plain request in each wire format."""
    return QUESTIONS


@pytest.fixture
def streamed() -> dict[str, Question]:
    """A streaming request in each wire format."""
    return STREAMED


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ask() -> AsyncIterator[Caller]:
    """The SDKs; their connection pools are shared, and what they know of a gateway is only its URL."""
    session = boto3.session.Session("AKIDCLIENT", "client-secret", region_name="us-east-1")
    config = Config(retries={"total_max_attempts": 1}, read_timeout=SDK_PATIENCE, max_pool_connections=32)
    clients: dict[str, Any] = {}
    with concurrent.futures.ThreadPoolExecutor(32) as threads:
        async with (
            openai.AsyncOpenAI(base_url="http://x", api_key="k", max_retries=0, timeout=SDK_PATIENCE) as for_openai,
            anthropic.AsyncAnthropic(base_url="http://x", api_key="k", max_retries=0, timeout=SDK_PATIENCE) as claude,
        ):

            def sdk(url: str) -> Sdk:
                if url not in clients:
                    clients[url] = session.client("bedrock-runtime", endpoint_url=url, config=config)
                return Sdk(for_openai.copy(base_url=f"{url}/v1"), claude.copy(base_url=url), clients[url], threads)

            yield Caller(sdk)
        for client in clients.values():
            client.close()
