"""Tools that take free text, at APIs that know only functions.

PURE. OpenAI's custom tools are called with a text instead of an object (Codex's ``apply_patch`` with a patch). For any
other API such a tool is a function with one argument, the text; its calls in the conversation are calls of that
function, and what the model then calls is changed back, so that the client sees the tool that it has.

A grammar that the text is to follow (``format``) cannot be enforced there. It is told to the model as a description,
and counts as dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats.arguments import as_object
from hydrallm.formats.canonical import Request, ToolUse
from hydrallm.formats.canonical_answer import Added, Ended, PartEnded, PartStarted

if TYPE_CHECKING:
    from collections.abc import Collection

    from hydrallm.formats.canonical import Part, Tool
    from hydrallm.formats.canonical_answer import Answer, Event

_ARGUMENT = "input"
_WHOLE = "The whole input of the tool, as plain text."


class _Format(msgspec.Struct, frozen=True):
    type: str = "text"
    syntax: str = ""
    definition: str = ""


_FORMAT = msgspec.json.Decoder(_Format)
_OBJECT = msgspec.json.Decoder(dict[str, object])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Functions(msgspec.Struct, frozen=True):
    """A request without custom tools.

    Attributes:
        request: it.
        custom: the names of the functions that are custom tools.
        dropped: ``format``, if a grammar is not enforced.
    """

    request: Request
    custom: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def as_functions(request: Request) -> Functions:
    """Return ``request`` with functions in the place of its custom tools, in the conversation too."""
    parts = [part for message in request.messages for part in message.parts]
    called = [part.name for part in parts if isinstance(part, ToolUse) and part.custom]
    custom = tuple(dict.fromkeys((*(tool.name for tool in request.tools if tool.custom), *called)))
    if not custom:
        return Functions(request)
    grammars = [tool for tool in request.tools if tool.custom and _grammar(tool)]
    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(map(_call, message.parts))) for message in request.messages
    )
    changed = msgspec.structs.replace(request, tools=tuple(map(_function, request.tools)), messages=messages)
    return Functions(changed, custom, ("format",) if grammars else ())


def _function(tool: Tool) -> Tool:
    if not tool.custom:
        return tool
    argument = {"type": "string", "description": " ".join(filter(None, (_WHOLE, _grammar(tool))))}
    schema = {"type": "object", "properties": {_ARGUMENT: argument}, "required": [_ARGUMENT]}
    raw = msgspec.Raw(msgspec.json.encode(schema | {"additionalProperties": False}))
    return msgspec.structs.replace(tool, schema=raw, custom=False)


def _grammar(tool: Tool) -> str:
    """Return what is to be said of a tool's format; empty for a text of any form."""
    try:
        said = _FORMAT.decode(tool.schema or b"{}")
    except (msgspec.DecodeError, RecursionError):
        return ""
    return f"It follows this grammar ({said.syntax or 'of its own'}):\n{said.definition}" if said.definition else ""


def _call(part: Part) -> Part:
    if not isinstance(part, ToolUse) or not part.custom:
        return part
    text = part.arguments.encode("utf-8", "replace").decode()
    return msgspec.structs.replace(part, arguments=msgspec.json.encode({_ARGUMENT: text}).decode(), custom=False)


# ---- the format of such a tool, which Chat Completions nests and Responses does not


def flat_format(said: msgspec.Raw | None) -> msgspec.Raw | None:
    """Return the ``format`` of a custom tool as Responses has it, without Chat's ``grammar`` around the rest."""
    members = {} if said is None else _members(said)
    if "grammar" not in members:
        return said
    return msgspec.Raw(msgspec.json.encode({"type": members.get("type"), **_members(members["grammar"])}))


def nested_format(said: msgspec.Raw) -> msgspec.Raw:
    """Return the ``format`` of a custom tool as Chat has it; see :func:`flat_format`."""
    members = _members(said)
    kind = members.pop("type", None)
    if "definition" not in members:
        return said
    return msgspec.Raw(msgspec.json.encode({"type": kind, "grammar": members}))


def _members(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _MEMBERS.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}


# ---- the way back


def text_of(arguments: str) -> str:
    """Return the text in the arguments of a function that is a custom tool; as far as it came, if they were cut.

    A model may call the argument by another name, or leave the object away.
    """
    said = _OBJECT.decode(as_object(arguments))
    texts = [value for value in said.values() if isinstance(value, str)]
    text = said.get(_ARGUMENT, texts[0] if len(texts) == 1 else arguments)
    return text if isinstance(text, str) else arguments


def restored(answer: Answer, custom: Collection[str]) -> Answer:
    """Return ``answer`` with calls of custom tools where their functions are called.

    Args:
        answer: of the model.
        custom: the names of the functions.
    """
    if not custom:
        return answer
    parts = tuple(
        msgspec.structs.replace(part, arguments=text_of(part.arguments), custom=True)
        if isinstance(part, ToolUse) and part.name in custom and not part.custom
        else part
        for part in answer.parts
    )
    return msgspec.structs.replace(answer, parts=parts)


class Restoration:
    """The same for a stream. The text of a call is known once its arguments are whole, so it comes in one piece.

    Args:
        custom: the names of the functions.
    """

    __slots__ = ("_custom", "_held")

    def __init__(self, custom: Collection[str]) -> None:
        self._custom = custom
        self._held: dict[int, list[str]] = {}  # by the part: its arguments so far

    def feed(self, events: list[Event]) -> list[Event]:
        """Return ``events`` as the client is to see them."""
        if not self._custom:
            return events
        said: list[Event] = []
        for event in events:
            self._take(event, said)
        return said

    def _take(self, event: Event, said: list[Event]) -> None:
        match event:
            case PartStarted(index=index, part=ToolUse() as call) if call.name in self._custom and not call.custom:
                self._held[index] = [call.arguments]
                said.append(PartStarted(index, msgspec.structs.replace(call, arguments="", custom=True)))
            case Added(index=index, text=text) if index in self._held:
                self._held[index].append(text)
            case PartEnded(index=index) if index in self._held:
                said += (Added(index, text_of("".join(self._held.pop(index)))), event)
            case Ended():
                said += (Added(index, text_of("".join(held))) for index, held in self._held.items())
                self._held.clear()
                said.append(event)
            case _:
                said.append(event)
