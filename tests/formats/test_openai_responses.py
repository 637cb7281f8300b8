"""What the events of Responses say."""

from __future__ import annotations

import json
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent

from hydrallm.faults import streams
from hydrallm.faults.answers import Question, Shape
from hydrallm.faults.failures import Failure
from hydrallm.formats.base import Problem
from hydrallm.formats.openai_responses import ResponsesScan

ASKED = Question(
    shape=Shape.RESPONSES, model="m", stream=True, include_usage=False, base64=False, input_tokens=3, serial=1
)


def event(kind: str, **more: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps({"type": kind, **more}).encode() + b"\n\n"


def item(kind: str, **more: object) -> bytes:
    return event("response.output_item.added", output_index=0, item={"id": "i", "type": kind, **more})


def part(kind: str, **more: object) -> bytes:
    return event("response.content_part.added", output_index=0, part={"type": kind, **more})


HI = event("response.output_text.delta", output_index=0, content_index=0, delta="hi")


def scan(*events: bytes) -> ResponsesScan:
    found = ResponsesScan()
    for sent in events:
        found.feed(sent)
    return found


@pytest.mark.parametrize(
    "preamble",
    [
        event("response.created", response={"error": None, "output": []}),
        event("response.queued", response={}),
        event("response.in_progress", response={}),
        item("message", role="assistant", content=[], status="in_progress", phase="final_answer"),
        item("reasoning", summary=[], encrypted_content="gAAA"),
        event("response.output_item.done", item={"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}),
        part("output_text", text="", annotations=[]),
        part("refusal", refusal=""),
        event("response.reasoning_summary_part.added", part={"type": "summary_text", "text": ""}),
        event("response.output_text.delta", delta=""),
        event("response.output_item.added", item=None),
        event("keepalive", sequence_number=3),
        event("ping"),
        b": comment\n\n",
    ],
)
def test_what_is_no_content_yet(preamble: bytes) -> None:
    found = ResponsesScan()
    assert found.feed(preamble) == preamble
    assert not found.content
    assert found.feed(HI) == HI
    assert found.content


@pytest.mark.parametrize(
    "content",
    [
        HI,
        event("response.reasoning_summary_text.delta", delta="hm"),
        event("response.reasoning_text.delta", delta="hm"),
        event("response.refusal.delta", delta="no"),
        event("response.function_call_arguments.delta", delta="{"),
        item("function_call", name="f", arguments="", call_id="c"),
        item("web_search_call", status="in_progress"),
        item("reasoning", summary=[{"type": "summary_text", "text": "hm"}]),
        item("message", content=[{"type": "output_text", "text": "hi"}]),
        part("output_text", text="hi"),
        event("response.web_search_call.searching"),
        event("response.something_new.happened"),
        b'event: response.output_text.delta\ndata: {"delta":"no type in here"}\n\n',
    ],
)
def test_what_is_content(content: bytes) -> None:
    found = ResponsesScan()
    assert found.feed(content) == content
    assert found.content


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            event("error", code="rate_limit_exceeded", message="boom", param=None, sequence_number=1),
            Problem(code="rate_limit_exceeded", message="boom"),
        ),
        (
            event("error", error={"type": "server_error", "code": None, "message": "boom"}),
            Problem(type="server_error", message="boom"),
        ),
        (
            event(
                "response.failed", response={"status": "failed", "error": {"code": "server_error", "message": "boom"}}
            ),
            Problem(code="server_error", message="boom"),
        ),
        (event("response.failed", response={"status": "failed", "error": None}), Problem(code="response.failed")),
        (event("response.cancelled", response=None), Problem(code="response.cancelled")),
        (b'data: {"error":{"message":"boom"}}\n\n', Problem(message="boom")),
    ],
)
def test_an_error(error: bytes, problem: Problem) -> None:
    for before in ((), (HI,)):
        found = scan(*before)
        assert found.feed(error + HI) == b""
        assert found.problem == problem
        assert not found.complete


@pytest.mark.parametrize("form", ["nested", "flat", "failed"])
def test_an_error_of_the_faulty_provider(form: Any) -> None:  # noqa: ANN401 - a literal of another folder
    failed = Failure(429, "tokens", "slow down", "rate_limit_exceeded")
    found = scan(*streams.events(ASKED, "hi")[:5], streams.error_event(ASKED, failed, form))
    assert found.content
    assert found.problem is not None
    assert (found.problem.code, found.problem.message) == ("rate_limit_exceeded", "slow down")


@pytest.mark.parametrize(
    ("end", "filtered"),
    [
        (event("response.completed", response={"status": "completed", "output": []}), False),
        (event("response.incomplete", response={"incomplete_details": {"reason": "max_output_tokens"}}), False),
        (event("response.incomplete", response={"incomplete_details": {"reason": "content_filter"}}), True),
        (event("response.incomplete", response=None), False),
    ],
)
def test_the_end(end: bytes, filtered: bool) -> None:
    found = scan(end)
    assert (found.ended, found.complete, found.content, found.filtered) == (True, True, False, filtered)
    assert found.feed(b"data: [DONE]\n\n") == b"data: [DONE]\n\n"
    after = scan(HI, b"data: [DONE]\n\n")
    assert not after.complete, "[DONE] is not how a response ends"
    after.feed(end)
    assert after.complete


def test_the_events_that_are_recognised_are_deltas_of_the_sdk() -> None:
    union = get_args(get_args(ResponseStreamEvent)[0])
    known = {name for kind in union for name in get_args(kind.model_fields["type"].annotation)}
    ordinary = set(get_args(get_type_hints(ResponsesScan.ordinary.type)["type"]))
    assert ordinary <= known
    texts = {name for name in known if name.endswith(("text.delta", "arguments.delta", "input.delta", "code.delta"))}
    assert texts <= ordinary, "what comes a word at a time should be recognised"


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    kind=st.sampled_from(
        [
            "response.failed",
            "response.incomplete",
            "response.output_item.added",
            "response.content_part.done",
            "error",
            "",
        ]
    ),
)
def test_no_json_is_too_odd(body: object, kind: str) -> None:
    for more in ({"response": body}, {"item": body, "part": body}, {"item": {"type": body}}, {"error": body}):
        for before in ((), (HI,)):
            found = scan(
                *before, event(kind, **more), b"data: " + json.dumps({"type": body, **more}).encode() + b"\n\n"
            )
            assert not found.broken
