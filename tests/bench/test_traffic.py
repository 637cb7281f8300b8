"""The official SDKs say whether what is sent and answered is what they would send and take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.message_create_params import MessageCreateParams
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParams
from pydantic import TypeAdapter

from bench.measures import SIZES
from bench.traffic import CHAT, FORMS, MESSAGES, MODEL, Form

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES: dict[str, tuple[TypeAdapter[Any], TypeAdapter[Any], TypeAdapter[Any]]] = {
    CHAT.path: (TypeAdapter(CompletionCreateParams), TypeAdapter(ChatCompletion), TypeAdapter(ChatCompletionChunk)),
    MESSAGES.path: (TypeAdapter(MessageCreateParams), TypeAdapter(Message), TypeAdapter(RawMessageStreamEvent)),
}
forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.path)


def data(events: bytes) -> Iterator[bytes]:
    for event in events.split(b"\n\n")[:-1]:
        yield event.rpartition(b"data: ")[2]


@forms
@pytest.mark.parametrize("size", [250, 1023, 1024, 2100, 2250, 2300, 3333, *SIZES.values()])
def test_a_request_has_its_size_the_model_last_and_a_question_at_the_end(form: Form, size: int) -> None:
    body = form.body(size, stream=size < 2000)
    assert len(body) == size
    request = json.loads(body)
    assert list(request)[-1] == "model"
    assert request["model"] == MODEL
    assert request["messages"][-1]["role"] == "user"
    assert request.get("stream", False) is (size < 2000)
    TYPES[form.path][0].validate_python(request)


@forms
def test_answers_are_those_of_the_api(form: Form) -> None:
    _, answer, event = TYPES[form.path]
    assert answer.validate_json(form.answer).model == MODEL
    for events in (form.preamble, *form.events):
        for each in data(events):
            event.validate_json(each)
    assert b"Once" in form.preamble  # what the load waits for
    assert len(set(form.events)) > 1


def test_a_request_says_its_length_and_closes() -> None:
    head, _, body = CHAT.with_headers({"x-one": "1"}).request(b"{}", 80).partition(b"\r\n\r\n")
    assert body == b"{}"
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {"Host: 127.0.0.1:80", "Content-Length: 2", "x-one: 1", "Connection: close"} <= set(lines)
