"""Thoughts of other makers' models, in formats whose own makers seal theirs.

PURE. A client sends a model's thoughts back in the next turn, each with its seal: a signature, or the thought itself,
encrypted. Only its maker can read that. When another maker's model has stood in, its thoughts have no such seal. So
they are given one that says whose they are and carries what identifies them there::

    hydrallm:<maker>:<id>:<signature or encrypted thought>

By that they are known when they come back: their maker gets what it gave, and nobody else is shown it.

Messages and Converse tell a signed thought from an encrypted one by the member that it stands in. Responses has one
member for both (``encrypted_content``), where the maker of an encrypted one is written ``<maker>/redacted``. Converse
has an encrypted one in base64. Chat Completions has no place for a seal: what was thought comes back there without.
"""

from __future__ import annotations

import base64
import re

import msgspec

from hydrallm.formats.canonical import Thinking

PREFIX = "hydrallm:"

SEAL = base64.b64encode(PREFIX.encode())
"""What an encrypted thought begins with in base64: the prefix is so long that what follows does not change it."""

_REDACTED = "/redacted"

_BYTES = f'"{PREFIX}'.encode()
_MARK = re.compile(rb'"hydrallm:[\w./-]*:')  # a text of the user's may begin with the word alone


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
    if maker.endswith(_REDACTED):
        return Thinking(redacted=value, maker=maker.removesuffix(_REDACTED), id=identity)
    return Thinking(thought.text, value, maker=maker, id=identity)


def seal(thought: Thinking) -> str:
    """Return the seal of a ``thought`` of another maker, for a format that has one member for both kinds of seals.

    What :func:`unmarked` makes of it as a signature is the thought.
    """
    if not thought.redacted:
        return marked(thought).signature
    return marked(Thinking(signature=thought.redacted, maker=thought.maker + _REDACTED, id=thought.id)).signature


def may_have(body: bytes) -> bool:
    """Return whether the body of a request, of any format, can have such a thought in it.

    The model's maker would refuse it as it is, though the body is of the model's own format.
    """
    return (_BYTES in body and _MARK.search(body) is not None) or SEAL in body
