"""Amazon Bedrock's Converse: one format for the models of all makers.

PURE. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.
The model is named in the path, percent-encoded, and the operation there says whether the answer is a stream.

A stream is ``messageStart``, then for each block of the message ``contentBlockStart`` (text has none),
``contentBlockDelta`` and ``contentBlockStop``, then ``messageStop``, and somewhere near that ``metadata``
(API_runtime_ConverseStreamOutput.html). ``messageStop`` is its end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hydrallm.formats import answer, bedrock_error, bedrock_stream
from hydrallm.formats.base import ApiError, ApiType, Operation, Problem
from hydrallm.formats.bedrock_stream import CONVERSE_EXCEPTIONS, FrameScan, read_event
from hydrallm.formats.eventstream import CONTENT_TYPE
from hydrallm.formats.json_value import is_object, says

if TYPE_CHECKING:
    from hydrallm.formats.base import Scan
    from hydrallm.message import Response

# Some clients send the colons of an id as they are; the slashes of an ARN always come as %2F.
_PATH = re.compile(rb"/+model/([^/]+)/converse(-stream)?")

# The events of a message, and the member that holds content, if it holds anything.
_CONTENT = {
    "messageStart": None,
    "contentBlockStart": "start",
    "contentBlockDelta": "delta",
    "contentBlockStop": None,
    "messageStop": None,
    "metadata": None,
}


class BedrockConverse:
    """The wire format ``bedrock-converse``."""

    name = "bedrock-converse"
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
        return answer.examine_converse(body)

    def scan(self) -> Scan:
        """Return the scan of a new stream."""
        return ConverseScan()

    def encode_stream_error(self, error: ApiError) -> bytes:
        """Return ``error`` as an exception frame."""
        return bedrock_stream.encode_stream_error(CONVERSE_EXCEPTIONS, error)


class ConverseScan(FrameScan):
    """The scan of the stream that ConverseStream answers with."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        super().__init__()
        self._begun = False

    def _look(self, event_type: str, payload: bytes) -> None:
        if self.content and event_type == "contentBlockDelta" and is_object(payload):
            return
        if event_type not in _CONTENT:
            return
        event = read_event(payload)
        if event_type == "messageStart":
            self._begun = True
        elif event_type == "messageStop":
            self._stop(event.get("stopReason"))
        elif not self.content and (member := _CONTENT[event_type]):
            self.content = says(event.get(member))

    def _stop(self, reason: object) -> None:
        self.problem = answer.converse_failure(reason)
        if self.problem is None and not (self._begun or self.content):
            self.broken = "messageStop came before messageStart"
        self.ended = not self._has_failed()
        self.filtered = isinstance(reason, str) and reason in answer.CONVERSE_FILTERS
