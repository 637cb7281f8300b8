"""The content blocks of Anthropic's Messages, read.

PURE. Blocks are told apart by their ``type``, and read by a table of types. One that is not in it (a container's file)
is Anthropic's alone, so it ties a request to it. Not so what a tool has done that Anthropic runs: the answer that came
of it says enough, and others do without.

Thoughts of another maker that a client was shown by us come back with a signature that says so; see
:mod:`hydrallm.formats.foreign_thought`.

Source: https://docs.anthropic.com/en/api/messages, and the types of the official SDK.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from hydrallm.formats import foreign_thought, reasons
from hydrallm.formats.canonical import (
    Cache,
    Document,
    Image,
    Part,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    UntranslatableError,
)
from hydrallm.formats.strict_json import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAKER = "anthropic"
"""Whose signatures Messages has, at Anthropic and on Bedrock alike."""

ID_CHARACTERS, LONGEST_ID = "a-zA-Z0-9_-", 256
"""Of a call; a tool's name has the same characters."""

ABSENT = msgspec.Raw()
"""A raw member that is not there: msgspec takes ``Raw | None`` for null alone."""

EMPTY = (b"", b"null", b"[]", b"{}")
"""Raw values that say nothing."""

_HOSTED = re.compile(r"server_tool_use|mcp_tool_use|mcp_tool_result|tool_reference|\w+_tool_result")
"""The types of blocks of tools that Anthropic runs."""


class Notes:
    """What comes up while a request is read.

    Attributes:
        bound: why no other format can serve it, in order and each once.
        extra: members that nobody here knows, by name.
    """

    __slots__ = ("bound", "extra")

    def __init__(self, extra: dict[str, msgspec.Raw]) -> None:
        self.bound: dict[str, None] = {}
        self.extra = extra

    def bind(self, reason: str) -> None:
        """Take note of a reason why no other format can serve the request."""
        self.bound[reason] = None


# ---- the blocks, as they are written. Where a member can be of several types, it is kept raw and looked at later.


class CacheControl(msgspec.Struct, frozen=True, gc=False):
    """A mark: what comes up to here may be cached."""

    type: Literal["ephemeral"] = "ephemeral"
    ttl: str | None = None


class _Kind(msgspec.Struct, frozen=True, gc=False):
    type: str


class _Text(msgspec.Struct, frozen=True):
    text: str
    citations: msgspec.Raw = ABSENT
    cache_control: CacheControl | None = None


class _Source(msgspec.Struct, frozen=True):
    type: str
    data: str = ""
    media_type: str = ""
    url: str = ""
    file_id: str = ""
    content: str | list[msgspec.Raw] = ""


class _Image(msgspec.Struct, frozen=True):
    source: _Source
    cache_control: CacheControl | None = None
    transformations: msgspec.Raw = ABSENT


class _Citing(msgspec.Struct, frozen=True, gc=False):
    enabled: bool = False


class _Document(msgspec.Struct, frozen=True):
    source: _Source
    title: str | None = None
    context: str | None = None
    citations: _Citing | None = None
    cache_control: CacheControl | None = None


class _SearchResult(msgspec.Struct, frozen=True):
    source: str
    title: str
    content: list[_Text]
    citations: _Citing | None = None
    cache_control: CacheControl | None = None


class _Thinking(msgspec.Struct, frozen=True, gc=False):
    thinking: str
    signature: str = ""


class _Redacted(msgspec.Struct, frozen=True, gc=False):
    data: str


class _ToolUse(msgspec.Struct, frozen=True):
    id: str
    name: str
    input: msgspec.Raw = ABSENT
    cache_control: CacheControl | None = None


class _ToolResult(msgspec.Struct, frozen=True):
    tool_use_id: str
    content: str | list[msgspec.Raw] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


_KIND = msgspec.json.Decoder(_Kind)
_TEXT = msgspec.json.Decoder(_Text)
_IMAGE = msgspec.json.Decoder(_Image)
_DOCUMENT = msgspec.json.Decoder(_Document)
_SEARCH_RESULT = msgspec.json.Decoder(_SearchResult)
_THINKING = msgspec.json.Decoder(_Thinking)
_REDACTED = msgspec.json.Decoder(_Redacted)
_TOOL_USE = msgspec.json.Decoder(_ToolUse)
_TOOL_RESULT = msgspec.json.Decoder(_ToolResult)


def read_cache(mark: CacheControl | None) -> Cache | None:
    """Return the mark that a ``cache_control`` is, if there is one."""
    return Cache(mark.ttl if mark.ttl in {"5m", "1h"} else "") if mark else None


def read_parts(content: str | list[msgspec.Raw], where: str, notes: Notes) -> tuple[Part, ...]:
    """Return the parts that a content is.

    Args:
        content: a text or blocks.
        where: it stands, for messages.
        notes: takes what comes up.

    Raises:
        UntranslatableError: one is no block.
    """
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts = (_part(raw, f"{where}[{index}]", notes) for index, raw in enumerate(content))
    return tuple(part for part in parts if part is not None)


