"""Figures in a provider's answer, such as its counts of tokens.

PURE. Nothing that a model has said hangs on a figure, so an odd one must not cost the answer: the object that has the
figures is kept raw where it stands (``usage: msgspec.Raw``), and read by itself. Taken is what is clear (``11``,
``11.0``, ``"11"``); a negative figure, and anything else, counts as not told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.json_value import read_json

if TYPE_CHECKING:
    import msgspec

LARGEST = 2**53
"""What every JSON parser reads exactly."""


def figures_of(raw: msgspec.Raw) -> dict[str, object]:
    """Return the members of an object of figures; none if ``raw`` is not there, or is something else."""
    said = bytes(raw)
    if not said:
        return {}
    try:
        value = read_json(said)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def figure(figures: object, *path: str) -> int | None:
    """Return a figure; None where it is not told.

    Args:
        figures: an object of figures.
        path: the member's name, after those of the objects that it stands in.
    """
    value = figures
    for name in path:
        if not isinstance(value, dict):
            return None
        value = value.get(name)
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) < len(str(LARGEST)) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= LARGEST else None  # of NaN neither is true


def word(value: object) -> str:
    """Return ``value`` if it is a text, such as an id or a service tier; else nothing."""
    return value if isinstance(value, str) else ""
