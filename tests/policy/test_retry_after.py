from __future__ import annotations

import datetime
import email.utils

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hydrallm.policy.retry_after import ABSURD, retry_after

NOW = datetime.datetime(1994, 11, 6, 8, 49, 37, tzinfo=datetime.UTC)


def asked(**headers: bytes) -> float | None:
    return retry_after([(name.replace("_", "-").encode(), value) for name, value in headers.items()], NOW, limits=True)


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


def limits(*headers: tuple[str, str], now: datetime.datetime = NOW) -> float | None:
    return retry_after([(name.encode(), value.encode()) for name, value in headers], now, limits=True)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        # OpenAI's and Groq's durations, as their documentation has them or as they were seen.
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("12ms", 0.012),
        ("7.66s", 7.66),
        ("2m59.56s", 179.56),
        ("1h2m3.5s", 3723.5),
        ("23h59m59s", 86_399.0),
        ("1d", 86_400.0),
        ("0s", 0.0),
        ("500us", 0.0005),
        # Azure's and Cerebras's seconds.
        ("43", 43.0),
        ("33011.382867", 33_011.382867),
    ],
)
def test_resets_that_are_durations(value: str, seconds: float) -> None:
    assert limits(("x-ratelimit-reset-tokens", value)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value", ["1d2h", "25h", "86401", "-1", "-5s", "+5s", "s", "5 s", "1e3s", "5x", "", "6m0", "1s,2s"]
)
def test_resets_that_are_rubbish_or_absurd_count_as_not_sent(value: str) -> None:
    assert limits(("x-ratelimit-reset-requests", value)) is None


@given(st.integers(0, 86_399_999))
def test_durations_as_go_writes_them(milliseconds: int) -> None:
    rest, left = divmod(milliseconds, 60_000)
    hours, minutes = divmod(rest, 60)
    text = f"{hours}h{minutes}m{left / 1000:g}s" if milliseconds >= 1000 else f"{milliseconds}ms"
    assert limits(("x-ratelimit-reset-requests", text)) == pytest.approx(milliseconds / 1000, abs=0.01)


TODAY = datetime.datetime(2026, 10, 18, 12, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-10-18T12:00:30Z", 30.0),
        ("2026-10-18t12:00:30z", 30.0),
        ("2026-10-18T14:00:30+02:00", 30.0),
        ("2026-10-18T12:00:30.250Z", 30.25),
        ("2026-10-18T12:00:30.250000123Z", 30.25),
        ("2026-10-18T11:59:59Z", 0.0),
        ("2026-10-19T12:00:00Z", 86_400.0),
        ("2026-10-19T12:00:01Z", None),
        ("2026-10-18T12:00:30", None),
        ("2026-10-18T12:00:99Z", None),
        ("2026-02-30T12:00:30Z", None),
        ("2026-10-18", None),
        ("20261018T120030Z", None),
        ("0001-01-01T00:00:00+23:59", 0.0),
        ("9999-12-31T23:59:59-23:59", None),
    ],
)
def test_resets_of_anthropic_are_times(value: str, seconds: float | None) -> None:
    assert limits(("anthropic-ratelimit-input-tokens-reset", value), now=TODAY) == seconds


@pytest.mark.parametrize("name", ["x-ratelimit-reset", "ratelimit-reset", "anthropic-ratelimit-unified-reset"])
@pytest.mark.parametrize(
    ("ahead", "seconds"), [(0.0, 0.0), (30.0, 30.0), (86_400.0, 86_400.0), (86_401.0, None), (-3600.0, 0.0)]
)
def test_resets_may_be_epoch_seconds_or_milliseconds(name: str, ahead: float, seconds: float | None) -> None:
    when = TODAY.timestamp() + ahead
    assert limits((name, f"{when:.0f}"), now=TODAY) == seconds
    assert limits((name, f"{when * 1000:.0f}"), now=TODAY) == seconds


def test_openrouters_day() -> None:
    """As it was seen, on the fourth of April 2026 at 20:51:12."""
    now = datetime.datetime(2026, 4, 4, 20, 51, 12, tzinfo=datetime.UTC)
    headers = ("x-ratelimit-limit", "50"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1775347200000")
    assert limits(*headers, now=now) == 3 * 3600 + 8 * 60 + 48


@pytest.mark.parametrize(
    ("requests", "tokens", "seconds"),
    [
        ("0", "150", 1.0),
        ("60", "0", 360.0),
        ("0", "0", 360.0),
        ("60", "150", 1.0),
        ("", "", 1.0),
        ("-1", "-1", 1.0),
        ("0.0", "150", 1.0),
    ],
)
def test_a_limit_that_is_used_up_counts_before_the_others(requests: str, tokens: str, seconds: float) -> None:
    resets = ("x-ratelimit-reset-requests", "1s"), ("x-ratelimit-reset-tokens", "6m0s")
    left = ("x-ratelimit-remaining-requests", requests), ("x-ratelimit-remaining-tokens", tokens)
    assert limits(*resets, *left) == seconds
    assert limits(*left, *resets[::-1]) == seconds


def test_the_longest_of_those_that_are_used_up() -> None:
    headers = [
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-10-18T12:00:10Z"),
        ("anthropic-ratelimit-output-tokens-remaining", "0"),
        ("anthropic-ratelimit-output-tokens-reset", "2026-10-18T12:00:40Z"),
        ("anthropic-ratelimit-tokens-remaining", "1000"),
        ("anthropic-ratelimit-tokens-reset", "2026-10-18T12:00:05Z"),
    ]
    assert limits(*headers, now=TODAY) == 40.0


def test_limits_count_only_where_no_retry_after_is_sensible() -> None:
    reset = ("x-ratelimit-reset-requests", "1m")
    assert limits(reset, ("retry-after", "2")) == 2.0
    assert limits(reset, ("retry-after-ms", "250")) == 0.25
    assert limits(reset, ("retry-after", "0")) == 0.0
    assert limits(reset, ("retry-after", "soon")) == 60.0
    assert limits(reset, ("retry-after", "1000000000")) == 60.0
    assert limits(("x-ratelimit-limit-requests", "60"), ("x-ratelimit-remaining-requests", "0")) is None
    assert limits(("anthropic-ratelimit-requests-limit", "60"), ("reset", "5")) is None


LIMITS = ["x-ratelimit-reset", "x-ratelimit-reset-tokens", "anthropic-ratelimit-tokens-reset", "ratelimit-reset"]
parts = st.sampled_from(
    ["1", "5", "9", "0", ".", "d", "h", "m", "s", "ms", "-", ":", "T", "Z", "+", "2026-10-18T", "e"]
)


@given(st.sampled_from(LIMITS), st.lists(parts, max_size=24).map("".join) | st.text(max_size=64))
@example("x-ratelimit-reset", "9" * 100_000)
@example("x-ratelimit-reset", "1m" * 50_000)
def test_no_reset_raises(name: str, value: str) -> None:
    seconds = limits((name, value), now=TODAY)
    assert seconds is None or 0.0 <= seconds <= ABSURD


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
