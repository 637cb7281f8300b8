"""The official SDKs as clients of one gateway: each sends a request of its API and tells what it understands.

A request goes through an SDK's own method, and what the method does not know goes as the SDK's ``extra_body``. Streams
are read by the SDK's typed helpers and accumulators; where it has none (boto3) by the judge that all tests share.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import anthropic
import boto3
import httpx2
import openai
from anthropic.types import Message
from botocore.config import Config
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response
from tests.formats.translation.conftest import (
    CONVERSE,
    Wire,
    chat_view,
    converse_view,
    messages_view,
    params,
    put_together,
    read_messages,
    responses_view,
)
from tests.formats.translation.test_answers import sse

if TYPE_CHECKING:
    from collections.abc import Callable

    View = dict[str, Any]

PATIENCE = 20.0
"""Seconds after which an SDK gives up."""
SECRETS = ("client-key", "AKIDCLIENT", "client-secret", "client-token")
"""What a client shows to the gateway, and no provider may see."""
TERMINAL = {"response.completed", "response.incomplete"}


class Heard(NamedTuple):
    """What an SDK has heard.

    Attributes:
        view: what it understands of the answer, in words that no format owns.
        answer: as a program gets it.
        headers: of the response, names in lower case.
    """

    view: View
    answer: Any
    headers: dict[str, str]


class Sdks:
    """One client of each SDK, none of which repeats what failed."""

    def __init__(self, url: str) -> None:
        self._headers: dict[str, str] = {}
        self._http = httpx2.Client(event_hooks={"response": [self._note]}, timeout=PATIENCE)
        beside: dict[str, Any] = {"http_client": self._http, "max_retries": 0}
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key="client-key", **beside)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key="client-key", **beside)
        self.bedrock = anthropic.AnthropicBedrock(
            base_url=url,
            aws_access_key="AKIDCLIENT",
            aws_secret_key="client-secret",
            aws_session_token="client-token",
            aws_region="us-east-1",
            **beside,
        )
        session = boto3.session.Session("AKIDCLIENT", "client-secret", "client-token", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE)
        self.boto = session.client("bedrock-runtime", endpoint_url=url, config=config)

    def close(self) -> None:
        self._http.close()
        self.boto.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _note(self, response: httpx2.Response) -> None:
        self._headers = dict(response.headers)

    def ask(self, client: str, model: str, body: dict[str, Any], *, streamed: bool) -> Heard:
        """Send a request in the format ``client`` and return what its SDK hears.

        Args:
            client: the format; of InvokeModel the SDK is Anthropic's, if it is not said to be boto3.
            model: what the client calls it.
            body: the request, as it is on the wire.
            streamed: whether the answer is to be a stream.
        """
        named = body | {"model": model}
        match client:
            case "chat":
                view, answer = self._chat_stream(named) if streamed else self._chat(named)
            case "responses":
                view, answer = self._responses_stream(named) if streamed else self._responses(named)
            case "messages":
                view, answer = self._messages(self.anthropic, named, streamed=streamed)
            case "invoke":
                del named["anthropic_version"]  # the SDK says it
                view, answer = self._messages(self.bedrock, named, streamed=streamed)
            case "invoke by boto3":
                return self._invoke_stream(model, body) if streamed else self._invoke(model, body)
            case _:
                return self._converse_stream(model, body) if streamed else self._converse(model, body)
        return Heard(view, answer, self._headers)

    def _chat(self, body: dict[str, Any]) -> tuple[View, Any]:
        raw = called(self.openai.chat.completions.with_raw_response.create, body)
        view = chat_view(ChatCompletion.model_validate_json(raw.http_response.content, strict=True).model_dump())
        return view, raw.parse()

    def _chat_stream(self, body: dict[str, Any]) -> tuple[View, Any]:
        body = body | {"stream_options": {"include_usage": True}}
        with called(self.openai.chat.completions.stream, body) as stream:
            for event in stream:
                if event.type == "chunk":
                    ChatCompletionChunk.model_validate(event.chunk.to_dict())
            # get_final_completion() raises where an answer ended early; up to that it returns this.
            answer = stream.current_completion_snapshot
        return chat_view(answer.to_dict()), answer

    def _responses(self, body: dict[str, Any]) -> tuple[View, Any]:
        raw = called(self.openai.responses.with_raw_response.create, body)
        view = responses_view(Response.model_validate_json(raw.http_response.content, strict=True).model_dump())
        return view, raw.parse()

    def _responses_stream(self, body: dict[str, Any]) -> tuple[View, Any]:
        with called(self.openai.responses.stream, body) as stream:
            (end,) = [event for event in stream if event.type in TERMINAL]
        view = responses_view(Response.model_validate(end.response.to_dict()).model_dump())
        return view, end.response

    @staticmethod
    def _messages(sdk: Any, body: dict[str, Any], *, streamed: bool) -> tuple[View, Any]:  # noqa: ANN401 - unrelated
        if streamed:
            with called(sdk.messages.stream, body) as stream:
                answer = stream.get_final_message()
            return messages_view(Message.model_validate(answer.to_dict()).model_dump()), answer
        raw = called(sdk.messages.with_raw_response.create, body)
        return messages_view(Message.model_validate_json(raw.http_response.content).model_dump()), raw.parse()

    def _invoke(self, model: str, body: dict[str, Any]) -> Heard:
        response = self.boto.invoke_model(modelId=model, body=json.dumps(body))
        answer = Message.model_validate_json(response["body"].read()).model_dump()
        return Heard(messages_view(answer), answer, response["ResponseMetadata"]["HTTPHeaders"])

    def _invoke_stream(self, model: str, body: dict[str, Any]) -> Heard:
        response = self.boto.invoke_model_with_response_stream(modelId=model, body=json.dumps(body))
        with contextlib.closing(response["body"]) as stream:
            events = [json.loads(frame["chunk"]["bytes"]) for frame in stream]
        # boto3 does not know what is in a frame; Anthropic's SDK does, and reads it from a stream of its own API.
        wire = Wire()
        wire.body, wire.type = b"".join(sse(event, named=True) for event in events), "text/event-stream"
        view = read_messages(wire.anthropic, wire, streamed=True)
        return Heard(view, events, response["ResponseMetadata"]["HTTPHeaders"])

    def _converse(self, model: str, body: dict[str, Any]) -> Heard:
        answer = self.boto.converse(modelId=model, **params(CONVERSE.input_shape, body))
        return Heard(converse_view(answer), answer, answer["ResponseMetadata"]["HTTPHeaders"])

    def _converse_stream(self, model: str, body: dict[str, Any]) -> Heard:
        response = self.boto.converse_stream(modelId=model, **params(CONVERSE.input_shape, body))
        with contextlib.closing(response["stream"]) as stream:
            answer = put_together(list(stream))
        return Heard(converse_view(answer), answer, response["ResponseMetadata"]["HTTPHeaders"])


def called(method: Callable[..., Any], body: dict[str, Any]) -> Any:  # noqa: ANN401 - whatever the SDK returns
    """Return what an SDK's method returns for ``body``."""
    known = set(inspect.signature(method).parameters)
    beside = {name: value for name, value in body.items() if name not in known}
    return method(**{name: body[name] for name in body if name in known}, extra_body=beside or None)


