"""Events of Responses that are not of the usual form."""

from __future__ import annotations

import json

import pytest

from hydrallm.formats.canonical import UntranslatableError
from hydrallm.formats.openai_responses_events import Completed, ItemAdded, TextDelta, decode_event, typed


def event(kind: str, **members: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps({"type": kind, **members}).encode() + b"\n\n"


WORDS = event("response.output_text.delta", output_index=1, content_index=2, delta="a")


@pytest.mark.parametrize(
    "sent",
    [
        WORDS,
        WORDS.replace(b'"output_index": 1', b'"output_index": "1"'),
        WORDS.replace(b'"output_index": 1', b'"output_index": 1.0'),
        WORDS.replace(b', "delta"', b',\ndata: "delta"'),
        WORDS.replace(b'"type": "response.output_text.delta", ', b""),
        WORDS.replace(b'"type": "response.output_text.delta"', b'"type": null'),
        WORDS.replace(b'"delta"', b'"logprobs": [NaN], "delta"'),
    ],
)
def test_one_event_in_many_forms(sent: bytes) -> None:
    assert typed(sent) == TextDelta(1, "a", 2)


def test_null_is_what_is_not_there() -> None:
    sent = event("response.output_text.delta", output_index=None, content_index=None, delta=None)
    assert typed(sent) == TextDelta(0, "", 0)
    assert typed(event("response.output_item.added", item=None)) == ItemAdded()


@pytest.mark.parametrize("member", ["id", "model", "status", "usage", "service_tier", "incomplete_details"])
@pytest.mark.parametrize("value", [5, [], {"x": 1}, "x", None])
def test_an_end_is_an_end_whatever_else_it_says(member: str, value: object) -> None:
    sent = event("response.completed", response={"output": [], member: value})
    assert isinstance(decode_event(sent.partition(b"data: ")[2]), Completed)


@pytest.mark.parametrize(
    "sent",
    [
        b": comment\n\n",
        b"event: response.completed\n\n",
        b"data: [DONE]\n\n",
        b"data: {\n\n",
        b"data: " + b"[" * 9999 + b"\n\n",
        event("response.web_search_call.searching", output_index=[]),
        event("response.created", response=5),
        b"event: response.in_progress\ndata: {\n\n",
    ],
)
def test_what_says_nothing(sent: bytes) -> None:
    assert typed(sent) is None


@pytest.mark.parametrize(
    "sent",
    [
        event("response.completed", response=5),
        event("response.incomplete", response=[]),
        b"event: response.completed\ndata: {\n\n",
        event("response.output_text.delta", output_index=[], delta="a"),
        event("response.output_text.delta", output_index="x", delta="a"),
        event("response.output_text.delta", delta=5),
    ],
)
def test_what_says_something_and_cannot_be_read_is_a_fault(sent: bytes) -> None:
    with pytest.raises(UntranslatableError, match="this is not a response"):
        typed(sent)
