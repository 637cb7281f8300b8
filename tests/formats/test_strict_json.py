"""JSON of senders that are not strict."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.canonical import UntranslatableError
from hydrallm.formats.strict_json import read_strictly, read_tolerantly


class Thing(msgspec.Struct):
    text: str = ""
    number: float | None = None


THING = msgspec.json.Decoder(Thing).decode


@pytest.mark.parametrize("read", [read_strictly, read_tolerantly])
@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b'{"text":"a"}', "a"),
        (b'\xef\xbb\xbf{"text":"a"}', "a"),
        (b'{"text":"\\ud83d"}', "?"),
        (b'{"text":"\\ud83d\\ude00"}', "\N{GRINNING FACE}"),
        (b'{"text":"\\ud83d","number":1e3}', "?"),
    ],
)
def test_what_msgspec_refuses_is_mended(read: object, sent: bytes, text: str) -> None:
    assert callable(read)
    assert read(sent, THING, "a thing").text == text


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"9" * 400, b"9" * 5000])
def test_a_number_that_is_none_is_null_of_a_provider_and_refused_of_a_client(number: bytes) -> None:
    sent = b'{"text":"a","number":' + number + b"}"
    assert read_tolerantly(sent, THING, "a thing") == Thing("a")
    with pytest.raises(UntranslatableError, match="not a thing"):
        read_strictly(sent, THING, "a thing")


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b'{"text":1}', "this is not a thing: text: expected `str`, got `int`"),
        (b"[]", "this is not a thing: expected `object`, got `array`"),
        (b"", "this is not a thing: the body is no JSON"),
        (b'{"text":"a"', "this is not a thing: the body is no JSON"),
        (b'{"text":"\xff"}', "this is not a thing: the body is not UTF-8"),
        (b'{"other":"\xff"}', "this is not a thing: the body is not UTF-8"),
        (b'{"other":' + b"[" * 100_000, "this is not a thing: the JSON is nested too deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(sent: bytes, said: str) -> None:
    with pytest.raises(UntranslatableError) as raised:
        read_strictly(sent, THING, "a thing")
    assert str(raised.value).startswith(said)


@given(st.binary(max_size=40) | st.text().map(str.encode))
def test_nothing_else_is_raised(sent: bytes) -> None:
    try:
        read = read_tolerantly(sent, THING, "a thing")
    except UntranslatableError:
        return
    assert isinstance(json.loads(sent.removeprefix(b"\xef\xbb\xbf")), dict)
    assert isinstance(read, Thing)
