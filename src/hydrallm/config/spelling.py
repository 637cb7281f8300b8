"""Did you mean: the known name that is closest to an unknown one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


CLOSE = 0.6
VERY_CLOSE = 0.85
"""Shares of two names that are the same (difflib's ratio)."""


def did_you_mean(word: str, known: Iterable[str], closeness: float = CLOSE) -> str:
    """Return ``; did you mean "..."?`` to end a message with, or nothing if no name in ``known`` is close to ``word``.

    Capitals do not count, and ``-`` is as good as ``_``.
    """
    names = {_folded(name): name for name in known}
    close = difflib.get_close_matches(_folded(word), names, n=1, cutoff=closeness)
    return f'; did you mean "{names[close[0]]}"?' if close else ""


def _folded(name: str) -> str:
    return name.lower().replace("-", "_")
