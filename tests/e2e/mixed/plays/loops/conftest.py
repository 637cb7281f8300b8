"""Programs that run tools for a model, as one writes them with each of the official SDKs.

A program asks, runs the tools that the model calls, adds both to its history, and asks again. Where an answer breaks
off, it asks the same once more. The SDKs do not retry.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import httpx2
import openai
import pytest_asyncio
import urllib3.exceptions
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from openai.lib.streaming.chat import ChatCompletionStreamState
from tests.e2e.mixed.plays.conftest import SYSTEM

if TYPE_CHECKING:
    from tests.e2e.mixed.plays.conftest import Play

    Json = dict[str, Any]
    Calls = list[tuple[str, str, Any]]  # ids, names, arguments

PATIENCE = 30.0
BUDGET = 1024
ONCE_MORE = 8
RAISED = (
    openai.OpenAIError, anthropic.AnthropicError, ClientError, BotoCoreError,
    httpx2.HTTPError, urllib3.exceptions.HTTPError,
)  # fmt: skip
"""What an SDK raises where an answer breaks off."""


class Program(abc.ABC):
    """A program.

    Attributes:
        play: whose tools it has.
        said: what the model said, besides its calls, turn by turn.
        errors: what the SDK raised.
    """

    def __init__(self, play: Play, client: Any, chain: str, *, stream: bool) -> None:  # noqa: ANN401 - an SDK's
        self.play, self.client, self.chain, self.stream = play, client, chain, stream
        self.history: list[Any] = self.beginning()
        self.said: list[str] = []
        self.errors: list[Exception] = []

    @staticmethod
    @abc.abstractmethod
    def connected(url: str) -> contextlib.AbstractAsyncContextManager[Any]:
        """Return the SDK's client of a gateway."""

    async def run(self) -> None:
        """Go on until the model calls no more tools."""
        while len(self.said) <= len(self.play.acts):
            text, calls = await self._turn()
            self.said.append(text)
            if not calls:
                return
            self.add([(call, *self.play.run(name, arguments)) for call, name, arguments in calls])

    def beginning(self) -> list[Any]:
        """Return the history before the first turn."""
        return [{"role": "user", "content": self.play.prompt}]

    async def _turn(self) -> tuple[str, Calls]:
        for _ in range(ONCE_MORE):
            try:
                return await self.ask()
            except RAISED as error:
                self.errors.append(error)
                if self.play.lost:
                    break
        raise self.errors[-1]

    @abc.abstractmethod
    async def ask(self) -> tuple[str, Calls]:
        """Return the next turn, and add it to the history."""

    @abc.abstractmethod
    def add(self, results: list[tuple[str, str, bool]]) -> None:
        """Add the results of calls to the history: id, text, and whether the tool failed."""


