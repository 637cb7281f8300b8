"""Thoughts of other makers' models in Anthropic's blocks.

PURE. A client of Messages sends a model's thoughts back in the next turn, each with its signature, and only its maker
can read that. When another maker's model has stood in for Anthropic's, its thoughts have no such signature. So they are
given one that says whose they are and carries what identifies them there::

    hydrallm:<maker>:<id>:<signature or encrypted thought>

By that they are known when they come back: their maker gets what it gave, and nobody else is shown it.
"""

from __future__ import annotations

import msgspec

from hydrallm.formats.canonical import Thinking

PREFIX = "hydrallm:"

_BYTES = f'"{PREFIX}'.encode()


def marked(thought: Thinking) -> Thinking:
    """Return a ``thought`` of another maker as one whose signature, or encrypted text, says whose it is."""
    mark = f"{PREFIX}{thought.maker}:{thought.id}:"
    if thought.redacted:
        return msgspec.structs.replace(thought, redacted=mark + thought.redacted)
    return msgspec.structs.replace(thought, signature=mark + thought.signature)


def unmarked(thought: Thinking) -> Thinking:
    """Return a ``thought`` as :func:`marked` was given it, if it is one of these; else as it is."""
    mark = thought.redacted or thought.signature
    if not mark.startswith(PREFIX):
        return thought
    maker, _, rest = mark.removeprefix(PREFIX).partition(":")
    identity, _, value = rest.partition(":")
    if thought.redacted:
        return Thinking(redacted=value, maker=maker, id=identity)
    return Thinking(thought.text, value, maker=maker, id=identity)


def may_have(body: bytes) -> bool:
    """Return whether a body of Messages can have such a thought in it; Anthropic would refuse it as it is."""
    return _BYTES in body
