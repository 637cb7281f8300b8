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


class Call(msgspec.Struct):
    text: str
    arguments: msgspec.Raw


ARGUMENTS = (
    b'{"account": 12345678901234567890123, "price":0.1000,"d":1,"d":2,"e":1E+2, "p":"C:\\\\ud83d \\ud83d\\ude00"}'
)


@pytest.mark.parametrize("read", [read_strictly, read_tolerantly])
@pytest.mark.parametrize("half", [b"\\ud83d", b"\\uDE00", b"\\\\\\ud83d", b"\\ude00\\ud83d", b"\\ud83d\\ud83d\\ude00"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_half_a_character_alters_nothing_else(read: object, half: bytes, mark: bytes) -> None:
    assert callable(read)
    sent = mark + b'{"text":"a' + half + b'","arguments":' + ARGUMENTS + b"}"
    call = read(sent, msgspec.json.Decoder(Call).decode, "a call")
    assert bytes(call.arguments) == ARGUMENTS
    expected = json.loads(b'"a' + half + b'"').encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert call.text == expected.replace("\N{REPLACEMENT CHARACTER}", "?")


@given(st.lists(st.sampled_from(["\\ud83d", "\\ude00", "\\\\", "\\n", "u", "d83d", "\\u00e9", '\\"']), max_size=8))
def test_every_half_becomes_one_question_mark(pieces: list[str]) -> None:
    sent = '{"text":"' + "".join(pieces) + '"}'
    said = json.loads(sent)["text"].encode("utf-8", "replace").decode()
    assert read_tolerantly(sent.encode(), THING, "a thing").text == said


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