class Listener:
    """What a program has heard of a stream, event by event, up to an error if one comes.

    Args:
        begun: called when words have come.

    Attributes:
        text: of the answer so far.
        ended: whether anything has said that the answer is complete.
    """

    def __init__(self, begun: Callable[[], object] = bool) -> None:
        self.text = ""
        self.ended = False
        self._begun = begun

    def _hear(self, text: str, *, end: bool) -> None:
        self.text += text
        self.ended |= end
        if text:
            self._begun()

    def listen(self, sdks: Sdks, client: str, model: str) -> None:
        """Ask in the format ``client`` and read the stream to its end.

        Raises:
            Exception: what the SDK raises.
        """
        turn: list[Any] = [{"role": "user", "content": "hi"}]
        match client:
            case "chat":
                for chunk in sdks.openai.chat.completions.create(model=model, messages=turn, stream=True):
                    said = "".join(choice.delta.content or "" for choice in chunk.choices)
                    self._hear(said, end=any(choice.finish_reason for choice in chunk.choices))
            case "responses":
                for event in sdks.openai.responses.create(model=model, input="hi", stream=True):
                    said = event.delta if event.type == "response.output_text.delta" else ""
                    self._hear(said, end=event.type in TERMINAL)
            case "converse":
                turn = [{"role": "user", "content": [{"text": "hi"}]}]
                with contextlib.closing(sdks.boto.converse_stream(modelId=model, messages=turn)["stream"]) as stream:
                    for event in stream:
                        said = event.get("contentBlockDelta", {}).get("delta", {}).get("text", "")
                        self._hear(said, end="messageStop" in event)
            case _:
                sdk: Any = sdks.bedrock if client == "invoke" else sdks.anthropic
                for event in sdk.messages.create(model=model, max_tokens=9, messages=turn, stream=True):
                    said = event.delta.text if event.type == "content_block_delta" else ""
                    self._hear(said, end=event.type in {"message_delta", "message_stop"})
