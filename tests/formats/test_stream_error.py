"""Streams that fail or wait, as the official SDKs' raw iterators and accumulating helpers see them.

A failed stream must make them raise after what they were given, and what keeps a stream alive must be invisible. Only
the socket is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anthropic
import httpx2
import openai
import pytest

from hydrallm.faults import streams
from hydrallm.faults.answers import Question, Shape
from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.base import ApiError, WireFormat
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_completions import OpenAICompletions
from hydrallm.formats.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGE = 'models[0] "gpt-4o" at openai: cut after 3 chunks \u2013 ask again, "\ud83d"'
SHOWN = MESSAGE.replace("\ud83d", "?")
TEXT = "one two three"
Client = httpx2.Client


def question(shape: Shape) -> Question:
    return Question(shape=shape, model="m", stream=True, include_usage=False, base64=False, input_tokens=3, serial=1)


def http(format_: WireFormat, pieces: list[bytes]) -> Client:
    """Return an HTTP client whose every request is answered with the stream of ``pieces``."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": format_.stream_type.decode(), "request-id": "req-0123", "x-request-id": "req-0123"}
        return httpx2.Response(200, headers=headers, content=iter(pieces))

    return Client(transport=httpx2.MockTransport(answer))


def open_ai(client: Client) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://h/v1", max_retries=0, http_client=client)


def chat(client: Client) -> Iterator[str]:
    for chunk in open_ai(client).chat.completions.create(model="m", messages=[], stream=True):
        yield chunk.choices[0].delta.content or ""


def chat_helper(client: Client) -> Iterator[str]:
    with open_ai(client).chat.completions.stream(model="m", messages=[]) as stream:
        for event in stream:
            if event.type == "content.delta":
                yield event.delta
        assert stream.get_final_completion().choices[0].message.content == TEXT


def completions(client: Client) -> Iterator[str]:
    for chunk in open_ai(client).completions.create(model="m", prompt="p", stream=True):
        yield chunk.choices[0].text


def responses(client: Client) -> Iterator[str]:
    for event in open_ai(client).responses.create(model="m", input="i", stream=True):
        if event.type == "response.output_text.delta":
            yield event.delta


def responses_helper(client: Client) -> Iterator[str]:
    with open_ai(client).responses.stream(model="m", input="i") as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                yield event.delta
        assert stream.get_final_response().output_text == TEXT


def anthropic_client(client: Client) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url="http://h", max_retries=0, http_client=client)


def messages(client: Client) -> Iterator[str]:
    for event in anthropic_client(client).messages.create(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "c"}], stream=True
    ):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            yield event.delta.text


def messages_helper(client: Client) -> Iterator[str]:
    with anthropic_client(client).messages.stream(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "c"}]
    ) as stream:
        yield from stream.text_stream
        assert stream.get_final_text() == TEXT


READERS: list[tuple[Shape, WireFormat, Callable[[Client], Iterator[str]]]] = [
    (Shape.CHAT, OpenAIChat(), chat),
    (Shape.CHAT, OpenAIChat(), chat_helper),
    (Shape.COMPLETIONS, OpenAICompletions(), completions),
    (Shape.RESPONSES, OpenAIResponses(), responses),
    (Shape.RESPONSES, OpenAIResponses(), responses_helper),
    (Shape.MESSAGES, AnthropicMessages(), messages),
    (Shape.MESSAGES, AnthropicMessages(), messages_helper),
]
every_reader = pytest.mark.parametrize(("shape", "format_", "read"), READERS)


def api_error(status: int = 502, kind: str = "") -> ApiError:
    return ApiError(status, MESSAGE, "upstream_cut", "req-0123", kind)


@every_reader
@pytest.mark.parametrize("said", [0, 1, 2, 3])
def test_the_sdks_raise_after_the_text_before(
    shape: Shape, format_: WireFormat, read: Callable[[Client], Iterator[str]], said: int
) -> None:
    before = streams.events(question(shape), TEXT)
    before = before[: streams.outline(question(shape), TEXT).preamble + said if said else 0]
    heard: list[str] = []
    with pytest.raises((openai.APIError, anthropic.APIStatusError)) as caught:
        heard.extend(read(http(format_, [*before, format_.encode_stream_error(api_error())])))
    assert "".join(heard).split() == TEXT.split()[:said]
    error = caught.value
    if isinstance(error, openai.APIError):
        assert (error.message, error.code, error.type) == (SHOWN, "upstream_cut", "server_error")
    else:
        assert isinstance(error, anthropic.APIStatusError)
        assert (error.api_message, error.type, error.request_id) == (SHOWN, "api_error", "req-0123")


@every_reader
@pytest.mark.parametrize(
    ("status", "kind", "shown"), [(429, "", "rate_limit_error"), (529, "overloaded_error", "overloaded_error")]
)
def test_the_type_is_the_upstream_s_or_follows_from_the_status(
    shape: Shape,
    format_: WireFormat,
    read: Callable[[Client], Iterator[str]],
    status: int,
    kind: str,
    shown: str,
) -> None:
    with pytest.raises((openai.APIError, anthropic.APIStatusError)) as caught:
        list(read(http(format_, [format_.encode_stream_error(api_error(status, kind))])))
    assert isinstance(caught.value, openai.APIError | anthropic.APIStatusError)
    assert caught.value.type == shown


@every_reader
def test_what_keeps_a_stream_alive_is_not_seen(
    shape: Shape, format_: WireFormat, read: Callable[[Client], Iterator[str]]
) -> None:
    events = streams.events(question(shape), TEXT)
    spread = [piece for event in events for piece in (format_.keep_alive, format_.keep_alive, event)]
    plain = list(read(http(format_, events)))
    assert list(read(http(format_, spread))) == plain
    assert "".join(plain) == TEXT


@pytest.mark.parametrize("format_", [OpenAIChat(), OpenAICompletions(), OpenAIResponses(), AnthropicMessages()])
def test_our_own_scans_read_what_we_write(format_: WireFormat) -> None:
    scan = format_.scan()
    assert scan.feed(format_.keep_alive) == format_.keep_alive
    assert not scan.content
    assert scan.feed(format_.encode_stream_error(api_error(529, "overloaded_error"))) == b""
    assert scan.problem is not None
    assert (scan.problem.type, scan.problem.message) == ("overloaded_error", SHOWN)


def test_the_error_of_responses_is_the_documented_event_too() -> None:
    """Clients that read events by their schema find what it promises at the top level."""
    stream = http(OpenAIResponses(), [OpenAIResponses().encode_stream_error(api_error())])
    with stream.stream("POST", "http://h") as response:
        (event,) = openai._streaming.SSEDecoder().iter_bytes(response.iter_bytes())  # noqa: SLF001 - the oracle
    flat = openai.types.responses.ResponseErrorEvent.model_validate_json(event.data)
    assert event.event == flat.type == "error"
    assert (flat.code, flat.message) == ("upstream_cut", SHOWN)
