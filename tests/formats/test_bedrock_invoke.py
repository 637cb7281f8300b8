"""The scan of InvokeModel's streams, chunk by chunk."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from hydrallm.faults import eventstream
from hydrallm.formats.base import Problem
from hydrallm.formats.bedrock_invoke import BedrockInvoke

METRICS = "amazon-bedrock-invocationMetrics"
TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one"}}
START = {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": {}}}
STOP = {"type": "message_stop", METRICS: {"inputTokenCount": 1}}


def chunk(inner: bytes) -> bytes:
    return eventstream.event("chunk", json.dumps({"bytes": base64.b64encode(inner).decode(), "p": "abc"}).encode())


def scanned(*events: object) -> tuple[Any, bool]:
    """Return the scan after the chunks, and whether it passed all of them on."""
    wire = b"".join(chunk(json.dumps(event).encode()) for event in events)
    scan = BedrockInvoke().scan()
    return scan, scan.feed(wire) == wire


def block(**members: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": 0, "content_block": members}


def delta(**members: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": 0, "delta": members}


@pytest.mark.parametrize(
    "event",
    [
        {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": {}}},
        {"type": "ping"},
        block(type="text", text=""),
        block(type="text", text="", citations=None),
        block(type="thinking", thinking="", signature=""),
        delta(type="text_delta", text=""),
        delta(type="input_json_delta", partial_json=""),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "something_new", "text": "x"},
        {},
    ],
)
def test_preamble(event: object) -> None:
    scan, passed = scanned(event)
    assert passed
    assert (scan.content, scan.ended, scan.problem, scan.broken) == (False, False, None, "")


@pytest.mark.parametrize(
    "event",
    [
        delta(type="text_delta", text="one"),
        delta(type="thinking_delta", thinking="hm"),
        delta(type="signature_delta", signature="c2ln"),
        delta(type="input_json_delta", partial_json="{"),
        delta(type="citations_delta", citation={"type": "char_location", "cited_text": "a"}),
        block(type="text", text="one"),
        block(type="tool_use", id="toolu_1", name="f", input={}),
        block(type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        block(type="redacted_thinking", data="eA=="),
        block(type="something_new", data={"x": 1}),
        {"completion": " one", "stop_reason": None},
        {"generation": "one", "prompt_token_count": 3},
        {"outputText": "one", "index": 0},
        {"contentBlockDelta": {"delta": {"text": "one"}}},
        {"choices": [{"delta": {"content": "one"}}]},
    ],
)
def test_content(event: object) -> None:
    scan, passed = scanned(event)
    assert passed
    assert (scan.content, scan.ended) == (True, False)


@pytest.mark.parametrize("last", [STOP, {"type": "message_stop"}, {"completion": "", METRICS: {}}, {METRICS: {}}])
@pytest.mark.parametrize("before", [(START,), (TEXT,), (START, TEXT)])
def test_the_end(before: tuple[object, ...], last: object) -> None:
    scan, passed = scanned(*before, last)
    assert (scan.ended, scan.complete, scan.filtered, passed) == (True, True, False, True)


@pytest.mark.parametrize("last", [STOP, {"type": "message_stop"}])
def test_a_stop_without_a_start_ends_no_message(last: object) -> None:
    scan, passed = scanned({"type": "ping"}, last)
    assert "message_stop came before" in scan.broken
    assert (scan.ended, scan.complete, passed) == (False, False, False)


def test_nothing_else_is_the_end() -> None:
    scan, _ = scanned(TEXT, {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"completion": "x"})
    assert not scan.complete


@pytest.mark.parametrize(("reason", "filtered"), [("refusal", True), ("end_turn", False), (None, False)])
@pytest.mark.parametrize("before", [(START,), (TEXT,)])
def test_a_refusal_is_a_filters_word(before: tuple[object, ...], reason: str | None, filtered: bool) -> None:
    scan, passed = scanned(*before, {"type": "message_delta", "delta": {"stop_reason": reason}}, STOP)
    assert (scan.filtered, scan.complete, passed) == (filtered, True, True)


@pytest.mark.parametrize("before", [(), (TEXT,)])
@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (
            {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
            Problem(type="overloaded_error", message="Overloaded"),
        ),
        ({"error": "it broke"}, Problem(message="it broke")),
    ],
)
def test_an_error_inside_is_the_problem(before: tuple[object, ...], event: object, problem: Problem) -> None:
    scan, passed = scanned(*before, event)
    assert (scan.problem, scan.complete, passed) == (problem, False, False)


@pytest.mark.parametrize(
    "event", [TEXT, {"completion": "x"}, {"type": 7}, {"type": "ping"}, {"delta": 7, "error": None}]
)
def test_after_content_the_rest_flows(event: object) -> None:
    scan, passed = scanned(TEXT, event, event, STOP)
    assert (scan.complete, passed, scan.dropped) == (True, True, 0)


@pytest.mark.parametrize("payload", [b'{"bytes": "***"}', b'{"bytes": 7}', b'{"bytes": null}'])
def test_a_chunk_whose_bytes_are_none_is_malformed(payload: bytes) -> None:
    scan = BedrockInvoke().scan()
    assert scan.feed(eventstream.event("chunk", payload)) == b""
    assert "base64" in scan.broken


@pytest.mark.parametrize(
    "inner", [b'{"completion":NaN}', b'{"completion":"\\ud800"}', b'\xef\xbb\xbf{"completion":"x"}']
)
@pytest.mark.parametrize("after", [False, True])
def test_what_the_sdks_read_is_not_malformed(inner: bytes, after: bool) -> None:
    scan = BedrockInvoke().scan()
    if after:
        scan.feed(chunk(b'{"completion":"x"}'))
    assert scan.feed(chunk(inner)) == chunk(inner)
    assert (scan.content, scan.broken, scan.dropped) == (True, "", 0)
