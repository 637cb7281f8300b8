"""How many tokens a request has, about, where no upstream tells.

PURE. Texts are most of it (:mod:`hydrallm.formats.text_tokens`). The rest is what the APIs' own documentation, and
measurements of others, say of images, documents, tools and of the frame around each turn. Who asks wants to know
whether the conversation still fits, or is to be made shorter: an estimate that is too low lets a request fail, one that
is too high shortens a conversation early. So where something is not known, it is taken to be rather large.

Sources: https://platform.claude.com/docs/en/build-with-claude/vision (images),
https://platform.claude.com/docs/en/build-with-claude/pdf-support (documents),
https://platform.claude.com/docs/en/agents-and-tools/tool-use/overview#pricing (the prompt that comes with tools),
https://platform.openai.com/docs/guides/images-vision#calculating-costs (OpenAI's images).
"""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats.canonical import Document, Image, Text, Thinking, ToolResult, ToolUse
from hydrallm.formats.image_size import ENDS, HEADER, image_size, pdf_pages
from hydrallm.formats.text_tokens import Tokenizer, text_tokens, tokenizer_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.formats.canonical import Part, Request, Tool


class _Frame(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's API puts around what is said, and how it cuts images.

    Attributes:
        tools: tokens of the instructions that come with any tools.
        patch: pixels of the side of the squares that an image is cut into.
        rate: tokens of a square.
        side: pixels to which the longer side of an image is made smaller.
        image: tokens that an image has at most.
    """

    tools: int
    patch: int
    rate: float
    side: int
    image: int


_FRAMES = {
    Tokenizer.CLAUDE_4_7: _Frame(tools=600, patch=28, rate=1, side=2576, image=4784),
    Tokenizer.CLAUDE: _Frame(tools=600, patch=28, rate=1, side=1568, image=1600),
    Tokenizer.OTHER: _Frame(tools=20, patch=32, rate=1.2, side=2560, image=3000),
}

_REQUEST = 10
_TURN = 5
_TOOL = 15
_TOOL_USE = 30
_TOOL_RESULT = 25
_DOCUMENT = 20
_SCHEMA = 100
"""Tokens around each of them; the last, around the schema that an answer must follow."""

_SCREEN = (1920, 1080)
"""Pixels that an image has, if it is not known how many."""

_LOW = 512
"""Pixels to which OpenAI makes the longer side of an image smaller that is to be seen in no detail."""

_PAGE = 2500
"""Tokens of a page of a PDF, which is read both as a text and as an image; measured: 2,100 to 2,500."""

_PAGE_BYTES = 30_000
_UNKNOWN_PAGES = 10
"""Bytes of a page of a document that does not tell its pages, and the pages of one that is elsewhere."""

_OPAQUE = 5
"""Characters for a token of an encrypted thought."""


def estimate(request: Request, model: str) -> int:
    """Return about how many tokens ``request`` has.

    Args:
        request: as the client asks it.
        model: the upstream's name for the model that it is for; from it follows how it is counted.
    """
    tally = _Tally(tokenizer_of(model))
    tally.add(request.system)
    for message in request.messages:
        tally.tokens += _TURN
        tally.add(message.parts)
    tally.add_tools(request.tools)
    if request.output is not None and request.output.schema is not None:
        tally.tokens += _SCHEMA
        tally.texts.append(_decoded(bytes(request.output.schema)))
    return tally.total()


class _Tally:
    """Tokens that are being counted: texts are put together, because few long ones are counted faster than many short.

    Attributes:
        texts: not counted yet.
        tokens: of everything else.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._frame = _FRAMES[tokenizer]
        self.texts: list[str] = []
        self.tokens = _REQUEST

    def total(self) -> int:
        return self.tokens + text_tokens("\n".join(self.texts), self._tokenizer)

    def add(self, parts: Iterable[Part]) -> None:
        for part in parts:
            match part:
                case Text():
                    self.texts.append(part.text)
                case Image():
                    self.tokens += self._image(part)
                case Document():
                    self._add_document(part)
                case Thinking():
                    self._add_thought(part)
                case ToolUse():
                    self.tokens += _TOOL_USE
                    self.texts += (part.name, part.arguments)
                case ToolResult():
                    self.tokens += _TOOL_RESULT
                    self.add(part.content)

    def add_tools(self, tools: Iterable[Tool]) -> None:
        for index, tool in enumerate(tools):
            self.tokens += _TOOL + (self._frame.tools if index == 0 else 0)
            self.texts += (tool.name, tool.description or "")
            if tool.schema is not None:
                self.texts.append(_decoded(bytes(tool.schema)))

    def _add_thought(self, thought: Thinking) -> None:
        if thought.text:
            self.texts.append(thought.text)
        elif thought.maker == "anthropic" and self._tokenizer is not Tokenizer.OTHER:  # others do not get to see it
            self.tokens += len(thought.signature or thought.redacted) // _OPAQUE

    def _image(self, image: Image) -> int:
        frame = self._frame
        size = image_size(_content(image.source.data[:HEADER])) or _SCREEN
        side = _LOW if image.detail == "low" and self._tokenizer is Tokenizer.OTHER else frame.side
        scale = min(1.0, side / max(size))
        squares = math.prod(math.ceil(length * scale / frame.patch) for length in size)
        return min(math.ceil(squares * frame.rate), frame.image)

    def _add_document(self, document: Document) -> None:
        self.tokens += _DOCUMENT
        self.texts += (document.text, document.name, document.context)
        source = document.source
        if source is None:
            return
        if source.media_type.startswith("text/"):
            self.texts.append(_decoded(_content(source.data)))
        else:
            self.tokens += _pages(source.data) * _PAGE


def _pages(data: str) -> int:
    """Return about how many pages a document has, which is in base64, or elsewhere."""
    if not data:
        return _UNKNOWN_PAGES
    ends = _content(data) if len(data) < 2 * ENDS else _content(data[:ENDS]) + _content(data[-(ENDS + len(data) % 4) :])
    pages = pdf_pages(ends) if ends.startswith(b"%PDF") else None
    return pages or math.ceil(len(data) * 3 / 4 / _PAGE_BYTES)


def _content(data: str) -> bytes:
    """Return what is in base64, or nothing if it is not."""
    try:
        return base64.b64decode(data)
    except ValueError:
        return b""


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")
