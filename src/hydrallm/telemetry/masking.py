"""Secrets taken out of text.

Two nets. The first holds the very values that the config resolved to (visible ASCII, for headers must carry them), in
whatever way they were written into an error, and the error into a log. The second catches what merely looks like a key,
because providers quote the client's key in their errors ("Incorrect API key provided: sk-...").
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.secret import Secret

MASK = "***"

# What begins a key, and what a key that begins so looks like. To look for a few words is fast, to try a pattern at
# every place of a log is not, so a pattern is tried only where its word occurs.
_SHAPES: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("bearer", "basic"), re.compile(r"\b(?:bearer|basic)\s+[a-z0-9._~+/=-]{8,}", re.IGNORECASE)),
    (
        ("sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "xai-", "key-", "hf_", "ghp_", "glpat-"),
        re.compile(r"\b(?:sk|pk|rk|gsk|xai|key|hf|ghp|glpat)[-_][a-z0-9_*.-]{8,}", re.IGNORECASE),
    ),
    (("akia", "asia", "abia", "acca"), re.compile(r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}")),
    (("absk",), re.compile(r"\bABSK[A-Za-z0-9+/=]{16,}")),
    (("aiza",), re.compile(r"\bAIza[A-Za-z0-9_-]{20,}")),
    (("eyj",), re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?")),
    (("credential=",), re.compile(r"(?<=Credential=)[^,\s]+")),
    (("signature=",), re.compile(r"(?<=Signature=)[0-9a-fA-F]{16,}")),
)
MIN_LENGTH = 4

_GENERATIONS = 2
"""Of secrets that are refreshed: the new ones, and those that requests under way were signed with."""

# These look the same everywhere (RFC 3986 section 2.3, and JSON); what has no others is the usual key, and found fast.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")


class Mask:
    """Replaces secrets by ``***``.

    Args:
        secrets: what the config resolved to. One of fewer than four characters is left to its type: to blank every
            ``a`` of a log hides nothing and makes it unreadable.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._lasting = tuple(secrets)
        self._learnt: dict[str, deque[tuple[Secret, ...]]] = {}
        self._compile()

    def learn(self, owner: str, secrets: Iterable[Secret]) -> None:
        """Hide what has come since the config was read. What an owner had before the last time is forgotten.

        Args:
            owner: whose secrets they are.
            secrets: all that it has now.
        """
        self._learnt.setdefault(owner, deque(maxlen=_GENERATIONS)).append(tuple(secrets))
        self._compile()

    def _compile(self) -> None:
        learnt = [secret for held in self._learnt.values() for generation in held for secret in generation]
        known = {text for secret in (*self._lasting, *learnt) if len(text := secret.reveal()) >= MIN_LENGTH}
        ordered = sorted(known, key=len, reverse=True)  # a secret may be part of another
        self._plain = [text for text in ordered if _UNRESERVED.fullmatch(text)]
        self._written = [re.compile(_written(text)) for text in ordered if not _UNRESERVED.fullmatch(text)]

    def __call__(self, text: str) -> str:
        """Return ``text`` without its secrets."""
        for pattern in self._written:
            text = pattern.sub(MASK, text)
        for secret in self._plain:
            text = text.replace(secret, MASK)
        lowered = text.lower()
        for words, pattern in _SHAPES:
            if any([word in lowered for word in words]):  # noqa: C419 - a generator costs more than it saves here
                text = pattern.sub(MASK, text)
        return text


def _written(text: str) -> str:
    """Return a pattern of ``text`` as it may stand in a log: plain, percent-encoded, or in JSON inside of JSON."""
    return "".join([re.escape(char) if _UNRESERVED.fullmatch(char) else _written_char(char) for char in text])


def _written_char(char: str) -> str:
    code = f"{ord(char):02x}"
    return rf"(?:\\{{0,15}}{re.escape(char)}|(?i:\\{{1,15}}u00{code}|%{code}))"  # 15 backslashes: four times in JSON
