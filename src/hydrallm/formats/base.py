"""What a wire format must be able to say, and the operations that paths stand for.

PURE. A *wire format* is the shape of an API. Here it answers four questions: is this path one of mine; is this body an
answer; what does this stream say, event by event; and how does my API say that something went wrong. A request whose
path no format claims is *relayed*: same bytes, one endpoint.
"""

from __future__ import annotations

import enum
from typing import Literal, Protocol

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
        counts: whether only the request's tokens are to be counted.
    """

    format: WireFormat
    stream: bool | None = None
    model_span: tuple[int, int] | None = None
    counts: bool = False


class ApiError(msgspec.Struct, frozen=True):
    """An error of the proxy's own, before a format has given it its shape.

    Attributes:
        status: the HTTP status to answer with.
        message: for a person: where, what, and what to do next.
        code: a short machine-readable name, such as ``upstream_unreachable``.
        request_id: the id in ``x-hydrallm-request-id``.
        type: the API's own word for the kind of error, where an upstream said one; empty: it follows from the status.
    """

    status: int
    message: str
    code: str
    request_id: str
    type: str = ""


class Problem(msgspec.Struct, frozen=True):
    """What an API says went wrong, in its own words; an empty field was not said.

    Attributes:
        status: the HTTP status, of the response or as the error names it; 0 if neither.
        type: such as ``overloaded_error`` or ``ThrottlingException``.
        code: such as ``context_length_exceeded``.
        message: for a person.
        ours: what we found where the API reported no error: ``not_an_answer``, a body that says nothing about itself;
            ``filtered``, an answer that a content filter left without content. A field of its own, because an upstream
            can put any word into the others.
    """

    status: int = 0
    type: str = ""
    code: str = ""
    message: str = ""
    ours: Literal["", "not_an_answer", "filtered"] = ""


class Scan(Protocol):
    """A stream being looked at, event by event: bytes in as they come, whole events out.

    An event that does not parse is dropped if content has been seen and its neighbours are intact; otherwise the stream
    is ``broken``. Once it is broken or has a ``problem``, nothing more comes out of :meth:`feed`.
    """

    @property
    def content(self) -> bool:
        """Whether content has been seen: text, reasoning, a tool call, a refusal."""

    @property
    def ended(self) -> bool:
        """Whether the format's terminal event has been seen."""

    @property
    def filtered(self) -> bool:
        """Whether the stream ended on a content filter's word."""

    @property
    def problem(self) -> Problem | None:
        """The error that the stream itself reported; that event is not passed on."""

    @property
    def broken(self) -> str:
        """Why the stream cannot be read any further; empty while it can."""

    @property
    def dropped(self) -> int:
        """How many events were dropped, because they did not parse."""

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, if nothing more comes."""

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; return the whole events among it and before it, to be passed on; may be empty."""

    def finish(self) -> bytes:
        """Take note that nothing more comes; return the last event, where only its final blank line is missing."""


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

    @property
    def stream_type(self) -> bytes:
        """The Content-Type of this format's streams."""

    @property
    def request_id(self) -> bytes:
        """The header in which this API's SDKs look for the id of a request."""

    @property
    def keep_alive(self) -> bytes:
        """What may be sent before and between the events of a stream and means nothing; empty if there is no such."""

    def examine(self, body: bytes, operation: Operation) -> Problem | None:
        """Return what is wrong with the body of a 200 to a plain (not streaming) request; None if it is an answer."""

    def scan(self) -> Scan:
        """Return the scan of a new stream."""

    def encode_stream_error(self, error: ApiError) -> bytes:
        """Return ``error`` as the event with which this API ends a stream that failed, so that its SDKs raise."""
