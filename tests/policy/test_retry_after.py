from __future__ import annotations

import datetime
import email.utils

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrallm.policy.retry_after import ABSURD, retry_after

NOW = datetime.datetime(1994, 11, 6, 8, 49, 37, tzinfo=datetime.UTC)


def asked(**headers: bytes) -> float | None:
    return retry_after([(name.replace("_", "-").encode(), value) for name, value in headers.items()], NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0.0),
        (b"1", 1.0),
        (b"120", 120.0),
        (b"0.5", 0.5),
        (b"1.", 1.0),
        (b".25", 0.25),
        (b"007", 7.0),
        (b"86400", 86_400.0),
        # The three forms of a date (RFC 9110 section 5.6.7), as sent a minute before it.
        (b"Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        (b"Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        (b"Sun Nov  6 08:50:37 1994", 60.0),
        (b"Sun, 06 Nov 1994 09:50:37 +0100", 60.0),
        (b"Sun, 06 Nov 1994 08:50:37 -0000", 60.0),
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        (b"Sun, 06 Nov 1994 08:00:00 GMT", 0.0),
    ],
)
def test_seconds_and_dates(value: bytes, seconds: float) -> None:
    assert asked(retry_after=value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"-1",
        b"-0.5",
        b"+5",
        b"1e1",
        b"1e9",
        b"1_0",
        b"0x10",
        b"1000000000",
        b"86401",
        b"inf",
        b"-inf",
        b"infinity",
        b"nan",
        b"soon",
        b"5 seconds",
        b"5, 6",
        b"\xd9\xa5",  # ARABIC-INDIC DIGIT FIVE in UTF-8
        b"\xb2",  # SUPERSCRIPT TWO in Latin-1
        b"1" * 10_000,
        b"1." + b"0" * 10_000,
        b"Sun, 06 Nov 1994",
        b"Sun, 99 Nov 1994 08:50:37 GMT",
        b"Sun, 06 Nov 99999 08:50:37 GMT",
        b"Sun, 06 Nov 1994 08:50:37 +999999999",
        b"Tue, 08 Nov 1994 08:49:38 GMT",  # two days and a second on
        b"Fri, 31 Dec 9999 23:59:59 GMT",
    ],
)
def test_rubbish_and_absurd_values_count_as_not_sent(value: bytes) -> None:
    assert asked(retry_after=value) is None


@pytest.mark.parametrize(
    ("value", "seconds"), [(b"250", 0.25), (b"1500.5", 1.5005), (b"0", 0.0), (b"86400000", 86_400.0)]
)
def test_milliseconds(value: bytes, seconds: float) -> None:
    assert asked(retry_after_ms=value) == seconds


def test_milliseconds_are_the_most_precise_so_they_count() -> None:
    assert asked(retry_after=b"1", retry_after_ms=b"250") == 0.25
    assert asked(retry_after_ms=b"250", retry_after=b"1") == 0.25


@pytest.mark.parametrize("rubbish", [b"", b"nan", b"-1", b"1_0", b"86400001", b"Sun, 06 Nov 1994 08:50:37 GMT"])
def test_where_they_are_rubbish_the_seconds_count(rubbish: bytes) -> None:
    assert asked(retry_after=b"2", retry_after_ms=rubbish) == 2.0


def test_nothing_sent() -> None:
    assert asked() is None
    assert asked(retry_afterwards=b"5") is None


@given(st.binary(max_size=64) | st.text(max_size=64).map(str.encode))
@example(b"1" * 100_000)
@example(b"Sun, 06 Nov 1994 08:50:37 GMT" * 3_000)
def test_nothing_that_an_upstream_sends_raises(value: bytes) -> None:
    for headers in ({"retry_after": value}, {"retry_after_ms": value}, {"retry_after": value, "retry_after_ms": value}):
        seconds = asked(**headers)
        assert seconds is None or 0.0 <= seconds <= ABSURD


words = ["Sun,", "06", "Nov", "1994", "08:49:37", "8:4", "GMT", "+0100", "-9999", "AD", "0", "99999", ":", "-", ","]


@given(st.lists(st.sampled_from(words), max_size=9).map(" ".join))
def test_nothing_that_looks_like_a_date_raises(text: str) -> None:
    seconds = asked(retry_after=text.encode())
    assert seconds is None or 0.0 <= seconds <= ABSURD


@given(st.floats(0.0, ABSURD))
def test_fractions_are_kept(seconds: float) -> None:
    value = f"{seconds:.15f}"
    assert asked(retry_after=value.encode()) == float(value)


@given(st.datetimes(datetime.datetime(1994, 1, 1), datetime.datetime(1996, 1, 1), timezones=st.just(datetime.UTC)))  # noqa: DTZ001 - bounds are naive by hypothesis's signature
def test_dates_as_the_standard_library_writes_them(when: datetime.datetime) -> None:
    value = email.utils.format_datetime(when, usegmt=True).encode()
    left = (when.replace(microsecond=0) - NOW).total_seconds()
    assert asked(retry_after=value) == (None if left > ABSURD else max(0.0, left))
