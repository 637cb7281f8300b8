"""Durations and sizes, as people write them.

A duration is written as in Go (``time.ParseDuration``), since the original's config files are: decimal numbers with a
unit each, ``"1h30m"``, ``"1.5s"``, ``"100ms"``. There, a nanosecond is the smallest part and 64 bits of them the most.

A size is a number of bytes, or a number with a unit: ``kB``, ``MB`` and ``GB`` are powers of 1000 (SI), ``KiB``,
``MiB`` and ``GiB`` powers of 1024 (IEC 80000-13). Capitals do not matter.

The reasons of the errors follow the value in a sentence: *"5 min" is not a duration*.
"""

from __future__ import annotations

import re

_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "\u00b5s": 1_000,  # the micro sign
    "\u03bcs": 1_000,  # the Greek letter
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_PART = re.compile(rf"({_NUMBER})({'|'.join(_NANOSECONDS)})")
_DURATION = re.compile(rf"([+-]?)(0|(?:{_PART.pattern})+)")
_MOST_NANOSECONDS = 2**63 - 1

_BYTES = {
    "": 1, "b": 1,
    "k": 1000, "kb": 1000, "m": 1000**2, "mb": 1000**2, "g": 1000**3, "gb": 1000**3,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([a-z]*)", re.IGNORECASE)

_LONGEST = 100  # characters; nothing meant as a quantity is longer


def duration(text: str) -> float:
    """Return the seconds that ``text`` stands for.

    Raises:
        ValueError: it is not a duration of Go's, or it is negative or too long.
    """
    match = _DURATION.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError('is not a duration: write numbers with units (h, m, s, ms), such as "30s" or "1h30m"')
    nanoseconds = sum(_scaled(number, _NANOSECONDS[unit]) for number, unit in _PART.findall(match[2]))
    if match[1] == "-" and nanoseconds:
        raise ValueError("is negative: a duration is positive, or zero for the default")
    if nanoseconds > _MOST_NANOSECONDS:
        raise ValueError("is too long: a duration is less than 292 years")
    return nanoseconds / 1e9


def size(text: str) -> int:
    """Return the bytes that ``text`` stands for, rounded down.

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None or match[2].lower() not in _BYTES:
        raise ValueError('is not a size: write bytes, or a number with kB, MB, GB, KiB, MiB or GiB, such as "100MB"')
    return _scaled(match[1], _BYTES[match[2].lower()])


def _scaled(number: str, factor: int) -> int:
    """Return ``number`` times ``factor`` without the rounding of floats, its fraction rounded down."""
    whole, _, fraction = number.partition(".")
    scaled = int(whole or "0") * factor
    return scaled + int(fraction) * factor // 10 ** len(fraction) if fraction else scaled
