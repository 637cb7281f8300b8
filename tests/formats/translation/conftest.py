"""What judges translations: the official SDKs and botocore read, on both sides, and tell it in the same few words."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import botocore.session
import botocore.validate
import httpx2
import openai
import pytest
from anthropic.types import Message as AnthropicMessage
from anthropic.types.message_create_params import MessageCreateParams
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses import Response
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import BaseModel, TypeAdapter

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hydrallm.formats.codec import Codec

    View = dict[str, Any]

CODECS: dict[str, Codec] = {
    "chat": OpenAIChatCodec(),
    "responses": OpenAIResponsesCodec(),
    "messages": AnthropicMessagesCodec(),
    "invoke": BedrockInvokeCodec(),
    "converse": BedrockConverseCodec(),
}
PARAMS: dict[str, TypeAdapter[Any]] = {
    "chat": TypeAdapter(CompletionCreateParams),
    "responses": TypeAdapter(ResponseCreateParams),
    "messages": TypeAdapter(MessageCreateParams),
}
SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
CONVERSE = SERVICE.operation_model("Converse")
# Members that the newest types do not know and that are sent for what is older or compatible.
BESIDE_THE_TYPES = {"messages": {"temperature", "top_p", "top_k"}, "chat": set(), "responses": set()}


class Body:
    """The part of urllib3's response that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


class Wire:
    """Answers every SDK with the same bytes."""

    def __init__(self) -> None:
        self.body, self.type = b"", ""
        http = httpx2.Client(transport=httpx2.MockTransport(self._answer))
        self.openai = openai.OpenAI(api_key="k", base_url="http://127.0.0.1", http_client=http, max_retries=0)
        self.anthropic = anthropic.Anthropic(api_key="k", base_url="http://127.0.0.1", http_client=http, max_retries=0)
        keys: dict[str, Any] = {"aws_access_key": "AKIDEXAMPLE", "aws_secret_key": "s", "aws_region": "us-east-1"}
        self.invoke = anthropic.AnthropicBedrock(base_url="http://127.0.0.1", http_client=http, max_retries=0, **keys)
        self.boto = boto3.client(
            "bedrock-runtime",
            endpoint_url="http://127.0.0.1",
            region_name="us-east-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="s",
            config=Config(retries={"total_max_attempts": 1}),
        )
        self.boto.meta.events.register("before-send", self._aws_answer)

    def _answer(self, _: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": self.type}, content=self.body)

    def _aws_answer(self, request: Any, **_: object) -> AWSResponse:  # noqa: ANN401 - botocore has no types
        return AWSResponse(request.url, 200, {"content-type": self.type}, Body(self.body))


# ---- requests: legal?


def through(value: object) -> object:
    """Return ``value`` with the SDK's lazy iterables walked through, so that they are checked."""
    if isinstance(value, BaseModel):  # the SDKs take their answers' parts back, too
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, dict):
        return {name: through(inner) for name, inner in value.items()}
    if isinstance(value, str | bytes | int | float | bool | None):
        return value
    return [through(inner) for inner in value]  # type: ignore[attr-defined]


def params(shape: Any, value: Any) -> Any:  # noqa: ANN401 - botocore has no types
    """Return ``value``, off the wire, as a program gives it to botocore: blobs are bytes."""
    match shape.type_name:
        case "structure" if not shape.is_document_type:
            return {k: params(shape.members[k], v) if k in shape.members else v for k, v in value.items()}
        case "list":
            return [params(shape.member, item) for item in value]
        case "blob":
            return base64.b64decode(value, validate=True)
        case _:
            return value


def violations(shape: Any, value: Any, where: str) -> list[str]:  # noqa: ANN401 - botocore has no types
    """Return where ``value`` breaks the service's model in what botocore leaves to the service."""
    found: list[str] = []
    limits = shape.metadata
    if shape.type_name == "structure" and not shape.is_document_type:
        if limits.get("union") and len(value) != 1:
            found.append(f"{where} is a union and has {list(value)}")
        return found + [v for k in value for v in violations(shape.members[k], value[k], f"{where}.{k}")]
    if shape.type_name == "list":
        found += [v for i, item in enumerate(value) for v in violations(shape.member, item, f"{where}[{i}]")]
    if "enum" in limits and value not in limits["enum"]:
        found.append(f"{where} is {value!r}")
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        found.append(f"{where} is {value!r}, not {limits['pattern']}")
    size = value if isinstance(value, int | float) else len(value) if hasattr(value, "__len__") else 0
    if size > limits.get("max", size) or size < limits.get("min", size):
        found.append(f"{where} has {size}")
    return found


