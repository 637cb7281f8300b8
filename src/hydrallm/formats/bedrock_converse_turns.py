"""A conversation, as Converse takes it.

PURE. Converse is strict where others are not, so a conversation is repaired on the way; the client's own
stays as it is:

* turns of one role that follow each other are joined, and so the results of parallel calls are in one turn, first;
* blank text is refused, so it goes; so does a thought that the model cannot know again (see :func:`_known`);
* instructions in the middle are said by the user, where they stand (:mod:`hydrallm.formats.instructions`); those that
  no conversation follows are a question;
* a conversation must begin with the user, and a document needs words beside it: where they are missing, some are put.

Sources: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html and the errors of the service.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

import msgspec

from hydrallm.formats import reasons
from hydrallm.formats.anthropic_content import MAX_MARKS, count_marks
from hydrallm.formats.arguments import as_object
from hydrallm.formats.bedrock_converse_blocks import DOCUMENT_FORMATS, IMAGE_FORMATS, MAKER, NAME, mark
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
)
from hydrallm.formats.data_url import image_type
from hydrallm.formats.instructions import instruction

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hydrallm.formats.bedrock_converse_draft import Draft

Block: TypeAlias = dict[str, Any]

# What the reference of Message says, per message.
_MOST_IMAGES = 20
_MOST_DOCUMENTS = 5
_LARGEST_IMAGE = int(3.75 * 1024 * 1024)  # bytes
_LARGEST_DOCUMENT = int(4.5 * 1024 * 1024)  # bytes
_LONGEST_NAME = 200

_OPENING = Text("...")
"""What the user says where the conversation begins with the assistant. It must not be blank."""
_BESIDE = Text("See the document.")
"""What stands beside a document that comes without words."""

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9()\[\]-]+")


class Turn(msgspec.Struct):
    """What one side says before the other does."""

    role: Role
    parts: list[Part]


# ---- repairs


def join(draft: Draft) -> tuple[list[Text], list[Turn]]:
    """Return the instructions of a request and its conversation, in an order that Converse takes."""
    system = [text for text in draft.request.system if text.text.strip()]
    turns = _turns(draft)
    for turn in turns:
        _order(turn)
    if system and not turns:
        turns, system = [Turn(Role.USER, [*system])], []
    if not turns:
        draft.refuse(reasons.NO_WORDS)
    elif turns[0].role is Role.ASSISTANT:
        turns.insert(0, Turn(Role.USER, [_OPENING]))
    if turns and turns[-1].role is Role.ASSISTANT:
        _prefill(turns[-1], draft)
    return system, turns


def _turns(draft: Draft) -> list[Turn]:
    turns: list[Turn] = []
    for message in draft.request.messages:
        if message.name:
            draft.drop("name")
        parts = _kept(message, signed=draft.claude)
        if _thoughts(parts) < _thoughts(message.parts):
            draft.drop("thinking")
        role = message.role
        if role is Role.SYSTEM:
            role, parts = Role.USER, [_instruction(part) for part in parts]
        if parts and turns and turns[-1].role is role:
            turns[-1].parts += parts
        elif parts:
            turns.append(Turn(role, parts))
    return turns


def _instruction(part: Part) -> Part:
    return msgspec.structs.replace(part, text=instruction(part.text)) if isinstance(part, Text) else part


def _kept(message: Message, *, signed: bool) -> list[Part]:
    kept: list[Part] = []
    for part in message.parts:
        blank = isinstance(part, Text) and not part.text.strip()
        blank |= isinstance(part, Document) and part.source is None and not part.text.strip()
        if not blank and not (isinstance(part, Thinking) and not (signed and _known(part))):
            kept.append(part)
        elif not isinstance(part, Thinking) and part.cache is not None:
            mark(kept, part.cache)
    return kept


def _thoughts(parts: Iterable[Part]) -> int:
    return sum(isinstance(part, Thinking) for part in parts)


def _known(thought: Thinking) -> bool:
    """Return whether the maker of Claude can read ``thought``; it refuses what is not signed, or by another."""
    return thought.maker == MAKER and bool(thought.signature or thought.redacted)


def _order(turn: Turn) -> None:
    if turn.role is Role.USER:
        turn.parts.sort(key=lambda part: not isinstance(part, ToolResult))  # stable
        if any(isinstance(p, Document) for p in turn.parts) and not any(isinstance(p, Text) for p in turn.parts):
            turn.parts.append(_BESIDE)


def _prefill(turn: Turn, draft: Draft) -> None:
    if not draft.facts.prefill:
        draft.refuse(reasons.CONTINUED_TURN)
    if isinstance(last := turn.parts[-1], Text):
        # Claude refuses a turn to be continued that ends in white space.
        turn.parts[-1] = msgspec.structs.replace(last, text=last.text.rstrip())


# ---- blocks


class Marks:
    """The cache marks of a request: the last of them, for they cover the longest prompt.

    Attributes:
        count: how many there are so far.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        whole = draft.request.cache is not None  # the mark on the whole prompt comes if there is room for it
        self._skipped = max(0, count_marks(draft.request) - whole - MAX_MARKS)
        self.count = 0

    def after(self, cache: Cache | None) -> list[Block]:
        """Return the block that says ``cache``, if there is a mark and the model takes such."""
        if cache is None:
            return []
        if not self._draft.facts.cache or self._skipped:
            self._skipped -= bool(self._skipped)
            self._draft.drop("cache")
            return []
        self.count += 1
        ttl = {"ttl": cache.ttl} if cache.ttl in {"5m", "1h"} else {}
        return [{"cachePoint": {"type": "default", **ttl}}]


