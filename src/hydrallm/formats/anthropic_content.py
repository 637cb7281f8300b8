"""The content blocks of Anthropic's Messages, written for a model to read.

PURE. What the API refuses is put right on the way, in a copy: texts without a word are left out, thoughts of other
makers too, at most four cache marks stay (the last: they cover the longest prompt), tool names and ids keep to its
patterns. What it cannot take at all is a reason why the model cannot serve.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.anthropic_blocks import ID_CHARACTERS, LONGEST_ID, MAKER
from hydrallm.formats.arguments import as_object
from hydrallm.formats.canonical import (
    Cache,
    Document,
    Image,
    Part,
    Role,
    Source,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from hydrallm.formats.data_url import image_type
from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.formats.canonical import Request

Block: TypeAlias = "dict[str, Any]"

NATIVE = frozenset({"anthropic-messages", "bedrock-invoke"})
"""The wire formats in which a request is said in Anthropic's own words."""

MAX_MARKS = 4

_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_PDF = "application/pdf"
_PDF_START = "JVBERi"  # in base64


class Carrier(msgspec.Struct, frozen=True, kw_only=True):
    """What one API that takes bodies of Messages takes in them, and another one does not.

    Attributes:
        name: of its wire format.
        urls: whether it fetches what is on the web.
        files: whether it keeps files, so that their ids mean something to it.
        tiers: the service tiers that a body may ask for.
        prompt_mark: whether it takes a cache mark for the whole prompt.
        system_turns: whether it takes turns of the system's, where the model does.
    """

    name: str
    urls: bool
    files: bool
    tiers: frozenset[str]
    prompt_mark: bool
    system_turns: bool


class Marks:
    """Cache marks: the last of them, and none where the model takes none.

    Attributes:
        refused: whether some were left out.
    """

    def __init__(self, total: int, *, taken: bool) -> None:
        self._skipped = max(0, total - MAX_MARKS) if taken else total
        self.refused = self._skipped > 0

    def put(self, block: Block, cache: Cache | None) -> Block:
        """Return ``block`` with its mark. Call it in the order of the prompt: tools, system, messages."""
        if cache is None:
            return block
        if self._skipped:
            self._skipped -= 1
            return block
        return {**block, "cache_control": mark(cache)}


def mark(cache: Cache) -> dict[str, str]:
    """Return a ``cache_control``."""
    return {"type": "ephemeral", "ttl": cache.ttl} if cache.ttl else {"type": "ephemeral"}


def count_marks(request: Request) -> int:
    """Return how many cache marks ``request`` has."""
    parts = [part for message in request.messages for part in message.parts]
    inner = [part for result in parts if isinstance(result, ToolResult) for part in result.content]
    marked = [*request.tools, *request.system, *inner, *(part for part in parts if not isinstance(part, Thinking))]
    return sum(item.cache is not None for item in marked) + (request.cache is not None)


