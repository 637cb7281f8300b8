"""What is sent and answered: requests of a given size, an answer of 1 KB, the events of a stream; in two wire formats.

A request is a conversation of turns of 1,000 characters, as a client sends one, with ``model`` as its LAST key: a proxy
that reads the model has to walk the whole body to find it. The headers are those of an official SDK.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

MODEL: Final = "bench-model"
KEY: Final = "sk-0123456789abcdef"

_SENTENCE: Final = 'The quick brown fox jumps over the lazy dog, and 7 wizards \\"quote\\" a line.\\n'
_TURN: Final = (_SENTENCE * 13)[:1000].rstrip("\\")
_HEADERS: Final = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "OpenAI/Python 3.54.0",
    "Authorization": f"Bearer {KEY}",
    "x-stainless-lang": "python",
    "x-stainless-package-version": "3.54.0",
    "x-stainless-os": "Linux",
    "x-stainless-arch": "x64",
    "x-stainless-runtime": "CPython",
    "x-stainless-retry-count": "0",
}
# They differ since a peer takes a hundred times the same for a model that has run wild, and ends the stream.
_WORDS: Final = (" upon", " a", " time", " there", " was", " a", " hydra", ";")
_TEXT: Final = ("lorem ipsum dolor sit amet " * 40)[:750]


class Form(msgspec.Struct, frozen=True):
    """What is sent and answered in one wire format.

    Attributes:
        path: where it is asked.
        headers: what its clients send.
        answer: a whole answer, as JSON.
        preamble: the first events of a stream, up to its first content.
        events: events with content, which a stream has in turn, any number of times.
    """

    path: str
    headers: dict[str, str]
    answer: bytes
    preamble: bytes
    events: tuple[bytes, ...]

    def body(self, size: int, *, stream: bool = False) -> bytes:
        """Return a request body of ``size`` bytes, or the smallest one if that is larger."""
        head = '{"max_tokens":1024,' + ('"stream":true,' if stream else "") + '"messages":['
        tail = f'],"model":"{MODEL}"}}'
        empty = [_turn(0, "")]
        room = size - len(head) - len(tail) - len(empty[0])
        turns: list[str] = []
        while room > 1200:  # an answer and a question with no less than one character
            turns.append(_turn(len(turns), _TURN))
            room -= len(turns[-1]) + 1
        if len(turns) % 2:  # the last word is the user's
            room += len(turns.pop()) + 1
        turns.append(_turn(len(turns), "x" * max(room, 1)))
        return (head + ",".join(turns) + tail).encode()

    def request(self, body: bytes, port: int, *, close: bool = True) -> bytes:
        """Return a whole HTTP request with ``body``."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if close:
            lines.append("Connection: close")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def with_headers(self, headers: dict[str, str]) -> Form:
        """Return the same with further headers."""
        return msgspec.structs.replace(self, headers=self.headers | headers)


def _turn(number: int, text: str) -> str:
    role = ("user", "assistant")[number % 2]
    return f'{{"role":"{role}","content":"{text}"}}'


def _sse(name: str, data: dict[str, object]) -> bytes:
    event = f"event: {name}\n" if name else ""
    return f"{event}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def _chunk(delta: dict[str, object]) -> bytes:
    return _sse(
        "",
        {
            "id": "chatcmpl-000000000000000000000001",
            "object": "chat.completion.chunk",
            "created": 1790000000,
            "model": MODEL,
            "service_tier": "default",
            "system_fingerprint": "fp_44709d6fcb",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}],
        },
    )


CHAT: Final = Form(
    path="/v1/chat/completions",
    headers=_HEADERS,
    answer=json.dumps(
        {
            "id": "chatcmpl-000000000000000000000001",
            "object": "chat.completion",
            "created": 1790000000,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": _TEXT},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 9, "completion_tokens": 150, "total_tokens": 159},
        }
    ).encode(),
    preamble=_chunk({"role": "assistant", "content": ""}) + _chunk({"content": "Once"}),
    events=tuple(_chunk({"content": word}) for word in _WORDS),
)
"""OpenAI's Chat Completions."""

_USAGE: Final = {"input_tokens": 9, "output_tokens": 1}
_MESSAGE: Final = {"id": "msg_01", "type": "message", "role": "assistant", "model": MODEL, "stop_sequence": None}
_DELTA: Final = {"type": "content_block_delta", "index": 0}

MESSAGES: Final = Form(
    path="/v1/messages",
    headers=_HEADERS | {"User-Agent": "Anthropic/Python 2.12.0", "x-api-key": KEY, "anthropic-version": "2023-06-01"},
    answer=json.dumps(
        _MESSAGE
        | {
            "content": [{"type": "text", "text": _TEXT}],
            "stop_reason": "end_turn",
            "usage": _USAGE | {"output_tokens": 150},
        }
    ).encode(),
    preamble=_sse(
        "message_start",
        {"type": "message_start", "message": _MESSAGE | {"content": [], "stop_reason": None, "usage": _USAGE}},
    )
    + _sse(
        "content_block_start",
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    )
    + _sse("content_block_delta", _DELTA | {"delta": {"type": "text_delta", "text": "Once"}}),
    events=tuple(
        _sse("content_block_delta", _DELTA | {"delta": {"type": "text_delta", "text": word}}) for word in _WORDS
    ),
)
"""Anthropic's Messages."""

FORMS: Final = (CHAT, MESSAGES)
