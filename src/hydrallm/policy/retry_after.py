"""When an upstream says to come back.

PURE. Three forms are read: ``retry-after-ms`` (milliseconds, sent by OpenAI and Azure; the most precise, so first) and
``retry-after`` as seconds or as a date (RFC 9110 section 10.2.3). Rubbish, negative and absurd values count as not
sent: a proxy that believes ``Retry-After: 1000000000`` has lost a model for good.
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

# float() would take more: a sign, an exponent, underscores, "infinity".
_NUMBER = re.compile(rb"[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20}")


def retry_after(headers: Headers, now: datetime.datetime) -> float | None:
    """Return how many seconds the upstream asks to be left alone; None if it does not say, or not sensibly.

    Args:
        headers: the upstream's.
        now: the time in UTC, to which a date is compared.
    """
    milliseconds = _number(header(headers, b"retry-after-ms"))
    if milliseconds is not None and milliseconds / 1000 <= ABSURD:
        return milliseconds / 1000
    value = header(headers, b"retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        seconds = _until(value, now)
    return seconds if seconds is not None and seconds <= ABSURD else None


def _number(value: bytes | None) -> float | None:
    return float(value) if value is not None and _NUMBER.fullmatch(value) else None


def _until(value: bytes, now: datetime.datetime) -> float | None:
    try:
        when = email.utils.parsedate_to_datetime(value.decode("ascii"))
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:  # "-0000" by RFC 5322: UTC, with no word on the local time
        when = when.replace(tzinfo=datetime.UTC)
    return max(0.0, (when - now).total_seconds())
