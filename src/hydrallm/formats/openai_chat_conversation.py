"""A conversation as the messages of Chat Completions.

PURE. Chat has no place for two things that a tool's result may have: that the tool failed is said in words, and its
images and files follow in a message of the user, for a message of a tool is text. All results of a turn come right
after the calls, and all that a model says in a turn is one message, for all its calls have to be in it.
"""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from hydrallm.formats import reasons
from hydrallm.formats.canonical import (
    Document,
    Image,
    Message,
    Part,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolResult,
    ToolUse,
)
from hydrallm.formats.data_url import data_url, image_type
from hydrallm.formats.openai_chat_request import LONG
from hydrallm.formats.renaming import Renaming

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.formats.facts import Facts

NAME_CHARACTERS = "a-zA-Z0-9_-"
NAME_LENGTH = 64
"""What OpenAI takes as the name of a tool or a schema; beyond it answers 400."""

ID_CHARACTERS = r"\s\S"
ID_LENGTH = 40
"""The same of the id of a call."""

_DETAILS = frozenset({"auto", "low", "high", "original"})
_PDF = "application/pdf"


class Record:
    """What comes of composing a request beside its body.

    Attributes:
        reasons: why it cannot be served.
        dropped: what could not be said, by the canonical names.
        names: of tools.
        ids: of their calls.
    """

    def __init__(self) -> None:
        self.reasons: dict[str, None] = {}
        self.dropped: dict[str, None] = {}
        self.names = Renaming(NAME_CHARACTERS, NAME_LENGTH)
        self.ids = Renaming(ID_CHARACTERS, ID_LENGTH)

    def refuse(self, reason: str) -> None:
        """Take note why the request cannot be served."""
        self.reasons[reason] = None

    def drop(self, field: str) -> None:
        """Take note that a field of the request is not said."""
        self.dropped[field] = None

    def mark(self, part: Part | Tool) -> None:
        """Take note of what a part has beside it, and Chat has not."""
        if not isinstance(part, Thinking) and part.cache is not None:
            self.drop("cache")
        if isinstance(part, Text) and part.citations is not None:
            self.drop("citations")


