"""OpenAI's Chat Completions, the format that most providers speak.

PURE. https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats import answer, openai_error, sse_scan
from hydrallm.formats.base import ApiError, ApiType, Operation
from hydrallm.formats.openai_choices import ChoicesScan
from hydrallm.formats.path import operation_path

if TYPE_CHECKING:
    from hydrallm.formats.base import Problem
    from hydrallm.message import Response

_PATH = operation_path("chat/completions")


class OpenAIChat:
    """The wire format ``openai-chat``."""

    name = "openai-chat"
    api_type = ApiType.OPENAI
    stream_type = sse_scan.STREAM_TYPE
    request_id = b"x-request-id"
    keep_alive = sse_scan.KEEP_ALIVE

    def __init__(self) -> None:
        self._operation = Operation(self)

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` stands for, or None if it is not one of this format."""
        return self._operation if _PATH.fullmatch(path) else None

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as OpenAI's SDKs expect it."""
        return openai_error.encode_error(error)

    def examine(self, body: bytes, operation: Operation) -> Problem | None:  # noqa: ARG002 - there is only one
        """Return what is wrong with the body of a 200 to a plain request; None if it is an answer."""
        return answer.examine_chat(body)

    def scan(self) -> ChoicesScan:
        """Return the scan of a new stream."""
        return ChoicesScan()

    def encode_stream_error(self, error: ApiError) -> bytes:
        """Return ``error`` as the event for which OpenAI's SDKs raise ``APIError``."""
        return openai_error.encode_stream_error(error)
