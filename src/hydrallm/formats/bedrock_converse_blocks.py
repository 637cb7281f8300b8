"""The content blocks of Converse, read.

PURE. A block is a union: an object with exactly one member, whose name says what it is. Blocks are read by a table of
these names, for requests and answers alike. A ``cachePoint`` is a block of its own, *after* what it marks; the
canonical form has the mark on the part.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import reasons
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
from hydrallm.formats.foreign_thought import SEAL, marked, unmarked
from hydrallm.formats.strict_json import decoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

NAME = "bedrock-converse"

IMAGE_FORMATS = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
DOCUMENT_FORMATS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_DOCUMENT_TYPES = {name: media_type for media_type, name in DOCUMENT_FORMATS.items()}

ID_CHARACTERS, LONGEST_ID = "a-zA-Z0-9_-", 64
"""Of a call, and of the name of a tool. Bedrock's ids may have "." and ":", those of the model behind it not always."""

MAKER = "anthropic"
"""Whose signatures Converse's reasoning has: no other maker's reasoning there is signed."""

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_SEAL = SEAL.decode()


# ---- what is in the blocks


class CachePoint(msgspec.Struct, frozen=True, gc=False):
    """A mark after what may be cached."""

    ttl: str | None = None


class _Words(msgspec.Struct, frozen=True, gc=False):
    text: str


class _Bytes(msgspec.Struct, frozen=True):
    data: str | None = msgspec.field(name="bytes", default=None)
    text: str | None = None
    content: list[_Words] | None = None


class _Image(msgspec.Struct, frozen=True):
    format: str
    source: _Bytes


class _Citing(msgspec.Struct, frozen=True, gc=False):
    enabled: bool


class _Document(msgspec.Struct, frozen=True):
    name: str
    source: _Bytes
    format: str | None = None
    context: str | None = None
    citations: _Citing | None = None


class _SearchResult(msgspec.Struct, frozen=True):
    source: str
    title: str
    content: list[_Words]
    citations: _Citing | None = None


class _ToolUse(msgspec.Struct, frozen=True, rename="camel"):
    tool_use_id: str
    name: str
    input: msgspec.Raw
    type: str | None = None


class _ToolResult(msgspec.Struct, frozen=True, rename="camel"):
    tool_use_id: str
    content: list[msgspec.Raw]
    status: str | None = None
    type: str | None = None


class _ReasoningText(msgspec.Struct, frozen=True, gc=False):
    text: str
    signature: str | None = None


