"""A conversation as the input items of OpenAI's Responses.

PURE. What is said here and not by the format's reference, because the API answers 400 otherwise:

* the name of a tool has 64 characters of ``a-zA-Z0-9_-``, and the id of a call has 64 characters;
* what an assistant said before is ``output_text`` or ``refusal``, never ``input_text``; a plain string is also taken,
  and needs no id;
* a reasoning item comes before what followed from it, and means nothing without its encrypted content if nothing is
  stored.

A cache mark is written only for models that are known to take it: those before gpt-5.6 refuse it, and all cache by
themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from hydrallm.formats import reasons
from hydrallm.formats.canonical import Document, Image, Role, Text, Thinking, ToolResult, ToolUse
from hydrallm.formats.data_url import data_url, image_type
from hydrallm.formats.openai_responses_items import MAKER, PARAGRAPH, TTLS
from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.formats.canonical import Cache, Message, Part, Request, Source
    from hydrallm.formats.facts import Facts

_FAMILY = frozenset({"openai-chat", "openai-responses"})
"""Formats of the same provider: the ids of its files mean something here."""

NAME_CHARACTERS, LONGEST_NAME = "a-zA-Z0-9_-", 64
"""Of a tool, and of the schema of an answer."""

ID_CHARACTERS, LONGEST_ID = r"\x20-\U0010FFFF", 64

_LIFETIMES = {ttl: name for name, ttl in TTLS.items() if ttl}

_FAILED = "Error: "
"""Before the result of a tool that failed."""

_PDF = "application/pdf"


class Input:
    """The conversation of a request, as it is composed.

    Attributes:
        dropped: what cannot be said, each once.
        reasons: why it cannot be served, each once.
        names: of tools.
        ids: of calls.
    """

    def __init__(self, request: Request, facts: Facts) -> None:
        self.dropped: dict[str, None] = {}
        self.reasons: dict[str, None] = {}
        self.names = Renaming(NAME_CHARACTERS, LONGEST_NAME)
        self.ids = Renaming(ID_CHARACTERS, LONGEST_ID)
        self._request = request
        self._facts = facts
        self._family = request.format in _FAMILY
        self._custom: set[str] = set()
        self._items: list[dict[str, Any]] = []

    def members(self) -> dict[str, Any]:
        """Return the members ``instructions``, if there are any, and ``input``."""
        system = self._request.system
        marked = self._facts.breakpoints and any(text.cache is not None for text in system)
        if marked:
            self._say("system", system)
        for message in self._request.messages:
            if message.name:
                self.dropped["name"] = None
            if message.role is Role.ASSISTANT:
                self._answer(message)
            else:
                self._ask(message)
        instructions = {} if marked or not system else {"instructions": self._joined(system)}
        return {**instructions, "input": _followed(self._items)}

    # ---- what a client says

    def _joined(self, texts: Iterable[Text]) -> str:
        said = []
        for text in texts:
            self._drop_mark(text.cache)
            said.append(text.text)
        return PARAGRAPH.join(said)

    def _ask(self, message: Message) -> None:
        """Take a turn of the user's, or instructions between turns."""
        role = "system" if message.role is Role.SYSTEM else "user"
        said: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolResult):
                self._say(role, said)
                said = []
                self._result(part)
            else:
                said.append(part)
        self._say(role, said)

    def _say(self, role: str, parts: Iterable[Part]) -> None:
        content = self._content(parts)
        if content:
            self._items.append({"type": "message", "role": role, "content": content})

    def _result(self, result: ToolResult) -> None:
        self._drop_mark(result.cache)
        output: str | list[dict[str, Any]]
        texts = [part for part in result.content if isinstance(part, Text) and part.cache is None]
        if len(texts) == len(result.content) <= 1:
            output = "".join(text.text for text in texts)
            if result.is_error:
                output = _FAILED + output
        else:
            output = self._content(result.content)
            if result.is_error:
                output.insert(0, {"type": "input_text", "text": _FAILED.rstrip()})
        kind = "custom_tool_call_output" if result.id in self._custom else "function_call_output"
        self._items.append({"type": kind, "call_id": self.ids.of(result.id), "output": output})

    def _content(self, parts: Iterable[Part]) -> list[dict[str, Any]]:
        content: list[dict[str, Any]] = []
        for part in parts:
            match part:
                case Text():
                    if part.citations is not None:
                        self.dropped["citations"] = None
                    content.append({"type": "input_text", "text": part.text} | self._mark(part.cache))
                case Image():
                    content.append(self._image(part))
                case Document():
                    content += self._document(part)
                case Thinking() | ToolUse() | ToolResult():
                    self.reasons[f"a {type(part).__name__} in a user's turn"] = None
                case _:
                    assert_never(part)
        return content

    def _image(self, image: Image) -> dict[str, Any]:
        if not self._facts.images:
            self.reasons[reasons.IMAGES] = None
        source = image.source
        item: dict[str, Any] = {"type": "input_image", "detail": image.detail or "auto"} | self._mark(image.cache)
        if source.file:
            return item | self._file(source)
        return item | {"image_url": source.url or data_url(source.media_type or image_type(source.data), source.data)}

    def _document(self, document: Document) -> list[dict[str, Any]]:
        if not self._facts.documents:
            self.reasons[reasons.DOCUMENTS] = None
        if document.citations:
            self.dropped["citations"] = None
        before = [{"type": "input_text", "text": document.context}] if document.context else []
        mark, source = self._mark(document.cache), document.source
        if source is None:
            text = f"{document.name}{PARAGRAPH}{document.text}" if document.name else document.text
            return [*before, {"type": "input_text", "text": text} | mark]
        item: dict[str, Any] = {"type": "input_file"} | mark
        if source.file:
            return [*before, item | self._file(source)]
        if source.url:
            return [*before, item | {"file_url": source.url}]
        media_type = source.media_type or _PDF
        name = document.name or f"document.{media_type.rpartition('/')[2]}"
        return [*before, item | {"filename": name, "file_data": data_url(media_type, source.data)}]

    def _file(self, source: Source) -> dict[str, Any]:
        if not self._family:
            self.reasons[reasons.FILE] = None
        return {"file_id": source.file}

    def _mark(self, cache: Cache | None) -> dict[str, Any]:
        if cache is None:
            return {}
        if not (self._facts.breakpoints):
            self._drop_mark(cache)
            return {}
        lifetime = {"ttl": _LIFETIMES[cache.ttl]} if cache.ttl in _LIFETIMES else {}
        return {"prompt_cache_breakpoint": {"mode": "explicit", **lifetime}}

    def _drop_mark(self, cache: Cache | None) -> None:
        if cache is not None:
            self.dropped["cache"] = None

    # ---- what a model said

    def _answer(self, message: Message) -> None:
        for part in message.parts:
            match part:
                case Text():
                    self._text(part)
                case Thinking():
                    self._think(part)
                case ToolUse():
                    self._call(part)
                case Image() | Document():
                    self.reasons[reasons.ASSISTANT_IMAGE] = None
                case ToolResult():
                    self.reasons["a tool's result in an assistant's turn"] = None
                case _:
                    assert_never(part)

    def _text(self, text: Text) -> None:
        self._drop_mark(text.cache)
        if text.citations is not None:
            self.dropped["citations"] = None
        if not text.text:
            return
        item: dict[str, Any] = {"type": "message", "role": "assistant", "content": text.text}
        if text.refusal:
            content = [{"type": "refusal", "refusal": text.text}]
            item |= {"id": self._id("msg"), "status": "completed", "content": content}
        self._items.append(item)

    def _think(self, thought: Thinking) -> None:
        if thought.maker != MAKER or not thought.signature:
            self.dropped["thinking"] = None
            return
        summary = [{"type": "summary_text", "text": thought.text}] if thought.text else []
        identity = thought.id or self._id("rs")
        self._items.append(
            {"type": "reasoning", "id": identity, "summary": summary, "encrypted_content": thought.signature}
        )

    def _call(self, call: ToolUse) -> None:
        self._drop_mark(call.cache)
        common = {"call_id": self.ids.of(call.id), "name": self.names.of(call.name)}
        if call.custom:
            self._custom.add(call.id)
            self._items.append({"type": "custom_tool_call", **common, "input": call.arguments})
        else:
            self._items.append({"type": "function_call", **common, "arguments": call.arguments or "{}"})

    def _id(self, prefix: str) -> str:
        """Return an id of the form that the API demands, for an item that came without one."""
        return f"{prefix}_{len(self._items):024d}"


def _followed(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return ``items`` without the thoughts from which nothing followed."""
    kept: list[dict[str, Any]] = []
    follows = False
    for item in reversed(items):
        kind = item["type"]
        assistant = kind in {"function_call", "custom_tool_call"} or item.get("role") == "assistant"
        follows = assistant or (kind == "reasoning" and follows)
        if kind != "reasoning" or follows:
            kept.append(item)
    return kept[::-1]
