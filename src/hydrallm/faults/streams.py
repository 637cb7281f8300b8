"""What a healthy provider answers, as the events of a stream.

Each function returns the events in order, as bytes on the wire. They are complete enough for the SDKs' accumulating
helpers: Responses opens and closes its item and part, Chat sends a role chunk, the usage chunk if asked, and
``[DONE]``; Converse has no ``contentBlockStart`` for text (the real one does not send it); the frames of
InvokeModelWithResponseStream wrap Messages events in base64.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.faults import answers, eventstream, failures
from hydrallm.faults.answers import Question, Shape, encode, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.faults.failures import Failure
    from hydrallm.faults.script import ErrorForm, Finish

SSE = b"text/event-stream; charset=utf-8"
AWS = b"application/vnd.amazon.eventstream"

_AWS_SHAPES = {Shape.INVOKE_STREAM, Shape.CONVERSE_STREAM}

# How many events come before the first content, and how many between the last and the one that says "complete": for
# Chat and Completions that is the finish reason, for Messages message_stop, for Converse messageStop.
_FRAME = {
    Shape.CHAT: (1, 0),
    Shape.COMPLETIONS: (0, 0),
    Shape.RESPONSES: (4, 3),
    Shape.MESSAGES: (3, 2),
    Shape.INVOKE_STREAM: (3, 2),
    Shape.CONVERSE_STREAM: (1, 1),
}
_DELTA = {
    Shape.RESPONSES: "response.output_text.delta",
    Shape.MESSAGES: "content_block_delta",
    Shape.INVOKE_STREAM: "chunk",
    Shape.CONVERSE_STREAM: "contentBlockDelta",
}


def content_type(asked: Question) -> bytes:
    """Return the Content-Type of the stream that answers ``asked``."""
    return AWS if asked.shape in _AWS_SHAPES else SSE


def events(asked: Question, text: str, finish: Finish = "stop") -> list[bytes]:
    """Return the events that answer ``asked``."""
    return _EVENTS[asked.shape](asked, text, finish)


class Outline(msgspec.Struct, frozen=True):
    """The parts of a stream, in events.

    Attributes:
        preamble: before the first content.
        content: those with the text, one a word.
        closing: after the content and before the one that says that the answer is complete.
    """

    preamble: int
    content: int
    closing: int


def outline(asked: Question, text: str) -> Outline:
    """Return how the stream that answers ``asked`` is made up."""
    preamble, closing = _FRAME[asked.shape]
    return Outline(preamble, len(words(text)), closing)


def error_event(asked: Question, failed: Failure, form: ErrorForm = "nested") -> bytes:
    """Return the event by which a stream of this shape says that it failed; ``form`` is for Responses alone."""
    body = failures.body(asked, failed)
    if asked.shape in _AWS_SHAPES:
        # As a member of the output union the exception's name starts in lower case.
        return eventstream.exception(failed.type[0].lower() + failed.type[1:], encode(body))
    if asked.shape is Shape.MESSAGES:
        return _named("error", body)
    if asked.shape is not Shape.RESPONSES:
        return _data(body)
    if form == "failed":
        error = {"code": failed.code or failed.type, "message": failed.message}
        response = {**answers.response(asked, None), "status": "failed", "error": error}
        return _named("response.failed", {"type": "response.failed", "sequence_number": 0, "response": response})
    if form == "flat":
        body = {"code": failed.code or failed.type, "message": failed.message, "param": None, "sequence_number": 0}
    return _named("error", {"type": "error", **body})


def malformed_event(asked: Question, *, crc: bool = False) -> bytes:
    """Return an event that does not parse: cut JSON, in frames that are sound unless ``crc`` is wanted wrong."""
    if asked.shape in _AWS_SHAPES:
        frame = eventstream.event(_DELTA[asked.shape], b'{"bytes": "eyJ0eXBlIjo')
        return frame[:-1] + bytes([frame[-1] ^ 0xFF]) if crc else frame
    if asked.shape in {Shape.MESSAGES, Shape.RESPONSES}:
        return b"event: " + _DELTA[asked.shape].encode() + b'\ndata: {"type": "content_block_delta", "delta": {"te\n\n'
    return b'data: {"id": "chatcmpl-1", "choices": [{"delta": {"content": \n\n'


def idle_event(asked: Question) -> bytes:
    """Return what a stream of this shape may send for ever without saying anything: a ping, a comment, an empty delta.

    Anthropic sends pings; OpenAI-compatible servers send comments; Converse has neither.
    """
    ping = {"type": "ping"}
    match asked.shape:
        case Shape.MESSAGES:
            return _named("ping", ping)
        case Shape.INVOKE_STREAM:
            return _invoke_frame(ping)
        case Shape.CONVERSE_STREAM:
            return eventstream.event("contentBlockDelta", encode({"contentBlockIndex": 0, "delta": {"text": ""}}))
        case _:
            return b": still working on it\n\n"


def filler(asked: Question, size: int) -> tuple[bytes, bytes, bytes]:
    """Return a stream's opening, one delta of about ``size`` bytes to be repeated, and its end.

    A shape that has no stream is filled as Chat Completions.
    """
    whole = _EVENTS.get(asked.shape, _chat)(asked, "x" * size, "stop")
    at = next(index for index, event in enumerate(whole) if len(event) >= size)
    return b"".join(whole[:at]), whole[at], b"".join(whole[at + 1 :])


def _data(value: object) -> bytes:
    return b"data: " + encode(value) + b"\n\n"


def _named(name: str, value: object) -> bytes:
    return b"event: " + name.encode() + b"\n" + _data(value)


def _chat(asked: Question, text: str, finish: Finish) -> list[bytes]:
    base = {
        "id": f"chatcmpl-{asked.serial:024d}",
        "object": "chat.completion.chunk",
        "created": answers.CREATED,
        "model": asked.model,
        "service_tier": "default",
    }

    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _data({**base, "choices": [choice], **({"usage": None} if asked.include_usage else {})})

    usage = _data({**base, "choices": [], "usage": answers.chat_usage(asked, text)})
    return [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": word}) for word in words(text)),
        chunk({}, answers.OPENAI_FINISHES[finish]),
        *([usage] if asked.include_usage else []),
        b"data: [DONE]\n\n",
    ]


def _completions(asked: Question, text: str, finish: Finish) -> list[bytes]:
    base = {
        "id": f"cmpl-{asked.serial:024d}",
        "object": "text_completion",
        "created": answers.CREATED,
        "model": asked.model,
    }

    def chunk(piece: str, reason: str | None = None) -> bytes:
        return _data({**base, "choices": [{"index": 0, "text": piece, "logprobs": None, "finish_reason": reason}]})

    usage = _data({**base, "choices": [], "usage": answers.chat_usage(asked, text)})
    return [
        *(chunk(word) for word in words(text)),
        chunk("", answers.OPENAI_FINISHES[finish]),
        *([usage] if asked.include_usage else []),
        b"data: [DONE]\n\n",
    ]


def _responses(asked: Question, text: str, finish: Finish) -> list[bytes]:
    opened, item = answers.response_item(asked, None), answers.response_item(asked, text)
    part = item["content"][0]
    ended = answers.response(asked, text, finish)
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
        (f"response.{ended['status']}", {"response": ended}),
    ]
    return [_named(name, {"type": name, "sequence_number": n, **rest}) for n, (name, rest) in enumerate(sequence)]


def _message_events(asked: Question, text: str, finish: Finish) -> list[dict[str, Any]]:
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
            "delta": {"stop_reason": answers.MESSAGE_STOPS[finish], "stop_sequence": None},
            "usage": answers.message_usage(asked, spoken),
        },
        {"type": "message_stop"},
    ]


def _messages(asked: Question, text: str, finish: Finish) -> list[bytes]:
    return [_named(event["type"], event) for event in _message_events(asked, text, finish)]


def _invoke(asked: Question, text: str, finish: Finish) -> list[bytes]:
    inner = _message_events(asked, text, finish)
    inner[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": asked.input_tokens,
        "outputTokenCount": len(words(text)),
        "invocationLatency": 1,
        "firstByteLatency": 1,
    }
    return [_invoke_frame(event) for event in inner]


def _invoke_frame(event: dict[str, Any]) -> bytes:
    return eventstream.event("chunk", encode({"bytes": base64.b64encode(encode(event)).decode()}))


def _converse(asked: Question, text: str, finish: Finish) -> list[bytes]:
    sequence: list[tuple[str, dict[str, Any]]] = [
        ("messageStart", {"role": "assistant"}),
        *(("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": word}}) for word in words(text)),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": answers.CONVERSE_STOPS[finish]}),
        ("metadata", {"usage": answers.converse_usage(asked, text), "metrics": {"latencyMs": 1}}),
    ]
    return [eventstream.event(name, encode(payload)) for name, payload in sequence]


_EVENTS: dict[Shape, Callable[[Question, str, Finish], list[bytes]]] = {
    Shape.CHAT: _chat,
    Shape.COMPLETIONS: _completions,
    Shape.RESPONSES: _responses,
    Shape.MESSAGES: _messages,
    Shape.INVOKE_STREAM: _invoke,
    Shape.CONVERSE_STREAM: _converse,
}