class Messages(Program):
    """With Anthropic's SDK."""

    @staticmethod
    def connected(url: str) -> contextlib.AbstractAsyncContextManager[Any]:
        return anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0, timeout=PATIENCE)

    async def ask(self) -> tuple[str, Calls]:
        tools: list[Any] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.schema}
            for tool in self.play.tools
        ]
        thinking: Json = {"thinking": {"type": "enabled", "budget_tokens": BUDGET}} if self.play.thinks else {}
        asked: Json = {"model": self.chain, "max_tokens": 4000, "system": SYSTEM, "tools": tools, **thinking}
        if self.stream:
            async with self.client.messages.stream(messages=self.history, **asked) as stream:
                message = await stream.get_final_message()
        else:
            message = await self.client.messages.create(messages=self.history, **asked)
        # get_final_message() takes any end of the stream for the end of the answer: this is how a program can tell.
        assert message.stop_reason in {"tool_use", "end_turn"}, "an answer that broke off looks complete"
        self.history.append({"role": "assistant", "content": message.content})
        calls: Calls = [(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"]
        assert bool(calls) == (message.stop_reason == "tool_use")
        return "".join(block.text for block in message.content if block.type == "text"), calls

    def add(self, results: list[tuple[str, str, bool]]) -> None:
        blocks = [
            {"type": "tool_result", "tool_use_id": call, "content": text} | ({"is_error": True} if failed else {})
            for call, text, failed in results
        ]
        self.history.append({"role": "user", "content": blocks})


class Chat(Program):
    """With OpenAI's SDK, Chat Completions."""

    @staticmethod
    def connected(url: str) -> contextlib.AbstractAsyncContextManager[Any]:
        return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0, timeout=PATIENCE)

    def beginning(self) -> list[Any]:
        return [{"role": "system", "content": SYSTEM}, *super().beginning()]

    async def ask(self) -> tuple[str, Calls]:
        tools: list[Any] = [
            {
                "type": "function",
                "function": {"name": one.name, "description": one.description, "parameters": one.schema},
            }
            for one in self.play.tools
        ]
        asked: Json = {"model": self.chain, "messages": self.history, "tools": tools}
        if self.stream:
            state = ChatCompletionStreamState()
            async for chunk in await self.client.chat.completions.create(**asked, stream=True):
                state.handle_chunk(chunk)
            (choice,) = state.current_completion_snapshot.choices
        else:
            (choice,) = (await self.client.chat.completions.create(**asked)).choices
        assert choice.finish_reason in {"tool_calls", "stop"}, "an answer that broke off looks complete"
        message: Json = choice.message.to_dict()
        called: list[Json] = message.get("tool_calls") or []
        functions = [(call["id"], {name: call["function"][name] for name in ("name", "arguments")}) for call in called]
        assert bool(functions) == (choice.finish_reason == "tool_calls")
        # What the SDK puts together from a stream has members that are no part of a message.
        turn: Json = {"role": "assistant", "content": message.get("content")}
        if functions:
            turn["tool_calls"] = [{"id": call, "type": "function", "function": f} for call, f in functions]
        self.history.append(turn)
        calls = [(call, f["name"], json.loads(f["arguments"] or "{}")) for call, f in functions]
        return choice.message.content or "", calls

    def add(self, results: list[tuple[str, str, bool]]) -> None:
        for call, text, failed in results:
            content = f"Error: {text}" if failed else text
            self.history.append({"role": "tool", "tool_call_id": call, "content": content})


class Responses(Program):
    """With OpenAI's SDK, Responses; nothing is stored at the provider."""

    connected = Chat.connected

    async def ask(self) -> tuple[str, Calls]:
        tools: list[Any] = [
            {
                "type": "function",
                "name": one.name,
                "description": one.description,
                "parameters": one.schema,
                "strict": False,
            }
            for one in self.play.tools
        ]
        asked: Json = {
            "model": self.chain,
            "instructions": SYSTEM,
            "input": self.history,
            "tools": tools,
            "store": False,
        }
        if self.play.thinks:
            asked |= {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"]}
        if self.stream:
            ends = [
                event
                async for event in await self.client.responses.create(**asked, stream=True)
                if event.type == "response.completed"
            ]
            assert ends, "an answer that broke off looks complete"
            response = ends[0].response
        else:
            response = await self.client.responses.create(**asked)
        assert response.status == "completed", "an answer that broke off looks complete"
        self.history += [item.to_dict() for item in response.output]
        calls = [item for item in response.output if item.type == "function_call"]
        return response.output_text, [(call.call_id, call.name, json.loads(call.arguments or "{}")) for call in calls]

    def add(self, results: list[tuple[str, str, bool]]) -> None:
        for call, text, failed in results:
            output = f"Error: {text}" if failed else text
            self.history.append({"type": "function_call_output", "call_id": call, "output": output})


class Converse(Program):
    """With boto3, which blocks, so it runs in threads."""

    @staticmethod
    @contextlib.asynccontextmanager
    async def connected(url: str) -> AsyncIterator[Any]:
        session = boto3.session.Session("AKIDCLIENT", "client-secret", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE, max_pool_connections=20)
        with contextlib.closing(session.client("bedrock-runtime", endpoint_url=url, config=config)) as client:
            yield client

    def beginning(self) -> list[Any]:
        return [{"role": "user", "content": [{"text": self.play.prompt}]}]

    async def ask(self) -> tuple[str, Calls]:
        stop, content = await asyncio.to_thread(self._ask)
        assert stop in {"tool_use", "end_turn"}, "an answer that broke off looks complete"
        self.history.append({"role": "assistant", "content": content})
        used = [block["toolUse"] for block in content if "toolUse" in block]
        text = "".join(block.get("text", "") for block in content)
        return text, [(tool["toolUseId"], tool["name"], tool["input"]) for tool in used]

    def _ask(self) -> tuple[str, list[Json]]:
        specs = [
            {"toolSpec": {"name": one.name, "description": one.description, "inputSchema": {"json": one.schema}}}
            for one in self.play.tools
        ]
        asked: Json = {"modelId": self.chain, "messages": self.history, "system": [{"text": SYSTEM}]}
        asked["toolConfig"] = {"tools": specs}
        if not self.stream:
            answer = self.client.converse(**asked)
            return answer["stopReason"], answer["output"]["message"]["content"]
        with contextlib.closing(self.client.converse_stream(**asked)["stream"]) as stream:
            return put_together(stream)

    def add(self, results: list[tuple[str, str, bool]]) -> None:
        blocks = [
            {"toolResult": {"toolUseId": call, "content": [{"text": text}], "status": "error" if failed else "success"}}
            for call, text, failed in results
        ]
        self.history.append({"role": "user", "content": blocks})


def put_together(stream: Any) -> tuple[str, list[Json]]:  # noqa: ANN401 - botocore has no types
    """Return why a stream of Converse stopped, empty if it did not, and its content: boto3 does not do it."""
    blocks: dict[int, Json] = {}
    stop = ""
    for event in stream:
        ((kind, said),) = event.items()
        match kind:
            case "contentBlockStart":
                blocks[said["contentBlockIndex"]] = {"toolUse": {**said["start"]["toolUse"], "input": ""}}
            case "contentBlockDelta":
                ((what, piece),) = said["delta"].items()
                block = blocks.setdefault(said["contentBlockIndex"], {})
                if what == "text":
                    block["text"] = block.get("text", "") + piece
                elif what == "toolUse":
                    block["toolUse"]["input"] += piece["input"]
            case "messageStop":
                stop = said["stopReason"]
            case _:
                assert kind in {"messageStart", "contentBlockStop", "metadata"}
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}") if stop else None
    return stop, [block for _, block in sorted(blocks.items()) if block]


PROGRAMS: dict[str, type[Program]] = {
    "messages": Messages,
    "chat": Chat,
    "responses": Responses,
    "converse": Converse,
}

Connect = Callable[[str, str], Awaitable[Any]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def connect() -> AsyncIterator[Connect]:
    """Returns the SDK's client for a program's name and a gateway's URL; there is one for all programs."""
    clients: dict[Any, Any] = {}
    async with contextlib.AsyncExitStack() as stack:

        async def connected(name: str, url: str) -> Any:  # noqa: ANN401 - one of several SDKs'
            make = PROGRAMS[name].connected
            if (make, url) not in clients:
                clients[make, url] = await stack.enter_async_context(make(url))
            return clients[make, url]

        yield connected
