"""Translating a stream is translating the answer that it amounts to."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from anthropic.types import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.assembly import assemble
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
    Answer,
    Cited,
    Ended,
    Event,
    PartEnded,
    PartStarted,
    Signed,
    Started,
    Stop,
    Stopped,
    Usage,
    Used,
)
from hydrallm.formats.codec import Asked, Codec

SdkAnswer = Callable[[bytes], Message]
SdkStream = Callable[[bytes], dict[str, Any]]
CODEC: Codec = AnthropicMessagesCodec()
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


MAKERS = st.sampled_from(["anthropic", "openai", ""])
CITATIONS = st.sampled_from([(), (CITED[1:-1],), (CITED[1:-1], CITED[1:-1])])
WORDS = st.text(st.characters(codec="utf-8"), max_size=4)
JSON = st.sampled_from(["{}", '{"a":1}', '{"a":{"b":[1,"x"]},"c":null}'])


@st.composite
def part_events(draw: st.DrawFn, index: int) -> list[Event]:
    """Return the events of a part, its additions cut anywhere."""
    kind = draw(st.sampled_from(["text", "thinking", "redacted", "tool"]))
    first: Text | Thinking | ToolUse
    added: list[Event] = []
    if kind == "text":
        first = Text(draw(WORDS))
        added = [Added(index, word) for word in draw(st.lists(WORDS, max_size=3))]
        added += [Cited(index, msgspec.Raw(citation)) for citation in draw(CITATIONS)] if added else []
    elif kind == "thinking":
        first = Thinking(draw(WORDS), maker=draw(MAKERS))
        added = [Added(index, word) for word in draw(st.lists(WORDS, max_size=3))]
        added += [Signed(index, word) for word in draw(st.lists(WORDS, max_size=2))]
    elif kind == "redacted":
        first = Thinking(redacted="enc", maker=draw(MAKERS))
    else:
        arguments = draw(JSON)
        cut = draw(st.integers(0, len(arguments)))
        first = ToolUse(f"t{index}", "f", "")
        added = [Added(index, arguments[:cut]), Added(index, arguments[cut:])]
    return [PartStarted(index, first), *added, PartEnded(index)]


@st.composite
def event_streams(draw: st.DrawFn) -> list[Event]:
    """Return a stream whose parts go on side by side."""
    parts = [draw(part_events(index)) for index in range(draw(st.integers(0, 4)))]
    said: list[Event] = [Started("msg_1", "claude")]
    if draw(st.booleans()):
        said.append(Used(Usage(3, output=1)))
    started = 0
    while any(parts):
        # A part may begin once those before it have.
        going = [part for index, part in enumerate(parts) if part and index <= started]
        part = draw(st.sampled_from(going))
        started += isinstance(part[0], PartStarted)
        said.append(part.pop(0))
    last: list[Event] = [Used(Usage(3, 4, 5, 6, 2)), Stopped(draw(st.sampled_from(list(Stop))))]
    return [*said, *draw(st.permutations(last)), Ended()]


def ours(answer: Answer) -> Answer:
    """Return ``answer`` as Messages can say it."""
    parts: list[Text | Thinking | ToolUse] = []
    for part in answer.parts:
        if isinstance(part, Text) and not part.text:
            continue
        if isinstance(part, Thinking):
            if not (part.text or part.signature or part.redacted):
                continue
            if part.maker != "anthropic":
                mark = f"hydrallm:{part.maker}::"
                marked = {"redacted": mark + part.redacted} if part.redacted else {"signature": mark + part.signature}
                part = msgspec.structs.replace(part, maker="anthropic", **marked)  # noqa: PLW2901 - it is the same part
        parts.append(part)
    called = any(isinstance(part, ToolUse) for part in parts)
    plain_end = Stop.TOOL_USE if called else Stop.END
    stop = plain_end if answer.stop in {Stop.END, Stop.TOOL_USE} else answer.stop
    return msgspec.structs.replace(answer, parts=tuple(parts), stop=stop)


def plain(answer: Answer) -> object:
    """Return ``answer`` as something that can be compared."""
    return json.loads(msgspec.json.encode(answer))


@settings(max_examples=150)
@given(event_streams(), st.data())
def test_a_stream_is_read_as_it_was_written_whatever_the_pieces(said: list[Event], chance: st.DataObject) -> None:
    writer, stream, at = CODEC.writer(ASKED), b"", 0
    while at < len(said):
        size = chance.draw(st.integers(1, 5))
        stream += writer.feed(said[at : at + size])
        at += size
    scan = AnthropicMessages().scan()
    assert scan.feed(stream) == stream
    assert (scan.complete, scan.broken, scan.problem) == (True, "", None)
    again = assemble(CODEC.reader().feed(stream))
    assert plain(again) == plain(ours(assemble(said)))


@settings(max_examples=60)
@given(event_streams())
def test_translating_a_stream_is_translating_the_answer_that_it_amounts_to(
    sdk_answer: SdkAnswer, sdk_stream: SdkStream, said: list[Event]
) -> None:
    whole = CODEC.write_answer(assemble(said), ASKED)
    assert sdk_stream(CODEC.writer(ASKED).feed(said)) == sdk_answer(whole).model_dump(exclude_none=True)
    assert plain(CODEC.read_answer(whole)) == plain(ours(assemble(said)))
