"""What all scans of server-sent events do, shown with each of their formats and the streams of the faulty provider."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder as OpenAIDecoder

from hydrallm.faults import streams
from hydrallm.faults.answers import Question, Shape
from hydrallm.faults.failures import Failure
from hydrallm.formats import sse
from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_completions import OpenAICompletions
from hydrallm.formats.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.formats.base import Scan, WireFormat

TEXT = "Not one word of it – 一个字也没有 – is lost."
FORMATS: dict[Shape, WireFormat] = {
    Shape.CHAT: OpenAIChat(),
    Shape.COMPLETIONS: OpenAICompletions(),
    Shape.RESPONSES: OpenAIResponses(),
    Shape.MESSAGES: AnthropicMessages(),
}
CONTENT = b'data: {"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}]}\n\n'

every_format = pytest.mark.parametrize("shape", list(FORMATS))


def question(shape: Shape) -> Question:
    return Question(shape=shape, model="m", stream=True, include_usage=True, base64=False, input_tokens=3, serial=1)


FIRST_CONTENT = {shape: streams.outline(question(shape), TEXT).preamble for shape in FORMATS}


def good(shape: Shape, text: str = TEXT) -> list[bytes]:
    return streams.events(question(shape), text)


def scanned(scan: Scan, pieces: Iterable[bytes]) -> bytes:
    return b"".join([*(scan.feed(piece) for piece in pieces), scan.finish()])


def by_openai(stream: bytes) -> list[tuple[str | None, str]]:
    return [(event.event, event.data) for event in OpenAIDecoder().iter_bytes(iter([stream]))]


def seen(scan: Scan) -> tuple[Any, ...]:
    return scan.content, scan.ended, scan.filtered, scan.complete, scan.problem, scan.broken, scan.dropped


@every_format
def test_a_good_stream_event_by_event(shape: Shape) -> None:
    scan = FORMATS[shape].scan()
    events = good(shape)
    for number, event in enumerate(events):
        assert not scan.ended
        assert scan.feed(event) is event
        assert scan.content is (number >= FIRST_CONTENT[shape])
    assert scan.finish() == b""
    assert seen(scan) == (True, True, False, True, None, "", 0)


@every_format
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@given(data=st.data())
def test_no_split_makes_a_difference(shape: Shape, line_end: bytes, data: st.DataObject) -> None:
    events = good(shape)
    if data.draw(st.booleans(), label="malformed"):
        events.insert(-2, b"data: {\n\n")
    stream = b"".join(events).replace(b"\n", line_end)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12).map(sorted), label="cuts")
    cut, whole = FORMATS[shape].scan(), FORMATS[shape].scan()
    passed = scanned(cut, (stream[a:b] for a, b in itertools.pairwise([0, *cuts, len(stream)])))
    assert by_openai(passed) == by_openai(b"".join(good(shape))) == by_openai(scanned(whole, [stream]))
    assert cut.dropped or passed == stream
    assert seen(cut) == seen(whole)
    assert cut.complete


@every_format
@given(data=st.data())
def test_a_stream_that_is_cut_is_not_complete(shape: Shape, data: st.DataObject) -> None:
    stream = b"".join(good(shape))
    last = len(stream) - len(good(shape)[-1])
    if shape in {Shape.CHAT, Shape.COMPLETIONS}:
        last -= len(b"".join(good(shape)[-3:-1]))  # there the finish reason is enough
    at = data.draw(st.integers(0, last), label="cut at")
    scan = FORMATS[shape].scan()
    passed = scanned(scan, [stream[:at]])
    assert not scan.complete
    assert stream.startswith(passed.removesuffix(b"\n"))
    assert passed == b"" or passed.endswith(b"\n\n")


@every_format
def test_an_error_event_is_the_problem_and_not_passed_on(shape: Shape) -> None:
    for said in range(len(good(shape)) - 3):  # after the finish reason, too
        scan = FORMATS[shape].scan()
        before = good(shape)[:said]
        error = streams.error_event(question(shape), Failure(429, "rate_limit_error", "slow down"))
        assert scan.feed(b"".join([*before, error, *good(shape)[said:]])) == b"".join(before)
        assert scan.problem is not None
        assert (scan.problem.type, scan.problem.message) == ("rate_limit_error", "slow down")
        assert scan.feed(CONTENT) == scan.finish() == b""
        assert not (scan.complete)
        assert not (scan.ended)
        assert scan.content is (said > FIRST_CONTENT[shape])


@every_format
def test_an_event_named_error_needs_no_json(shape: Shape) -> None:
    for said in (0, FIRST_CONTENT[shape] + 1):
        for data, message in ((b"data: upstream went away\n", "upstream went away"), (b"", "")):
            scan = FORMATS[shape].scan()
            scan.feed(b"".join(good(shape)[:said]))
            assert scan.feed(b"event: error\n" + data + b"\n") == b""
            assert scan.problem is not None
            assert scan.problem.message == message


@every_format
def test_an_error_named_like_content_is_one_by_its_json(shape: Shape) -> None:
    scan = FORMATS[shape].scan()
    scan.feed(b"".join(good(shape)[: FIRST_CONTENT[shape] + 1]))
    flowing = b'event: %s\ndata: {"type":"%s","choices":[],"error":{"message":"gone"}}\n\n'
    names = {Shape.RESPONSES: b"response.output_text.delta", Shape.MESSAGES: b"content_block_delta"}
    name = names.get(shape, b"chunk")
    assert scan.feed(flowing % (name, name)) == b""
    assert scan.problem is not None
    assert scan.problem.message == "gone"


@every_format
@pytest.mark.parametrize("data", [b"{", b"null", b"[]", b'"text"', b"hello", b'{"a": "\xff"}', b'{"a":1}\ndata: {}'])
def test_a_malformed_event(shape: Shape, data: bytes) -> None:
    malformed = b"data: " + data + b"\n\n"
    events = good(shape)
    early = FORMATS[shape].scan()
    assert early.feed(malformed) == b""
    assert "before any content" in early.broken
    assert early.feed(events[0]) == early.finish() == b""

    between = FORMATS[shape].scan()
    at = FIRST_CONTENT[shape] + 1
    stream = [*events[:at], malformed, events[at], malformed, *events[at + 1 :]]
    assert scanned(between, stream) == scanned(between.__class__(), [b"".join(stream)]) == b"".join(events)
    assert seen(between) == (True, True, False, True, None, "", 2)

    twice = FORMATS[shape].scan()
    assert scanned(twice, [*events[:at], malformed, b": a comment is not intact\n\n", malformed, *events[at:]]) == (
        b"".join(events[:at]) + b": a comment is not intact\n\n"
    )
    assert "two events in a row" in twice.broken
    assert not twice.complete


@pytest.mark.parametrize("value", [b"NaN", b"-Infinity", b'"\\ud83d"', b"1e400", b"9" * 5000])
def test_json_that_clients_read_is_not_malformed(value: bytes) -> None:
    odd = b'data: {"choices":[{"delta":{"content":"hi"},"logprobs":%s}]}\n\n' % value
    scan = OpenAIChat().scan()
    assert scan.feed(odd) == odd
    assert scan.content
    assert scan.feed(odd) == odd
    assert (scan.dropped, scan.broken) == (0, "")


@pytest.mark.parametrize(
    "nothing",
    [
        b": OPENROUTER PROCESSING\n\n",
        b"\n",
        b"\n\n\n",
        b"retry: 3000\n\n",
        b"id: 1\n\n",
        b"event: ping\n\n",
        b"event: ping\ndata: 2026-11-22 16:00\n\n",
        b"data:\n\n",
    ],
)
@every_format
def test_what_says_nothing_is_passed_on(shape: Shape, nothing: bytes) -> None:
    scan = FORMATS[shape].scan()
    events = good(shape)
    spread = [piece for event in events for piece in (nothing, event)]
    assert scanned(scan, spread) == b"".join(spread)
    assert seen(scan) == (True, True, False, True, None, "", 0)


@every_format
def test_after_the_end_nothing_is_judged(shape: Shape) -> None:
    scan = FORMATS[shape].scan()
    scan.feed(b"".join([*good(shape), b"garbage"]))
    more = b'data: {"error":"too late"}\n\nhalf'
    assert scan.feed(more) is more
    assert scan.finish() == b""
    assert scan.complete
    assert scan.problem is None


def test_what_stands_beside_the_end_in_a_chunk_goes_with_it() -> None:
    scan = OpenAIChat().scan()
    chunk = CONTENT + b"data: [DONE]\n\n: bye\n\ndata: half"
    assert scan.feed(chunk) == chunk


@every_format
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_only_the_last_blank_line_may_be_missing(shape: Shape, line_end: bytes) -> None:
    stream = b"".join(good(shape)).replace(b"\n", line_end)
    scan = FORMATS[shape].scan()
    missing = stream.removesuffix(line_end)
    passed = scanned(scan, [missing])
    assert scan.complete
    assert passed.startswith(missing)
    assert len(passed) == len(missing) + 1

    half = FORMATS[shape].scan()
    assert scanned(half, [missing.removesuffix(line_end)]) == b"".join(good(shape)[:-1]).replace(b"\n", line_end)
    assert not half.ended


@every_format
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(
    ("error", "message"),
    [
        (b'data: {"error":{"message":"no capacity"}}\n', "no capacity"),
        (b"event: error\ndata: gone\n", "gone"),
        (b'event: error\ndata: {"type":"error","error":{"message":"gone"}}\n', "gone"),
        (b"event: error\n", ""),
    ],
)
def test_a_last_error_that_lacks_its_blank_line_is_the_problem(
    shape: Shape, error: bytes, message: str, line_end: bytes
) -> None:
    for said in (0, 1, FIRST_CONTENT[shape] + 1):
        before = b"".join(good(shape)[:said])
        scan = FORMATS[shape].scan()
        assert scanned(scan, [before, error.replace(b"\n", line_end)]) == before
        assert scan.problem is not None
        assert scan.problem.message == message
        assert not scan.complete


@pytest.mark.parametrize("rest", [b": bye\n", b"event: chunk\n", b"\n", b"data"])
def test_what_is_left_without_data_is_not_passed_on(rest: bytes) -> None:
    assert scanned(OpenAIChat().scan(), [CONTENT, rest]) == CONTENT


def test_a_byte_order_mark() -> None:
    scan = OpenAIChat().scan()
    first = sse.BYTE_ORDER_MARK + CONTENT
    assert scan.feed(first) == first
    assert scan.content


@every_format
def test_one_json_object_is_no_stream(shape: Shape) -> None:
    error = FORMATS[shape].scan()
    assert scanned(error, [b'{"error": {"message": "no', b' capacity", "code": 503}}']) == b""
    assert error.problem is not None
    assert (error.problem.status, error.problem.message) == (503, "no capacity")

    answer = FORMATS[shape].scan()
    assert scanned(answer, [b'{"choices": []}\n']) == b""
    assert "not a stream" in answer.broken


@pytest.mark.parametrize("early", [False, True])
def test_an_event_may_have_16_mebibytes(early: bool) -> None:
    piece = b"x" * (1 << 20)
    scan = OpenAIChat().scan()
    assert scan.feed(CONTENT) == CONTENT
    scan.feed(b'data: {"choices":[{"delta":{"content":"')
    for _ in range(15):
        assert scan.feed(piece) == b""
    assert scan.broken == ""
    if early:
        assert len(scan.feed(b'"}}]}\n\n')) > 15 << 20
        assert scan.broken == ""
    else:
        assert scan.feed(piece) == scan.feed(b'"}}]}\n\n') == b""
        assert "longer than" in scan.broken


@every_format
def test_whole_ordinary_events_are_passed_on_as_the_object_they_came_in(shape: Shape) -> None:
    at = FIRST_CONTENT[shape]
    event = good(shape)[at]
    for chunk in (event, event * 3, event.replace(b"\n", b"\r\n"), event.replace(b"data: ", b"data:")):
        scan = FORMATS[shape].scan()
        scan.feed(b"".join(good(shape)[: at + 1]))
        assert scan.feed(chunk) is chunk
