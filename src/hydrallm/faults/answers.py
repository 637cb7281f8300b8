"""What a healthy provider answers, in each wire format, whole.

The shapes are those that the official SDKs' own types and helpers accept (OpenAI API reference, Anthropic Messages API
reference, Amazon Bedrock Runtime API reference); :mod:`hydrallm.faults.streams` has them as events, and
:mod:`hydrallm.faults.failures` has the errors. What a provider makes up (ids, times, token counts) follows from the
request's number, so that two runs give the same bytes.
"""

from __future__ import annotations

import base64
import enum
import json
import re
import struct
import urllib.parse
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.faults.script import Finish

CREATED = 1_790_000_000
UNNAMED_MODEL = "simulated-model"


class Shape(enum.StrEnum):
    """What a path asks for."""

    CHAT = "openai-chat"
    COMPLETIONS = "openai-completions"
    RESPONSES = "openai-responses"
    EMBEDDINGS = "openai-embeddings"
    MODELS = "openai-models"
    MESSAGES = "anthropic-messages"
    COUNT_TOKENS = "anthropic-count-tokens"
    ANTHROPIC_MODELS = "anthropic-models"
    INVOKE = "bedrock-invoke"
    INVOKE_STREAM = "bedrock-invoke-stream"
    CONVERSE = "bedrock-converse"
    CONVERSE_STREAM = "bedrock-converse-stream"
    OTHER = "other"


_PATHS: tuple[tuple[str, re.Pattern[str], Shape], ...] = tuple(
    (method, re.compile(pattern), shape)
    for method, pattern, shape in (
        ("POST", r"/model/[^/]+/invoke", Shape.INVOKE),
        ("POST", r"/model/[^/]+/invoke-with-response-stream", Shape.INVOKE_STREAM),
        ("POST", r"/model/[^/]+/converse", Shape.CONVERSE),
        ("POST", r"/model/[^/]+/converse-stream", Shape.CONVERSE_STREAM),
        ("POST", r".*/chat/completions", Shape.CHAT),
        ("POST", r".*/completions", Shape.COMPLETIONS),
        ("POST", r".*/responses", Shape.RESPONSES),
        ("POST", r".*/embeddings", Shape.EMBEDDINGS),
        ("POST", r".*/messages", Shape.MESSAGES),
        ("POST", r".*/messages/count_tokens", Shape.COUNT_TOKENS),
        ("GET", r".*/models(/[^/]+)?", Shape.MODELS),
    )
)

# Why an answer ended, in the words of Chat Completions and Completions, Messages, Converse, and Responses.
OPENAI_FINISHES: dict[Finish, str] = {"stop": "stop", "length": "length", "filtered": "content_filter"}
MESSAGE_STOPS: dict[Finish, str] = {"stop": "end_turn", "length": "max_tokens", "filtered": "refusal"}
CONVERSE_STOPS: dict[Finish, str] = {"stop": "end_turn", "length": "max_tokens", "filtered": "content_filtered"}
INCOMPLETE: dict[Finish, str] = {"length": "max_output_tokens", "filtered": "content_filter"}

_ALWAYS_STREAMED = {Shape.INVOKE_STREAM, Shape.CONVERSE_STREAM}
_STREAMED_ON_REQUEST = {Shape.CHAT, Shape.COMPLETIONS, Shape.RESPONSES, Shape.MESSAGES}
_BEDROCK = {Shape.INVOKE, Shape.INVOKE_STREAM, Shape.CONVERSE, Shape.CONVERSE_STREAM}
_ANTHROPIC = {Shape.MESSAGES, Shape.COUNT_TOKENS, Shape.ANTHROPIC_MODELS}