def check_request(name: str, body: bytes) -> dict[str, Any]:
    """Return a request, of which the format's own types say that it is right and that they know all that it says."""
    sent: dict[str, Any] = json.loads(body)
    if name == "converse":
        said = {"modelId": "m", **params(CONVERSE.input_shape, sent)}
        report = botocore.validate.ParamValidator().validate(said, CONVERSE.input_shape)
        assert not report.has_errors(), report.generate_report()
        assert violations(CONVERSE.input_shape, said, "request") == []
        return sent
    whole = sent
    if name == "invoke":
        assert sent["anthropic_version"] == "bedrock-2023-05-31"
        assert not {"model", "stream"} & set(sent)
        whole = {key: value for key, value in sent.items() if not key.startswith("anthropic_")} | {"model": "m"}
    kind = "messages" if name == "invoke" else name
    known = {key: value for key, value in whole.items() if key not in BESIDE_THE_TYPES[kind]}
    assert through(PARAMS[kind].validate_python(whole)) == known
    return sent


# ---- answers: what do the SDKs understand?


def arguments(text: str) -> object:
    """Return a call's arguments, or their text where that was cut short."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def chat_view(answer: dict[str, Any]) -> View:
    (choice,) = answer["choices"]
    said, usage = choice["message"], answer.get("usage") or {}
    parts: list[Any] = []
    if said.get("reasoning_content"):
        parts.append(["thought", said["reasoning_content"]])
    parts += [["text", said[key]] for key in ("content", "refusal") if said.get(key)]
    for call in said.get("tool_calls") or ():
        if call["type"] == "custom":
            parts.append(["custom", call["id"], call["custom"]["name"], call["custom"]["input"]])
            continue
        parts.append(["call", call["id"], call["function"]["name"], arguments(call["function"]["arguments"])])
    details = usage.get("prompt_tokens_details") or {}
    cached, written = details.get("cached_tokens") or 0, details.get("cache_write_tokens") or 0
    figures = [usage.get("prompt_tokens", 0) - cached - written, cached, written, usage.get("completion_tokens")]
    return {"parts": parts, "stop": choice["finish_reason"], "usage": figures}


def responses_view(answer: dict[str, Any]) -> View:
    parts: list[Any] = []
    for item in answer["output"]:
        match item["type"]:
            case "reasoning":
                parts += [["thought", piece["text"]] for piece in item.get("content") or item["summary"]]
            case "message":
                parts += [["text", piece.get("text", piece.get("refusal"))] for piece in item["content"]]
            case "custom_tool_call":
                parts.append(["custom", item["call_id"], item["name"], item["input"]])
            case kind:
                assert kind == "function_call"
                parts.append(["call", item["call_id"], item["name"], arguments(item["arguments"])])
    usage = answer["usage"]
    details = usage["input_tokens_details"]
    cached, written = details["cached_tokens"], details.get("cache_write_tokens") or 0
    figures = [usage["input_tokens"] - cached - written, cached, written, usage["output_tokens"]]
    stop = (answer.get("incomplete_details") or {}).get("reason") or answer["status"]
    return {"parts": parts, "stop": stop, "usage": figures}


def messages_view(answer: dict[str, Any]) -> View:
    parts: list[Any] = []
    for block in answer["content"]:
        match block["type"]:
            case "thinking":
                parts.append(["thought", block["thinking"]])
            case "text":
                parts.append(["text", block["text"]])
            case kind:
                assert kind == "tool_use"
                parts.append(["call", block["id"], block["name"], block["input"]])
    usage = answer["usage"]
    cached, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    figures = [usage["input_tokens"], cached, written, usage["output_tokens"]]
    return {"parts": parts, "stop": answer["stop_reason"], "usage": figures}


def converse_view(answer: dict[str, Any]) -> View:
    parts: list[Any] = []
    for block in answer["output"]["message"]["content"]:
        ((kind, said),) = block.items()
        match kind:
            case "reasoningContent":
                parts.append(["thought", said["reasoningText"]["text"]])
            case "text":
                parts.append(["text", said])
            case _:
                assert kind == "toolUse"
                parts.append(["call", said["toolUseId"], said["name"], said["input"]])
    usage = answer["usage"]
    cached, written = usage.get("cacheReadInputTokens", 0), usage.get("cacheWriteInputTokens", 0)
    assert usage["totalTokens"] == usage["inputTokens"] + cached + written + usage["outputTokens"]
    figures = [usage["inputTokens"], cached, written, usage["outputTokens"]]
    return {"parts": parts, "stop": answer["stopReason"], "usage": figures}


def put_together(events: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the answer that boto3's events of a Converse stream amount to: boto3 has no accumulator of its own."""
    blocks: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {}
    for event in events:
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
                else:
                    thought = block.setdefault("reasoningContent", {"reasoningText": {"text": ""}})["reasoningText"]
                    thought.update(piece | {"text": thought["text"] + piece.get("text", "")})
            case "messageStop" | "metadata":
                answer |= said
            case _:
                assert kind in {"messageStart", "contentBlockStop"}
    for block in blocks.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = arguments(block["toolUse"]["input"] or "{}")
    content = [blocks[index] for index in sorted(blocks)]
    return answer | {"output": {"message": {"role": "assistant", "content": content}}}


ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def read_chat(wire: Wire, *, streamed: bool) -> View:
    if streamed:
        options: dict[str, Any] = {"stream_options": {"include_usage": True}}
        with wire.openai.chat.completions.stream(**ASK, **options) as stream:
            # get_final_completion() raises where an answer ended early; up to that it returns this.
            said = stream.until_done().current_completion_snapshot.to_dict()
        for chunk in wire.body.split(b"\n\n")[:-2]:
            assert json.loads(chunk.removeprefix(b"data: "))["object"] == "chat.completion.chunk"
    else:
        wire.openai.chat.completions.create(**ASK)
        said = ChatCompletion.model_validate_json(wire.body).model_dump()
    return chat_view(said)


