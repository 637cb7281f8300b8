"""The nasty cases of answers and streams between formats, one by one; those of requests are in ``requests``.

Case 15 (a client that leaves, a slow first token) needs no translation: it is the exchange's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from botocore.exceptions import EventStreamError

from hydrallm.faults import answers, streams
from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.base import ApiError
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_invoke import BedrockInvoke
from hydrallm.formats.canonical_answer import Added
from hydrallm.formats.codec import Asked
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from hydrallm.formats.base import WireFormat
    from hydrallm.formats.codec import Codec

Codecs = dict[str, "Codec"]
Seen = Callable[..., dict[str, Any]]

FORMATS: dict[str, WireFormat] = {
    "chat": OpenAIChat(),
    "responses": OpenAIResponses(),
    "messages": AnthropicMessages(),
    "invoke": BedrockInvoke(),
    "converse": BedrockConverse(),
}
PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
    "invoke": "/model/m/invoke-with-response-stream",
    "converse": "/model/m/converse-stream",
}
ASKED = Asked("m", "0123456789abcdef", 1_790_000_000)
CLIENTS = pytest.mark.parametrize("client", FORMATS)
MODELS = pytest.mark.parametrize("model", FORMATS)
OK_BODY = b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'


def spoken(model: str, text: str = "So it is, and more.") -> list[bytes]:
    """Return the events of a healthy provider's stream."""
    return streams.events(answers.question("POST", PATHS[model], {}, OK_BODY, 7), text)


def until_content(model: str) -> tuple[list[bytes], list[bytes]]:
    """Return a stream in two: what comes before any content, and the rest."""
    events, scan = spoken(model), FORMATS[model].scan()
    for at, event in enumerate(events):
        scan.feed(event)
        if scan.content:
            return events[:at], events[at:]
    pytest.fail("the stream says nothing")


def translated(codecs: Codecs, model: str, client: str, events: list[bytes], asked: Asked = ASKED) -> bytes:
    reader, writer = codecs[model].reader(), codecs[client].writer(asked)
    return b"".join(writer.feed(reader.feed(event)) for event in events)


def sse(*events: dict[str, Any]) -> list[bytes]:
    """Return events of Messages where they have a type, else chunks of Chat and the end of its stream."""
    if "type" in events[0]:
        return [b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events]
    return [b"data: %b\n\n" % json.dumps(e).encode() for e in events] + [b"data: [DONE]\n\n"]


