"""Bedrock's two streams, as boto3 and Anthropic's SDK read them, and what their scans have in common."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import httpx2
import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.eventstream import ParserError
from botocore.exceptions import EventStreamError
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.faults import answers, eventstream, streams
from hydrallm.formats.base import ApiError, Problem, WireFormat
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_invoke import BedrockInvoke

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONVERSE, INVOKE = BedrockConverse(), BedrockInvoke()
PATHS = {CONVERSE: "/model/m/converse-stream", INVOKE: "/model/m/invoke-with-response-stream"}
TEXT = "one two three"
MESSAGE = "models[0] at bedrock: the stream was cut \u2013 \u2603"
BOTH = pytest.mark.parametrize("format_", PATHS, ids=lambda format_: format_.name)
TURN: list[Any] = [{"role": "user", "content": "c"}]


def healthy(format_: WireFormat) -> list[bytes]:
    """Return the frames of a whole answer."""
    return streams.events(answers.question("POST", PATHS[format_], {}, b"{}", 1), TEXT)


def delta(format_: WireFormat, text: str) -> bytes:
    """Return a frame with content."""
    if format_ is CONVERSE:
        return eventstream.event("contentBlockDelta", json.dumps({"delta": {"text": text}}).encode())
    inner = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return eventstream.event(
        "chunk", json.dumps({"bytes": base64.b64encode(json.dumps(inner).encode()).decode()}).encode()
    )


def malformed(format_: WireFormat, payload: bytes = b'{"delta": {') -> bytes:
    """Return a sound frame whose payload is not what its type promises."""
    return eventstream.event("contentBlockDelta" if format_ is CONVERSE else "chunk", payload)


class Body:
    """The part of urllib3's response that botocore reads of a stream."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


@pytest.fixture(scope="module")
def boto() -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    return boto3.client(
        "bedrock-runtime",
        endpoint_url="http://h",
        region_name="us-east-1",
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )


def boto_events(boto: Any, format_: WireFormat, wire: bytes) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - see boto
    """Have boto3 read ``wire`` as a stream of ``format_``."""

    def answer(request: AWSRequest, **_: object) -> AWSResponse:
        return AWSResponse(request.url, 200, {"content-type": format_.stream_type.decode()}, Body(wire))

    boto.meta.events.register("before-send", answer, unique_id="answer")
    try:
        if format_ is CONVERSE:
            stream = boto.converse_stream(modelId="m", messages=[])["stream"]
        else:
            stream = boto.invoke_model_with_response_stream(modelId="m", body=b"{}")["body"]
    finally:
        boto.meta.events.unregister("before-send", unique_id="answer")
    yield from stream


def anthropic_client(wire: bytes) -> anthropic.AnthropicBedrock:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": INVOKE.stream_type.decode()}, content=wire)

    return anthropic.AnthropicBedrock(
        base_url="http://h",
        aws_access_key="AKID",
        aws_secret_key="secret",
        aws_region="us-east-1",
        max_retries=0,
        http_client=httpx2.Client(transport=httpx2.MockTransport(answer)),
    )


# ---- our own error


@BOTH
@pytest.mark.parametrize(
    ("status", "kind", "exception"),
    [
        (400, "", "validationException"),
        (413, "", "validationException"),
        (424, "", "modelStreamErrorException"),
        (429, "", "throttlingException"),
        (500, "", "internalServerException"),
        (502, "", "serviceUnavailableException"),
        (503, "", "serviceUnavailableException"),
        (529, "", "serviceUnavailableException"),
        (502, "modelStreamErrorException", "modelStreamErrorException"),
        (502, "ThrottlingException", "throttlingException"),
        (502, "overloaded_error", "serviceUnavailableException"),
        (502, "AccessDeniedException", "serviceUnavailableException"),
    ],
)
def test_boto3_raises_our_error_after_what_came_before_it(
    boto: Any,  # noqa: ANN401 - see boto
    format_: WireFormat,
    status: int,
    kind: str,
    exception: str,
) -> None:
    wire = delta(format_, "one") + format_.encode_stream_error(ApiError(status, MESSAGE, "cut", "r", kind))
    events = boto_events(boto, format_, wire)
    assert len(next(events)) == 1
    with pytest.raises(EventStreamError) as caught:
        next(events)
    assert caught.value.response["Error"] == {"Code": exception, "Message": MESSAGE}


@pytest.mark.parametrize(
    ("format_", "exception"), [(CONVERSE, "serviceUnavailableException"), (INVOKE, "modelTimeoutException")]
)
def test_boto3_knows_a_timeout_where_the_stream_has_one(boto: Any, format_: WireFormat, exception: str) -> None:  # noqa: ANN401 - see boto
    wire = format_.encode_stream_error(ApiError(504, MESSAGE, "stalled", "r"))
    with pytest.raises(EventStreamError) as caught:
        list(boto_events(boto, format_, wire))
    assert caught.value.response["Error"] == {"Code": exception, "Message": MESSAGE}


