"""What a soak asks in each wire format, and what it takes for a right answer.

Each request says what is to be answered: ``say NAME COUNT`` asks for the words NAME1 to NAMECOUNT. So an answer that
belongs to another request, lacks a word or has one twice is known for what it is. Whole answers and streams are read
here with json and botocore's reader of AWS frames, which know nothing of the gateway.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.eventstream import EventStreamBuffer

if TYPE_CHECKING:
    from collections.abc import Callable

ASKED = re.compile(rb"say ([a-z]+) (\d+)")


def words(name: str, count: int) -> str:
    """Return what is to be answered."""
    return " ".join(f"{name}{number}" for number in range(1, count + 1))


class Format(NamedTuple):
    """How one wire format is spoken.

    Attributes:
        path: for a whole answer.
        stream_path: for a stream.
        asked: the rest of a request's body, where it asks for a stream.
        body: makes the body of a request from what is to be said to the model.
        whole: returns the text of an answer.
        event: returns the text of one event of a stream.
        ended: whether an event is the end of a stream that is complete.
    """

    path: str
    stream_path: str
    asked: dict[str, Any]
    body: Callable[[str], dict[str, Any]]
    whole: Callable[[Any], str]
    event: Callable[[str, Any], str]
    ended: Callable[[str, Any], bool]


def _message(text: str) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": text}]}


def _invoke(text: str) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    version = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4000}
    return version | {"messages": [{"role": "user", "content": content}]}


def _converse(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"text": text}]}], "inferenceConfig": {"maxTokens": 4000}}


def _joined(blocks: list[dict[str, Any]]) -> str:
    return "".join(block.get("text", "") for block in blocks)


def _chat_delta(_: str, event: Any) -> str:  # noqa: ANN401 - JSON
    return "".join(choice["delta"].get("content") or "" for choice in event.get("choices", []))


def _response_text(answer: Any) -> str:  # noqa: ANN401 - JSON
    return "".join(_joined(item.get("content", [])) for item in answer["output"])


def _block_delta(kind: str, event: Any) -> str:  # noqa: ANN401 - JSON
    return str(event["delta"].get("text", "")) if kind == "content_block_delta" else ""


FORMATS = {
    "openai-chat": Format(
        "/v1/chat/completions",
        "/v1/chat/completions",
        {"stream": True},
        _message,
        lambda answer: str(answer["choices"][0]["message"]["content"]),
        _chat_delta,
        lambda kind, _: kind == "[DONE]",
    ),
    "openai-responses": Format(
        "/v1/responses",
        "/v1/responses",
        {"stream": True},
        lambda text: {"model": "m", "max_output_tokens": 4000, "input": text},
        _response_text,
        lambda kind, event: str(event["delta"]) if kind == "response.output_text.delta" else "",
        lambda kind, _: kind == "response.completed",
    ),
    "anthropic-messages": Format(
        "/v1/messages",
        "/v1/messages",
        {"stream": True},
        _message,
        lambda answer: _joined(answer["content"]),
        _block_delta,
        lambda kind, _: kind == "message_stop",
    ),
    "bedrock-converse": Format(
        "/model/m/converse",
        "/model/m/converse-stream",
        {},
        _converse,
        lambda answer: _joined(answer["output"]["message"]["content"]),
        lambda kind, event: str(event["delta"].get("text", "")) if kind == "contentBlockDelta" else "",
        lambda kind, _: kind == "messageStop",
    ),
    "bedrock-invoke": Format(
        "/model/m/invoke",
        "/model/m/invoke-with-response-stream",
        {},
        _invoke,
        lambda answer: _joined(answer["content"]),
        _block_delta,
        lambda kind, _: kind == "message_stop",
    ),
}


def request(form: Format, name: str, count: int, *, stream: bool) -> bytes:
    """Return a request for the words of ``name``, with some more to carry."""
    body = form.body(f"say {name} {count}. " + "and so on " * (count % 50))
    data = json.dumps(body | form.asked if stream else body).encode()
    head = f"POST {form.stream_path if stream else form.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def events(body: bytes, content_type: str) -> list[tuple[str, Any]]:
    """Return the events of a stream, as far as they came, each with its kind."""
    if "eventstream" in content_type:
        return _frames(body)
    found: list[tuple[str, Any]] = []
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        data = b"".join(line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:"))
        if data == b"[DONE]":
            found.append(("[DONE]", None))
        elif data:
            event = json.loads(data)
            found.append(("error" if "error" in event else event.get("type", ""), event))
    return found


def _frames(body: bytes) -> list[tuple[str, Any]]:
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    found: list[tuple[str, Any]] = []
    for frame in buffer:
        payload = json.loads(frame.payload)
        if frame.headers[":message-type"] == "exception":
            found.append(("error", payload))
        elif frame.headers[":event-type"] == "chunk":
            event = json.loads(base64.b64decode(payload["bytes"]))
            found.append((event["type"], event))
        else:
            found.append((frame.headers[":event-type"], payload))
    return found


def judge(form: Format, expected: str, content_type: str, body: bytes, *, stream: bool, whole: bool) -> str:
    """Return ``right``, ``broken`` for a stream that broke off and says so, or what is wrong with an answer.

    Args:
        form: its wire format.
        expected: its text.
        content_type: what it says it is.
        body: what came of it.
        stream: whether one was asked for.
        whole: whether HTTP says that it is complete.
    """
    try:
        if not stream:
            text = form.whole(json.loads(body))
            return "right" if whole and text == expected else f"another answer: {text[:100]!r}, not {expected[:100]!r}"
        came = events(body, content_type)
        ended = any(form.ended(kind, event) for kind, event in came)
        failed = any(kind == "error" for kind, _ in came)
        text = "".join(form.event(kind, event) for kind, event in came if event is not None and kind != "error")
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return f"no answer of this format ({error!r}): {body[:200]!r}"
    if ended:
        return "right" if whole and text == expected and not failed else f"complete, but {text[:100]!r}"
    if not expected.startswith(text):
        return f"broken off, and not the beginning of what was asked for: {text[:100]!r}"
    return "broken" if failed and not whole else "ended without its end, and without an error"
