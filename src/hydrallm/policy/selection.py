"""Which chain serves a request: the client's name for the model says so.

PURE. Of these rules the first that applies counts:

1. ``only/ID`` pins one model. It means that model or nothing.
2. The name of a chain means that chain; ``default`` means the default chain.
3. A name that a pattern matches means the pattern's chain, the first in the order of the file. Capitals do not count.
4. Any other name, and none, means the default chain: what clients call their models is nobody's business.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Chain = TypeVar("Chain")

DEFAULT = "default"
"""The name of the default chain."""

ONLY = "only/"
"""What stands before the id of a model that is pinned."""

LONGEST = 512
"""Characters of a name that a pattern may match. A name comes from the network; no model's is as long as that."""


class Selection(Generic[Chain]):
    """The names and patterns of a listener's chains.

    Args:
        default: serves what nothing else does.
        named: the chains by name.
        patterns: as in a shell (``*``, ``?``, ``[...]``), each with its chain, in the order in which they are tried.
        pins: by the model's id.
    """

    __slots__ = ("_choice", "_default", "_matchers", "_named", "_pins")

    def __init__(
        self,
        default: Chain,
        named: Mapping[str, Chain],
        patterns: Iterable[tuple[str, Chain]],
        pins: Mapping[str, Chain],
    ) -> None:
        self._default = default
        self._named = named
        self._matchers = [
            (re.compile(fnmatch.translate(pattern), re.IGNORECASE).match, chain) for pattern, chain in patterns
        ]
        self._pins = pins
        self._choice = len(named) > 1 or bool(self._matchers)

    def select(self, name: str) -> Chain | None:
        """Return the chain that ``name`` means; None if it pins a model that does not exist."""
        if name.startswith(ONLY):
            return self._pins.get(name[len(ONLY) :])
        if not self._choice:  # every request comes by here
            return self._default
        found = self._named.get(name)
        if found is None and len(name) <= LONGEST:
            found = next((chain for matches, chain in self._matchers if matches(name)), None)
        return self._default if found is None else found
