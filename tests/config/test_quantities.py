from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.config import quantities

# Made with Go 1.26: a string as Go quotes it, a tab, and the nanoseconds that time.ParseDuration returned, or "error".
GO = Path(__file__).parents[1] / "golden" / "go-durations.tsv"

UNITS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}


def test_durations_are_those_of_go() -> None:
    for line in GO.read_text("utf-8").splitlines():
        quoted, _, expected = line.partition("\t")
        text = json.loads(quoted)
        if expected == "error" or int(expected) < 0:
            with pytest.raises(ValueError, match=r"^is "):
                quantities.duration(text)
        else:
            # Go itself drops digits of a long fraction and is then a nanosecond off.
            assert quantities.duration(text) == pytest.approx(int(expected) / 1e9, rel=1e-12, abs=1e-9), text


@given(
    st.lists(
        st.tuples(st.integers(0, 10**5), st.none() | st.text("0123456789", max_size=9), st.sampled_from(sorted(UNITS))),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["", "+"]),
)
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str | None, str]], sign: str) -> None:
    text = sign + "".join(f"{whole}{'' if part is None else '.' + part}{unit}" for whole, part, unit in parts)
    exact = sum(Fraction(f"{whole}.{part or 0}") * UNITS[unit] for whole, part, unit in parts)
    assert abs(Fraction(quantities.duration(text)) - exact) < Fraction(len(parts), 10**9) + exact / 10**14


@given(st.text(max_size=30) | st.text("0123456789.hmsnuµd +-", max_size=12))
def test_a_duration_is_a_number_or_a_reason(text: str) -> None:
    try:
        seconds, reason = quantities.duration(text), None
    except ValueError as error:
        seconds, reason = 0.0, str(error)
    assert 0 <= seconds < 2**63 / 1e9 + 1
    assert reason is None or reason.startswith("is ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1", 1),
        ("100MB", 100_000_000),
        ("100mb", 100_000_000),
        ("100 MB", 100_000_000),
        ("5kB", 5_000),
        ("5k", 5_000),
        ("2G", 2_000_000_000),
        ("1KiB", 1024),
        ("1.5MiB", 1_572_864),
        ("1GiB", 1_073_741_824),
        ("7b", 7),
        ("0.1kB", 100),
        ("0.0001kB", 0),
    ],
)
def test_sizes(text: str, expected: int) -> None:
    assert quantities.size(text) == expected


@pytest.mark.parametrize(
    "text", ["", " ", "MB", "1TB", "1 000", "1_000", "-1", "1e6", "1.MB", ".5MB", "\u0661MB", "9" * 200]
)
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a size"):
        quantities.size(text)
