"""The framing against botocore's decoder, and AWS's own codec for JavaScript."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.eventstream import ChecksumMismatch, EventStreamBuffer, EventStreamHeaderParser
from hypothesis import example, given
from hypothesis import strategies as st

from hydrallm.faults import eventstream as foreign
from hydrallm.formats.eventstream import (
    MAX_HEADERS,
    MAX_PAYLOAD,
    Frame,
    FrameDecoder,
    HeadersError,
    encode_frame,
    read_headers,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NODE = Path(__file__).parents[1] / "node"
STREAM = (
    foreign.event("messageStart", b'{"role":"assistant"}')
    + foreign.frame({}, b"")
    + foreign.frame({"name": "caf\u00e9 \u2603", "empty": ""}, bytes(range(256)))
    + foreign.exception("throttlingException", b'{"message":"slow down"}')
)

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=40)
headers = st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=100), max_size=4)


def decode(pieces: Iterable[bytes]) -> tuple[list[Frame], FrameDecoder]:
    decoder = FrameDecoder()
    return [frame for piece in pieces for frame in decoder.feed(piece)], decoder


def read(frames: Iterable[Frame]) -> list[tuple[dict[str, str], bytes]]:
    return [(read_headers(frame.headers), frame.payload) for frame in frames]


def botocore_reads(wire: bytes) -> list[tuple[dict[str, object], bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(wire)
    return [(message.headers, message.payload) for message in buffer]


def cut(wire: bytes, steps: list[int]) -> Iterator[bytes]:
    at = 0
    for step in steps:
        yield wire[at : at + step]
        at += step
    yield wire[at:]


def sized(total: int, headers_length: int) -> bytes:
    """Return a prelude, its checksum right."""
    lengths = struct.pack("!II", total, headers_length)
    return lengths + struct.pack("!I", zlib.crc32(lengths))


@given(st.lists(st.tuples(headers, st.binary(max_size=500)), max_size=4), st.lists(st.integers(0, 300), max_size=20))
def test_frames_are_what_botocore_reads_however_they_are_split(
    sent: list[tuple[dict[str, str], bytes]], steps: list[int]
) -> None:
    wire = b"".join(foreign.frame(*one) for one in sent)
    frames, decoder = decode(cut(wire, steps))
    assert read(frames) == botocore_reads(wire) == sent
    assert b"".join(frame.raw for frame in frames) == wire
    assert not decoder.broken


def test_the_stream_may_be_split_anywhere() -> None:
    expected = botocore_reads(STREAM)
    for at in range(len(STREAM) + 1):
        frames, decoder = decode([STREAM[:at], STREAM[at:]])
        assert (read(frames), decoder.broken) == (expected, ""), at
    frames, decoder = decode(STREAM[at : at + 1] for at in range(len(STREAM)))
    assert (read(frames), decoder.broken) == (expected, "")


def test_what_is_cut_is_not_given_out() -> None:
    ends = [0]
    for frame in decode([STREAM])[0]:
        ends.append(ends[-1] + len(frame.raw))
    for at in range(len(STREAM)):
        frames, decoder = decode([STREAM[:at]])
        assert sum(len(frame.raw) for frame in frames) == max(end for end in ends if end <= at)
        assert not decoder.broken


def test_a_chunk_that_is_one_frame_is_passed_on_itself() -> None:
    wire = foreign.event("chunk", b"{}")
    frames, _ = decode([wire])
    assert frames[0].raw is wire


def test_a_large_frame_arrives_in_small_chunks() -> None:
    wire = foreign.event("chunk", bytes(4_000_000))
    frames, _ = decode(wire[at : at + 1400] for at in range(0, len(wire), 1400))
    assert [len(frame.payload) for frame in frames] == [4_000_000]


@given(st.integers(0, len(STREAM) * 8 - 1), st.lists(st.integers(0, 300), max_size=6))
def test_a_flipped_bit_breaks_the_stream_where_it_is(bit: int, steps: list[int]) -> None:
    damaged = bytearray(STREAM)
    damaged[bit // 8] ^= 1 << bit % 8
    frames, decoder = decode(cut(bytes(damaged), steps))
    assert "checksum" in decoder.broken
    with pytest.raises(ChecksumMismatch):
        botocore_reads(bytes(damaged))
    intact = b"".join(frame.raw for frame in frames)
    assert STREAM.startswith(intact)
    assert len(intact) <= bit // 8
    assert decoder.feed(STREAM) == []


@pytest.mark.parametrize(
    ("total", "headers_length"),
    [
        (0, 0),
        (15, 0),
        (20, 5),
        (2**32 - 1, 0),
        (16 + MAX_PAYLOAD + 1, 0),
        (16 + MAX_HEADERS + 1, MAX_HEADERS + 1),
        (100, 2**32 - 1),
    ],
)
def test_an_impossible_length_breaks_the_stream_before_its_bytes_are_awaited(total: int, headers_length: int) -> None:
    decoder = FrameDecoder()
    assert decoder.feed(sized(total, headers_length)) == []
    assert f"announces {total} bytes, {headers_length} of them headers" in decoder.broken


def test_the_largest_legal_frame_is_awaited() -> None:
    decoder = FrameDecoder()
    assert decoder.feed(sized(16 + MAX_HEADERS + MAX_PAYLOAD, MAX_HEADERS)) == []
    assert not decoder.broken


def test_a_length_is_not_believed_before_its_checksum() -> None:
    prelude = bytearray(sized(30, 0))
    prelude[0] = 0x7F  # two gigabytes
    assert "prelude" in decode([bytes(prelude)])[1].broken


# A header of each type, as the specification lays it out.
TYPED = {
    0: b"",
    1: b"",
    2: b"\x01",
    3: b"\x00\x01",
    4: b"\x00\x00\x00\x01",
    5: bytes(8),
    6: b"\x00\x03abc",
    7: b"\x00\x02\xc3\xa9",
    8: bytes(8),
    9: bytes(16),
}


def block_of(*kinds: int) -> bytes:
    return b"".join(bytes([1]) + bytes([65 + kind, kind]) + TYPED[kind] for kind in kinds)


def test_headers_of_all_types_are_skipped_to_find_the_strings() -> None:
    block = block_of(*TYPED)
    assert read_headers(block) == {"H": "\u00e9"}
    assert EventStreamHeaderParser().parse(block)["H"] == "\u00e9"
    assert len(EventStreamHeaderParser().parse(block)) == len(TYPED)


@pytest.mark.parametrize("kind", TYPED)
def test_a_header_that_is_cut_is_noticed(kind: int) -> None:
    block = block_of(kind)
    for end in range(1, len(block)):
        with pytest.raises(HeadersError, match="cut"):
            read_headers(block[:end])


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x01a\x0a", "unknown type 10"),
        (b"\x01a\x00\x01a\x01", "twice"),
        (b"\x00\x00", "no name"),
        (b"\x01\xff\x07\x00\x00", "UTF-8"),
        (b"\x01a\x07\x00\x01\xff", "UTF-8"),
    ],
)
def test_a_block_that_does_not_follow_the_format_is_refused(block: bytes, reason: str) -> None:
    with pytest.raises(HeadersError, match=reason):
        read_headers(block)


@given(
    st.one_of(st.binary(max_size=60), st.lists(st.sampled_from(sorted(TYPED)), max_size=6).map(lambda k: block_of(*k)))
)
@example(block_of(*TYPED))
def test_headers_that_are_read_are_what_botocore_reads(block: bytes) -> None:
    try:
        found = read_headers(block)
    except HeadersError:
        return
    theirs = EventStreamHeaderParser().parse(block)
    assert found == {name: value for name, value in theirs.items() if isinstance(value, str)}


@given(headers, st.binary(max_size=500))
def test_encoded_frames_are_those_of_the_other_encoder(sent: dict[str, str], payload: bytes) -> None:
    wire = encode_frame(sent, payload)
    assert wire == foreign.frame(sent, payload)
    assert botocore_reads(wire) == [(sent, payload)]


@pytest.mark.needs("node", "eventstream-codec")
def test_the_codec_of_another_language_reads_and_writes_the_same() -> None:
    block = block_of(2, 3, 4, 6, 7)
    lengths = struct.pack("!II", 16 + len(block) + 2, len(block))
    body = lengths + struct.pack("!I", zlib.crc32(lengths)) + block + b"{}"
    typed = body + struct.pack("!I", zlib.crc32(body))
    sent = [encode_frame({":message-type": "exception", "caf\u00e9": "\u2603"}, bytes(range(256))), typed]
    done = subprocess.run(
        ["node", "eventstream.mjs"],
        cwd=NODE,
        input=json.dumps({"frames": [base64.b64encode(frame).decode() for frame in sent]}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
        timeout=30,
    )
    theirs = json.loads(done.stdout)
    frames, _ = decode(sent)
    for frame, one in zip(frames, theirs, strict=True):
        strings = {name: value for name, (kind, value) in one["headers"].items() if kind == "string"}
        assert read_headers(frame.headers) == strings
        assert base64.b64decode(one["body"]) == frame.payload
        assert base64.b64decode(one["again"]) == frame.raw
