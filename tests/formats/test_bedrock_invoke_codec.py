"""Streams of InvokeModel: botocore takes the frames apart, Anthropic's SDK for Bedrock reads what is in them."""

from __future__ import annotations

import base64
import json
from typing import Any

import anthropic
import httpx2
import msgspec
import pytest
from botocore.eventstream import EventStreamBuffer
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.faults import answers, eventstream, streams
from hydrallm.formats.assembly import assemble
from hydrallm.formats.bedrock_invoke import BedrockInvoke
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import Text, Thinking, ToolUse
from hydrallm.formats.canonical_answer import (
    Added,
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

CODEC: Codec = BedrockInvokeCodec()
ASKED = Asked("claude", "ex1", 0)
SAID: list[Event] = [
    Started("msg_bdrk_1", "claude"),
    Used(Usage(3, output=1)),
    PartStarted(0, Thinking(maker="anthropic")),
    Added(0, "hm"),
    Signed(0, "sig"),
    PartEnded(0),
    PartStarted(1, Text("")),
    Added(1, "so "),
    Added(1, "é"),
    PartEnded(1),
    PartStarted(2, ToolUse("t", "f", "")),
    Added(2, '{"a":1}'),
    PartEnded(2),
    Used(Usage(3, 4, 5, 6)),
    Stopped(Stop.TOOL_USE),
    Ended(),
]


def chunks(stream: bytes) -> list[dict[str, Any]]:
    """Return the events in a stream, as botocore parses it by the service's model."""
    model = ServiceModel(Loader().load_service_model("bedrock-runtime", "service-2")).shape_for("ResponseStream")
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    parsed = [EventStreamJSONParser().parse(frame.to_response_dict(), model) for frame in buffer]
    return [json.loads(event["chunk"]["bytes"]) for event in parsed]


def sdk_stream(stream: bytes) -> dict[str, Any]:
    """Return the message that Anthropic's SDK for Bedrock accumulates."""

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "application/vnd.amazon.eventstream"}, content=stream)

    with (
        anthropic.AnthropicBedrock(
            aws_access_key="AKIDEXAMPLE",
            aws_secret_key="s",
            aws_region="us-east-1",
            base_url="http://127.0.0.1",
            http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
        ) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as found,
    ):
        return found.get_final_message().to_dict()


def test_a_stream_is_written() -> None:
    stream = CODEC.writer(ASKED).feed(SAID)
    message = sdk_stream(stream)
    assert (message["id"], message["model"], message["stop_reason"]) == ("msg_bdrk_1", "claude", "tool_use")
    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "so é"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    assert message["usage"]["output_tokens"] == 6
    events = chunks(stream)
    assert events[0]["message"]["usage"] == {"input_tokens": 3, "output_tokens": 1}
    assert events[-1] == {
        "type": "message_stop",
        "amazon-bedrock-invocationMetrics": {"inputTokenCount": 3, "outputTokenCount": 6},
    }


@given(st.lists(st.integers(1, len(SAID)), max_size=5))
def test_it_is_read_as_it_was_written_and_our_scan_passes_it(cuts: list[int]) -> None:
    writer, stream, start = CODEC.writer(ASKED), b"", 0
    for cut in [*sorted(cuts), len(SAID)]:
        stream += writer.feed(SAID[start:cut])
        start = max(start, cut)
    scan = BedrockInvoke().scan()
    assert scan.feed(stream) == stream
    assert (scan.complete, scan.problem, scan.broken) == (True, None, "")
    assert assemble(CODEC.reader().feed(stream)) == assemble(SAID)


def test_the_faulty_provider_s_stream_says_what_its_answer_says() -> None:
    path = "/model/anthropic.claude/invoke"
    question = answers.question("POST", path, {}, b"{}", 7)
    whole = CODEC.read_answer(answers.plain(question, "so it is"))
    streamed = answers.question("POST", path + "-with-response-stream", {}, b"{}", 7)
    reader = CODEC.reader()
    said = [event for chunk in streams.events(streamed, "so it is") for event in reader.feed(chunk)]
    assert assemble(said) == whole
    assert said[-1] == Ended()


def frame(event: object, kind: str = "chunk") -> bytes:
    return eventstream.event(
        kind, json.dumps({"bytes": base64.b64encode(json.dumps(event).encode()).decode()}).encode()
    )


def test_metrics_fill_in_what_was_not_told_and_nothing_else() -> None:
    metrics = {"inputTokenCount": 9, "outputTokenCount": 8, "cacheReadInputTokenCount": 7, "invocationLatency": 1}
    start = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 3}}}
    said = CODEC.reader().feed(
        frame(start) + frame({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})
    )
    assert said == [Started("m", "c"), Used(Usage(3)), Used(Usage(3, 7, None, 8)), Stopped(Stop.END), Ended()]


@pytest.mark.parametrize(
    "odd",
    [
        frame({"type": "ping"}),
        frame({"type": "content_block_delta", "index": 0, "delta": {"text": "x"}}, "somethingNew"),
        eventstream.event("chunk", b"{}"),
        eventstream.event("chunk", b"no json"),
        eventstream.event("chunk", b'{"bytes":"***"}'),
        frame([1]),
    ],
)
def test_frames_that_say_nothing(odd: bytes) -> None:
    reader = CODEC.reader()
    assert reader.feed(odd) == []
    assert reader.feed(CODEC.writer(ASKED).feed(SAID)) == SAID
    assert reader.feed(odd) == []


def test_a_whole_answer() -> None:
    body = CODEC.write_answer(assemble(SAID), ASKED)
    assert CODEC.read_answer(body) == assemble(SAID)
    assert msgspec.json.decode(body)["type"] == "message"
