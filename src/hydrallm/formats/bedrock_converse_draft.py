"""A request on its way to Converse: what is asked, of which model, and what had to be done about it.

PURE.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.bedrock_converse_blocks import ID_CHARACTERS, LONGEST_ID
from hydrallm.formats.bedrock_converse_fields import Maker, maker_of
from hydrallm.formats.canonical import Choice
from hydrallm.formats.custom_tools import as_functions
from hydrallm.formats.defaults import asks
from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Request, Target


class Draft:
    """A request that is being composed.

    Attributes:
        request: the client's, with functions in the place of tools that take free text; it is never changed.
        custom: these functions, by the client's names.
        facts: of the model.
        maker: of the model.
        claude: whether it is Claude, whose own words go past Converse.
        names: of tools.
        ids: of calls.
    """

    def __init__(self, request: Request, target: Target) -> None:
        functions = as_functions(request)
        self.request = functions.request
        self.custom = functions.custom
        self.facts = target.facts
        self.maker = maker_of(target)
        self.claude = self.maker is Maker.ANTHROPIC
        self.names = Renaming(ID_CHARACTERS, LONGEST_ID)
        self.ids = Renaming(ID_CHARACTERS, LONGEST_ID)
        # Dicts, because they keep each once and in order.
        self._reasons: dict[str, None] = {}
        self._dropped: dict[str, None] = dict.fromkeys(functions.dropped)

    def refuse(self, reason: str) -> None:
        """Take note of a reason why the request cannot be served."""
        self._reasons[reason] = None

    def drop(self, member: str) -> None:
        """Take note of a member that cannot be said."""
        self._dropped[member] = None

    def drop_asked(self, member: str) -> None:
        """Take note of a member that cannot be said, unless it asks for nothing."""
        if asks(self.request, member):
            self.drop(member)

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
