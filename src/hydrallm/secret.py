"""A value that must never be shown.

PURE. A secret is kept in a type of its own from the moment it is resolved (in ``credentials/``), so that a repr, a
log line, a traceback or a dump shows ``***``. The one way to the text is :meth:`Secret.reveal`, which is easy to
find by grep.
"""

from __future__ import annotations

import hmac


class Secret:
    """A string whose repr and str are ``***``; compared in constant time."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, to be put on the wire and nowhere else."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not pickled")