class _Reasoning(msgspec.Struct, frozen=True, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Cited(msgspec.Struct, frozen=True):
    content: list[_Words] = []
    citations: msgspec.Raw = msgspec.Raw()


MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CACHE_POINT = msgspec.json.Decoder(CachePoint)
_TEXT = msgspec.json.Decoder(str)
_IMAGE = msgspec.json.Decoder(_Image)
_DOCUMENT = msgspec.json.Decoder(_Document)
_SEARCH_RESULT = msgspec.json.Decoder(_SearchResult)
_TOOL_USE = msgspec.json.Decoder(_ToolUse)
_TOOL_RESULT = msgspec.json.Decoder(_ToolResult)
_REASONING = msgspec.json.Decoder(_Reasoning)
_CITED = msgspec.json.Decoder(_Cited)


def given(raw: msgspec.Raw) -> msgspec.Raw | None:
    """Return ``raw``, or None where it is null or nothing."""
    return None if bytes(raw) in {b"", b"null"} else raw


def member_of(block: msgspec.Raw, where: str) -> tuple[str, msgspec.Raw]:
    """Return the one member that a union has, by name; members that are null are not there.

    Raises:
        UntranslatableError: it has none, or several.
    """
    members = {name: raw for name, raw in decoded(MEMBERS, block, where).items() if given(raw)}
    if len(members) != 1:
        found = ", ".join(sorted(members)) or "none"
        raise UntranslatableError(f"{where}: exactly one member says what this is, but it has {found}")
    return members.popitem()


def read_parts(blocks: Iterable[msgspec.Raw], where: str, bound: list[str]) -> tuple[Part, ...]:
    """Return the parts that blocks are.

    Args:
        blocks: in order.
        where: they stand, for messages.
        bound: takes the reasons why no other format can say some of them.

    Raises:
        UntranslatableError: one is no block.
    """
    return _read_all(_PARTS, blocks, where, bound)


def mark(parts: list[Part], cache: Cache) -> None:
    """Put a mark on the last of ``parts`` that can have one; thoughts cannot."""
    for index in reversed(range(len(parts))):
        part = parts[index]
        if not isinstance(part, Thinking):
            parts[index] = msgspec.structs.replace(part, cache=cache)
            return


def sealed(thought: Thinking) -> str:
    """Return an encrypted thought as AWS's SDKs expect it, in base64; empty if it cannot be said."""
    if thought.maker != MAKER:
        return base64.b64encode(marked(thought).redacted.encode()).decode() if thought.redacted else ""
    return thought.redacted if _BASE64.fullmatch(thought.redacted) else ""


def unsealed(redacted: str) -> Thinking:
    """Return the thought of a ``redactedContent``."""
    if redacted.startswith(_SEAL) and (text := _text_of(redacted)) is not None:
        return unmarked(Thinking(redacted=text, maker=MAKER))
    return Thinking(redacted=redacted, maker=MAKER)


def read_cache_point(raw: msgspec.Raw, where: str) -> Cache:
    """Return the mark that a ``cachePoint`` is."""
    return Cache(decoded(_CACHE_POINT, raw, where).ttl or "")


def _read_all(
    table: Mapping[str, Reading], blocks: Iterable[msgspec.Raw], where: str, bound: list[str]
) -> tuple[Part, ...]:
    parts: list[Part] = []
    for index, block in enumerate(blocks):
        at = f"{where}[{index}]"
        kind, raw = member_of(block, at)
        if kind == "cachePoint":
            mark(parts, read_cache_point(raw, f"{at}.cachePoint"))
        elif (reading := table.get(kind)) is None:
            bound.append(reasons.content(kind))
        elif (part := reading(raw, f"{at}.{kind}", bound)) is not None:
            parts.append(part)
    return tuple(parts)


# ---- one function a kind of block: raw JSON, where it stands, and the reasons that bind; None where there is one


def _read_text(raw: msgspec.Raw, where: str, _bound: list[str]) -> Text:
    return Text(decoded(_TEXT, raw, where))


def _read_json(raw: msgspec.Raw, _where: str, _bound: list[str]) -> Text:
    return Text(bytes(raw).decode())


def _read_image(raw: msgspec.Raw, where: str, bound: list[str]) -> Image | None:
    image = decoded(_IMAGE, raw, where)
    if image.source.data is None:
        bound.append("an image in S3")
        return None
    return Image(Source(data=image.source.data, media_type=f"image/{image.format}"))


def _read_document(raw: msgspec.Raw, where: str, bound: list[str]) -> Document | None:
    document = decoded(_DOCUMENT, raw, where)
    source = document.source
    bare = Document(
        name=document.name,
        context=document.context or "",
        citations=document.citations is not None and document.citations.enabled,
    )
    if source.content is not None:
        return msgspec.structs.replace(bare, text="\n\n".join(words.text for words in source.content))
    if source.text is not None:
        return msgspec.structs.replace(bare, text=source.text)
    if source.data is None:
        bound.append("a document in S3")
        return None
    # Other formats know plain text as text, and only PDFs as bytes.
    if document.format == "txt" and (text := _text_of(source.data)) is not None:
        return msgspec.structs.replace(bare, text=text)
    media_type = _DOCUMENT_TYPES.get(document.format or "", "")
    return msgspec.structs.replace(bare, source=Source(data=source.data, media_type=media_type))


def _text_of(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return None


def _read_search_result(raw: msgspec.Raw, where: str, _bound: list[str]) -> Document:
    found = decoded(_SEARCH_RESULT, raw, where)
    return Document(
        text="\n\n".join(words.text for words in found.content),
        name=found.title,
        context=found.source,
        citations=found.citations is not None and found.citations.enabled,
    )


def _read_tool_use(raw: msgspec.Raw, where: str, bound: list[str]) -> ToolUse | None:
    use = decoded(_TOOL_USE, raw, where)
    if use.type is not None:
        bound.append("a call of a tool that AWS runs")
        return None
    return ToolUse(use.tool_use_id, use.name, arguments_of(use.input))


def arguments_of(value: msgspec.Raw) -> str:
    """Return a call's input as text. Where it is a string, it is the text of arguments that were cut short."""
    text = bytes(value).decode()
    return _TEXT.decode(text) if text.startswith('"') else text


def _read_tool_result(raw: msgspec.Raw, where: str, bound: list[str]) -> ToolResult | None:
    result = decoded(_TOOL_RESULT, raw, where)
    if result.type is not None:
        bound.append("the result of a tool that AWS runs")
        return None
    parts = _read_all(_RESULTS, result.content, f"{where}.content", bound)
    content = tuple(part for part in parts if isinstance(part, Text | Image | Document))
    is_error = None if result.status is None else result.status == "error"
    return ToolResult(result.tool_use_id, content, is_error)


def _read_reasoning(raw: msgspec.Raw, where: str, _bound: list[str]) -> Thinking | None:
    reasoning = decoded(_REASONING, raw, where)
    if reasoning.redacted_content is not None:
        return unsealed(reasoning.redacted_content)
    if (said := reasoning.reasoning_text) is None:
        return None
    return unmarked(Thinking(said.text, said.signature or "", maker=MAKER))


def _read_cited(raw: msgspec.Raw, where: str, _bound: list[str]) -> Text:
    cited = decoded(_CITED, raw, where)
    return Text("".join(words.text for words in cited.content), citations=given(cited.citations))


if TYPE_CHECKING:
    Reading = Callable[[msgspec.Raw, str, list[str]], Part | None]

_RESULTS: Mapping[str, Reading] = {
    "text": _read_text,
    "json": _read_json,
    "image": _read_image,
    "document": _read_document,
    "searchResult": _read_search_result,
}
_PARTS: Mapping[str, Reading] = {
    "text": _read_text,
    "image": _read_image,
    "document": _read_document,
    "searchResult": _read_search_result,
    "toolUse": _read_tool_use,
    "toolResult": _read_tool_result,
    "reasoningContent": _read_reasoning,
    "citationsContent": _read_cited,
}