class Conversation:
    """The conversation of a request.

    Args:
        record: what comes of composing it beside the messages.
        request: whose it is.
        facts: of the model.
    """

    def __init__(self, record: Record, request: Request, facts: Facts) -> None:
        self._record = record
        self._request = request
        self._facts = facts

    def messages(self) -> list[dict[str, Any]]:
        """Return the messages of a chat request."""
        request, messages = self._request, list[dict[str, Any]]()
        if request.cache is not None:
            self._record.drop("cache")
        if request.system:
            messages.append({"role": "system", "content": self._said(request.system)})
        for role, group in groupby(request.messages, key=attrgetter("role")):
            turn = list(group)
            if len(turn) == 1 and (text := _plain(turn[0])) is not None:  # most are, and long conversations are long
                messages.append({"role": role, "content": text})
            elif role is Role.USER:
                messages += self._user(turn)
            elif role is Role.ASSISTANT:
                messages.append(self._assistant(turn))
            else:
                messages += map(self._instructions, turn)
        if not self._facts.prefill and request.messages and request.messages[-1].role is Role.ASSISTANT:
            self._record.refuse(reasons.CONTINUED_TURN)
        return messages

    def _instructions(self, said: Message) -> dict[str, Any]:
        texts = [part for part in said.parts if isinstance(part, Text)]
        if len(texts) < len(said.parts):
            self._record.refuse("instructions that are more than text")
        return {"role": "system", "content": self._said(texts)} | _named(said)

    def _user(self, turn: list[Message]) -> list[dict[str, Any]]:
        """Return the messages of a user's turn: first the results of tools, then what only they had, then the rest."""
        results = [part for said in turn for part in said.parts if isinstance(part, ToolResult)]
        messages = [self._result(result) for result in results]
        seen = [part for result in results for part in self._shown(result)]
        if seen:
            messages.append({"role": "user", "content": seen})
        for said in turn:
            rest = tuple(part for part in said.parts if not isinstance(part, ToolResult))
            if rest or not said.parts:
                messages.append({"role": "user", "content": self._content(Message(said.role, rest))} | _named(said))
        return messages

    def _result(self, result: ToolResult) -> dict[str, Any]:
        self._record.mark(result)
        words = self._words([part for part in result.content if isinstance(part, Text)])
        if not words and any(not isinstance(part, Text) for part in result.content):
            words = "The result is in the next message."
        if result.is_error:
            words = f"Error: {words}" if words else "Error"
        return {"role": "tool", "tool_call_id": self._record.ids.of(result.id), "content": words}

    def _shown(self, result: ToolResult) -> list[dict[str, Any]]:
        shown = [part for part in result.content if not isinstance(part, Text)]
        if not shown:
            return []
        head = {"type": "text", "text": f"The result of the tool call {self._record.ids.of(result.id)}:"}
        return [head, *(piece for part in shown for piece in self._part(part))]

    def _assistant(self, turn: list[Message]) -> dict[str, Any]:
        """Return the one message of a model's turn, for all its calls have to be in it."""
        parts = [part for said in turn for part in said.parts]
        texts = [part for part in parts if isinstance(part, Text)]
        for text in texts:
            self._record.mark(text)
        words = "".join(text.text for text in texts if not text.refusal)
        refusal = "".join(text.text for text in texts if text.refusal)
        calls = [self._call(part) for part in parts if isinstance(part, ToolUse)]
        message: dict[str, Any] = {"role": "assistant", "content": words or (None if calls or refusal else "")}
        if refusal:
            message["refusal"] = refusal
        if thought := self._thought([part for part in parts if isinstance(part, Thinking)]):
            message["reasoning_content"] = thought
        if calls:
            message["tool_calls"] = calls
        if any(isinstance(part, Image | Document) for part in parts):
            self._record.refuse(reasons.ASSISTANT_IMAGE)
        return message | _named(turn[0])

    def _thought(self, thoughts: list[Thinking]) -> str:
        """Return thoughts, as the models that think without a signature want them back.

        Whose they are does not matter: such a model refuses a tool loop in which they are missing.
        """
        texts = [thought.text for thought in thoughts if thought.text and self._facts.thoughts_back]
        if len(texts) < len(thoughts):
            self._record.drop("thinking")
        return "".join(texts)

    def _call(self, call: ToolUse) -> dict[str, Any]:
        self._record.mark(call)
        name, said = self._record.names.of(call.name), call.arguments
        what = {"name": name, "input": said} if call.custom else {"name": name, "arguments": said or "{}"}
        kind = "custom" if call.custom else "function"
        return {"id": self._record.ids.of(call.id), "type": kind, kind: what}

    def _content(self, said: Message) -> str | list[dict[str, Any]]:
        """Return a content: a text, if it is nothing but text."""
        texts = [part for part in said.parts if isinstance(part, Text)]
        if len(texts) == len(said.parts):
            return self._said(texts)
        return [piece for part in said.parts for piece in self._part(part)]

    def _said(self, texts: Iterable[Text]) -> str | list[dict[str, Any]]:
        """Return texts as one, unless there is a mark between them that the model takes."""
        said = list(texts)
        if self._facts.breakpoints and any(text.cache is not None for text in said):
            return [piece for text in said for piece in self._part(text)]
        return self._words(said)

    def _words(self, texts: Iterable[Text]) -> str:
        said = list(texts)
        for text in said:
            self._record.mark(text)
        return "\n\n".join(text.text for text in said)

    def _mark(self, part: Part) -> dict[str, Any]:
        """Return the member that is the mark after a part."""
        if isinstance(part, Thinking) or part.cache is None or not self._facts.breakpoints:
            self._record.mark(part)
            return {}
        if isinstance(part, Text) and part.citations is not None:
            self._record.drop("citations")
        return {"prompt_cache_breakpoint": {"mode": "explicit"} | ({"ttl": LONG} if part.cache.ttl == "1h" else {})}

    def _part(self, part: Part) -> list[dict[str, Any]]:
        mark = self._mark(part)
        match part:
            case Text():
                return [{"type": "text", "text": part.text} | mark]
            case Image():
                return [self._image(part) | mark]
            case Document():
                *before, last = self._document(part)
                return [*before, last | mark]
            case _:
                self._record.refuse(f"a {type(part).__name__} in a user's turn")
                return []

    def _image(self, image: Image) -> dict[str, Any]:
        source = image.source
        if not self._facts.images:
            self._record.refuse(reasons.IMAGES)
        if source.file:
            self._record.refuse("the id of an image, for which Chat Completions has no member")
        link = {"url": source.url or data_url(source.media_type or image_type(source.data), source.data)}
        if image.detail in _DETAILS:
            link["detail"] = image.detail
        return {"type": "image_url", "image_url": link}

    def _document(self, document: Document) -> list[dict[str, Any]]:
        if not self._facts.documents:
            self._record.refuse(reasons.DOCUMENTS)
        if document.citations:
            self._record.drop("citations")
        pieces = [{"type": "text", "text": document.context}] if document.context else []
        source = document.source
        if source is None:
            named = f"{document.name}\n\n{document.text}" if document.name else document.text
            return [*pieces, {"type": "text", "text": named}]
        if source.url:
            self._record.refuse(reasons.DOCUMENT_URL)
        if source.file and not self._request.format.startswith("openai-"):
            self._record.refuse(reasons.FILE)
        file = {"file_id": source.file}
        if not source.file:
            media_type = source.media_type or _PDF
            name = document.name or f"document.{media_type.rpartition('/')[2]}"
            file = {"filename": name, "file_data": data_url(media_type, source.data)}
        return [*pieces, {"type": "file", "file": file}]


def _plain(said: Message) -> str | None:
    """Return the text of a message that is one, with nothing beside it."""
    part = said.parts[0] if len(said.parts) == 1 and not said.name else None
    if not isinstance(part, Text) or part.refusal or part.citations is not None or part.cache is not None:
        return None
    return part.text


def _named(said: Message) -> dict[str, str]:
    return {"name": said.name} if said.name else {}
