"""Arguments that were cut; Anthropic's SDK closes them with jiter, which is the judge of ours."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jiter import from_json

from hydrallm.formats.arguments import _closed, as_object

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=4)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]))
def test_a_whole_object_is_left_as_it_is(value: dict[str, object], ascii_only: bool, indent: int | None) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert bytes(as_object(text)) == text.encode()


@given(OBJECTS, st.booleans(), st.data())
def test_a_cut_object_is_what_the_sdk_makes_of_it(
    value: dict[str, object], ascii_only: bool, chance: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    cut = text[: chance.draw(st.integers(1, len(text)))]
    closed = json.loads(bytes(as_object(cut)))
    assert isinstance(closed, dict)
    if "\\" not in cut:  # of a string that is cut inside an escape, jiter keeps nothing
        numbers = cut[-1:].isdigit() or cut[-1:] in {".", "-", "+", "e", "E"}
        expected = from_json(cut.encode(), partial_mode="trailing-strings")
        assert numbers or closed == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (" \n", {}),
        ("{", {}),
        ('{"a"', {}),
        ('{"a":', {}),
        ('{"a":tru', {}),
        ('{"a":12', {}),
        ('{"a":12,', {"a": 12}),
        ('{"a":"x', {"a": "x"}),
        ('{"a":"x\\', {"a": "x"}),
        ('{"a":"x\\u00', {"a": "x"}),
        ('{"a":"x\\n', {"a": "x\n"}),
        ('{"a":"C:\\\\u00', {"a": "C:\\u00"}),
        ('{"a":"C:\\\\', {"a": "C:\\"}),
        ('{"a":"x\\ud83d', {"a": "x"}),
        ('{"a":"x\\ud83d\\', {"a": "x"}),
        ('{"a":"x\\ud83d\\ude', {"a": "x"}),
        ('{"a":"x\\ud83d\\ude00', {"a": "x\N{GRINNING FACE}"}),
        ('{"a":"\\u00e9\\n\\u00', {"a": "\u00e9\n"}),
        ('{"a":"\\uzz', {"input": '{"a":"\\uzz'}),
        ('{"a":[1}', {"a": [1]}),
        ('{"a":[1,{"b":"c"', {"a": [1, {"b": "c"}]}),
        ('{"a":1}}', {"a": 1}),
        ("words", {"input": "words"}),
        ("[1]", {"input": "[1]"}),
        ("null", {"input": "null"}),
        ('"\ud83d', {"input": '"?'}),
    ],
)
def test_arguments(text: str, expected: object) -> None:
    assert json.loads(bytes(as_object(text))) == expected


@pytest.mark.parametrize("escape", ["\\n", "\\u00e9", "\\\\", '\\"', "\\ud83d\\ude00", "\\/"])
@given(data=st.data())
def test_a_string_that_is_cut_in_an_escape_ends_before_it(escape: str, data: st.DataObject) -> None:
    before = json.loads('"' + (written := data.draw(st.sampled_from(["", "x", escape, "C:\\\\u", escape * 2]))) + '"')
    cut = escape[: data.draw(st.integers(0, len(escape) - 1))]
    assert json.loads(bytes(as_object('{"a":["' + written + cut))) == {"a": [before]}


def depth(levels: int) -> str:
    return '{"a":' + "[" * (levels - 1) + "1,"


def test_brackets_are_closed_up_to_a_depth() -> None:
    assert json.loads(bytes(as_object(depth(200)))) == json.loads(depth(200)[:-1] + "]" * 199 + "}")
    assert json.loads(bytes(as_object(depth(201)))) == {"input": depth(201)}


class Counted(str):
    """A text that counts the characters that are copied out of it."""

    __slots__ = ("copied",)
    copied: int

    def __getitem__(self, key: object) -> str:
        found = str.__getitem__(self, key)  # type: ignore[index]
        self.copied += len(found)
        return found


@pytest.mark.parametrize("text", ['{"a":[' + "[1]," * 50_000, '{"edits":[' + '{"old":"line","new":"line"},' * 8_000])
def test_a_long_text_is_copied_once(text: str) -> None:
    counted = Counted(text)
    counted.copied = 0
    closed = _closed(counted)
    assert json.loads(closed)
    assert counted.copied <= len(text)


@given(st.text(st.sampled_from('{}[]",:\\ \n1a-u'), max_size=12))
def test_whatever_it_is_it_becomes_an_object(text: str) -> None:
    assert isinstance(json.loads(bytes(as_object(text))), dict)
