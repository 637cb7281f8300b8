"""Names and ids that a format forbids, changed so that they can be changed back.

PURE. Formats differ in what the name of a tool or the id of a call may look like, and a history may have been written
by a model of another format. So a name that is not allowed becomes one that is: what is left of it, and a digest of the
whole. The same name always becomes the same one, so that a call and its result still fit each other.
"""

from __future__ import annotations

import hashlib
import re

from hydrallm.formats.namespaces import told

_DIGEST = 8
"""Characters of the digest: enough for names that are not chosen to collide."""


class Renaming:
    """The changes of one request.

    Attributes:
        changed: the changed names, each with what it was.
    """

    def __init__(self, allowed: str, limit: int) -> None:
        """Begin without changes.

        Args:
            allowed: the characters of a name, as a class of a regular expression without its brackets.
            limit: the characters that a name may have; one at least.
        """
        self.changed: dict[str, str] = {}
        self._forbidden = re.compile(f"[^{allowed}]")
        self._limit = limit
        self._given: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return ``name``, or what stands for it."""
        plain = told(name)
        legal = 0 < len(plain) <= self._limit and not self._forbidden.search(plain)
        if legal and self._given.setdefault(plain, name) == name:
            if plain != name:
                self.changed[plain] = name
            return plain
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
        kept = self._forbidden.sub("_", plain)[: self._limit - _DIGEST - 1]
        changed = f"{kept}_{digest}" if kept else f"x{digest}"
        self.changed[changed] = name
        return changed
