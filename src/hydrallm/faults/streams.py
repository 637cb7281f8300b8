"""What a healthy provider answers, as the events of a stream.

Each function returns the events in order, as bytes on the wire. They are complete enough for the SDKs' accumulating
helpers: Responses opens and closes its item and part, Chat sends a role chunk, the usage chunk if asked, and
``[DONE]``; Converse has no ``contentBlockStart`` for text (the real one does not send it); the frames of
InvokeModelWithResponseStream wrap Messages events in base64.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from hydrallm.faults import answers, eventstream
from hydrallm.faults.answers import Question, Shape, encode, words

if TYPE_CHECKING:
    from collections.abc import Callable

SSE = b"text/event-stream; charset=utf-8"
AWS = b"application/vnd.amazon.eventstream"

_AWS_SHAPES = {Shape.INVOKE_STREAM, Shape.CONVERSE_STREAM}


def content_type(asked: Question) -> bytes:
    """Return the Content-Type of the stream that answers ``asked``."""
    return AWS if asked.shape in _AWS_SHAPES else SSE


def events(asked: Question, text: str) -> list[bytes]:
    """Return the events that answer ``asked``."""
    return _EVENTS[asked.shape](asked, text)


def error_event(asked: Question, status: int, text: str) -> bytes:
    """Return the event by which a stream of this shape says that it failed."""
    body = answers.error_body(asked, status, text)
    if asked.shape in _AWS_SHAPES:
        # As a member of the output union the exception's name starts in lower case.
        name = answers.bedrock_error_type(status)
        return eventstream.exception(name[0].lower() + name[1:], encode(body))
    if asked.shape is Shape.MESSAGES:
        return _named("error", body)
    if asked.shape is Shape.RESPONSES:
        return _named("error", {"type": "error", **body})
    return _data(body)


def malformed_event(asked: Question) -> bytes:
    """Return an event that does not parse: cut JSON, or a frame with a wrong checksum."""
    if asked.shape in _AWS_SHAPES:
        good = eventstream.event("chunk", b"{}")
        return good[:-1] + bytes([good[-1] ^ 0xFF])
    if asked.shape in {Shape.MESSAGES, Shape.RESPONSES}:
        return b'event: content_block_delta\ndata: {"type": "content_block_delta", "delta": {"text": \n\n'
    return b'data: {"id": "chatcmpl-1", "choices": [{"delta": {"content": \n\n'


def filler(asked: Question, size: int) -> tuple[bytes, bytes, bytes]:
    """Return a stream's opening, one delta of about ``size`` bytes to be repeated, and its end.

    A shape that has no stream is filled as Chat Completions.
    """
    whole = _EVENTS.get(asked.shape, _chat)(asked, "x" * size)
    at = next(index for index, event in enumerate(whole) if len(event) >= size)
    return b"".join(whole[:at]), whole[at], b"".join(whole[at + 1 :])


def _data(value: object) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


def _named(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\n" + _data(value)


def _chat(asked: Question, text: str) -> list[bytes]:
    base = {
        "id": f"chatcmpl-{asked.serial:024d}",
        "object": "chat.completion.chunk",
        "created": answers.CREATED,
        "model": asked.model,
        "service_tier": "default",
    }

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data({**base, "choices": [choice], **({"usage": None} if asked.include_usage else {})})

    usage = _data({**base, "choices": [], "usage": answers.chat_usage(asked, text)})
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": word}) for word in words(text)),
        chunk({}, "stop"),
        *([usage] if asked.include_usage else []),
        b"data: [DONE]\n\n",
    ]


def _completions(asked: Question, text: str) -> list[bytes]:
    base = {
        "id": f"cmpl-{asked.serial:024d}",
        "object": "text_completion",
        "created": answers.CREATED,
        "model": asked.model,
    }

    def chunk(piece: str, finish: str | None = None) -> bytes:
        return _data({**base, "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": finish}]})

    usage = _data({**base, "choices": [], "usage": answers.chat_usage(asked, text)})
    return [
        *(chunk(word) for word in words(text)),
        chunk("", "stop"),
        *([usage] if asked.include_usage else []),
        b"data: [DONE]\n\n",
    ]


def _responses(asked: Question, text: str) -> list[bytes]:
    opened, item = answers.response_item(asked, None), answers.response_item(asked, text)
    part = item["content"][0]
    where = {"item_id": item["id"], "output_index": 0}
    inside = {**where, "content_index": 0}
    sequence: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": answers.response(asked, None)}),
        ("response.in_progress", {"response": answers.response(asked, None)}),
        ("response.output_item.added", {"output_index": 0, "item": opened}),
        ("response.content_part.added", {**inside, "part": {**part, "text": ""}}),
        *(("response.output_text.delta", {**inside, "delta": word, "logprobs": []}) for word in words(text)),
        ("response.output_text.done", {**inside, "text": text, "logprobs": []}),
        ("response.content_part.done", {**inside, "part": part}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": answers.response(asked, text)}),
    ]
    return [_named(name, {"type": name, "sequence_number": n, **rest}) for n, (name, rest) in enumerate(sequence)]


def _message_events(asked: Question, text: str) -> list[dict[str, Any]]:
    spoken = len(words(text))
    return [
        {"type": "message_start", "message": answers.message(asked, None)},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}
            for word in words(text)
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": answers.message_usage(asked, spoken),
        },
        {"type": "message_stop"},
    ]


def _messages(asked: Question, text: str) -> list[bytes]:
    return [_named(event["type"], event) for event in _message_events(asked, text)]


def _invoke(asked: Question, text: str) -> list[bytes]:
    inner = _message_events(asked, text)
    inner[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": asked.input_tokens,
        "outputTokenCount": len(words(text)),
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
    return [eventstream.event("chunk", encode({"bytes": base64.b64encode(encode(event)).decode()})) for event in inner]


def _converse(asked: Question, text: str) -> list[bytes]:
    sequence: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        *(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in words(text)),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": answers.converse_usage(asked, text), "metrics": {"latencyMs": 1}}),
    ]
    return [eventstream.event(name, encode(payload)) for name, payload in sequence]


_EVENTS: dict[Shape, Callable[[Question, str], list[bytes]]] = {
    Shape.CHAT: _chat,
    Shape.COMPLETIONS: _completions,
    Shape.RESPONSES: _responses,
    Shape.MESSAGES: _messages,
    Shape.INVOKE_STREAM: _invoke,
    Shape.CONVERSE_STREAM: _converse,
}
