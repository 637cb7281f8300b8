"""What holds for every codec."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from msgspec import Raw

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.assembly import assemble
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import (
    Choice,
    JsonOutput,
    Message,
    Reasoning,
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
    assert (reader.finish(), reader.finish()) == ([Stopped(Stop.END), Ended()], [])


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
    body = json.loads(codec.compose(ask("bedrock-invoke", betas=("b", "c")), target).body)
    for name in place:
        body = body[name]
    assert body["anthropic_beta"] == ["a", "b", "c"]
    composed = codec.compose(ask("bedrock-invoke", betas=("b",)), CLAUDE).body
    assert codec.read_request(composed, model="m", stream=False).betas == ("b",)
    assert b"anthropic_beta" not in MESSAGES.compose(ask(betas=("b",)), target).body


ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5-v1:0"
QUOTED = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-opus-5-v1%3A0"


@pytest.mark.parametrize("stream", [False, True])
def test_where_a_composed_request_goes(stream: bool) -> None:
    asked, target = ask(stream=stream), Target(ARN, Facts())
    paths = {codec.name: codec.address(asked, target)[0].decode() for codec in CODECS}
    assert paths == {
        "openai-chat": "/v1/chat/completions",
        "openai-responses": "/v1/responses",
        "anthropic-messages": "/v1/messages",
        "bedrock-invoke": f"/model/{QUOTED}/invoke" + ("-with-response-stream" if stream else ""),
        "bedrock-converse": f"/model/{QUOTED}/converse" + ("-stream" if stream else ""),
    }
    assert [codec.name for codec in CODECS if codec.address(asked, target)[1]] == ["anthropic-messages"]


def test_the_headers_of_messages() -> None:
    assert MESSAGES.address(ask(), CLAUDE)[1] == [(b"anthropic-version", b"2023-06-01")]
    target = Target("m", Facts(), version="2026-10-21", betas=("a", "b"))
    assert MESSAGES.address(ask(betas=("b", "c")), target)[1] == [
        (b"anthropic-version", b"2026-10-21"),
        (b"anthropic-beta", b"a,b,c"),
    ]


@pytest.mark.parametrize("flag", ["a\r\nx-api-key: k", "a\nb", "a,b", "a b", "", "\x00", "\u00e9", "a:b"])
def test_a_hostile_beta_never_becomes_a_header(flag: str) -> None:
    headers = MESSAGES.address(ask(betas=(flag, "good-2026-01-01")), CLAUDE)[1]
    assert headers[1:] == [(b"anthropic-beta", b"good-2026-01-01")]
    assert MESSAGES.address(ask(betas=(flag,)), CLAUDE)[1] == [(b"anthropic-version", b"2023-06-01")]


@EVERY
def test_a_bound_request_is_composed_for_nobody(codec: Codec) -> None:
    """Not even in its own format: what binds it is not in what was read of it."""
    for client in CODECS:
        with pytest.raises(UnservedError, match="a hosted tool"):
            codec.compose(ask(client.name, bound=("a hosted tool",)), CLAUDE)


@pytest.mark.parametrize(
    ("codec", "body"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "hi"}], "mine": {"a": 1}}),
        (RESPONSES, {"input": "hi", "mine": {"a": 1}, "reasoning": {"effort": "low", "mode": "new"}}),
        (MESSAGES, {"messages": [{"role": "user", "content": "hi"}], "mine": {"a": 1}, "output_config": {"x": 1}}),
        (INVOKE, {"messages": [{"role": "user", "content": "hi"}], "mine": {"a": 1}, "output_config": {"x": 1}}),
        (CONVERSE, {"messages": [{"role": "user", "content": [{"text": "hi"}]}], "mine": {"a": 1}}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_nobody_knows_is_said_again_in_its_own_format_and_dropped_elsewhere(
    codec: Codec, body: dict[str, object]
) -> None:
    request = codec.read_request(json.dumps(body).encode(), model="m", stream=False)
    same = codec.compose(request, Target(CLAUDE.model, Facts(efforts=("low",))))
    assert same.dropped == ()
    sent = json.loads(same.body)
    assert {name: sent[name] for name in body if name not in {"messages", "input"}} == {
        name: value for name, value in body.items() if name not in {"messages", "input"}
    }
    others = [other for other in CODECS if other.name != codec.name]
    assert all("mine" in other.compose(request, CLAUDE).dropped for other in others)


@EVERY
def test_one_reason_is_given_for_a_forced_tool(codec: Codec) -> None:
    facts = Facts(adaptive=True, thinks_always=True, forced_tool=False, forced_tool_thinking=False, efforts=("low",))
    request = ask(tools=(Tool("f"),), tool_choice=ToolChoice(Choice.REQUIRED))
    with pytest.raises(UnservedError) as caught:
        codec.compose(request, Target(CLAUDE.model, facts))
    assert len(caught.value.reasons) == 1


NATIVE = {"type": "bash_20250124", "name": "bash"}


def test_a_tool_that_anthropic_defines_is_said_where_it_is_known() -> None:
    marked = {**NATIVE, "cache_control": {"type": "ephemeral"}}
    body = {"messages": [{"role": "user", "content": "hi"}], "tools": [marked], "tool_choice": {"type": "any"}}
    for client in (MESSAGES, INVOKE):
        request = client.read_request(json.dumps(body).encode(), model="m", stream=False)
        assert request.bound == ()
        for codec in (MESSAGES, INVOKE):
            assert json.loads(codec.compose(request, CLAUDE).body)["tools"] == [marked]
            plain = codec.compose(request, Target(CLAUDE.model, Facts(cache=False)))
            assert (json.loads(plain.body)["tools"], plain.dropped) == ([NATIVE], ("cache_control",))
        for other in (CHAT, RESPONSES, CONVERSE):
            with pytest.raises(UnservedError) as caught:
                other.compose(request, CLAUDE)
            assert caught.value.reasons == ("the tool 'bash', which only Anthropic defines",)


@pytest.mark.parametrize("codec", [MESSAGES, INVOKE, CONVERSE], ids=lambda codec: codec.name)
def test_strictness_is_dropped_where_claude_takes_no_schema(codec: Codec) -> None:
    request = ask(tools=(Tool("f", strict=True),))
    assert b'"strict":true' in codec.compose(request, CLAUDE).body
    loose = codec.compose(request, Target(CLAUDE.model, Facts(json_output=False)))
    assert (b"strict" in loose.body, loose.dropped) == (False, ("strict",))


@pytest.mark.parametrize("codec", [MESSAGES, INVOKE, CONVERSE], ids=lambda codec: codec.name)
@pytest.mark.parametrize("reasoning", [Reasoning(enabled=False, effort="max"), Reasoning(effort="max"), None])
def test_who_is_told_not_to_think_makes_no_more_than_a_high_effort(codec: Codec, reasoning: Reasoning | None) -> None:
    """A forced call switches thinking off, for the models that take one only then."""
    facts = Facts(adaptive=True, efforts=("low", "medium", "high", "xhigh", "max"), forced_tool_thinking=False)
    request = ask(
        reasoning=reasoning,
        tools=(Tool("f", schema=Raw(b'{"type":"object"}')),),
        tool_choice=ToolChoice(Choice.REQUIRED),
    )
    sent = codec.compose(request, Target(CLAUDE.model, facts)).body
    assert b'"thinking":{"type":"disabled"}' in sent
    assert b'"max"' not in sent