class Question(msgspec.Struct, frozen=True):
    """A request, as far as the answer depends on it.

    Attributes:
        shape: what the path asks for.
        model: the model's name in body or path.
        stream: whether the answer is a stream.
        include_usage: ``stream_options.include_usage`` of Chat and Completions.
        base64: whether embeddings are wanted in base64.
        input_tokens: a quarter of the body's bytes, at least 1.
        serial: the request's number, from which ids are made.
        item: the last segment of a model's own path, or None.
    """

    shape: Shape
    model: str
    stream: bool
    include_usage: bool
    base64: bool
    input_tokens: int
    serial: int
    item: str | None = None


def question(method: str, path: str, headers: dict[str, str], body: bytes, serial: int) -> Question:
    """Return what a request asks for. A body that is no JSON object asks for the defaults."""
    shape = next((s for m, pattern, s in _PATHS if m == method and pattern.fullmatch(path)), Shape.OTHER)
    if shape is Shape.MODELS and "anthropic-version" in headers:
        shape = Shape.ANTHROPIC_MODELS
    asked = _fields(body)
    model = asked.get("model")
    segments = path.split("/")
    if shape in _BEDROCK:
        model = urllib.parse.unquote(segments[2])
    options = asked.get("stream_options")
    return Question(
        shape=shape,
        model=model if isinstance(model, str) else UNNAMED_MODEL,
        stream=shape in _ALWAYS_STREAMED or (shape in _STREAMED_ON_REQUEST and asked.get("stream") is True),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        base64=asked.get("encoding_format") == "base64",
        input_tokens=max(1, len(body) // 4),
        serial=serial,
        item=segments[-1] if segments[-2:-1] == ["models"] else None,
    )


def _fields(body: bytes) -> dict[str, Any]:
    """Return the body's top level; tolerant of all that Python's JSON reads, integers of any length too."""
    try:
        asked = json.loads(body.decode("utf-8-sig", "surrogatepass"), parse_int=float)
    except (ValueError, RecursionError):
        return {}
    return asked if isinstance(asked, dict) else {}


def words(text: str) -> list[str]:
    """Return ``text`` as a stream would say it: word by word, the white space kept."""
    return re.findall(r"\S+\s*|\s+", text)


def encode(value: object) -> bytes:
    """Return ``value`` as compact JSON."""
    return json.dumps(value, separators=(",", ":")).encode()


def plain(asked: Question, text: str, finish: Finish = "stop") -> bytes:
    """Return the JSON body that answers ``asked``."""
    return encode(_PLAIN[asked.shape](asked, text, finish))


def chat_usage(asked: Question, text: str) -> dict[str, Any]:
    """Return the usage of Chat Completions and Completions."""
    spoken = len(words(text))
    return {"prompt_tokens": asked.input_tokens, "completion_tokens": spoken,
            "total_tokens": asked.input_tokens + spoken}  # fmt: skip


def _chat(asked: Question, text: str, finish: Finish) -> dict[str, Any]:
    said: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    return {
        "id": f"chatcmpl-{asked.serial:024d}",
        "object": "chat.completion",
        "created": CREATED,
        "model": asked.model,
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": OPENAI_FINISHES[finish]}],
        "usage": chat_usage(asked, text),
        "service_tier": "default",
    }


def _completion(asked: Question, text: str, finish: Finish) -> dict[str, Any]:
    return {
        "id": f"cmpl-{asked.serial:024d}",
        "object": "text_completion",
        "created": CREATED,
        "model": asked.model,
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": OPENAI_FINISHES[finish]}],
        "usage": chat_usage(asked, text),
    }


def response_item(asked: Question, text: str | None) -> dict[str, Any]:
    """Return the one output item of a Responses answer; without a text, as it is when the stream opens it."""
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {
        "id": f"msg_{asked.serial:024d}",
        "type": "message",
        "status": "in_progress" if text is None else "completed",
        "role": "assistant",
        "content": [] if text is None else [part],
    }


def response(asked: Question, text: str | None, finish: Finish = "stop") -> dict[str, Any]:
    """Return a Responses object: ended, or, without a text, as it is in ``response.created``."""
    incomplete = INCOMPLETE.get(finish)
    spoken = 0 if text is None else len(words(text))
    usage = {
        "input_tokens": asked.input_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": spoken,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked.input_tokens + spoken,
    }
    return {
        "id": f"resp_{asked.serial:024d}",
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress" if text is None else "incomplete" if incomplete else "completed",
        "background": False,
        "error": None,
        "incomplete_details": {"reason": incomplete} if incomplete else None,
        "instructions": None,
        "max_output_tokens": None,
        "model": asked.model,
        "output": [] if text is None else [response_item(asked, text)],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None if text is None else usage,
        "metadata": {},
    }


def message_usage(asked: Question, output_tokens: int) -> dict[str, Any]:
    """Return the usage of Messages."""
    return {
        "input_tokens": asked.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
    }


def message(asked: Question, text: str | None, finish: Finish = "stop") -> dict[str, Any]:
    """Return a Messages object: ended, or, without a text, as it is in ``message_start``."""
    return {
        "id": f"msg_{asked.serial:024d}",
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": None if text is None else MESSAGE_STOPS[finish],
        "stop_sequence": None,
        "usage": message_usage(asked, 1 if text is None else len(words(text))),
    }


def converse_usage(asked: Question, text: str) -> dict[str, Any]:
    """Return the usage of Converse."""
    spoken = len(words(text))
    return {"inputTokens": asked.input_tokens, "outputTokens": spoken, "totalTokens": asked.input_tokens + spoken}


def _converse(asked: Question, text: str, finish: Finish) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}] if text else []}},
        "stopReason": CONVERSE_STOPS[finish],
        "usage": converse_usage(asked, text),
        "metrics": {"latencyMs": 1},
    }