def read_texts(content: str | list[msgspec.Raw], where: str, notes: Notes) -> tuple[Text, ...]:
    """Return the texts that instructions are.

    Raises:
        UntranslatableError: there is something else among them.
    """
    parts = read_parts(content, where, notes)
    texts = tuple(part for part in parts if isinstance(part, Text))
    if len(texts) < len(parts):
        raise UntranslatableError(f"{where}: instructions are texts only")
    return texts


def _part(raw: msgspec.Raw, where: str, notes: Notes) -> Part | None:
    kind = decoded(_KIND, raw, where).type
    if (read := _PARTS.get(kind)) is None:
        if _HOSTED.fullmatch(kind):
            notes.extra[f"messages.{kind}"] = msgspec.Raw(bytes(raw))
        else:
            notes.bind(reasons.content(kind))
        return None
    return read(raw, where, notes)


# ---- one function a type of block; None where there is nothing that another format could say


def _text(raw: msgspec.Raw, where: str, _notes: Notes) -> Text:
    block = decoded(_TEXT, raw, where)
    citations = None if bytes(block.citations) in EMPTY else block.citations
    return Text(block.text, citations=citations, cache=read_cache(block.cache_control))


def _image(raw: msgspec.Raw, where: str, notes: Notes) -> Image | None:
    block = decoded(_IMAGE, raw, where)
    if bytes(block.transformations) not in EMPTY:
        notes.extra["image.transformations"] = block.transformations
    if (source := _source(block.source, where, notes)) is None:
        return None
    return Image(source, cache=read_cache(block.cache_control))


def _document(raw: msgspec.Raw, where: str, notes: Notes) -> Document | None:
    block = decoded(_DOCUMENT, raw, where)
    document = Document(
        name=block.title or "",
        context=block.context or "",
        citations=block.citations is not None and block.citations.enabled,
        cache=read_cache(block.cache_control),
    )
    if block.source.type == "text":
        return msgspec.structs.replace(document, text=block.source.data)
    if block.source.type == "content":
        parts = read_parts(block.source.content, f"{where}.source.content", notes)
        texts = [part.text for part in parts if isinstance(part, Text)]
        if len(texts) < len(parts):
            notes.bind("a document with images in it")
        return msgspec.structs.replace(document, text="\n\n".join(texts))
    source = _source(block.source, where, notes)
    return None if source is None else msgspec.structs.replace(document, source=source)


def _search_result(raw: msgspec.Raw, where: str, _notes: Notes) -> Document:
    block = decoded(_SEARCH_RESULT, raw, where)
    return Document(
        text="\n\n".join(text.text for text in block.content),
        name=block.title,
        context=block.source,
        citations=block.citations is not None and block.citations.enabled,
        cache=read_cache(block.cache_control),
    )


def _source(source: _Source, where: str, notes: Notes) -> Source | None:
    match source.type:
        case "base64" if source.data:
            return Source(data=source.data, media_type=source.media_type)
        case "url" if source.url:
            return Source(url=source.url, media_type=source.media_type)
        case "file" if source.file_id:
            return Source(file=source.file_id)
        case "base64" | "url" | "file":
            raise UntranslatableError(f"{where}.source: it says {source.type!r} and has none")
        case _:
            notes.bind(reasons.content(source.type))
            return None


def _thinking(raw: msgspec.Raw, where: str, _notes: Notes) -> Thinking:
    block = decoded(_THINKING, raw, where)
    return foreign_thought.unmarked(Thinking(block.thinking, block.signature, maker=MAKER if block.signature else ""))


def _redacted(raw: msgspec.Raw, where: str, _notes: Notes) -> Thinking:
    return foreign_thought.unmarked(Thinking(redacted=decoded(_REDACTED, raw, where).data, maker=MAKER))


def _tool_use(raw: msgspec.Raw, where: str, _notes: Notes) -> ToolUse:
    block = decoded(_TOOL_USE, raw, where)
    arguments = bytes(block.input).decode()
    if arguments in {"", "null"}:
        arguments = "{}"
    elif not arguments.startswith("{"):
        raise UntranslatableError(f"{where}.input: expected `object`")
    return ToolUse(block.id, block.name, arguments, cache=read_cache(block.cache_control))


def _tool_result(raw: msgspec.Raw, where: str, notes: Notes) -> ToolResult:
    block = decoded(_TOOL_RESULT, raw, where)
    content = []
    for part in read_parts(block.content or "", f"{where}.content", notes):
        if not isinstance(part, Text | Image | Document):
            raise UntranslatableError(f"{where}.content: a result has texts, images and documents only")
        content.append(part)
    return ToolResult(block.tool_use_id, tuple(content), block.is_error, read_cache(block.cache_control))


_PARTS: Mapping[str, Callable[[msgspec.Raw, str, Notes], Part | None]] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
}
