"""Content codings against the libraries that make them."""

from __future__ import annotations

import gzip
import itertools
import sys
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.http.decoding import PIECE, DecodingError, decoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


class Coding(NamedTuple):
    name: str
    value: bytes
    compress: Callable[[bytes], bytes]


GZIP = Coding("gzip", b"gzip", gzip.compress)
CODINGS = [
    GZIP,
    Coding("x-gzip", b"X-GZIP ", gzip.compress),
    Coding("deflate-zlib", b"deflate", zlib.compress),
    Coding("deflate-raw", b"Deflate", raw_deflate),
    Coding("zstd", b"zstd", zstd.compress),
]
every_coding = pytest.mark.parametrize("coding", CODINGS, ids=lambda coding: coding.name)
several_in_a_row = pytest.mark.parametrize("coding", [CODINGS[0], CODINGS[-1]], ids=lambda coding: coding.name)
# Bytes that compress well, badly and not at all; sometimes more than one piece.
bodies = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda data, times: data * times, st.binary(min_size=1, max_size=50), st.integers(1, 20_000)),
)


def decode(coding: Coding, pieces: Iterable[bytes]) -> bytes:
    codec = decoder(coding.value)
    assert codec is not None
    plain = b"".join([out for piece in pieces for out in codec.feed(piece)])
    codec.finish()
    return plain


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    """Return ``data`` in pieces, some of them empty."""
    places = [0, *sorted([cut % (len(data) + 1) for cut in cuts]), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


@every_coding
@given(body=bodies, cuts=st.lists(st.integers(min_value=0), max_size=6))
def test_what_was_compressed_comes_back_however_it_is_split(coding: Coding, body: bytes, cuts: list[int]) -> None:
    assert decode(coding, split(coding.compress(body), cuts)) == body


@every_coding
@pytest.mark.parametrize("body", [b"", b"x", b"hello " * 40], ids=["empty", "one-byte", "text"])
def test_every_single_split_and_byte_by_byte(coding: Coding, body: bytes) -> None:
    data = coding.compress(body)
    for at in range(len(data) + 1):
        assert decode(coding, [data[:at], data[at:]]) == body
    assert decode(coding, [bytes([byte]) for byte in data]) == body


@several_in_a_row
@given(
    parts=st.lists(st.binary(max_size=100), min_size=1, max_size=5), cuts=st.lists(st.integers(min_value=0), max_size=6)
)
def test_members_and_frames_may_follow_one_another(coding: Coding, parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join([coding.compress(part) for part in parts])
    assert decode(coding, split(data, cuts)) == b"".join(parts)


def test_a_zstd_stream_may_hold_skippable_frames() -> None:
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
    data = skippable + zstd.compress(b"hello") + skippable + zstd.compress(b" world") + skippable
    for at in range(len(data) + 1):
        assert decode(CODINGS[-1], [data[:at], data[at:]]) == b"hello world"


@every_coding
@given(body=st.binary(max_size=200), data=st.data())
def test_what_is_truncated_is_never_taken_for_whole(coding: Coding, body: bytes, data: st.DataObject) -> None:
    coded = coding.compress(body)
    cut = coded[: data.draw(st.integers(1, len(coded) - 1))]
    with pytest.raises(DecodingError):
        decode(coding, [cut])


@every_coding
@given(body=st.binary(min_size=1, max_size=200), data=st.data())
def test_what_is_damaged_is_an_error_or_decodes_to_something(coding: Coding, body: bytes, data: st.DataObject) -> None:
    """Only gzip and zlib check what they decode; but no damage may raise anything other than DecodingError, or hang."""
    coded = bytearray(coding.compress(body))
    at = data.draw(st.integers(0, len(coded) - 1))
    coded[at] ^= data.draw(st.integers(1, 255))
    try:
        decode(coding, [bytes(coded)])
    except DecodingError as error:
        assert str(error)  # noqa: PT017 - a message for people is part of the error


@pytest.mark.parametrize("coding", CODINGS[:1] + CODINGS[-1:], ids=lambda coding: coding.name)
@given(junk=st.binary(min_size=1, max_size=50))
def test_junk_behind_the_end_is_an_error(coding: Coding, junk: bytes) -> None:
    try:
        plain = decode(coding, [coding.compress(b"hello") + junk])
    except DecodingError:
        return
    assert plain != b"hello"
    assert plain.startswith(b"hello"), "junk that happens to be another member or frame"


@every_coding
def test_a_bomb_comes_out_in_bounded_pieces(coding: Coding) -> None:
    bomb = coding.compress(b"\x00" * 50_000_000)
    assert len(bomb) < 60_000
    codec = decoder(coding.value)
    assert codec is not None
    pieces = codec.feed(bomb)
    largest = max(len(next(pieces)) for _ in range(20))
    assert largest <= PIECE
    assert len(b"".join([next(pieces) for _ in range(20)])) <= 20 * PIECE


@several_in_a_row
def test_a_flood_of_empty_members_is_refused_and_costs_little(coding: Coding) -> None:
    """Each costs a new decoder and yields nothing that a bound on the output could see."""
    flood = coding.compress(b"") * 100_000
    began = time.perf_counter()
    with pytest.raises(DecodingError, match="more than"):
        decode(coding, [flood[at : at + 65536] for at in range(0, len(flood), 65536)])
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    "value", [b"br", b"compress", b"gzip, gzip", b"identity", b"", b"gzip;q=1", b"zstd, gzip", b"\xff"]
)
def test_what_is_not_known_has_no_decoder(value: bytes) -> None:
    assert decoder(value) is None


def test_an_empty_input_is_an_empty_body() -> None:
    """Some senders say ``Content-Encoding: gzip`` above no body at all."""
    for coding in CODINGS:
        assert decode(coding, []) == b""
