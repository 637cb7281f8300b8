"""What the events of Messages say."""

from __future__ import annotations

import json

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.anthropic_messages import AnthropicMessages, MessagesScan
from hydrallm.formats.base import Problem


def event(kind: str, **more: object) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + json.dumps({"type": kind, **more}).encode() + b"\n\n"


def block(kind: str, **more: object) -> bytes:
    return event("content_block_start", index=0, content_block={"type": kind, **more})


def delta(kind: str, **more: object) -> bytes:
    return event("content_block_delta", index=0, delta={"type": kind, **more})


START = event("message_start", message={"id": "m", "content": [], "usage": {"input_tokens": 3}})
HI = delta("text_delta", text="hi")
STOP = event("message_stop")


def ending(reason: str) -> bytes:
    return event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage={"output_tokens": 1})


def scan(*events: bytes) -> MessagesScan:
    found = MessagesScan()
    for sent in events:
        found.feed(sent)
    return found


@pytest.mark.parametrize(
    "preamble",
    [
        event("message_start", message={"id": "m", "content": [], "usage": {"input_tokens": 3}}),
        event("ping"),
        block("text", text=""),
        block("thinking", thinking="", signature=""),
        delta("text_delta", text=""),
        delta("input_json_delta", partial_json=""),
        event("content_block_stop", index=0),
        ending("end_turn"),
        event("vendor_event", said="something"),
        b": comment\n\n",
        b"event: message_start\ndata: {}\n\n",
        event("content_block_start", content_block=None),
    ],
)
def test_what_is_no_content_yet(preamble: bytes) -> None:
    found = MessagesScan()
    assert found.feed(preamble) == preamble
    assert not found.content
    assert found.feed(HI) == HI
    assert found.content


@pytest.mark.parametrize(
    "content",
    [
        HI,
        delta("thinking_delta", thinking="hm"),
        delta("signature_delta", signature="EqQ"),
        delta("input_json_delta", partial_json="{"),
        delta("citations_delta", citation={"type": "char_location", "cited_text": "so"}),
        delta("new_delta", new="said"),
        block("text", text="hi"),
        block("tool_use", id="t", name="f", input={}),
        block("server_tool_use", id="t", name="web_search", input={}),
        block("redacted_thinking", data="EmwK"),
        block("web_search_tool_result", tool_use_id="t", content=[]),
        b'event: content_block_delta\ndata: {"delta":{"text":"no type in here"}}\n\n',
    ],
)
def test_what_is_content(content: bytes) -> None:
    found = MessagesScan()
    assert found.feed(content) == content
    assert found.content


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            event("error", error={"type": "overloaded_error", "message": "Overloaded"}, request_id="r"),
            Problem(type="overloaded_error", message="Overloaded"),
        ),
        (
            b'data: {"type":"error","error":{"type":"api_error","message":"boom"}}\n\n',
            Problem(type="api_error", message="boom"),
        ),
        (b'event: error\ndata: {"message":"boom"}\n\n', Problem(message="boom")),
        (b'event: error\ndata: {"type":"content_block_delta","message":"boom"}\n\n', None),
    ],
)
def test_an_error(error: bytes, problem: Problem | None) -> None:
    for before in ((), (HI,)):
        found = scan(*before)
        assert found.feed(error + STOP) == b""
        assert found.problem is not None
        assert problem in {None, found.problem}
        assert not found.complete


def test_the_end() -> None:
    found = scan(HI, event("content_block_stop", index=0), ending("end_turn"))
    assert not found.complete, "only message_stop ends a message"
    assert not scan(HI, b"data: [DONE]\n\n").complete
    found.feed(STOP)
    assert (found.ended, found.complete, found.filtered) == (True, True, False)


def test_an_empty_message_is_an_answer() -> None:
    found = scan(START, ending("end_turn"), STOP)
    assert (found.ended, found.complete, found.content, found.broken) == (True, True, False, "")


@pytest.mark.parametrize("before", [(), (event("ping"),), (ending("end_turn"),)])
def test_a_stop_without_a_start_ends_no_message(before: tuple[bytes, ...]) -> None:
    found = scan(*before)
    assert found.feed(STOP) == b""
    assert "message_stop came before" in found.broken
    assert (found.ended, found.complete) == (False, False)
    assert found.feed(START + HI + STOP) == b""


def test_the_sdk_has_no_message_after_a_stop_without_a_start() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=STOP)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = anthropic.Anthropic(base_url="http://h", api_key="k", max_retries=0, http_client=transport)
    with client.messages.stream(model="m", max_tokens=1, messages=[]) as stream, pytest.raises(AssertionError):
        stream.get_final_message()


def test_a_refusal_is_a_filter_s_word() -> None:
    found = scan(START, ending("refusal"), STOP)
    assert (found.filtered, found.complete, found.content) == (True, True, False)


@given(
    body=st.recursive(
        st.none() | st.booleans() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=6,
    ),
    kind=st.sampled_from(["message_start", "content_block_start", "content_block_delta", "message_delta", ""]),
)
def test_no_json_is_too_odd(body: object, kind: str) -> None:
    for more in ({"delta": body}, {"content_block": body}, {"delta": {"type": body, "stop_reason": body}}):
        for before in ((), (HI,)):
            found = scan(
                *before, event(kind, **more), b"data: " + json.dumps({"type": body, **more}).encode() + b"\n\n"
            )
            assert not found.broken


def test_a_count_of_tokens_and_a_message_are_examined_each_as_what_they_are() -> None:
    format_ = AnthropicMessages()
    create, count = format_.match(b"/v1/messages"), format_.match(b"/v1/messages/count_tokens")
    assert create is not None
    assert count is not None
    counted = b'{"input_tokens": 3}'
    message = b'{"type": "message", "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"}'
    assert format_.examine(counted, count) is None
    assert format_.examine(message, create) is None
    assert format_.examine(counted, create) is not None
    assert format_.examine(message, count) is not None