def read_responses(wire: Wire, *, streamed: bool) -> View:
    if streamed:
        with wire.openai.responses.stream(model="m", input="hi") as stream:
            done = [event for event in stream if event.type in {"response.completed", "response.incomplete"}]
        (end,) = done
        said = Response.model_validate(end.response.to_dict()).model_dump()
    else:
        wire.openai.responses.create(model="m", input="hi")
        said = Response.model_validate_json(wire.body, strict=True).model_dump()
    return responses_view(said)


def read_messages(client: Any, wire: Wire, *, streamed: bool) -> View:  # noqa: ANN401 - one of two unrelated classes
    if streamed:
        with client.messages.stream(max_tokens=9, **ASK) as stream:
            said = stream.get_final_message().to_dict()
        return messages_view(AnthropicMessage.model_validate(said).model_dump())
    client.messages.create(max_tokens=9, **ASK)
    return messages_view(AnthropicMessage.model_validate_json(wire.body).model_dump())


def read_converse(wire: Wire, *, streamed: bool) -> View:
    asked: dict[str, Any] = {"modelId": "m", "messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    if streamed:
        return converse_view(put_together(list(wire.boto.converse_stream(**asked)["stream"])))
    return converse_view(wire.boto.converse(**asked))


# ---- fixtures


@pytest.fixture(scope="session")
def codecs() -> dict[str, Codec]:
    return CODECS


@pytest.fixture(scope="session")
def legal() -> Callable[[str, bytes], dict[str, Any]]:
    return check_request


@pytest.fixture(scope="session")
def seen() -> Callable[..., View]:
    """Returns what the SDK of a format understands of an answer: its parts, why it stopped, and four token counts.

    The counts are: input from no cache, read from one, written to one, output.
    """
    wire = Wire()

    def view(name: str, body: bytes, *, streamed: bool) -> View:
        aws = name in {"invoke", "converse"}
        kind = "application/vnd.amazon.eventstream" if aws else "text/event-stream"
        wire.body, wire.type = body, kind if streamed else "application/json"
        match name:
            case "chat":
                return read_chat(wire, streamed=streamed)
            case "responses":
                return read_responses(wire, streamed=streamed)
            case "converse":
                return read_converse(wire, streamed=streamed)
            case _:
                client = wire.invoke if name == "invoke" else wire.anthropic
                return read_messages(client, wire, streamed=streamed)

    return view
