"""The tools of a request of OpenAI's Responses, and the choice among them, read.

PURE. https://developers.openai.com/api/docs/guides/tools. A tool is one of four things:

* a function or a custom tool, which the client runs; any format can say it, or something like it;
* a ``namespace`` with such tools in it (:mod:`hydrallm.formats.namespaces`);
* one that OpenAI runs (``web_search``). Other models do without: an agent offers such tools with every request, and
  would lose the whole answer. So it counts as dropped, and ties the request to this format only if it has to be called;
* one that the client runs and only OpenAI's models know (``local_shell``). Without it they would have no hands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.canonical import Choice, Tool, ToolChoice, UntranslatableError
from hydrallm.formats.namespaces import joined, split
from hydrallm.formats.openai_responses_items import decode, type_of

if TYPE_CHECKING:
    from collections.abc import Iterable

_OWN = frozenset({"function", "custom"})
_NAMESPACE = "namespace"
_CLIENTS = frozenset({"local_shell", "shell", "apply_patch", "computer", "computer_use_preview"})
_MAKER = "OpenAI"

_MODES = {"none": Choice.NONE, "auto": Choice.AUTO, "required": Choice.REQUIRED}
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_NOTHING = (b"", b"null")


class _ToolItem(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = msgspec.Raw()
    strict: bool | None = None
    format: msgspec.Raw = msgspec.Raw()


class _NamespaceItem(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    tools: list[msgspec.Raw] = []


class _Allowed(msgspec.Struct, frozen=True):
    type: str = ""
    name: str = ""
    namespace: str | None = None


class _ChoiceItem(msgspec.Struct, frozen=True):
    type: str
    name: str = ""
    namespace: str | None = None
    mode: str = "auto"
    tools: list[_Allowed] = []


_TOOL = msgspec.json.Decoder(_ToolItem)
_GROUP = msgspec.json.Decoder(_NamespaceItem)
_CHOICE = msgspec.json.Decoder(str | _ChoiceItem)


class Tools:
    """The tools of a request.

    Attributes:
        bound: takes why no other format can serve it.
        hosted: those that OpenAI runs, by their types.
    """

    def __init__(self, bound: dict[str, None]) -> None:
        self.bound = bound
        self.hosted: dict[str, msgspec.Raw] = {}
        self._tools: dict[str, Tool] = {}

    @property
    def all(self) -> tuple[Tool, ...]:
        """Those that the client runs, in order. A tool that was loaded twice is one."""
        return tuple(self._tools.values())

    def take(self, listed: Iterable[msgspec.Raw], where: str, namespace: str = "") -> None:
        """Take tools.

        Args:
            listed: their JSON.
            where: they stand, for the error.
            namespace: that they are in.

        Raises:
            UntranslatableError: one is no tool.
        """
        for index, raw in enumerate(listed):
            at = f"{where}[{index}]"
            kind = type_of(raw, at)
            if kind in _OWN:
                tool = _tool(decode(_TOOL, raw, at), at, namespace, custom=kind == "custom")
                self._tools.setdefault(tool.name, tool)
            elif kind == _NAMESPACE and not namespace:
                self._take_namespace(decode(_GROUP, raw, at), at)
            elif kind in _CLIENTS:
                self.bound[reasons.client_tool(kind, _MAKER)] = None
            else:
                self.hosted[kind] = msgspec.Raw(bytes(raw))

    def _take_namespace(self, group: _NamespaceItem, where: str) -> None:
        before = len(self._tools)
        self.take(group.tools, f"{where}.tools", group.name)
        # What is said of all of them is said once, with the first.
        for tool in list(self._tools.values())[before : before + 1] if group.description else ():
            description = "\n\n".join(filter(None, (group.description, tool.description)))
            self._tools[tool.name] = msgspec.structs.replace(tool, description=description)

    def choice(self, raw: msgspec.Raw) -> ToolChoice | None:
        """Return the member ``tool_choice``; None if it says nothing.

        Raises:
            UntranslatableError: it is no choice.
        """
        if bytes(raw) in _NOTHING:
            return None
        said = decode(_CHOICE, raw, "tool_choice")
        if isinstance(said, str):
            return self._possible(ToolChoice(_mode(said)), anything=bool(self._tools))
        if said.type in _OWN:
            return ToolChoice(Choice.TOOL, self._named(said.name, said.namespace))
        if said.type != "allowed_tools":
            self.bound[reasons.hosted_call(_MAKER)] = None
            return None
        own = tuple(self._named(tool.name, tool.namespace) for tool in said.tools if tool.type in _OWN)
        choice = ToolChoice(_mode(said.mode), allowed=own)
        if not own and not choice.forces:
            return ToolChoice(Choice.NONE)
        return self._possible(choice, anything=bool(own))

    def _possible(self, choice: ToolChoice, *, anything: bool) -> ToolChoice:
        if choice.forces and not anything and self.hosted:
            self.bound[reasons.hosted_call(_MAKER)] = None
        return choice

    def _named(self, name: str, namespace: str | None) -> str:
        """Return the canonical name of a tool. That of one in a namespace may be told without it."""
        whole = joined(namespace or "", name)
        if whole in self._tools:
            return whole
        return next((known for known in self._tools if split(known)[1] == name), whole)


def _tool(item: _ToolItem, where: str, namespace: str, *, custom: bool) -> Tool:
    name = joined(namespace, item.name)
    if custom:
        return Tool(name, item.description, object_of(item.format, f"{where}.format"), custom=True)
    schema = object_of(item.parameters, f"{where}.parameters") or _NO_PARAMETERS
    return Tool(name, item.description, schema, item.strict)


def object_of(raw: msgspec.Raw, where: str) -> msgspec.Raw | None:
    """Return an object as it was written; None if there is none.

    Raises:
        UntranslatableError: it is something else.
    """
    said = bytes(raw)
    if said in _NOTHING:
        return None
    if not said.startswith(b"{"):
        raise UntranslatableError(f"{where}: not an object")
    return msgspec.Raw(said)


def _mode(word: str) -> Choice:
    if word not in _MODES:
        raise UntranslatableError(f"tool_choice: {word!r} is none of {', '.join(_MODES)}")
    return _MODES[word]
