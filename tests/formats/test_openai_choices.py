"""What the chunks of Chat Completions and Completions say, in the words of many servers."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.base import Problem
from hydrallm.formats.openai_choices import ChoicesScan

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def event(body: object) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def delta(said: dict[str, Any], index: int = 0, **more: object) -> bytes:
    return event({"object": "chat.completion.chunk", "choices": [{"index": index, "delta": said, **more}]})


def finish(reason: str | None, index: int = 0, **more: object) -> bytes:
    return event({"choices": [{"index": index, "delta": {}, "finish_reason": reason, **more}]})


DONE = b"data: [DONE]\n\n"
HI = delta({"content": "hi"}, finish_reason=None)


def scan(*events: bytes) -> ChoicesScan:
    found = ChoicesScan()
    for sent in events:
        found.feed(sent)
    return found


@pytest.mark.parametrize(
    "preamble",
    [
        delta({"role": "assistant"}),
        delta({"role": "assistant", "content": "", "refusal": None}, finish_reason=None),
        delta({"role": "assistant", "content": None, "tool_calls": [], "reasoning_content": ""}),
        delta({}),
        event({"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}),  # Azure
        event({"choices": [], "usage": {"prompt_tokens": 3}}),
        event({"choices": None}),
        event({"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": None}]}),
        event({"choices": [None, 1, "x"]}),
        event({"choices": [{"index": 0, "delta": None, "finish_reason": ""}]}),
        event({"id": "chatcmpl-1"}),
        finish("stop"),
    ],
)
def test_what_is_no_content_yet(preamble: bytes) -> None:
    found = scan(preamble)
    assert not found.content
    assert found.problem is None
    assert found.feed(HI) == HI
    assert found.content


@pytest.mark.parametrize(
    "content",
    [
        delta({"role": "assistant", "content": "hi"}),
        delta({"content": " "}),
        delta({"reasoning_content": "hm"}),
        delta({"reasoning": "hm"}),
        delta({"content": [{"type": "text", "text": "hi"}]}),  # Mistral
        delta({"refusal": "no"}),
        delta(
            {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]}
        ),
        delta({"function_call": {"name": "f", "arguments": ""}}),
        delta({"audio": {"id": "a", "data": "AAAA"}}),
        delta({"something_new": "said"}),
        delta({"content": "hi"}, index=1),
        event({"choices": [{"index": 0, "text": "hi"}]}),
        event({"choices": [{"text": "hi"}]}),
        event({"choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}),
        delta({"content": "hi"}, finish_reason="stop"),
    ],
)
def test_what_is_content(content: bytes) -> None:
    found = ChoicesScan()
    assert found.feed(content) == content
    assert found.content


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (
            event({"error": {"message": "boom", "type": "server_error", "param": None, "code": None}}),
            Problem(type="server_error", message="boom"),
        ),
        (event({"error": "boom"}), Problem(message="boom")),
        (event({"error": {"code": 502, "message": "boom"}, "choices": []}), Problem(502, code="502", message="boom")),
        (
            event({"object": "error", "message": "boom", "type": "BadRequestError", "param": None, "code": 400}),
            Problem(400, type="BadRequestError", code="400", message="boom"),
        ),
        (finish("error", error={"code": 429, "message": "boom"}), Problem(429, code="429", message="boom")),
        (event({"code": 500, "msg": "boom", "success": False}), Problem(500, code="500", message="boom")),
        (finish("error"), Problem(code="error", message="the answer ended with finish_reason 'error'")),
    ],
)
def test_an_error(error: bytes, problem: Problem) -> None:
    for before in ((), (HI,)):
        found = scan(*before)
        assert found.feed(error + HI) == b""
        assert found.problem == problem
        assert not found.complete


@pytest.mark.parametrize("reason", ["network_error", "insufficient_system_resource", "abort"])
def test_an_answer_that_its_server_gave_up_is_not_complete(reason: str) -> None:
    found = scan(HI, finish(reason), DONE)
    assert found.problem is not None
    assert found.problem.code == reason
    assert not found.complete


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "model_context_window_exceeded", "new_reason"])
def test_the_end(reason: str) -> None:
    without = scan(HI, finish(reason))
    assert (without.ended, without.complete) == (False, True), "several servers send no [DONE]"
    found = scan(HI, finish(reason), DONE)
    assert (found.ended, found.complete, found.filtered) == (True, True, False)


@pytest.mark.parametrize("reason", ["content_filter", "sensitive"])
def test_filtered(reason: str) -> None:
    assert scan(finish(reason), DONE).filtered


NOTHING = [
    (),
    (event({"choices": []}),),
    (delta({"role": "assistant", "content": ""}, finish_reason=None),),
    (event({"choices": [], "usage": {"prompt_tokens": 3}}), b": comment\n\n"),
]


@pytest.mark.parametrize("before", NOTHING)
def test_done_after_nothing_ends_no_answer(before: tuple[bytes, ...]) -> None:
    found = scan(*before)
    assert found.feed(DONE) == b""
    assert "[DONE] came before" in found.broken
    assert (found.content, found.ended, found.complete, found.problem) == (False, False, False, None)
    assert found.feed(HI) == found.finish() == b""


@pytest.mark.parametrize("before", NOTHING)
def test_an_empty_answer_with_a_reason_is_an_answer(before: tuple[bytes, ...]) -> None:
    found = scan(*before, finish("stop"))
    assert found.feed(DONE) == DONE
    assert (found.content, found.ended, found.complete, found.broken) == (False, True, True, "")


def test_done_after_content_is_an_end_without_a_reason_too() -> None:
    found = scan(HI, DONE)
    assert (found.ended, found.complete, found.broken) == (True, True, "")


def test_what_the_sdk_makes_of_done_after_nothing_is_an_answer_of_no_chunks() -> None:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=DONE)

    transport = httpx2.Client(transport=httpx2.MockTransport(answer))
    client = openai.OpenAI(base_url="http://h", api_key="k", max_retries=0, http_client=transport)
    assert list(client.chat.completions.create(model="m", messages=[], stream=True)) == []


def test_a_stream_without_finish_reason_and_done_is_not_complete() -> None:
    assert not scan().complete
    assert not scan(HI, event({"choices": [], "usage": {}})).complete
    assert not scan(HI, finish(None), finish("")).complete


def test_every_choice_has_to_finish() -> None:
    two = HI, delta({"content": "ho"}, index=1)
    assert not scan(*two, finish("stop")).complete
    assert scan(*two, finish("stop"), finish("stop", index=1)).complete
    late = scan(HI, finish("stop"), HI, delta({"content": "late"}, index=2))
    assert not late.complete
    assert not scan(delta({"content": "ho"}, index=1), HI, finish("stop", index=1)).complete


@given(body=JSON)
def test_no_json_is_too_odd(body: object) -> None:
    for choice in (body, {"delta": body}, {"text": body, "index": body}, {"finish_reason": body, "error": None}):
        odd = event({"choices": [choice], "usage": body})
        for before in ((), (HI,)):
            found = scan(*before)
            assert found.feed(odd) == (odd if found.problem is None else b"")
            assert not found.broken
    scan(event(body), HI, event({"error": body}))
