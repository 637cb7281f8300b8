"""Framing, against the SDKs' own decoders: whatever the pieces, the same events, and not a byte changed."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from anthropic._streaming import SSEDecoder as AnthropicDecoder
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder as OpenAIDecoder

from hydrallm.formats import sse

if TYPE_CHECKING:
    from collections.abc import Sequence

LINE_ENDS = [b"\n", b"\r\n", b"\r"]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=8)
FIELD = st.sampled_from(
    ["data:", "data: ", "data", "event: ", "event:", "id: ", "retry: ", ":", ": ", "other: ", " data: "]
)
LINE = st.one_of(st.just(""), st.tuples(FIELD, TEXT).map("".join)).map(str.encode)
# What is between two line ends is a line; a CR and an LF side by side are one.
STREAM = st.lists(st.tuples(LINE, st.sampled_from(LINE_ENDS)).map(b"".join), max_size=24).map(b"".join)


def frame(pieces: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    framer = sse.Framer()
    events = [event for piece in pieces for event in framer.feed(piece)]
    return events, bytes(framer.rest)


def said(events: list[bytes]) -> list[tuple[str, str]]:
    parsed = [sse.parse(event) for event in events]
    return [(name.decode(), data.decode()) for name, data in parsed if data]


def by_openai(stream: bytes) -> list[tuple[str, str]]:
    return [(event.event or "", event.data) for event in OpenAIDecoder().iter_bytes(iter([stream])) if event.data]


def by_anthropic(stream: bytes) -> list[tuple[str, str]]:
    return [(event.event or "", event.data) for event in AnthropicDecoder().iter_bytes(iter([stream])) if event.data]


@st.composite
def pieces(draw: st.DrawFn) -> list[bytes]:
    stream = draw(STREAM)
    cuts = draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    return [stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])]


@given(pieces=pieces())
def test_the_sdks_see_the_same_events(pieces: list[bytes]) -> None:
    events, rest = frame(pieces)
    stream = b"".join(pieces)
    assert b"".join(events) + rest == stream
    assert said(events) == by_openai(stream) == by_anthropic(stream)


@pytest.mark.parametrize("end", LINE_ENDS)
def test_every_split_in_three(end: bytes) -> None:
    lines = [
        b"\xef\xbb\xbf: hello",
        b"",
        b"event: a",
        b"data: 1",
        b"data:  2",
        b"",
        b"",
        b"data:{}",
        b"id: 7",
        b"",
        b"data",
    ]
    stream = b"".join(line + end for line in lines)
    whole = said(frame([stream])[0])
    assert whole == [("a", "1\n 2"), ("", "{}")] == by_openai(stream)
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            cut = [stream[:first], stream[first:second], stream[second:]]
            events, rest = frame(cut)
            assert said(events) == whole
            assert b"".join(events) + rest == stream


def test_an_event_is_whole_with_the_cr_that_ends_it() -> None:
    framer = sse.Framer()
    assert framer.feed(b"data: 1\r\n\r") == [b"data: 1\r\n\r"]
    assert framer.feed(b"\ndata: 2\r\r") == [b"\ndata: 2\r\r"]


def test_a_chunk_that_is_an_event_is_not_copied() -> None:
    chunk = b"data: {}\n\n"
    assert sse.Framer().feed(chunk)[0] is chunk


def test_a_long_event_in_small_pieces() -> None:
    framer = sse.Framer()
    event = b"data: " + b"x" * 300_000 + b"\n\n"
    found = [whole for at in range(0, len(event), 100) for whole in framer.feed(event[at : at + 100])]
    assert found == [event]


@pytest.mark.parametrize("line", [b"data: [DONE]\n", b"data: [DONE]\r\n", b"data: [DONE]\r"])
def test_the_missing_blank_line_makes_it_whole(line: bytes) -> None:
    assert by_openai(line) == []
    assert by_openai(line + sse.blank_line_after(line)) == [("", "[DONE]")]


@given(data=st.dictionaries(st.text(), st.text()), name=st.sampled_from(["", "error"]))
def test_what_is_written_is_read_by_the_sdks(data: dict[str, str], name: str) -> None:
    event = sse.event(data, name)
    assert frame([event]) == ([event], b"")
    (read,) = AnthropicDecoder().iter_bytes(iter([event]))
    assert (read.event or "") == name
    assert read.json() == {_replaced(key): _replaced(value) for key, value in data.items()}


def _replaced(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
