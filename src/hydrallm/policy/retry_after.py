"""When an upstream says to come back.

PURE. First comes what is meant as an answer to this question: ``retry-after-ms`` (milliseconds, sent by OpenAI and
Azure; the most precise) and ``retry-after`` as seconds or as a date (RFC 9110 section 10.2.3). Where neither is
sensible and the failure is about a rate, the limits that go with every answer are looked at. Each limit has a *reset*,
the time until it is replenished, and most have a *remaining*, what is left of it:

=====================================================  =====================================================
OpenAI, Groq, Azure, Cerebras                          ``x-ratelimit-reset-requests``, ``-tokens``, ...: a duration
                                                       such as ``1s``, ``6m0s``, ``20ms``, or seconds
Anthropic                                              ``anthropic-ratelimit-requests-reset``, ``-tokens-``, ...:
                                                       a time (RFC 3339); of a subscription, epoch seconds
OpenRouter, Moonshot, gateways                         ``x-ratelimit-reset``: seconds, or epoch seconds or milliseconds
IETF draft-ietf-httpapi-ratelimit-headers, to its 07   ``ratelimit-reset``: seconds
=====================================================  =====================================================

A limit with nothing remaining is one that refused the request, so the request has to wait for all of those. Where none
is said to be used up (a request for more tokens than are left), the shortest reset is worth a try.

Rubbish, negative and absurd values count as not sent: a proxy that believes ``Retry-After: 1000000000`` has lost a
model for good.
"""

from __future__ import annotations

import datetime
import email.utils
import re
from typing import TYPE_CHECKING

from hydrallm.message import header

if TYPE_CHECKING:
    from hydrallm.message import Headers

ABSURD = 86_400.0
"""Seconds. No provider means more than a day."""

_EPOCH_SECONDS = 1e9
_EPOCH_MILLISECONDS = 1e12
"""From here on (September 2001) a number is a time, not a duration."""

# float() would take more: a sign, an exponent, underscores, "infinity".
_NUMBER = re.compile(rb"[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}")

# Go's time.Duration as it prints itself, and days before it. "s" is tried after "ms", and "m" not before "ms".
_UNITS = {
    b"d": 86_400.0,
    b"h": 3600.0,
    b"m": 60.0,
    b"s": 1.0,
    b"ms": 1e-3,
    b"us": 1e-6,
    b"\xc2\xb5s": 1e-6,
    b"ns": 1e-9,
}
_PART = rb"([0-9]{1,20}(?:\.[0-9]{1,20})?)(ms|us|\xc2\xb5s|ns|d|h|m|s)"
_DURATION = re.compile(rb"(?:" + _PART + rb"){1,8}")
_DURATION_PART = re.compile(_PART)

_TIME = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def retry_after(headers: Headers, now: datetime.datetime, *, limits: bool) -> float | None:
    """Return how many seconds the upstream asks to be left alone; None if it does not say, or not sensibly.

    Args:
        headers: the upstream's.
        now: the time in UTC, to which a time is compared.
        limits: whether the rate limits are looked at, because the failure is about a rate. APIs send their limits with
            every answer, and of a failure of another kind the reset of a limit says nothing.
    """
    milliseconds = _number(header(headers, b"retry-after-ms"))
    if milliseconds is not None and milliseconds / 1000 <= ABSURD:
        return milliseconds / 1000
    value = header(headers, b"retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        seconds = _until_date(value, now)
    if seconds is not None and seconds <= ABSURD:
        return seconds
    return _limits(headers, now) if limits else None


def _limits(headers: Headers, now: datetime.datetime) -> float | None:
    """Return what the resets of the limits say."""
    used_up: list[float] = []
    others: list[float] = []
    for name, value in headers:
        if (remaining := _remaining(name)) and (seconds := _reset(value, now)) is not None:
            (used_up if _number(header(headers, remaining)) == 0.0 else others).append(seconds)
    return max(used_up) if used_up else min(others, default=None)


def _remaining(name: bytes) -> bytes:
    """Return the header with what remains of the limit whose reset is the header ``name``; empty if it is no reset."""
    if name in {b"x-ratelimit-reset", b"ratelimit-reset"} or name.startswith(b"x-ratelimit-reset-"):
        return name.replace(b"-reset", b"-remaining", 1)
    if name.startswith(b"anthropic-") and name.endswith(b"-reset"):
        return name.removesuffix(b"reset") + b"remaining"
    return b""


def _reset(value: bytes, now: datetime.datetime) -> float | None:
    """Return the seconds until a reset, however it is given; None if not sensibly."""
    seconds = _number(value)
    if seconds is None:
        seconds = _duration(value) if _DURATION.fullmatch(value) else _until_time(value, now)
    elif seconds >= _EPOCH_SECONDS:
        epoch = seconds / 1000 if seconds >= _EPOCH_MILLISECONDS else seconds
        seconds = max(0.0, epoch - now.timestamp())
    return seconds if seconds is not None and seconds <= ABSURD else None


def _number(value: bytes | None) -> float | None:
    return float(value) if value is not None and _NUMBER.fullmatch(value) else None


def _duration(value: bytes) -> float:
    return sum(float(count) * _UNITS[unit] for count, unit in _DURATION_PART.findall(value))


def _until_time(value: bytes, now: datetime.datetime) -> float | None:
    if not _TIME.fullmatch(value):
        return None
    try:
        when = datetime.datetime.fromisoformat(value.decode("ascii").upper())
        return max(0.0, (when - now).total_seconds())
    except (ValueError, OverflowError):
        return None


def _until_date(value: bytes, now: datetime.datetime) -> float | None:
    try:
        when = email.utils.parsedate_to_datetime(value.decode("ascii"))
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:  # "-0000" by RFC 5322: UTC, with no word on the local time
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - now).total_seconds())