def chunk(finish: str | None = None, **delta: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "up"}
    return {**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def used(**usage: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return chunk() | {
        "choices": [],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, **usage},
    }


def call(index: int, arguments: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    name = {"name": members.pop("name")} if "name" in members else {}
    return chunk(tool_calls=[{"index": index, **members, "function": {**name, "arguments": arguments}}])


def whole_chat(finish: str, message: dict[str, Any]) -> bytes:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return json.dumps({"id": "c", "model": "up", "choices": [choice], "usage": usage}).encode()


@MODELS
@CLIENTS
def test_case_1_what_comes_before_the_first_content_is_none_to_the_client(
    client: str, model: str, codecs: Codecs
) -> None:
    before, after = until_content(model)
    assert before
    scan = FORMATS[client].scan()
    scan.feed(translated(codecs, model, client, before))
    assert not scan.content
    scan.feed(translated(codecs, model, client, before + after))
    assert scan.content


@MODELS
@CLIENTS
def test_case_2_an_error_after_content_is_the_client_s_own_and_no_answer_is_complete(
    client: str, model: str, codecs: Codecs, seen: Seen
) -> None:
    before, after = until_content(model)
    begun = translated(codecs, model, client, [*before, *after[:2]])
    error = FORMATS[client].encode_stream_error(ApiError(503, "too busy", "upstream_error", "r"))
    with pytest.raises((openai.APIError, anthropic.APIError, EventStreamError), match="too busy"):
        seen(client, begun + error, streamed=True)
    for terminal in (b"[DONE]", b'"finish_reason":"', b"message_stop", b"response.completed", b"messageStop"):
        assert terminal not in begun


@MODELS
@CLIENTS
def test_case_3_a_stream_without_its_end_has_none_for_the_client(client: str, model: str, codecs: Codecs) -> None:
    events, upstream = spoken(model), FORMATS[model].scan()
    last = 0
    while not upstream.complete:
        upstream.feed(events[last])
        last += 1
    scan = FORMATS[client].scan()
    scan.feed(translated(codecs, model, client, events[: last - 1]))
    assert (scan.complete, scan.broken) == (False, "")
    scan = FORMATS[client].scan()
    scan.feed(translated(codecs, model, client, events))
    assert (scan.complete, scan.broken, scan.problem) == (True, "", None)


INTERLEAVED = sse(
    chunk(role="assistant", content=""),
    call(0, "", id="call_a", type="function", name="f"),
    call(1, '{"y":', id="call_b", type="function", name="g"),
    call(0, '{"x":'),
    call(1, "2}"),
    call(0, "1}"),
    chunk("tool_calls"),
    used(),
)


@CLIENTS
def test_case_4_calls_that_are_told_side_by_side(client: str, codecs: Codecs, seen: Seen) -> None:
    view = seen(client, translated(codecs, "chat", client, INTERLEAVED), streamed=True)
    assert view["parts"] == [["call", "call_a", "f", {"x": 1}], ["call", "call_b", "g", {"y": 2}]]


def test_case_4_messages_has_one_block_open_at_a_time(codecs: Codecs) -> None:
    stream = translated(codecs, "chat", "messages", INTERLEAVED)
    events = [json.loads(event.partition(b"data: ")[2]) for event in stream.split(b"\n\n")[:-1]]
    blocks = [(event["type"], event["index"]) for event in events if "block" in event["type"]]
    opened = None
    for kind, index in blocks:
        assert opened == (None if kind == "content_block_start" else index)
        opened = None if kind == "content_block_stop" else index
    assert [index for kind, index in blocks if kind == "content_block_start"] == [0, 1]


@CLIENTS
def test_case_5_a_tool_without_arguments_has_an_empty_object(client: str, codecs: Codecs, seen: Seen) -> None:
    said = {"tool_calls": [{"id": "call_a", "type": "function", "function": {"name": "now", "arguments": ""}}]}
    answer = codecs["chat"].read_answer(whole_chat("tool_calls", said))
    wanted = [["call", "call_a", "now", {}]]
    assert seen(client, codecs[client].write_answer(answer, ASKED), streamed=False)["parts"] == wanted
    events = sse(call(0, "", id="call_a", type="function", name="now"), chunk("tool_calls"), used())
    assert seen(client, translated(codecs, "chat", client, events), streamed=True)["parts"] == wanted


CUT = {
    "chat": ("length", '{"city": "Os'),
    "responses": ("max_output_tokens", '{"city": "Os'),
    "messages": ("max_tokens", {"city": "Os"}),
    "invoke": ("max_tokens", {"city": "Os"}),
    "converse": ("max_tokens", {"city": "Os"}),
}


@CLIENTS
def test_case_6_a_call_that_the_limit_cut_is_delivered_as_far_as_it_came(
    client: str, codecs: Codecs, seen: Seen
) -> None:
    stop, arguments = CUT[client]
    function = {"name": "weather", "arguments": '{"city": "Os'}
    said = {"tool_calls": [{"id": "call_a", "type": "function", "function": function}]}
    answer = codecs["chat"].read_answer(whole_chat("length", said))
    view = seen(client, codecs[client].write_answer(answer, ASKED), streamed=False)
    assert (view["stop"], view["parts"]) == (stop, [["call", "call_a", "weather", arguments]])


@CLIENTS
def test_case_6_in_a_stream(client: str, codecs: Codecs, seen: Seen) -> None:
    events = sse(
        call(0, "", id="call_a", type="function", name="weather"), call(0, '{"city": "Os'), chunk("length"), used()
    )
    stream = translated(codecs, "chat", client, events)
    view = seen(client, stream, streamed=True)
    # Anthropic's SDK leaves out a string that has no end; the others hand out the text.
    arguments = {} if client in {"messages", "invoke"} else '{"city": "Os'
    assert (view["stop"], view["parts"]) == (CUT[client][0], [["call", "call_a", "weather", arguments]])
    again = codecs[client].reader().feed(stream)
    assert "".join(event.text for event in again if isinstance(event, Added)) == '{"city": "Os'


@CLIENTS
def test_case_7_one_chunk_with_several_things_loses_none(client: str, codecs: Codecs, seen: Seen) -> None:
    events = sse(
        chunk(role="assistant", reasoning_content="hm", content="so"),
        chunk("stop", content=" it is"),
        used(),
    )
    view = seen(client, translated(codecs, "chat", client, events), streamed=True)
    assert view["parts"] == [["thought", "hm"], ["text", "so it is"]]


def block(index: int, begin: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    added = [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
    return [
        {"type": "content_block_start", "index": index, "content_block": begin},
        *added,
        {"type": "content_block_stop", "index": index},
    ]


def begun(**usage: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "up",
        "content": [],
        "stop_reason": None,
    }
    usage = {"input_tokens": 10, "output_tokens": 1, **usage}
    return {"type": "message_start", "message": {**said, "stop_sequence": None, "usage": usage}}


def ended(stop: str, **usage: int) -> list[dict[str, Any]]:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 5, **usage}},
        {"type": "message_stop"},
    ]


@CLIENTS
def test_case_7_a_text_after_a_call_is_a_new_one(client: str, codecs: Codecs, seen: Seen) -> None:
    events = sse(
        begun(),
        *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "a"}),
        *block(
            1,
            {"type": "tool_use", "id": "call_a", "name": "f", "input": {}},
            {"type": "input_json_delta", "partial_json": '{"x":1}'},
        ),
        *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "b"}),
        *ended("tool_use"),
    )
    view = seen(client, translated(codecs, "messages", client, events), streamed=True)
    called = ["call", "call_a", "f", {"x": 1}]
    # Chat has one text, and it is told before the calls.
    apart = [["text", "a"], called, ["text", "b"]]
    assert view["parts"] == ([["text", "ab"], called] if client == "chat" else apart)