def anthropic_events(client: anthropic.AnthropicBedrock) -> Iterator[str]:
    for event in client.messages.create(model="m", max_tokens=1, messages=TURN, stream=True):
        if event.type == "content_block_delta" and event.delta.type == "text_delta":
            yield event.delta.text


def anthropic_helper(client: anthropic.AnthropicBedrock) -> Iterator[str]:
    with client.messages.stream(model="m", max_tokens=1, messages=TURN) as stream:
        yield from stream.text_stream


@pytest.mark.parametrize("read", [anthropic_events, anthropic_helper])
def test_anthropic_raises_our_error_after_what_came_before_it(
    read: Callable[[anthropic.AnthropicBedrock], Iterator[str]],
) -> None:
    wire = b"".join(healthy(INVOKE)[:4]) + INVOKE.encode_stream_error(ApiError(502, MESSAGE, "cut", "r"))
    texts = read(anthropic_client(wire))
    assert next(texts) == "one "
    with pytest.raises(anthropic.APIError, match="the stream was cut"):
        next(texts)


def test_a_message_that_has_no_utf8_is_still_said(boto: Any) -> None:  # noqa: ANN401 - see boto
    wire = CONVERSE.encode_stream_error(ApiError(502, 'no "\ud800" here', "cut", "r"))
    with pytest.raises(EventStreamError, match=r'no "\?" here'):
        list(boto_events(boto, CONVERSE, wire))


# ---- whole answers


@BOTH
@given(data=st.data())
def test_a_whole_answer_comes_out_as_it_went_in_however_it_is_split(format_: WireFormat, data: st.DataObject) -> None:
    frames = healthy(format_)
    wire = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    scan = format_.scan()
    ends = {sum(map(len, frames[:count])) for count in range(len(frames) + 1)}
    out = 0
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        out += len(scan.feed(wire[start:end]))
        assert out == max(whole for whole in ends if whole <= end), "whole frames, all of them, and nothing else"
    assert scan.finish() == b""
    assert (scan.content, scan.ended, scan.complete) == (True, True, True)
    assert (scan.filtered, scan.problem, scan.broken, scan.dropped) == (False, None, "", 0)


@BOTH
def test_an_answer_that_is_cut_anywhere_is_not_complete(boto: Any, format_: WireFormat) -> None:  # noqa: ANN401 - see boto
    wire = b"".join(healthy(format_))
    whole = list(boto_events(boto, format_, wire))
    stop = next(at for at in range(len(wire)) if scanned(format_, wire[: at + 1])[0].ended)
    for at in range(0, len(wire), 7):
        scan, out = scanned(format_, wire[:at])
        assert scan.complete == (at > stop)
        assert not scan.broken
        assert list(boto_events(boto, format_, out)) == whole[: len(list(boto_events(boto, format_, wire[:at])))]


def scanned(format_: WireFormat, *chunks: bytes) -> tuple[Any, bytes]:
    """Return the scan after all of ``chunks``, and what it passed on."""
    scan = format_.scan()
    out = b"".join([scan.feed(chunk) for chunk in chunks])
    return scan, out + scan.finish()


@BOTH
def test_a_chunk_of_one_frame_is_passed_on_itself(format_: WireFormat) -> None:
    scan = format_.scan()
    for text in ("one", "two"):
        chunk = delta(format_, text)
        assert scan.feed(chunk) is chunk


# ---- errors inside the stream


@BOTH
@pytest.mark.parametrize("after", [False, True])
def test_an_exception_is_the_problem(format_: WireFormat, after: bool) -> None:
    before = delta(format_, "one") if after else b""
    exception = eventstream.exception("throttlingException", b'{"message":"slow down"}')
    scan, out = scanned(format_, before + exception + delta(format_, "two"), delta(format_, "three"))
    assert scan.problem == Problem(type="throttlingException", message="slow down")
    assert out == before
    assert (scan.content, scan.complete, scan.broken) == (after, False, "")


@BOTH
@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b'{"Message":"no"}', "no"),
        (b"not JSON", "not JSON"),
        (b"", ""),
        (
            b'{"message":"failed","originalStatusCode":400,"originalMessage":"prompt is too long"}',
            "failed: prompt is too long",
        ),
        (b'{"message":"same","originalMessage":"same"}', "same"),
        (b'{"originalMessage":7}', ""),
    ],
)
def test_an_exception_says_what_it_can(format_: WireFormat, payload: bytes, message: str) -> None:
    scan, _ = scanned(format_, eventstream.exception("modelStreamErrorException", payload))
    assert scan.problem == Problem(type="modelStreamErrorException", message=message)


@BOTH
def test_an_error_that_is_in_no_model_is_the_problem(boto: Any, format_: WireFormat) -> None:  # noqa: ANN401 - see boto
    headers = {":message-type": "error", ":error-code": "InternalError", ":error-message": "it broke"}
    frame = eventstream.frame(headers, b"")
    scan, out = scanned(format_, frame)
    assert (scan.problem, out) == (Problem(type="InternalError", message="it broke"), b"")
    with pytest.raises(EventStreamError, match="it broke"):
        list(boto_events(boto, format_, frame))


