"""Whole answers of Messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from anthropic.types import Message

from hydrallm.faults import answers, streams
from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Text, Thinking, ToolUse, UntranslatableError
from hydrallm.formats.canonical_answer import (
    Answer,
    Ended,
    Stop,
    Stopped,
    Usage,
)
from hydrallm.formats.codec import Asked

SdkAnswer = Callable[[bytes], Message]
SdkStream = Callable[[bytes], dict[str, Any]]
CODEC = AnthropicMessagesCodec()
ASKED = Asked("claude", "ex1", 1_790_000_000)
CITATION = {
    "type": "char_location",
    "cited_text": "s",
    "document_index": 0,
    "document_title": "t",
    "end_char_index": 1,
    "start_char_index": 0,
}
CITED = json.dumps([CITATION]).encode()


WHOLE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "enc"},
        {"type": "text", "text": "so", "citations": [CITATION]},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
        {"type": "something_new", "text": {"no": "string"}},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1.50}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 3,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 100,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
        "service_tier": "priority",
    },
}


def test_an_answer_is_read() -> None:
    answer = CODEC.read_answer(json.dumps(WHOLE).replace("1.5", "1.50").encode())
    text = answer.parts[2]
    assert isinstance(text, Text)
    assert json.loads(bytes(text.citations or b"null")) == [CITATION]
    assert answer == Answer(
        "msg_1",
        "claude-x",
        (
            Thinking("hm", "sig", maker="anthropic"),
            Thinking(redacted="enc", maker="anthropic"),
            text,
            ToolUse("t1", "f", '{"a": 1.50}'),
            ToolUse("t2", "g", "{}"),
        ),
        Stop.TOOL_USE,
        usage=Usage(3, 100, 20, 50, 40),
        tier="priority",
    )


def test_an_answer_is_written_as_it_was_read(sdk_answer: SdkAnswer) -> None:
    ours = [block for block in WHOLE["content"] if block["type"] not in {"server_tool_use", "something_new"}]
    expected = {**WHOLE, "content": ours}
    written = CODEC.write_answer(CODEC.read_answer(json.dumps(expected).encode()), Asked("claude-x", "x", 0))
    assert json.loads(written) == expected
    assert sdk_answer(written).model_dump(exclude_unset=True) == expected


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", Stop.END),
        ("max_tokens", Stop.LENGTH),
        ("stop_sequence", Stop.SEQUENCE),
        ("tool_use", Stop.TOOL_USE),
        ("pause_turn", Stop.PAUSE),
        ("refusal", Stop.REFUSAL),
        ("model_context_window_exceeded", Stop.CONTEXT),
    ],
)
def test_why_it_ended(sdk_answer: SdkAnswer, reason: str, stop: Stop) -> None:
    content = [{"type": "tool_use", "id": "t", "name": "f", "input": {}}] if stop is Stop.TOOL_USE else []
    body = {**WHOLE, "content": content, "stop_reason": reason, "stop_sequence": "END"}
    answer = CODEC.read_answer(json.dumps(body).encode())
    assert (answer.stop, answer.stop_sequence) == (stop, "END")
    assert sdk_answer(CODEC.write_answer(answer, ASKED)).stop_reason == reason
    events = [{"type": "content_block_start", "index": 0, "content_block": block} for block in content]
    events.append({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": "END"}})
    reader = CODEC.reader()
    reader.feed(b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events))
    assert reader.finish()[-2:] == [Stopped(stop, "END"), Ended()]


def test_a_call_is_why_it_ended_whatever_the_server_says() -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    for content, reason, stop in (([call], "end_turn", Stop.TOOL_USE), ([], "tool_use", Stop.END)):
        body = {**WHOLE, "content": content, "stop_reason": reason}
        assert CODEC.read_answer(json.dumps(body).encode()).stop is stop


def test_a_reason_nobody_knows_is_the_end() -> None:
    for reason in ("new_reason", None):
        assert CODEC.read_answer(json.dumps({**WHOLE, "content": [], "stop_reason": reason}).encode()).stop is Stop.END


def test_what_a_client_of_messages_gets(sdk_answer: SdkAnswer) -> None:
    answer = Answer(
        "chatcmpl-1",
        "gpt-x",
        (
            Thinking("why", "enc", maker="openai", id="rs_1"),
            Thinking(maker="openai"),
            Text(""),
            Text("so", citations=msgspec.Raw(b'[{"type":"url_citation","url":"https://x"}]')),
            ToolUse("", "f_1", '{"a": 1, "b": "cu'),
        ),
        Stop.LENGTH,
        usage=Usage(input=5),
        tier="default",
    )
    message = sdk_answer(CODEC.write_answer(answer, Asked("claude", "e1", 0, names={"f_1": "f.1"})))
    assert (message.id, message.model, message.stop_reason) == ("msg_e1", "claude", "max_tokens")
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "why", "signature": "hydrallm:openai:rs_1:enc"},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "toolu_e1_4", "name": "f.1", "input": {"a": 1, "b": "cu"}},
    ]
    assert (message.usage.input_tokens, message.usage.output_tokens, message.usage.service_tier) == (5, 0, None)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"content":7}',
        b'{"content":[7]}x',
        b'{"content":[{"type":"text","text":"\xff"}]}',
        b"[" * 9999,
    ],
)
def test_what_is_no_answer(body: bytes) -> None:
    with pytest.raises(UntranslatableError, match="this is not a Messages answer"):
        CODEC.read_answer(body)


def test_half_a_character_in_an_answer_is_no_reason_to_fail() -> None:
    body = b'{"content":[{"type":"text","text":"a\\ud83d"}],"usage":{"input_tokens":NaN}}'
    answer = CODEC.read_answer(body)
    assert (answer.parts, answer.usage.input) == ((Text("a?"),), None)


def test_the_faulty_provider_s_answers_and_streams_say_the_same() -> None:
    question = answers.question("POST", "/v1/messages", {}, b'{"model":"m","stream":true}', 7)
    for finish in ("stop", "length", "filtered"):
        whole = CODEC.read_answer(answers.plain(question, "so it is", finish))
        reader = CODEC.reader()
        said = [event for chunk in streams.events(question, "so it is", finish) for event in reader.feed(chunk)]
        assert assemble(said) == whole
        assert isinstance(said[-1], Ended)
