"""What holds for every codec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.assembly import assemble
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import (
    Choice,
    JsonOutput,
    Message,
    Request,
    Role,
    Target,
    Text,
    Tool,
    ToolChoice,
    UnservedError,
)
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
    Ended,
    Event,
    PartEnded,
    PartStarted,
    Started,
    Stop,
    Stopped,
    Usage,
    Used,
)
from hydrallm.formats.codec import Asked
from hydrallm.formats.facts import Facts
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec

if TYPE_CHECKING:
    from hydrallm.formats.codec import Codec

CHAT, RESPONSES, MESSAGES, INVOKE, CONVERSE = (
    OpenAIChatCodec(),
    OpenAIResponsesCodec(),
    AnthropicMessagesCodec(),
    BedrockInvokeCodec(),
    BedrockConverseCodec(),
)
CODECS: list[Codec] = [CHAT, RESPONSES, MESSAGES, INVOKE, CONVERSE]
EVERY = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
ASKED = Asked("m", "id-1", 5)
CLAUDE = Target("anthropic.claude-opus-9-v1:0", Facts())
USAGE = Usage(3, 0, 0, 2)


def course(used: Used) -> list[Event]:
    part: list[Event] = [PartStarted(0, Text("")), Added(0, "hi"), PartEnded(0)]
    return [Started("a", "m"), used, *part, Stopped(Stop.END), used, Ended()]


def read(codec: Codec, stream: bytes) -> list[Event]:
    return codec.reader().feed(stream)


@EVERY
def test_a_stream_says_the_tier(codec: Codec) -> None:
    stream = codec.writer(ASKED).feed(course(Used(USAGE, "priority")))
    whole = codec.read_answer(codec.write_answer(Answer("a", "m", (Text("hi"),), Stop.END, tier="priority"), ASKED))
    assert (assemble(read(codec, stream)).tier, whole.tier) == ("priority", "priority")


@EVERY
def test_a_tier_that_a_format_has_no_word_for_is_not_said(codec: Codec) -> None:
    assert b"odd tier" not in codec.writer(ASKED).feed(course(Used(USAGE, "odd tier")))


def test_chat_says_the_tier_to_a_client_that_wants_no_usage() -> None:
    asked = Asked("m", "id-1", 5, usage_in_stream=False)
    stream = CHAT.writer(asked).feed(course(Used(USAGE, "priority")))
    assert (b'"service_tier":"priority"' in stream, b'"usage"' in stream) == (True, False)


@EVERY
def test_what_is_owed_at_a_clean_end_comes_once(codec: Codec) -> None:
    reader = codec.reader()
    said = reader.feed(codec.writer(ASKED).feed(course(Used(USAGE))))
    assert said[-1] == Ended()
    assert reader.finish() == []


def test_a_stream_of_messages_without_its_last_event() -> None:
    stream = MESSAGES.writer(ASKED).feed(course(Used(USAGE)))
    reader = MESSAGES.reader()
    said = reader.feed(stream[: stream.index(b"event: message_stop")])
    assert Ended() not in said
    assert (reader.finish(), reader.finish()) == ([Ended()], [])


def ask(codec_format: str = "openai-chat", **members: object) -> Request:
    hello = (Message(Role.USER, (Text("hi"),)),)
    return Request(format=codec_format, **{"messages": hello, **members})  # type: ignore[arg-type]


@EVERY
def test_a_model_that_takes_no_schema_cannot_serve_a_request_for_one(codec: Codec) -> None:
    request = ask(output=JsonOutput(b'{"type":"object"}'))  # type: ignore[arg-type]
    assert codec.compose(request, CLAUDE).dropped == ()
    with pytest.raises(UnservedError, match="schema"):
        codec.compose(request, Target(CLAUDE.model, Facts(json_output=False)))


@EVERY
def test_a_model_that_takes_no_forced_tool(codec: Codec) -> None:
    request = ask(tools=(Tool("f"),), tool_choice=ToolChoice(Choice.REQUIRED))
    assert codec.compose(request, CLAUDE).body
    with pytest.raises(UnservedError, match="force"):
        codec.compose(request, Target(CLAUDE.model, Facts(forced_tool=False)))


@pytest.mark.parametrize(
    ("codec", "body", "name"),
    [
        (RESPONSES, {"input": "hi", "service_tier": "odd"}, "service_tier"),
        (CHAT, {"messages": [{"role": "user", "content": "hi"}], "service_tier": "odd"}, "service_tier"),
        (MESSAGES, {"messages": [{"role": "user", "content": "hi"}], "service_tier": "odd"}, "service_tier"),
        (
            CONVERSE,
            {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "serviceTier": {"type": "odd"}},
            "serviceTier",
        ),
    ],
)
def test_what_is_dropped_is_called_as_the_client_calls_it(codec: Codec, body: object, name: str) -> None:
    request = codec.read_request(json.dumps(body).encode(), model="m", stream=False)
    assert {target.compose(request, CLAUDE).dropped for target in CODECS} == {(name,)}


@pytest.mark.parametrize(
    ("codec", "place"), [(INVOKE, ()), (CONVERSE, ("additionalModelRequestFields",))], ids=["invoke", "converse"]
)
def test_betas_of_the_client_and_of_the_settings_are_said_in_bedrocks_bodies(
    codec: Codec, place: tuple[str, ...]
) -> None:
    target = Target(CLAUDE.model, Facts(), betas=("a", "b"))
    body = json.loads(codec.compose(ask(betas=("b", "c")), target).body)
    for name in place:
        body = body[name]
    assert body["anthropic_beta"] == ["a", "b", "c"]
    composed = codec.compose(ask(betas=("b",)), CLAUDE).body
    assert codec.read_request(composed, model="m", stream=False).betas == ("b",)
    assert b"anthropic_beta" not in MESSAGES.compose(ask(betas=("b",)), target).body
