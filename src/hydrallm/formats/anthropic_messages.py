"""Anthropic's Messages, and the counting of a message's tokens.

PURE. https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/api/errors. The official SDK
chooses the exception by the status (and knows 529), reads ``error.type``, and the id of the request from the header
``request-id``. In a stream it looks at the ``event`` field before the JSON, and raises for the name ``error``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from hydrallm.formats import answer, sse, sse_scan
from hydrallm.formats.anthropic_events import note_event
from hydrallm.formats.base import ApiError, ApiType, Operation
from hydrallm.formats.error_response import error_response, error_type
from hydrallm.formats.path import operation_path

if TYPE_CHECKING:
    from hydrallm.formats.base import Problem
    from hydrallm.message import Response

_MESSAGES = operation_path("messages")
_COUNT_TOKENS = operation_path("messages/count_tokens")

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class _Ordinary(msgspec.Struct, gc=False):
    type: Literal["content_block_delta", "content_block_start", "content_block_stop", "ping"]
    error: None = None


class MessagesScan(sse_scan.SseScan):
    """The scan of a stream of Messages."""

    __slots__ = ("begun",)

    ordinary = msgspec.json.Decoder(_Ordinary)

    def __init__(self) -> None:
        super().__init__()
        self.begun = False

    def _note(self, kind: str, event: dict[str, Any]) -> None:
        note_event(self, kind, event)


class AnthropicMessages:
    """The wire format ``anthropic-messages``.

    What keeps a stream alive is a ``ping``, which Anthropic's own streams have anywhere: the official SDK skips it just
    as it does a comment, but Claude Code's clock for a silent stream starts anew for events only.
    """

    name = "anthropic-messages"
    api_type = ApiType.ANTHROPIC
    stream_type = sse_scan.STREAM_TYPE
    request_id = b"request-id"
    keep_alive = sse.event({"type": "ping"}, "ping")

    def __init__(self) -> None:
        self._create = Operation(self)
        self._count_tokens = Operation(self, stream=False, counts=True)

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` stands for, or None if it is not one of this format."""
        if _MESSAGES.fullmatch(path):
            return self._create
        return self._count_tokens if _COUNT_TOKENS.fullmatch(path) else None

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as Anthropic's SDK expects it."""
        return error_response(error, _body(error), [(b"request-id", error.request_id.encode())])

    def examine(self, body: bytes, operation: Operation) -> Problem | None:
        """Return what is wrong with the body of a 200 to a plain request; None if it is an answer."""
        return answer.examine_count(body) if operation.counts else answer.examine_message(body)

    def scan(self) -> MessagesScan:
        """Return the scan of a new stream of a message; the counting of tokens has none."""
        return MessagesScan()

    def encode_stream_error(self, error: ApiError) -> bytes:
        """Return ``error`` as the event for which Anthropic's SDKs raise ``APIStatusError``."""
        return sse.event(_body(error), "error")


def _body(error: ApiError) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": error.type or error_type(TYPES, error.status), "message": error.message},
        "request_id": error.request_id,
    }