class Blocks:
    """The blocks of a request, in the order in which they are written."""

    def __init__(self, draft: Draft, marks: Marks) -> None:
        self._draft = draft
        self._marks = marks
        self._documents: set[str] = set()

    def turn(self, turn: Turn) -> Block:
        """Return a turn."""
        self._count(turn.parts, Image, _MOST_IMAGES, "images")
        self._count(turn.parts, Document, _MOST_DOCUMENTS, "documents")
        if turn.role is Role.ASSISTANT and any(isinstance(part, Image | Document) for part in turn.parts):
            self._draft.refuse(reasons.ASSISTANT_IMAGE)
        return {"role": str(turn.role), "content": [block for part in turn.parts for block in self._part(part)]}

    def _count(self, parts: Sequence[Part], kind: type[Part], most: int, what: str) -> None:
        if sum(isinstance(part, kind) for part in parts) > most:
            self._draft.refuse(f"Converse takes at most {most} {what} in a turn")

    def _part(self, part: Part) -> list[Block]:
        return [self._block(part), *self._marks.after(_mark_of(part))]

    def _block(self, part: Part) -> Block:
        match part:
            case Text():
                block = self._text(part)
            case Image():
                block = {"image": self._image(part)}
            case Document():
                block = {"document": self._document(part)}
            case ToolUse():
                block = {"toolUse": self._use(part)}
            case ToolResult():
                block = {"toolResult": self._result(part)}
            case Thinking(redacted=redacted) if redacted:
                block = {"reasoningContent": {"redactedContent": redacted}}
            case Thinking(text=text, signature=signature):
                block = {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}
            case _:
                assert_never(part)
        return block

    def _text(self, text: Text) -> Block:
        if text.citations is None:
            return {"text": text.text}
        if self._draft.request.format != NAME:
            self._draft.drop("citations")
            return {"text": text.text}
        return {"citationsContent": {"content": [{"text": text.text}], "citations": text.citations}}

    def _image(self, image: Image) -> Block:
        source = image.source
        if not self._draft.facts.images:
            self._draft.refuse(reasons.IMAGES)
        if image.detail not in {"", "auto"}:
            self._draft.drop("detail")
        media_type = source.media_type or image_type(source.data)
        media_type = {"image/jpg": "image/jpeg"}.get(media_type, media_type)
        if (name := IMAGE_FORMATS.get(media_type)) is None:
            self._draft.refuse(reasons.image_type(media_type))
        return {"format": name, "source": {"bytes": self._data(source, "image", _LARGEST_IMAGE)}}

    def _data(self, source: Source, what: str, largest: int) -> str:
        if source.url:
            self._draft.refuse(reasons.IMAGE_URL if what == "image" else reasons.DOCUMENT_URL)
        elif source.file:
            self._draft.refuse(reasons.FILE)
        elif not source.data:
            self._draft.refuse(f"there is nothing in the {what}")
        elif len(source.data) * 3 // 4 > largest:
            self._draft.refuse(f"the {what} is larger than the {largest / 2**20:g} MB that Converse takes")
        return source.data

    def _document(self, document: Document) -> Block:
        if not self._draft.facts.documents:
            self._draft.refuse(reasons.DOCUMENTS)
        source = document.source or Source(data=base64.b64encode(document.text.encode()).decode())
        name = _format_of(document)
        if name is None and source.data:
            self._draft.refuse(reasons.document_type(source.media_type or "that was not said"))
        said: Block = {
            "format": name,
            "name": self._name(document.name),
            "source": {"bytes": self._data(source, "document", _LARGEST_DOCUMENT)},
        }
        if document.context:
            said["context"] = document.context
        if document.citations:
            said["citations"] = {"enabled": True}
        return said

    def _name(self, name: str) -> str:
        """Return a name that Converse allows, and that no other document of the request has."""
        stem = _NOT_IN_NAMES.sub(" ", name).strip()[: _LONGEST_NAME - 8].strip() or "Document"
        new, number = stem, 1
        while new in self._documents:
            number += 1
            new = f"{stem} {number}"
        self._documents.add(new)
        return new

    def _use(self, use: ToolUse) -> Block:
        return {
            "toolUseId": self._draft.ids.of(use.id),
            "name": self._draft.names.of(use.name),
            "input": as_object(use.arguments),
        }

    def _result(self, result: ToolResult) -> Block:
        # Texts, images and documents; the sources of a text have no place in a result.
        said: Block = {
            "toolUseId": self._draft.ids.of(result.id),
            "content": [
                {"text": part.text} if isinstance(part, Text) else self._block(part) for part in result.content
            ],
        }
        if result.is_error is not None:
            said["status"] = "error" if result.is_error else "success"
        return said


def _mark_of(part: Part) -> Cache | None:
    if isinstance(part, Thinking):
        return None
    if isinstance(part, ToolResult):
        # A mark on a part inside would be refused there, so it comes after the result.
        return part.cache or next((inner.cache for inner in reversed(part.content) if inner.cache), None)
    return part.cache


def _format_of(document: Document) -> str | None:
    """Return Converse's word for what a document is: by its media type, else by the ending of its name."""
    if document.source is None:
        return "txt"
    if found := DOCUMENT_FORMATS.get(document.source.media_type.partition(";")[0].strip()):
        return found
    ending = document.name.rpartition(".")[2].lower()
    if ending in DOCUMENT_FORMATS.values():
        return ending
    return "txt" if document.source.media_type.startswith("text/") else None


def holds_tools(turns: Iterable[Turn]) -> bool:
    """Return whether a conversation has calls of tools, or their results, in it."""
    return any(isinstance(part, ToolUse | ToolResult) for turn in turns for part in turn.parts)


def tools_called(turns: Iterable[Turn]) -> list[str]:
    """Return the names of the tools that were called in a conversation, each once."""
    return list(dict.fromkeys(part.name for turn in turns for part in turn.parts if isinstance(part, ToolUse)))
