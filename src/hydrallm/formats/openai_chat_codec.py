"""Chat Completions to and from the canonical form.

PURE. https://platform.openai.com/docs/api-reference/chat. A client's request is read in
:mod:`~hydrallm.formats.openai_chat_request`, a model's is composed in
:mod:`~hydrallm.formats.openai_chat_composition`; whole answers are :mod:`~hydrallm.formats.openai_chat_answer`, streams
:mod:`~hydrallm.formats.openai_chat_reader` and :mod:`~hydrallm.formats.openai_chat_writer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats import openai_chat_answer, openai_chat_composition, openai_chat_request
from hydrallm.formats.openai_chat_reader import ChatReader
from hydrallm.formats.openai_chat_writer import ChatWriter

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Composed, Request, Target
    from hydrallm.formats.canonical_answer import Answer
    from hydrallm.formats.codec import Asked
    from hydrallm.message import Headers


class OpenAIChatCodec:
    """The codec of ``openai-chat``; see :class:`~hydrallm.formats.codec.Codec`."""

    name = openai_chat_request.NAME

    def read_request(self, body: bytes, *, model: str, stream: bool) -> Request:
        """Return what a client asks."""
        return openai_chat_request.read_request(body, model=model, stream=stream)

    def compose(self, request: Request, target: Target) -> Composed:
        """Return ``request`` as a chat request for ``target``."""
        return openai_chat_composition.compose(request, target)

    def address(self, request: Request, target: Target) -> tuple[bytes, Headers]:  # noqa: ARG002 - one path for all
        """Return the path and the headers of a composed request."""
        return b"/v1/chat/completions", []

    def read_answer(self, body: bytes) -> Answer:
        """Return what a whole answer says."""
        return openai_chat_answer.read_answer(body)

    def write_answer(self, answer: Answer, asked: Asked) -> bytes:
        """Return ``answer`` as a chat completion."""
        return openai_chat_answer.write_answer(answer, asked)

    def reader(self) -> ChatReader:
        """Return the reader of a new stream."""
        return ChatReader()

    def writer(self, asked: Asked) -> ChatWriter:
        """Return the writer of a new stream."""
        return ChatWriter(asked)
