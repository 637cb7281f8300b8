"""The scan of Converse's streams, event by event."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest

from hydrallm.faults import eventstream
from hydrallm.formats.bedrock_converse import BedrockConverse

START = ("messageStart", {"role": "assistant"})
STOP = ("messageStop", {"stopReason": "end_turn"})
TEXT = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "one"}})
MODEL = botocore.session.get_session().get_service_model("bedrock-runtime")


def scanned(*events: tuple[str, object]) -> tuple[Any, bool]:
    """Return the scan after ``events``, and whether it passed all of them on."""
    wire = b"".join(eventstream.event(kind, json.dumps(payload).encode()) for kind, payload in events)
    scan = BedrockConverse().scan()
    return scan, scan.feed(wire) == wire


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {}}),
        ("contentBlockStart", {"contentBlockIndex": 0}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": ""}, "p": "abcdefgh"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": ""}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": ""}}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {}}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": None}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("metadata", {"usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 9}}),
        ("somethingNew", {"delta": {"text": "one"}}),
    ],
)
def test_preamble(kind: str, payload: object) -> None:
    scan, passed = scanned((kind, payload))
    assert passed
    assert (scan.content, scan.ended, scan.problem, scan.broken) == (False, False, None, "")


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("contentBlockStart", {"start": {"toolUse": {"toolUseId": "t", "name": "f"}}}),
        ("contentBlockStart", {"start": {"image": {"format": "png"}}}),
        ("contentBlockDelta", {"delta": {"text": "one"}}),
        ("contentBlockDelta", {"delta": {"toolUse": {"input": "{"}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"text": "hm"}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "c2ln"}}}),
        ("contentBlockDelta", {"delta": {"reasoningContent": {"redactedContent": "eA=="}}}),
        ("contentBlockDelta", {"delta": {"citation": {"title": "a"}}}),
        ("contentBlockDelta", {"delta": {"toolResult": [{"text": "a"}]}}),
        ("contentBlockDelta", {"delta": {"somethingNew": {"deep": [{"x": "y"}]}}}),
    ],
)
def test_content(kind: str, payload: object) -> None:
    scan, passed = scanned((kind, payload))
    assert passed
    assert (scan.content, scan.ended) == (True, False)


def test_the_kinds_of_delta_that_are_tested_are_all_that_aws_knows() -> None:
    assert set(MODEL.shape_for("ContentBlockDelta").members) == {
        "text", "toolUse", "toolResult", "reasoningContent", "citation", "image"
    }  # fmt: skip
    assert set(MODEL.shape_for("ContentBlockStart").members) == {"toolUse", "toolResult", "image"}


# What each of the stop reasons in AWS's model means: ended, filtered, problem.
STOPS = {
    "end_turn": (True, False, ""),
    "tool_use": (True, False, ""),
    "max_tokens": (True, False, ""),
    "stop_sequence": (True, False, ""),
    "model_context_window_exceeded": (True, False, ""),
    "guardrail_intervened": (True, True, ""),
    "content_filtered": (True, True, ""),
    "malformed_model_output": (False, False, "malformed_model_output"),
    "malformed_tool_use": (False, False, "malformed_tool_use"),
}


def test_all_stop_reasons_are_decided_on() -> None:
    assert set(MODEL.shape_for("StopReason").enum) == set(STOPS)


@pytest.mark.parametrize("before", [(START,), (TEXT,), (START, TEXT)])
@pytest.mark.parametrize("reason", [*STOPS, "something_new"])
def test_the_end(reason: str, before: tuple[tuple[str, object], ...]) -> None:
    ended, filtered, code = STOPS.get(reason, (True, False, ""))
    scan, passed = scanned(*before, ("messageStop", {"stopReason": reason}))
    assert (scan.ended, scan.complete, scan.filtered, passed) == (ended, ended, filtered, ended)
    assert (scan.problem.code if scan.problem else "") == code
    assert scan.content == (TEXT in before)
    assert scan.broken == ""


@pytest.mark.parametrize("before", [(), (("metadata", {}),)])
@pytest.mark.parametrize("reason", STOPS)
def test_an_end_without_a_start_ends_no_answer(reason: str, before: tuple[tuple[str, object], ...]) -> None:
    failed = bool(STOPS[reason][2])
    scan, passed = scanned(*before, ("messageStop", {"stopReason": reason}))
    assert (scan.ended, scan.complete, passed) == (False, False, False)
    assert (scan.problem is not None, "messageStop came before" in scan.broken) == (failed, not failed)


@pytest.mark.parametrize("payload", [{}, {"stopReason": None}, {"stopReason": ["end_turn"]}])
def test_an_end_without_a_reason_is_an_end(payload: object) -> None:
    scan, passed = scanned(TEXT, ("messageStop", payload))
    assert (scan.complete, passed) == (True, True)


@pytest.mark.parametrize("events", [(("metadata", {}), STOP), (STOP, ("metadata", {}))])
def test_metadata_may_come_before_or_after_the_end(events: tuple[tuple[str, object], ...]) -> None:
    scan, passed = scanned(TEXT, *events)
    assert (scan.complete, passed) == (True, True)
    assert not scanned(TEXT, ("metadata", {}))[0].complete


@pytest.mark.parametrize(
    "payload",
    [b'{"delta":{"text":NaN}}', b'{"delta":{"text":"\\ud800"}}', b'\xef\xbb\xbf{"delta":{"text":"x"}}', b""],
)
@pytest.mark.parametrize("after", [False, True])
def test_what_the_sdks_read_is_not_malformed(payload: bytes, after: bool) -> None:
    scan = BedrockConverse().scan()
    if after:
        scan.feed(eventstream.event("contentBlockDelta", b'{"delta":{"text":"x"}}'))
    frame = eventstream.event("contentBlockDelta", payload)
    assert scan.feed(frame) == frame
    assert (scan.broken, scan.dropped) == ("", 0)