# ---- what does not parse


@BOTH
@pytest.mark.parametrize("payload", [b"{", b"[]", b'"text"', b"\xff", b'{"a":"\xff"}', b'{"bytes":3', b"[" * 100_000])
def test_a_malformed_event_breaks_the_stream_before_content_and_is_dropped_after_it(
    format_: WireFormat, payload: bytes
) -> None:
    bad = malformed(format_, payload)
    scan, out = scanned(format_, bad + delta(format_, "one"))
    assert "before any content" in scan.broken
    assert (out, scan.content) == (b"", False)

    good = delta(format_, "one")
    scan, out = scanned(format_, good + bad + good + bad, good)
    assert out == good * 3
    assert (scan.dropped, scan.broken, scan.problem) == (2, "", None)


@BOTH
def test_two_malformed_events_in_a_row_break_the_stream(format_: WireFormat) -> None:
    bad = malformed(format_)
    scan, out = scanned(format_, delta(format_, "one"), bad, bad, delta(format_, "two"))
    assert out == delta(format_, "one")
    assert "twice in a row" in scan.broken
    assert scan.dropped == 2
    assert not scan.complete


@BOTH
def test_headers_that_do_not_follow_the_format_are_a_malformed_event(format_: WireFormat) -> None:
    good = delta(format_, "one")
    twice = eventstream.frame({"a": "b"}, b"{}")
    headers = twice[12:-6] * 2
    bad = reframed(headers, b"{}")
    scan, out = scanned(format_, good + bad + good)
    assert (out, scan.dropped) == (good + good, 1)


def reframed(headers: bytes, payload: bytes) -> bytes:
    """Return a frame with any block of headers."""
    lengths = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    frame = lengths + struct.pack("!I", zlib.crc32(lengths)) + headers + payload
    return frame + struct.pack("!I", zlib.crc32(frame))


@BOTH
@pytest.mark.parametrize("after", [False, True])
def test_a_wrong_checksum_breaks_the_stream(boto: Any, format_: WireFormat, after: bool) -> None:  # noqa: ANN401 - see boto
    before = delta(format_, "one") if after else b""
    good = delta(format_, "two")
    wire = before + good[:-1] + bytes([good[-1] ^ 1])
    scan, out = scanned(format_, wire, good)
    assert out == before
    assert "checksum" in scan.broken
    assert not scan.complete
    with pytest.raises(ParserError):
        list(boto_events(boto, format_, wire))


@BOTH
def test_events_of_unknown_types_are_passed_on(format_: WireFormat) -> None:
    unknown = eventstream.event("initial-response", b"not JSON") + eventstream.frame({}, b"")
    scan, out = scanned(format_, unknown)
    assert (out, scan.content, scan.broken) == (unknown, False, "")


@BOTH
def test_what_follows_the_end_is_passed_on_unjudged(format_: WireFormat) -> None:
    wire = b"".join(healthy(format_))
    late = malformed(format_) + eventstream.exception("throttlingException", b"{}")
    scan, out = scanned(format_, wire, late)
    assert out == wire + late
    assert (scan.problem, scan.broken, scan.dropped, scan.complete) == (None, "", 0, True)


@BOTH
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("garbage", [b"garbage garbage garbage", b"\0" * 40, b"half"])
def test_garbage_after_the_end_takes_nothing_back(format_: WireFormat, garbage: bytes, apart: bool) -> None:
    wire = b"".join(healthy(format_))
    late = delta(format_, "two")
    for rest in (garbage, late[:-1] + bytes([late[-1] ^ 1])):
        scan, out = scanned(format_, *((wire, rest) if apart else (wire + rest,)))
        assert out == wire
        assert (scan.ended, scan.complete, scan.broken, scan.problem) == (True, True, "", None)


@BOTH
@given(chunks=st.lists(st.binary(max_size=80), max_size=5))
def test_rubbish_never_raises_and_never_completes(format_: WireFormat, chunks: list[bytes]) -> None:
    scan, out = scanned(format_, *chunks)
    assert (out, scan.content, scan.complete) == (b"", False, False)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "delta", "start", "text", "error", "stopReason", "bytes", "x"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@BOTH
@given(payloads=st.lists(json_values, max_size=4), wrapped=st.booleans())
def test_any_json_is_survived(format_: WireFormat, payloads: list[object], wrapped: bool) -> None:
    scan = format_.scan()
    passed = b""
    sent = delta(format_, "one")
    passed += scan.feed(sent)
    for payload in payloads:
        text = json.dumps(payload).encode()
        if wrapped:
            text = json.dumps({"bytes": base64.b64encode(text).decode()}).encode()
        kind = "chunk" if format_ is INVOKE else "messageStop"
        sent += (frame := eventstream.event(kind, text))
        passed += scan.feed(frame)
    assert (len(passed) == len(sent)) == (not scan.dropped and scan.problem is None)
