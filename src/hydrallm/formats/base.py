"""What a wire format must be able to say, and the operations that paths stand for.

PURE. A *wire format* is the shape of an API. Here it answers two questions: is this path one of mine, and how does my
API say that something went wrong. A request whose path no format claims is *relayed*: same bytes, one endpoint.
"""

from __future__ import annotations

import enum
from typing import Protocol

import msgspec

from hydrallm.message import Response  # noqa: TC001 - a Struct's annotations are read at run time


class ApiType(enum.StrEnum):
    """The ``type`` of a model: which family of paths, credentials and errors its endpoint understands."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    BEDROCK = "bedrock"


class Operation(msgspec.Struct, frozen=True):
    """A generation request, as its path describes it.

    Attributes:
        format: the wire format that claimed the path.
        stream: whether the answer is a stream, where the path says so; None where the body's ``stream`` says it.
        model_span: start and end of the model id inside the *path*, where the model is named there (Bedrock); None
            where the body's top-level ``model`` names it.
    """

    format: WireFormat
    stream: bool | None = None
    model_span: tuple[int, int] | None = None


class ApiError(msgspec.Struct, frozen=True):
    """An error of the proxy's own, before a format has given it its shape.

    Attributes:
        status: the HTTP status to answer with.
        message: for a person: where, what, and what to do next.
        code: a short machine-readable name, such as ``upstream_unreachable``.
        request_id: the id in ``x-hydrallm-request-id``.
    """

    status: int
    message: str
    code: str
    request_id: str


class WireFormat(Protocol):
    """The shape of one API. One file each; the list of them is in ``app.py``."""

    @property
    def name(self) -> str:
        """The name used in config, logs and docs, such as ``openai-chat``."""

    @property
    def api_type(self) -> ApiType:
        """The API type whose endpoints speak this format natively."""

    def match(self, path: bytes) -> Operation | None:
        """Return the operation that a POST to ``path`` (raw, without query) stands for, or None if it is not ours."""

    def encode_error(self, error: ApiError) -> Response:
        """Return ``error`` as this API's SDKs expect an error response: status, headers, JSON body."""
