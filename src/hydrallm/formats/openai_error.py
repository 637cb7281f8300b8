"""How OpenAI's APIs say that something went wrong; Chat Completions, Completions and Responses say it alike.

PURE. https://platform.openai.com/docs/guides/error-codes/api-errors. The official SDKs choose the exception by the
status, read ``message``, ``type``, ``code`` and ``param`` from the ``error`` object, and the id of the request from
the header ``x-request-id``. Inside a stream they raise for any event whose JSON has an ``error``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats import sse
from hydrallm.formats.error_response import error_response, error_type

if TYPE_CHECKING:
    from hydrallm.formats.base import ApiError
    from hydrallm.message import Response

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}


def encode_error(error: ApiError) -> Response:
    """Return ``error`` as OpenAI's SDKs expect it."""
    return error_response(error, {"error": detail(error)}, [(b"x-request-id", error.request_id.encode())])


def encode_stream_error(error: ApiError) -> bytes:
    """Return ``error`` as the last event of a stream of Chat Completions or Completions."""
    return sse.event({"error": detail(error)})


def detail(error: ApiError) -> dict[str, str | None]:
    """Return the ``error`` object."""
    return {
        "message": error.message,
        "type": error.type or error_type(TYPES, error.status),
        "param": None,
        "code": error.code or None,
    }
