"""Values that the config leaves to the environment: ``$NAME`` and ``${NAME}``.

A value is a reference only if it is one from its first character to its last, so that a key which merely contains a
dollar sign is not torn apart. An empty variable counts as unset: ``export OPENAI_API_KEY=`` is how a shell takes a key
away. What is unset is never replaced by the text of the reference: that text would be sent to a provider as a key.

The environment is a mapping handed in, never ``os.environ``, so that a test, a drill and a reload can bring their own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

# The names of POSIX.1-2024, XBD section 8.1, which every shell can export.
_REFERENCE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")

# What may stand in a header field's value without needing quotes or encoding: visible ASCII (RFC 9110, section 5.5).
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class Resolved(msgspec.Struct, frozen=True):
    """A text of the config after the environment has been asked.

    Attributes:
        text: the text to use; None if it is a reference to a variable that is unset or empty.
        variable: the variable it was read from; None if the text stood in the config itself.
    """

    text: str | None
    variable: str | None = None


def lookup(name: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable called ``name``, or None if it is unset or empty."""
    return environ.get(name) or None


def resolve(text: str, environ: Mapping[str, str]) -> Resolved:
    """Return what ``text`` stands for: itself, or the variable that it wholly names."""
    reference = _REFERENCE.fullmatch(text)
    if reference is None:
        return Resolved(text)
    variable = reference[1] or reference[2]
    return Resolved(lookup(variable, environ), variable)


def secret(text: str) -> Secret:
    """Return ``text`` as a secret.

    Raises:
        ValueError: no header could carry it. The message does not show it.
    """
    if not _VISIBLE.fullmatch(text):
        raise ValueError("the key contains a space, a line break or another character that no key has")
    return Secret(text)