@pytest.mark.parametrize("model", ["invoke", "converse"])
@CLIENTS
def test_case_9_frames_of_aws_cut_anywhere(client: str, model: str, codecs: Codecs) -> None:
    cut_anywhere(codecs, model, client, b"".join(spoken(model, "é ñ")))


@pytest.mark.parametrize("model", ["chat", "responses", "messages"])
@pytest.mark.parametrize("line", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_case_10_server_sent_events_cut_anywhere(model: str, line: bytes, codecs: Codecs) -> None:
    commented = b": hello\n\n" + b"".join(spoken(model, "é ñ")).replace(b"data: ", b"data:")
    cut_anywhere(codecs, model, "messages", commented.replace(b"\n", line))


def cut_anywhere(codecs: Codecs, model: str, client: str, stream: bytes) -> None:
    wanted = translated(codecs, model, client, spoken(model, "é ñ"))
    for at in range(0, len(stream), 3):
        scan = FORMATS[model].scan()
        pieces = [scan.feed(stream[:at]), scan.feed(stream[at:]), scan.finish()]
        assert translated(codecs, model, client, pieces) == wanted


@CLIENTS
def test_case_14_the_last_figures_win_and_a_second_start_counts_once(client: str, codecs: Codecs, seen: Seen) -> None:
    text = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "so"})
    start = begun(cache_read_input_tokens=60)
    events = sse(start, start, *text, *ended("end_turn", input_tokens=7, cache_creation_input_tokens=30))
    view = seen(client, translated(codecs, "messages", client, events), streamed=True)
    assert (view["parts"], view["usage"]) == ([["text", "so"]], [7, 60, 30, 5])


@CLIENTS
def test_case_14_usage_after_the_finish(client: str, codecs: Codecs, seen: Seen) -> None:
    events = sse(chunk(role="assistant", content="so"), chunk("stop"), used(prompt_tokens_details={"cached_tokens": 4}))
    view = seen(client, translated(codecs, "chat", client, events), streamed=True)
    assert view["usage"] == [6, 4, 0, 5]


@MODELS
def test_case_14_a_chat_client_that_did_not_ask_is_not_told_the_usage(model: str, codecs: Codecs) -> None:
    unasked = Asked("m", "0123456789abcdef", 0, usage_in_stream=False)
    stream = translated(codecs, model, "chat", spoken(model), unasked)
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in stream.split(b"\n\n")[:-2]]
    assert not any(said.get("usage") for said in chunks)
    assert all(said["choices"] for said in chunks)
    assert stream.endswith(b"data: [DONE]\n\n")
