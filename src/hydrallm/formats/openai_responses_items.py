"""The items of a conversation in OpenAI's Responses, read.

PURE. https://platform.openai.com/docs/api-reference/responses/create#responses-create-input. The input of a response
is a list of *items*, and a turn is as many of them as were needed: a thought, a message and two calls are four items
of one assistant turn. So items are joined to turns here, and what a tool said becomes the user's.

Items and content parts are read by tables of their types. What stands in no table (references to items that are
stored, screenshots) ties the request to this format, and is given as a reason. Not so what a tool has done that OpenAI
runs: the answer that came of it says enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, assert_never

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.canonical import (
    Cache,
    Document,
    Image,
    Message,
    Part,
    Role,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    UntranslatableError,
)
from hydrallm.formats.data_url import split_data_url
from hydrallm.formats.foreign_thought import unmarked
from hydrallm.formats.namespaces import joined

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")

MAKER = "openai"
"""Whose reasoning items have encrypted content."""

TTLS = {"30m": "", "12h": "1h"}
"""How long a cache mark holds, and which of the canonical form's lifetimes that is."""

_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT, "system": Role.SYSTEM, "developer": Role.SYSTEM}


def decode(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, where: str) -> T:
    """Return what ``raw`` says.

    Raises:
        UntranslatableError: it is not what ``decoder`` expects; the message says where and what.
    """
    try:
        return decoder.decode(raw)
    except RecursionError:
        raise UntranslatableError(f"{where}: nested too deep") from None
    except ValueError as error:
        said, _, place = str(error).partition(" - at `$")
        raise UntranslatableError(f"{where}{place.rstrip('`')}: {said[:1].lower()}{said[1:]}") from None


class _Kind(msgspec.Struct, frozen=True, gc=False):
    type: str | None = None
    role: str | None = None


_KIND = msgspec.json.Decoder(_Kind)


def type_of(raw: msgspec.Raw, where: str) -> str:
    """Return the ``type`` of an object; empty if it has none."""
    return decode(_KIND, raw, where).type or ""


def _kind_of_item(raw: msgspec.Raw, where: str) -> str:
    """Return the ``type`` of an item. A message need not say it, and a reference to a stored item neither."""
    kind = decode(_KIND, raw, where)
    return kind.type or ("message" if kind.role else "item_reference")


# ---- content parts


class _Breakpoint(msgspec.Struct, frozen=True, gc=False):
    ttl: str | None = None


class _TextPart(msgspec.Struct, frozen=True):
    text: str
    annotations: list[msgspec.Raw] | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


class _RefusalPart(msgspec.Struct, frozen=True):
    refusal: str


class _ImagePart(msgspec.Struct, frozen=True):
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


class _FilePart(msgspec.Struct, frozen=True):
    file_data: str | None = None
    file_url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    prompt_cache_breakpoint: _Breakpoint | None = None


_TEXT = msgspec.json.Decoder(_TextPart)
_PARTS: dict[str, msgspec.json.Decoder[Any]] = {
    "input_text": _TEXT,
    "output_text": _TEXT,
    "text": _TEXT,  # the word of Chat Completions, which some clients keep
    "refusal": msgspec.json.Decoder(_RefusalPart),
    "input_image": msgspec.json.Decoder(_ImagePart),
    "input_file": msgspec.json.Decoder(_FilePart),
}


def _text(part: _TextPart) -> Text:
    return Text(part.text, citations=citations(part.annotations), cache=_cache(part.prompt_cache_breakpoint))


def citations(annotations: Iterable[msgspec.Raw] | None) -> msgspec.Raw | None:
    """Return the annotations of a text as the canonical form has them."""
    found = [*annotations] if annotations else []
    return msgspec.Raw(msgspec.json.encode(found)) if found else None


