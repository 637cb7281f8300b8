"""What the scans of Amazon Bedrock's two streams have in common: frames, and how a stream says that it failed.

PURE. A frame says by its headers what it is: an event of a type; an ``exception``, one of those in the service's model;
or an ``error``, which is in no model. What an event means, the formats say.

An exception ends a stream in the middle, and no SDK takes it for the end of an answer: boto3 raises
``EventStreamError``, Anthropic's SDK an ``APIError``. Both show an exception that is not in the model of the stream
without its message, so only those in it are sent.

Source: https://smithy.io/2.0/aws/amazon-eventstream.html (section *Amazon Event Semantics*) and
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from hydrallm.formats.base import Problem
from hydrallm.formats.error_response import error_type
from hydrallm.formats.eventstream import FrameDecoder, HeadersError, encode_frame, read_headers
from hydrallm.formats.json_value import read_json
from hydrallm.formats.problem import read_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.formats.base import ApiError
    from hydrallm.formats.eventstream import Frame

# Converse has these exceptions in its stream, InvokeModel one more.
CONVERSE_EXCEPTIONS: Mapping[int, str] = {
    400: "validationException",
    408: "serviceUnavailableException",
    424: "modelStreamErrorException",
    429: "throttlingException",
    500: "internalServerException",
    502: "serviceUnavailableException",
    503: "serviceUnavailableException",
    504: "serviceUnavailableException",
    529: "serviceUnavailableException",
}
INVOKE_EXCEPTIONS: Mapping[int, str] = {
    **CONVERSE_EXCEPTIONS,
    408: "modelTimeoutException",
    504: "modelTimeoutException",
}


class MalformedEventError(ValueError):
    """The frame was sound, but what it carries is not what its type promises."""


class FrameScan(ABC):
    """The scan of a stream of frames; see :class:`hydrallm.formats.base.Scan`.

    A subclass says what an event means, in :meth:`_look`.
    """

    __slots__ = (
        "_after_malformed",
        "_block",
        "_decoder",
        "_headers",
        "broken",
        "content",
        "dropped",
        "ended",
        "filtered",
        "problem",
    )

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        # The headers of the last frame. Those of its successors are mostly the same bytes.
        self._block: bytes | None = None
        self._headers: dict[str, str] = {}
        self._after_malformed = False
        self.content = False
        self.ended = False
        self.filtered = False
        self.problem: Problem | None = None
        self.broken = ""
        self.dropped = 0

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, if nothing more comes. Half a frame after its end changes nothing."""
        return self.ended and not self._has_failed()

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; return the whole frames among it and before it, to be passed on; may be empty."""
        if self._has_failed():
            return b""
        passed: list[bytes] = []
        for frame in self._decoder.feed(data):
            if self.ended or self._passes(frame):
                passed.append(frame.raw)
            elif self._has_failed():
                break
        else:
            if not self.ended:
                self.broken = self._decoder.broken
        return passed[0] if len(passed) == 1 else b"".join(passed)

    def finish(self) -> bytes:
        """Take note that nothing more comes. A frame that is not whole by then is never passed on."""
        return b""

    def _has_failed(self) -> bool:
        return bool(self.broken) or self.problem is not None

    def _passes(self, frame: Frame) -> bool:
        """Look at a frame; return whether it is to be passed on."""
        try:
            if frame.headers != self._block:
                self._headers = read_headers(frame.headers)
                self._block = frame.headers
            if self._headers.get(":message-type") in {"exception", "error"}:
                self.problem = _problem(self._headers, frame.payload)
                return False
            self._look(self._headers.get(":event-type", ""), frame.payload)
        except (MalformedEventError, HeadersError) as error:
            self._drop(str(error))
            return False
        self._after_malformed = False
        return not self._has_failed()

    @abstractmethod
    def _look(self, event_type: str, payload: bytes) -> None:
        """Take note of what an event means.

        Raises:
            MalformedEventError: it does not parse.
        """

    def _drop(self, reason: str) -> None:
        if not self.content:
            self.broken = f"before any content {reason}"
            return
        self.dropped += 1
        if self._after_malformed:
            self.broken = f"twice in a row {reason}"
        self._after_malformed = True


def read_event(payload: bytes) -> dict[str, object]:
    """Return the JSON object that ``payload`` is. An empty one is an object without members, as it is for AWS's SDKs.

    Raises:
        MalformedEventError: it is something else.
    """
    try:
        value = read_json(payload or b"{}")
    except ValueError:
        raise MalformedEventError("the payload of a frame is not JSON") from None
    except RecursionError:
        raise MalformedEventError("the payload of a frame is nested too deep") from None
    if not isinstance(value, dict):
        raise MalformedEventError("the payload of a frame is JSON, but no object")
    return value


def encode_stream_error(types: Mapping[int, str], error: ApiError) -> bytes:
    """Return ``error`` as an exception frame.

    Args:
        types: the exceptions in the model of the stream, by status.
        error: its ``type`` counts, if it is one of these or the exception of that name, and else its status.
    """
    # As a member of the stream's union an exception starts in lower case.
    named = error.type[:1].lower() + error.type[1:]
    exception = named if named in types.values() else error_type(types, error.status)
    headers = {":exception-type": exception, ":content-type": "application/json", ":message-type": "exception"}
    payload = json.dumps({"message": error.message}, ensure_ascii=False, separators=(",", ":"))
    return encode_frame(headers, payload.encode("utf-8", "replace"))


def _problem(headers: Mapping[str, str], payload: bytes) -> Problem:
    if headers[":message-type"] == "error":
        return Problem(type=headers.get(":error-code", ""), message=headers.get(":error-message", ""))
    problem = read_problem(0, [], payload)
    # modelStreamErrorException adds what the model's own server had said. The status that came with that is left out:
    # AWS has clients try again, whatever it was.
    original = read_problem(0, [], _original(payload)).message
    message = ": ".join(dict.fromkeys(text for text in (problem.message, original) if text))
    return Problem(problem.status, headers.get(":exception-type", ""), problem.code, message)


def _original(payload: bytes) -> bytes:
    try:
        said = read_event(payload).get("originalMessage")
    except MalformedEventError:
        return b""
    return said.encode("utf-8", "replace") if isinstance(said, str) else b""