class Content:
    """Writes blocks.

    Attributes:
        names: of tools, as the API takes them.
        ids: of calls, likewise.
        dropped: what could not be said.
        reasons: why the model cannot serve.
    """

    def __init__(self, request: Request, carrier: Carrier, marks: Marks, *, strict_turns: bool) -> None:
        """Args are what blocks depend on.

        Args:
            request: the blocks are of it.
            carrier: the API.
            marks: takes count of the cache marks.
            strict_turns: the version of the API refuses documents in the assistant's turns and citations in the user's.
        """
        self.names = Renaming(ID_CHARACTERS, 64)
        self.ids = Renaming(ID_CHARACTERS, LONGEST_ID)
        self.dropped: dict[str, None] = {}
        self.reasons: dict[str, None] = {}
        self._carrier = carrier
        self._marks = marks
        self._native = request.format in NATIVE
        self._files = request.format == carrier.name and carrier.files
        self._strict_turns = strict_turns

    def blocks(self, parts: Iterable[Part], role: Role) -> list[Block]:
        """Return the blocks that ``parts`` are, in a turn of ``role``."""
        found = (self._block(part, role) for part in parts)
        return [block for block in found if block is not None]

    def _block(self, part: Part, role: Role) -> Block | None:
        match part:
            case Text():
                block = self._text(part, role)
            case Image():
                block = self._image(part, role)
            case Document():
                block = self._document(part, role)
            case Thinking():
                return self._thinking(part)
            case ToolUse():
                arguments = as_object(part.arguments)
                block = {
                    "type": "tool_use",
                    "id": self.ids.of(part.id),
                    "name": self.names.of(part.name),
                    "input": arguments,
                }
            case ToolResult():
                block = self._result(part)
            case _:
                assert_never(part)
        return None if block is None else self._marks.put(block, part.cache)

    def _text(self, part: Text, role: Role) -> Block | None:
        if not part.text.strip():
            return None
        block: Block = {"type": "text", "text": part.text}
        if part.citations is not None:
            if self._native and not (self._strict_turns and role is not Role.ASSISTANT):
                block["citations"] = part.citations
            else:
                self.dropped["citations"] = None
        return block

    def _thinking(self, part: Thinking) -> Block | None:
        if part.maker == MAKER and part.redacted:
            return {"type": "redacted_thinking", "data": part.redacted}
        if part.maker == MAKER and part.signature:
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        self.dropped["thinking"] = None
        return None

    def _image(self, part: Image, role: Role) -> Block | None:
        if role is Role.ASSISTANT:
            self._refuse(reasons.ASSISTANT_IMAGE)
            return None
        if part.detail not in {"", "auto"}:
            self.dropped["detail"] = None
        source = part.source
        if not source.data:
            return self._elsewhere("image", source)
        kind = source.media_type.lower().replace("image/jpg", "image/jpeg") or image_type(source.data)
        if kind not in _IMAGE_TYPES:
            self._refuse(reasons.image_type(kind))
            return None
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": source.data}}

    def _document(self, part: Document, role: Role) -> Block | None:
        if role is Role.ASSISTANT and self._strict_turns:
            self._refuse(reasons.ASSISTANT_IMAGE)
            return None
        block = self._contents(part)
        if block is None:
            return None
        if part.name:
            block["title"] = part.name
        if part.context:
            block["context"] = part.context
        if part.citations:
            block["citations"] = {"enabled": True}
        return block

    def _contents(self, part: Document) -> Block | None:
        """Return a document that has only its source yet."""
        source, text = part.source, part.text
        if source is not None and not source.data:
            return self._elsewhere("document", source)
        if source is not None and source.media_type not in {"", _PDF} and not source.data.startswith(_PDF_START):
            text = _text_of(source)
            if not text:
                self._refuse(reasons.document_type(source.media_type))
                return None
        elif source is not None:
            return {"type": "document", "source": {"type": "base64", "media_type": _PDF, "data": source.data}}
        if not text.strip():
            return None
        return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}

    def _elsewhere(self, kind: str, source: Source) -> Block | None:
        if source.url and self._carrier.urls:
            return {"type": kind, "source": {"type": "url", "url": source.url}}
        if source.url:
            self._refuse(reasons.IMAGE_URL if kind == "image" else reasons.DOCUMENT_URL)
            return None
        if self._files:
            return {"type": kind, "source": {"type": "file", "file_id": source.file}}
        self._refuse(reasons.FILE)
        return None

    def _result(self, part: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self.ids.of(part.id)}
        content = self.blocks(part.content, Role.USER)
        if len(content) == 1 and content[0].keys() == {"type", "text"}:
            block["content"] = content[0]["text"]
        elif content:
            block["content"] = content
        if part.is_error is not None:
            block["is_error"] = part.is_error
        return block

    def _refuse(self, reason: str) -> None:
        self.reasons[reason] = None


def _text_of(source: Source) -> str:
    """Return the text of a document that is one; empty if it is none."""
    if not source.media_type.startswith("text/") and source.media_type != "application/json":
        return ""
    try:
        return base64.b64decode(source.data, validate=True).decode()
    except ValueError:
        return ""
