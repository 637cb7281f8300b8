"""Anthropic's Messages, and the counting of a message's tokens.

PURE. https://docs.anthropic.com/en/api/messages and https://docs.anthropic.com/en/api/errors. The official SDK
chooses the exception by the status (and knows 529), reads ``error.type``, and the id of the request from the header
``request-id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats.base import ApiError, ApiType, Operation
from hydrallm.formats.error_response import error_response, error_type
from hydrallm.formats.path import operation_path

if TYPE_CHECKING:
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


class AnthropicMessages:
    """The wire format ``anthropic-messages``."""

    name = "anthropic-messages"
    api_type = ApiType.ANTHROPIC

    def __init__(self) -> None:
        self._create = Operation(self)
        self._count_tokens = Operation(self, stream=False)

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` stands for, or None if it is not one of this format."""
        if _MESSAGES.fullmatch(path):
            return self._create
        return self._count_tokens if _COUNT_TOKENS.fullmatch(path) else None

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as Anthropic's SDK expects it."""
        body = {
            "type": "error",
            "error": {"type": error_type(TYPES, error.status), "message": error.message},
            "request_id": error.request_id,
        }
        return error_response(error, body, [(b"request-id", error.request_id.encode())])