def _image(part: _ImagePart, where: str) -> Image:
    if part.image_url:
        source = _source(part.image_url)
    elif part.file_id:
        source = Source(file=part.file_id)
    else:
        raise UntranslatableError(f"{where}: an image needs `image_url` or `file_id`")
    return Image(source, part.detail or "", _cache(part.prompt_cache_breakpoint))


def _file(part: _FilePart, where: str) -> Document:
    name = part.filename or ""
    if part.file_data:
        # A bare base64 has no type; the name may have one.
        bare = Source(data=part.file_data, media_type="application/pdf" if name.lower().endswith(".pdf") else "")
        source = _source(part.file_data, bare)
    elif part.file_url:
        source = _source(part.file_url)
    elif part.file_id:
        source = Source(file=part.file_id)
    else:
        raise UntranslatableError(f"{where}: a file needs `file_data`, `file_url` or `file_id`")
    return Document(source, name=name, cache=_cache(part.prompt_cache_breakpoint))


def _source(url: str, otherwise: Source | None = None) -> Source:
    split = split_data_url(url)
    if split is None:
        return otherwise or Source(url=url)
    return Source(data=split[1], media_type=split[0])


def _cache(mark: _Breakpoint | None) -> Cache | None:
    return None if mark is None else Cache(TTLS.get(mark.ttl or "", ""))


# ---- items


class _MessageItem(msgspec.Struct, frozen=True):
    role: str
    content: str | list[msgspec.Raw] | None = None


class _CallItem(msgspec.Struct, frozen=True):
    call_id: str
    name: str
    arguments: str | None = None
    input: str | None = None
    namespace: str | None = None


class _OutputItem(msgspec.Struct, frozen=True):
    call_id: str
    output: str | list[msgspec.Raw] | None = None


class SomeText(msgspec.Struct, frozen=True, gc=False):
    """A part of a reasoning item."""

    text: str | None = None


class ReasoningItem(msgspec.Struct, frozen=True):
    """A ``reasoning`` item."""

    id: str | None = None
    summary: list[SomeText] | None = None
    content: list[SomeText] | None = None
    encrypted_content: str | None = None

    def thought(self) -> Thinking:
        """Return it as the canonical form has it: its summary, or else what it says itself."""
        text = _paragraphs(self.summary) or _paragraphs(self.content)
        return Thinking(text, self.encrypted_content or "", maker=MAKER, id=self.id or "")


PARAGRAPH = "\n\n"
"""Between the parts of a thought, which the canonical form has as one text."""


def _paragraphs(parts: list[SomeText] | None) -> str:
    return PARAGRAPH.join(part.text for part in parts or () if part.text)


_CALL = msgspec.json.Decoder(_CallItem)
_OUTPUT = msgspec.json.Decoder(_OutputItem)
_ITEMS: dict[str, msgspec.json.Decoder[Any]] = {
    "message": msgspec.json.Decoder(_MessageItem),
    "function_call": _CALL,
    "custom_tool_call": _CALL,
    "function_call_output": _OUTPUT,
    "custom_tool_call_output": _OUTPUT,
    "reasoning": msgspec.json.Decoder(ReasoningItem),
}


_HOSTED = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_list_tools",
        "mcp_call",
        "program",
        "program_output",
        "tool_search_call",
    }
)
"""Items of tools that OpenAI runs."""

_LOADED = frozenset({"tool_search_output", "additional_tools"})
"""Items that bring tools into the conversation."""


class _Loaded(msgspec.Struct, frozen=True):
    tools: list[msgspec.Raw] = []


_LOAD = msgspec.json.Decoder(_Loaded)


