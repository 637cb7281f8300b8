"""What one request wants done: a generation, or a relay of anything else.

A *generation* goes through the lane, its model replaced, its body held whole so that it can be sent again. A *relay*
(models, files, embeddings, batches, ...) keeps the client's bytes, goes to the endpoint of the lane's first model, and
is made twice only if that cannot do harm: GET and HEAD, or as long as no connection was made. A big body passes through
as it comes. A small one is held, because an upload needs a connection of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from hydrallm.endpoints.base import AwsKeys, Call
from hydrallm.endpoints.target import replace_model
from hydrallm.formats.splice import Located, locate, splice
from hydrallm.http.client import Upload
from hydrallm.policy.classify import Kind, classify_status

if TYPE_CHECKING:
    from hydrallm.exchange.chain import Lane, Model
    from hydrallm.formats.base import Operation
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.policy.plan import Plan


HOLD = 1024 * 1024
"""Bytes up to which the body of a relayed request is held, so that it can go over a connection that stands already."""

_ABOUT_OUR_KEY = frozenset({Kind.MISCONFIGURED, Kind.QUOTA})


class Job(Protocol):
    """What the exchange needs to know of a request."""

    lane: Lane
    plan: Plan
    stream: bool
    """Whether the client asked for a stream."""
    generation: bool

    @property
    def resend(self) -> bool:
        """Whether a request may be sent again on a fresh connection when a reused one was stale."""

    def call(self, model: Model) -> Call:
        """Return the call to make to ``model``."""

    def upload(self) -> Upload | None:
        """Return the body, where it is streamed."""

    def classify(self, status: int, model: Model) -> Kind | None:
        """Return what a status from ``model`` means; None if it is an answer."""


class Generation:
    """A request for one of the generation paths.

    Args:
        request: the client's.
        operation: what its path stands for.
        lane: the models to try.
        body: decoded and whole.
        strip_credentials: whether the client's credentials are for this proxy only.

    Raises:
        RequestError: 400; the body is not one in which a model can be replaced.
    """

    generation = True
    resend = True

    def __init__(
        self, request: ServerStream, operation: Operation, lane: Lane, body: bytes, *, strip_credentials: bool
    ) -> None:
        self._request = request
        self._operation = operation
        self._body = body
        self._strip = strip_credentials
        self._located: Located | None = None if operation.model_span is not None else locate(body)
        self.lane = lane
        self.plan = lane.plan
        self.stream = self._located.stream if self._located and operation.stream is None else bool(operation.stream)

    @property
    def requested(self) -> str:
        """The model that the client named; empty if it named none."""
        if self._located is not None:
            return self._located.model or ""
        start, end = self._operation.model_span or (0, 0)
        return self._request.path[start:end].decode("latin-1")

    def call(self, model: Model) -> Call:
        """Return the client's request with ``model`` in the place of its own."""
        request = self._request
        if self._located is not None:
            path, body = request.path, splice(self._body, self._located, model.json)
        else:
            span = self._operation.model_span or (0, 0)
            path, body = replace_model(request.path, span, model.name), self._body
        return Call(
            request.method, path, request.query, request.headers, body, generation=True, strip_credentials=self._strip
        )

    def upload(self) -> Upload | None:
        """Return None: the body is held whole."""
        return None

    def classify(self, status: int, model: Model) -> Kind | None:
        """Return what a status from ``model`` means; None if it is an answer."""
        return classify_status(status, own_credential=model.endpoint.own_credential)


class Relay:
    """Any other request.

    Args:
        request: the client's.
        lane: the models; the first one's endpoint is asked.
        body: where it was held whole; None to stream it.
        strip_credentials: whether the client's credentials are for this proxy only.
    """

    generation = False
    stream = False

    def __init__(self, request: ServerStream, lane: Lane, body: bytes | None, *, strip_credentials: bool) -> None:
        self._request = request
        self._body = body
        self._strip = strip_credentials
        self._has_body = not (request.complete and request.received == 0)
        self._safe = request.method in {b"GET", b"HEAD"} and not self._has_body
        self.lane = lane
        self.plan = lane.safe_relay if self._safe else lane.unsafe_relay
        self.resend = self._safe

    @staticmethod
    def needs_whole_body(request: ServerStream, lane: Lane) -> bool:
        """Return whether the body must be there before anything is sent: it is small, or a signature covers it."""
        if request.complete or (request.length is not None and request.length <= HOLD):
            return True
        return isinstance(lane.models[0].endpoint.credential, AwsKeys)

    def call(self, model: Model) -> Call:  # noqa: ARG002 - the client's bytes are kept, its model too
        """Return the client's request as it is."""
        request = self._request
        body = self._body or b""
        return Call(
            request.method,
            request.path,
            request.query,
            request.headers,
            body,
            generation=False,
            strip_credentials=self._strip,
        )

    def upload(self) -> Upload | None:
        """Return the body as a stream, if there is one."""
        request = self._request
        if self._body is not None or not self._has_body:
            return None
        return Upload(request.chunk, request.length)

    def classify(self, status: int, model: Model) -> Kind | None:
        """Return what a status means; None if it is an answer.

        A refusal of our key is none: the client would take it for a word about its own. A 404 is one whoever's key was
        shown, for it is about what the client named.
        """
        kind = classify_status(status, own_credential=model.endpoint.own_credential and status != 404)
        if kind in _ABOUT_OUR_KEY:
            return kind
        return kind if self._safe and kind is not Kind.CLIENT_ERROR else None
