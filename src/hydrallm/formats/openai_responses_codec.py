"""OpenAI's Responses, to and from the canonical form.

PURE. What there is to say about each direction stands in the module that does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.openai_responses_answer import read_answer, write_answer
from hydrallm.formats.openai_responses_composition import compose
from hydrallm.formats.openai_responses_reader import ResponsesReader
from hydrallm.formats.openai_responses_request import NAME, read_request
from hydrallm.formats.openai_responses_writer import ResponsesWriter

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Composed, Request, Target
    from hydrallm.formats.canonical_answer import Answer
    from hydrallm.formats.codec import Asked
    from hydrallm.message import Headers


class OpenAIResponsesCodec:
    """The codec of ``openai-responses``; see :class:`~hydrallm.formats.codec.Codec`."""

    name = NAME

    def read_request(self, body: bytes, *, model: str, stream: bool) -> Request:
        """Return what a client asks."""
        return read_request(body, model=model, stream=stream)

    def compose(self, request: Request, target: Target) -> Composed:
        """Return ``request`` as a body of Responses for ``target``."""
        return compose(request, target)

    def address(self, request: Request, target: Target) -> tuple[bytes, Headers]:  # noqa: ARG002 - one path for all
        """Return the path and the headers of a composed request."""
        return b"/v1/responses", []

    def read_answer(self, body: bytes) -> Answer:
        """Return what a whole answer says."""
        return read_answer(body)

    def write_answer(self, answer: Answer, asked: Asked) -> bytes:
        """Return ``answer`` as a response."""
        return write_answer(answer, asked)

    def reader(self) -> ResponsesReader:
        """Return the reader of a new stream."""
        return ResponsesReader()

    def writer(self, asked: Asked) -> ResponsesWriter:
        """Return the writer of a new stream."""
        return ResponsesWriter(asked)
