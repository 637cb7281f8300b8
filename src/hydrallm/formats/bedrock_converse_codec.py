"""Converse, to and from the canonical form.

PURE. What it is made of::

    bedrock_converse_request.py   requests, read
    bedrock_converse_compose.py   requests, composed: the whole, and by concern
        bedrock_converse_turns.py      the conversation
        bedrock_converse_thinking.py   how much is thought
        bedrock_converse_fields.py     what goes past Converse to the model, in its maker's words
        bedrock_converse_draft.py      what is found out on the way
    bedrock_converse_answer.py    whole answers, read and written
    bedrock_converse_stream.py    streams, read
    bedrock_converse_writer.py    streams, written
    bedrock_converse_blocks.py    the content blocks of all of these, read
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats import bedrock_converse_answer, bedrock_converse_compose, bedrock_converse_request
from hydrallm.formats.bedrock_converse_blocks import NAME
from hydrallm.formats.bedrock_converse_stream import ConverseReader
from hydrallm.formats.bedrock_converse_writer import ConverseWriter
from hydrallm.formats.bedrock_path import model_path

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Composed, Request, Target
    from hydrallm.formats.canonical_answer import Answer
    from hydrallm.formats.codec import Asked
    from hydrallm.message import Headers


class BedrockConverseCodec:
    """The codec of ``bedrock-converse``; see :class:`hydrallm.formats.codec.Codec`."""

    name = NAME

    def read_request(self, body: bytes, *, model: str, stream: bool) -> Request:
        """Return what a client asks."""
        return bedrock_converse_request.read_request(body, model=model, stream=stream)

    def compose(self, request: Request, target: Target) -> Composed:
        """Return ``request`` as a body of Converse for ``target``. Whether it is a stream, the path says."""
        return bedrock_converse_compose.compose(request, target)

    def address(self, request: Request, target: Target) -> tuple[bytes, Headers]:
        """Return the path, which names the model and says whether the answer is a stream, and no headers."""
        return model_path(target.model, "converse-stream" if request.stream else "converse"), []

    def read_answer(self, body: bytes) -> Answer:
        """Return what a whole answer says."""
        return bedrock_converse_answer.read_answer(body)

    def write_answer(self, answer: Answer, asked: Asked) -> bytes:
        """Return ``answer`` as a body of Converse."""
        return bedrock_converse_answer.write_answer(answer, asked)

    def reader(self) -> ConverseReader:
        """Return the reader of a new stream."""
        return ConverseReader()

    def writer(self, asked: Asked) -> ConverseWriter:
        """Return the writer of a new stream."""
        return ConverseWriter(asked)
