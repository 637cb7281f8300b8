"""Amazon Bedrock's InvokeModel: a body in the model maker's own format.

PURE. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html.
The model is named in the path, percent-encoded, and the operation there says whether the answer is a stream.

A stream is frames of the one type ``chunk``, each with a JSON object of the maker's in base64. Anthropic's are the
events of Messages (:mod:`hydrallm.formats.anthropic_events`). Of other makers' nothing is known here: each is taken for
content. With every maker the last chunk carries ``amazon-bedrock-invocationMetrics``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats import answer, bedrock_error, bedrock_stream
from hydrallm.formats.anthropic_events import note_event
from hydrallm.formats.base import ApiError, ApiType, Operation, Problem
from hydrallm.formats.bedrock_stream import INVOKE_EXCEPTIONS, FrameScan, MalformedEventError, read_event
from hydrallm.formats.eventstream import CONTENT_TYPE
from hydrallm.formats.json_value import is_utf8

if TYPE_CHECKING:
    from hydrallm.formats.base import Scan
    from hydrallm.message import Response

# Some clients send the colons of an id as they are; the slashes of an ARN always come as %2F.
_PATH = re.compile(rb"/+model/([^/]+)/invoke(-with-response-stream)?")

_METRICS = "amazon-bedrock-invocationMetrics"


class BedrockInvoke:
    """The wire format ``bedrock-invoke``."""

    name = "bedrock-invoke"
    api_type = ApiType.BEDROCK
    stream_type = CONTENT_TYPE
    request_id = b"x-amzn-requestid"
    keep_alive = b""

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` stands for, or None if it is not one of this format."""
        if (found := _PATH.fullmatch(path)) is None:
            return None
        return Operation(self, stream=found[2] is not None, model_span=found.span(1))

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as AWS's SDKs expect it."""
        return bedrock_error.encode_error(error)

    def examine(self, body: bytes, operation: Operation) -> Problem | None:  # noqa: ARG002 - there is only one
        """Return what is wrong with the body of a 200; None if it is an answer."""
        return answer.examine_invoke(body)

    def scan(self) -> Scan:
        """Return the scan of a new stream."""
        return InvokeScan()

    def encode_stream_error(self, error: ApiError) -> bytes:
        """Return ``error`` as an exception frame."""
        return bedrock_stream.encode_stream_error(INVOKE_EXCEPTIONS, error)


class _Chunk(msgspec.Struct, frozen=True, gc=False):
    """The payload of a frame; msgspec undoes the base64."""

    inner: bytes = msgspec.field(name="bytes", default=b"")


class _Glance(msgspec.Struct, frozen=True, gc=False):
    """As much of a maker's chunk as matters once content has been seen."""

    type: str = ""
    error: None = None
    metrics: None = msgspec.field(name=_METRICS, default=None)


_CHUNK = msgspec.json.Decoder(_Chunk)
_GLANCE = msgspec.json.Decoder(_Glance)
_DECISIVE = frozenset({"message_delta", "message_stop", "error"})


class InvokeScan(FrameScan):
    """The scan of the stream that InvokeModelWithResponseStream answers with."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        super().__init__()
        self.begun = False

    def _look(self, event_type: str, payload: bytes) -> None:
        if event_type != "chunk":
            return
        inner = _unwrap(payload)
        if not (self.content and _goes_on(inner)):
            self._look_inside(read_event(inner))

    def _look_inside(self, event: dict[str, object]) -> None:
        if problem := answer.reported(event):
            self.problem = problem
            return
        kind = event.get("type")
        if isinstance(kind, str):
            note_event(self, kind, event)
        elif event.keys() - {_METRICS}:
            self.content = True
        if _METRICS in event and not self.broken:
            self.ended = True


def _unwrap(payload: bytes) -> bytes:
    """Return the maker's chunk in the payload of a frame.

    Raises:
        MalformedEventError: there is none.
    """
    try:
        inner = _CHUNK.decode(payload or b"{}").inner
    except (msgspec.DecodeError, RecursionError):
        inner = None
    if inner is None or not is_utf8(payload):
        raise MalformedEventError("the payload of a frame is not JSON with base64 in it")
    return inner


def _goes_on(inner: bytes) -> bool:
    """Return whether a chunk is at the first, cheap look one of those that neither end a stream nor fail it."""
    try:
        glance = _GLANCE.decode(inner)
    except (msgspec.DecodeError, RecursionError):
        return False
    return glance.type not in _DECISIVE and is_utf8(inner)
