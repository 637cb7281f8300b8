"""OpenAI's Responses.

PURE. https://platform.openai.com/docs/api-reference/responses/create. Only creating one is a generation: fetching,
cancelling and deleting name a response that lives at one endpoint, so they are relayed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.formats import openai_error
from hydrallm.formats.base import ApiError, ApiType, Operation
from hydrallm.formats.path import operation_path

if TYPE_CHECKING:
    from hydrallm.message import Response

_PATH = operation_path("responses")


class OpenAIResponses:
    """The wire format ``openai-responses``."""

    name = "openai-responses"
    api_type = ApiType.OPENAI

    def __init__(self) -> None:
        self._operation = Operation(self)

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` stands for, or None if it is not one of this format."""
        return self._operation if _PATH.fullmatch(path) else None

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as OpenAI's SDKs expect it."""
        return openai_error.encode_error(error)