class Conversation:
    """The input of a response, item by item.

    Attributes:
        bound: why no other format can serve it, each reason once.
        hosted: items of tools that OpenAI runs, the last of each type.
        tools: that were loaded in it, each list with the place where it stands.
    """

    def __init__(self) -> None:
        self.bound: dict[str, None] = {}
        self.hosted: dict[str, msgspec.Raw] = {}
        self.tools: list[tuple[list[msgspec.Raw], str]] = []
        self._turns: list[tuple[Role, list[Part]]] = []

    def take(self, raw: msgspec.Raw, where: str) -> None:
        """Take one item more.

        Args:
            raw: its JSON.
            where: it stands, for error messages.

        Raises:
            UntranslatableError: it is no item.
        """
        kind = _kind_of_item(raw, where)
        if kind in _LOADED:
            self.tools.append((decode(_LOAD, raw, where).tools, f"{where}.tools"))
            return
        if kind in _HOSTED:
            self.hosted[kind] = msgspec.Raw(bytes(raw))
            return
        if kind not in _ITEMS:
            self.bound[f"an input item of the type {kind[:60]!r}"] = None
            return
        item = decode(_ITEMS[kind], raw, where)
        match item:
            case _MessageItem():
                self._say(item, where)
            case _CallItem():
                self._call(item, custom=kind == "custom_tool_call")
            case _OutputItem():
                content = self._content(item.output, where)
                self._add(Role.USER, ToolResult(item.call_id, content), joins=ToolResult)
            case ReasoningItem():
                self._add(Role.ASSISTANT, unmarked(item.thought()))
            case _:
                assert_never(item)

    def say(self, role: Role, text: str) -> None:
        """Take a message that is only a text."""
        if text:
            self._turns.append((role, [Text(text)]))

    def turns(self) -> tuple[tuple[Text, ...], tuple[Message, ...]]:
        """Return the instructions that stand at the beginning, and the conversation after them."""
        system: list[Text] = []
        turns = iter(self._turns)
        rest = []
        for role, parts in turns:
            texts = [part for part in parts if isinstance(part, Text)]
            if role is not Role.SYSTEM or len(texts) < len(parts):
                rest = [(role, parts), *turns]
                break
            system += texts
        return tuple(system), tuple(Message(role, tuple(parts)) for role, parts in rest)

    def _add(self, role: Role, part: Part, *, joins: type[Part] | None = None) -> None:
        """Add a part to the turn that goes on, or begin one.

        Args:
            role: whose it is.
            part: it.
            joins: the only parts that it joins; None for any.
        """
        if self._turns:
            last, parts = self._turns[-1]
            if last is role and (joins is None or isinstance(parts[-1], joins)):
                parts.append(part)
                return
        self._turns.append((role, [part]))

    def _say(self, item: _MessageItem, where: str) -> None:
        if item.role not in _ROLES:
            raise UntranslatableError(f"{where}: `role` is {item.role!r}, and none of {', '.join(_ROLES)}")
        role = _ROLES[item.role]
        parts = self._content(item.content, where)
        if role is Role.ASSISTANT:
            for part in parts:
                self._add(role, part)
        elif parts:
            self._turns.append((role, [*parts]))

    def _call(self, item: _CallItem, *, custom: bool) -> None:
        name = joined(item.namespace or "", item.name)
        arguments = (item.input or "") if custom else (item.arguments or "{}")
        self._add(Role.ASSISTANT, ToolUse(item.call_id, name, arguments, custom))

    def _content(self, content: str | list[msgspec.Raw] | None, where: str) -> tuple[Text | Image | Document, ...]:
        if not content:
            return ()
        if isinstance(content, str):
            return (Text(content),)
        parts = (self._part(raw, f"{where}.content[{index}]") for index, raw in enumerate(content))
        return tuple(part for part in parts if part is not None)

    def _part(self, raw: msgspec.Raw, where: str) -> Text | Image | Document | None:
        kind = type_of(raw, where)
        if kind not in _PARTS:
            self.bound[reasons.content(kind)] = None
            return None
        part = decode(_PARTS[kind], raw, where)
        match part:
            case _TextPart():
                return _text(part)
            case _RefusalPart():
                return Text(part.refusal, refusal=True)
            case _ImagePart():
                return _image(part, where)
            case _FilePart():
                return _file(part, where)
            case _:
                assert_never(part)