def _embeddings(asked: Question, _text: str, _finish: Finish) -> dict[str, Any]:
    vector = [0.25, -0.5, 1.0]
    packed = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    item = {"object": "embedding", "index": 0, "embedding": packed if asked.base64 else vector}
    usage = {"prompt_tokens": asked.input_tokens, "total_tokens": asked.input_tokens}
    return {"object": "list", "data": [item], "model": asked.model, "usage": usage}


def _models(asked: Question, _text: str, _finish: Finish) -> dict[str, Any]:
    model = {"id": asked.item or UNNAMED_MODEL, "object": "model", "created": CREATED, "owned_by": "hydrallm"}
    return model if asked.item else {"object": "list", "data": [model]}


def _anthropic_models(asked: Question, _text: str, _finish: Finish) -> dict[str, Any]:
    name = asked.item or UNNAMED_MODEL
    model = {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
    return model if asked.item else {"data": [model], "has_more": False, "first_id": name, "last_id": name}


_PLAIN: dict[Shape, Callable[[Question, str, Finish], dict[str, Any]]] = {
    Shape.CHAT: _chat,
    Shape.COMPLETIONS: _completion,
    Shape.RESPONSES: response,
    Shape.EMBEDDINGS: _embeddings,
    Shape.MODELS: _models,
    Shape.MESSAGES: message,
    Shape.COUNT_TOKENS: lambda asked, *_: {"input_tokens": asked.input_tokens},
    Shape.ANTHROPIC_MODELS: _anthropic_models,
    Shape.INVOKE: message,
    Shape.CONVERSE: _converse,
    Shape.OTHER: lambda _, text, *__: {"text": text},
}


def identity_headers(asked: Question) -> list[tuple[bytes, bytes]]:
    """Return the request id, under the name that the provider's SDK looks for."""
    if asked.shape in _BEDROCK:
        return [(b"x-amzn-requestid", f"00000000-0000-4000-8000-{asked.serial:012d}".encode())]
    name = b"request-id" if asked.shape in _ANTHROPIC else b"x-request-id"
    return [(name, f"req_{asked.serial:024d}".encode())]
