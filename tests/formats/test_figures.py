"""Figures of providers, the odd ones too."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.figures import LARGEST, figure, figures_of, word


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b"11", 11),
        (b"11.0", 11),
        (b"11.9", 11),
        (b'"11"', 11),
        (b"0", 0),
        (b"-0.0", 0),
        (b"9007199254740992", LARGEST),
        (b"9007199254740993", None),
        (b"1" + b"0" * 400, None),
        (b"1e400", None),
        (b"NaN", None),
        (b"-1", None),
        (b"-0.5", None),
        (b'"-1"', None),
        (b'"1e3"', None),
        (b'"\xd9\xa3"', None),
        (b'""', None),
        (b'"' + b"1" * 5000 + b'"', None),
        (b"true", None),
        (b"null", None),
        (b"[1]", None),
        (b"{}", None),
    ],
)
def test_a_figure(said: bytes, told: int | None) -> None:
    figures = figures_of(msgspec.Raw(b'{"a":{"b":' + said + b"}}"))
    assert figure(figures, "a", "b") == told


def test_a_figure_that_is_not_there() -> None:
    assert figure({"a": 5}, "a", "b") is None
    assert figure({"a": {}}, "a", "b") is None
    assert figure(None, "a") is None


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"7", b'"x"', b"{", b"[" * 9999])
def test_what_is_no_object_has_no_figures(raw: bytes) -> None:
    assert figures_of(msgspec.Raw(raw)) == {}


@given(st.integers(0, LARGEST))
def test_every_whole_figure_is_told(number: int) -> None:
    for said in (number, str(number) if number < LARGEST // 10 else number):
        assert figure(figures_of(msgspec.Raw(json.dumps({"a": said}).encode())), "a") == number


def test_a_word_is_a_text() -> None:
    assert [word(value) for value in ("x", 5, None, ["x"])] == ["x", "", "", ""]
