"""Amazon Bedrock's InvokeModel with Anthropic's models, to and from the canonical form.

PURE. https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html. A body is
one of Messages (:mod:`hydrallm.formats.anthropic_composition`) without ``model`` and ``stream``, which the path says,
and with the API's version. A stream is its events in base64, each in a frame of the type ``chunk``; the last one also
counts the tokens. Bedrock fetches nothing from the web, keeps no files, knows tiers by a header and no mark for a whole
prompt.

Bodies of other makers' models are of other forms; no other format can be served by them, nor they by it.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import anthropic_answer, anthropic_composition, anthropic_request
from hydrallm.formats.anthropic_betas import bedrock_betas
from hydrallm.formats.anthropic_content import Carrier
from hydrallm.formats.anthropic_stream import EventReader
from hydrallm.formats.anthropic_writer import EventWriter
from hydrallm.formats.bedrock_path import model_path
from hydrallm.formats.canonical import UntranslatableError
from hydrallm.formats.eventstream import FrameDecoder, HeadersError, encode_frame, read_headers

if TYPE_CHECKING:
    from hydrallm.formats.canonical import Composed, Request, Target
    from hydrallm.formats.canonical_answer import Answer, Event
    from hydrallm.formats.codec import Asked
    from hydrallm.message import Headers

VERSION = "bedrock-2023-05-31"
"""Of the body, where the endpoint's settings do not say."""

_BEDROCK = Carrier(
    name="bedrock-invoke", urls=False, files=False, tiers=frozenset(), prompt_mark=False, system_turns=False
)

_HEADERS = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}


class _Chunk(msgspec.Struct, frozen=True, gc=False):
    inner: bytes = msgspec.field(name="bytes", default=b"")


_CHUNK = msgspec.json.Decoder(_Chunk)


class InvokeReader:
    """Reads a stream of frames; see :class:`hydrallm.formats.codec.Reader`."""

    __slots__ = ("_decoder", "_headers", "_reader")

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._headers = b""  # of the last chunk; those of the next are mostly the same bytes
        self._reader = EventReader()

    def feed(self, events: bytes) -> list[Event]:
        """Return what whole frames say."""
        said: list[Event] = []
        for frame in self._decoder.feed(events):
            if frame.headers != self._headers:
                if not _is_chunk(frame.headers):
                    continue
                self._headers = frame.headers
            try:
                inner = _CHUNK.decode(frame.payload).inner
            except msgspec.DecodeError:
                continue
            self._reader.take(inner, said)
        return said

    def finish(self) -> list[Event]:
        """Return what is still owed at a clean end."""
        return self._reader.finish()


class BedrockInvokeCodec:
    """The codec of ``bedrock-invoke``."""

    name = _BEDROCK.name

    def read_request(self, body: bytes, *, model: str, stream: bool) -> Request:
        """Return what a client asks of one of Anthropic's models."""
        try:
            return anthropic_request.read_request(body, format_=self.name, model=model, stream=stream)
        except UntranslatableError:
            if b'"anthropic_version"' in body:
                raise
            raise UntranslatableError("the body is not of Anthropic's form, the only one that is translated") from None

    def compose(self, request: Request, target: Target) -> Composed:
        """Return ``request`` as a body for ``target``, which must be one of Anthropic's models.

        Of the betas that a client of another host asks for, those that Bedrock does not take are left out; they do not
        count as dropped (:mod:`hydrallm.formats.anthropic_betas`).
        """
        rest: dict[str, object] = {"anthropic_version": target.version or VERSION}
        if betas := bedrock_betas(request, target):
            rest["anthropic_beta"] = betas
        return anthropic_composition.compose(request, target, _BEDROCK, rest)

    def address(self, request: Request, target: Target) -> tuple[bytes, Headers]:
        """Return the path, which names the model and says whether the answer is a stream, and no headers."""
        operation = "invoke-with-response-stream" if request.stream else "invoke"
        return model_path(target.model, operation), []

    def read_answer(self, body: bytes) -> Answer:
        """Return what a whole answer says."""
        return anthropic_answer.read_answer(body)

    def write_answer(self, answer: Answer, asked: Asked) -> bytes:
        """Return ``answer`` as a body of Messages, as Bedrock has it."""
        return anthropic_answer.write_answer(answer, asked)

    def reader(self) -> InvokeReader:
        """Return the reader of a new stream."""
        return InvokeReader()

    def writer(self, asked: Asked) -> EventWriter:
        """Return the writer of a new stream."""
        return EventWriter(asked, _frame, metrics=True)


def _is_chunk(headers: bytes) -> bool:
    try:
        return read_headers(headers).get(":event-type") == "chunk"
    except HeadersError:
        return False


def _frame(_kind: str, event: bytes) -> bytes:
    return encode_frame(_HEADERS, b'{"bytes":"%b"}' % base64.b64encode(event))
