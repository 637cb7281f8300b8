"""A request on its way to Converse: what is asked, of which model, and what had to be done about it.

PURE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.bedrock_converse_fields import Maker, maker_of
from hydrallm.formats.canonical import Choice
from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target

# Bedrock's ids may have "." and ":", those of the model behind it not always.
_ALLOWED = "a-zA-Z0-9_-"
_LONGEST = 64


class Draft:
    """A request that is being composed.

    Attributes:
        request: the client's; it is never changed.
        facts: of the model.
        maker: of the model.
        claude: whether it is Claude, whose own words go past Converse.
        names: of tools.
        ids: of calls.
    """

    def __init__(self, request: Request, target: Target) -> None:
        self.request = request
        self.facts = target.facts
        self.maker = maker_of(target)
        self.claude = self.maker is Maker.ANTHROPIC
        self.names = Renaming(_ALLOWED, _LONGEST)
        self.ids = Renaming(_ALLOWED, _LONGEST)
        # Dicts, because they keep each once and in order.
        self._reasons: dict[str, None] = dict.fromkeys(request.bound)
        self._dropped: dict[str, None] = {}

    def refuse(self, reason: str) -> None:
        """Take note of a reason why the request cannot be served."""
        self._reasons[reason] = None

    def drop(self, member: str) -> None:
        """Take note of a member that cannot be said."""
        self._dropped[member] = None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the request cannot be served."""
        return tuple(self._reasons)

    @property
    def dropped(self) -> tuple[str, ...]:
        """The members that cannot be said."""
        return tuple(self._dropped)

    @property
    def forbids_tools(self) -> bool:
        """Whether the client wants no tool to be called."""
        choice = self.request.tool_choice
        return choice is not None and choice.choice is Choice.NONE

    @property
    def forces_a_tool(self) -> bool:
        """Whether the client wants a tool to be called."""
        choice = self.request.tool_choice
        return choice is not None and choice.forces
