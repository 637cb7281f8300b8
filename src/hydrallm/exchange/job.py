"""What one request wants done: a generation, or a relay of anything else.

A *generation* (:mod:`hydrallm.exchange.generation`) goes through the chain, its model replaced, its body held whole so
that it can be sent again. A *relay* (files, embeddings, batches, ...) keeps the client's bytes, goes to the endpoint of
the lane's first model, and is made twice only if that cannot do harm: GET and HEAD, or as long as no connection was
made. A big body passes through as it comes. A small one is held, because an upload needs a connection of its own.

A *named relay* is one whose JSON names a chain of the config, or pins a model. It goes through that chain like a
generation, with the model replaced, and its answer is passed on like a relay's, without a look into it. Where all that
is asked for is an answer (embeddings, speech, ...), it is tried again like a generation; where something may have been
made that stays (a fine-tuning job, a batch), only after failures that leave nothing behind.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol

from hydrallm.endpoints.base import Call
from hydrallm.errors import RequestError
from hydrallm.exchange.failure import about_our_key
from hydrallm.exchange.paths import marked_api_type, relay_api_type
from hydrallm.formats.base import ApiType
from hydrallm.formats.splice import Located, locate, splice
from hydrallm.http.client import Upload
from hydrallm.message import header
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.classify import classify
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydrallm.exchange.chain import Chain, Lane, Model
    from hydrallm.exchange.chains import Chains
    from hydrallm.exchange.translation import Translation
    from hydrallm.formats.base import Operation, Problem
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.policy.plan import Plan


HOLD = 1024 * 1024
"""Bytes up to which the body of a relayed request is held, so that it can go over a connection that stands already."""

_ANSWERS = re.compile(
    rb"(?:/.*)?/(?:embeddings|rerank|score|moderations|images/generations|audio/speech|responses/input_tokens)/*"
)
"""Paths of which nothing but the answer is left, so that another one is as good."""

_NAMES_MODEL = b"only"
"""Of a pin in a JSON body: what may follow it, a slash, can be written in two ways."""

_SENT = Call(b"", b"", b"", [], b"", generation=False)

_HEALS = frozenset({Kind.RATE_LIMITED, Kind.SERVER, Kind.OVERLOADED, Kind.TRANSIENT})
"""What may be gone when the same is asked again."""


class Ask(NamedTuple):
    """What one model is asked.

    Attributes:
        model: it.
        call: the request.
        operation: what the call's path stands for, which says how the answer is looked at; None for a relay.
        translation: of the answer; None where it passes as it is.
        dropped: what of the client's request the model cannot be told, by the client's names for it.
    """

    model: Model
    call: Call
    operation: Operation | None = None
    translation: Translation | None = None
    dropped: tuple[str, ...] = ()

    def sent(self) -> Ask:
        """Return it without the request."""
        return self._replace(call=_SENT)


class Job(Protocol):
    """What the exchange needs to know of a request."""

    lane: Lane
    plan: Plan
    stream: bool
    """Whether the client asked for a stream."""
    generation: bool

    @property
    def operation(self) -> Operation | None:
        """What the client's path stands for; None for a relay."""

    @property
    def breakers(self) -> Sequence[Breaker]:
        """What is remembered of each candidate."""

    @property
    def resend(self) -> bool:
        """Whether a request may be sent again on a fresh connection when a reused one was stale."""

    def ask(self, model: Model) -> Ask:
        """Return what ``model`` is asked.

        Raises:
            UnservedError: it cannot be asked.
        """

    def upload(self) -> Upload | None:
        """Return the body, where it is streamed."""

    def estimate(self) -> bytes | None:
        """Return what a client can be told where no model has answered; None if that is nothing."""

    def forget(self) -> None:
        """Let go of the request: an answer is being delivered, which may take long, and nobody else will be asked."""

    def failed(self, status: int, model: Model) -> bool:
        """Return whether a status from ``model`` is a failure, so that its body is read and not passed on."""

    def classify(self, status: int, problem: Problem, ask: Ask) -> Kind:
        """Return the kind of a failure, by its status and what its body says."""

    def classify_inside(self, problem: Problem, model: Model) -> Kind | None:
        """Return the kind of an error inside a success; None if it says nothing that is known."""


class ThroughTheChain:
    """What a generation and a named relay have in common: any error of a model concerns that model."""

    def upload(self) -> Upload | None:
        """Return None: the body is held whole."""
        return None

    def estimate(self) -> bytes | None:
        """Return None: there is no answer but a model's."""
        return None

    def failed(self, status: int, model: Model) -> bool:  # noqa: ARG002 - every model's errors are looked at
        """Return whether the status is an error."""
        return status >= 400

    def classify(self, status: int, problem: Problem, ask: Ask) -> Kind:
        """Return the kind of an error response."""
        own = ask.model.endpoint.own_credential
        kind = classify(status, (problem.type, problem.code), problem.message, own_credential=own)
        return self._checked(kind, ask.model) or Kind.CLIENT_ERROR

    def classify_inside(self, problem: Problem, model: Model) -> Kind | None:
        """Return the kind of an error inside a success; None if it says nothing that is known."""
        own = model.endpoint.own_credential
        # A status that the error names is one of its names: the response's own was a good one.
        names = (problem.type, problem.code, str(problem.status))
        return self._checked(classify(0, names, problem.message, own_credential=own), model)

    def rephrases(self, model: Model) -> bool:  # noqa: ARG002 - a generation can
        """Return whether ``model``, which refuses the form of what it was asked, can be asked in another one."""
        return False

    def _checked(self, kind: Kind | None, model: Model) -> Kind | None:
        return None if kind is Kind.REPHRASED and not self.rephrases(model) else kind


class Relay:
    """Any other request.

    Args:
        request: the client's.
        lane: the models; the first one's endpoint is asked.
        body: where it was held whole; None to stream it.
        strip_credentials: whether the client's credentials are for this proxy only, or for another kind of provider.
    """

    generation = False
    stream = False
    operation = None

    def __init__(self, request: ServerStream, lane: Lane, body: bytes | None, *, strip_credentials: bool) -> None:
        self._request = request
        self._body = body
        self._strip = strip_credentials
        self._has_body = not (request.complete and request.received == 0)
        self._safe = request.method in {b"GET", b"HEAD"} and not self._has_body
        self.lane = lane
        self.plan = lane.safe_relay if self._safe else lane.unsafe_relay
        self.breakers = (Breaker(),)  # what is relayed is about an endpoint; of the model it says nothing
        self.resend = self._safe

    @staticmethod
    def needs_whole_body(request: ServerStream, lane: Lane) -> bool:
        """Return whether the body must be there before anything is sent: it is small, or a signature covers it."""
        if request.complete or (request.length is not None and request.length <= HOLD):
            return True
        return lane.models[0].endpoint.signs

    def ask(self, model: Model) -> Ask:
        """Return the client's request as it is, its model too."""
        return Ask(model, _relayed(self._request, self._body or b"", strip=self._strip))

    def upload(self) -> Upload | None:
        """Return the body as a stream, if there is one."""
        request = self._request
        if self._body is not None or not self._has_body:
            return None
        return Upload(request.chunk, request.length)

    def estimate(self) -> bytes | None:
        """Return None: there is no answer but an upstream's."""
        return None

    def forget(self) -> None:
        """Let go of the request; of one that is streamed, what is still to come is sent all the same."""
        self._body = None
        self._request.forget()

    def failed(self, status: int, model: Model) -> bool:
        """Return whether a status is a failure, and not the answer to what the client asked.

        A refusal of our key is one, for the client would take it for a word about its own; so is what may heal, where
        asking again can do no harm. A 404 is none whoever's key was shown: it is about what the client named.
        """
        if status < 400 or status == 404:
            return False
        kind = self._kind(status, model)
        return (kind in _HEALS and self._safe) or about_our_key(kind, model)

    def classify(self, status: int, problem: Problem, ask: Ask) -> Kind:  # noqa: ARG002 - the status says enough
        """Return the kind of an error response."""
        return self._kind(status, ask.model)

    @staticmethod
    def _kind(status: int, model: Model) -> Kind:
        return classify(status, (), "", own_credential=model.endpoint.own_credential) or Kind.CLIENT_ERROR

    def classify_inside(self, problem: Problem, model: Model) -> Kind | None:  # noqa: ARG002 - nobody looks inside
        """Return None: what is relayed is not looked at."""
        return None


class Named(NamedTuple):
    """What the JSON body of a request that would be relayed says."""

    chain: Chain
    """The one that it names."""
    located: Located


def may_name(request: ServerStream) -> bool:
    """Return whether the body of a request of no generation path may name a model where it can be replaced.

    A compressed body is not looked at: what is relayed keeps the client's bytes.
    """
    if request.method != b"POST" or header(request.headers, b"content-encoding") is not None:
        return False
    media_type = (header(request.headers, b"content-type") or b"").partition(b";")[0].strip().lower()
    return media_type == b"application/json" or media_type.endswith(b"+json")


def find_named(body: bytes, chains: Chains) -> Named | None:
    """Return what ``body`` names beside the default chain; None if it names nothing, or is not JSON as it should be.

    Raises:
        RequestError: 404; it pins a model that does not exist.
    """
    if not (chains.configured or _NAMES_MODEL in body):
        return None
    try:
        located = locate(body)
    except RequestError:
        return None  # the upstream's to judge
    chain = chains.select(located.model or "")
    return None if chain is chains.default else Named(chain, located)


class NamedRelay(ThroughTheChain):
    """A request of no generation path that names a chain.

    Args:
        request: the client's.
        named: what it names.
        body: the whole of it.
        strip_credentials: whether the client's credentials are for this proxy only.
        mixed: whether the listener has models of several API types.

    Attributes:
        requested: the model that the client named.
        chain: the one that this selects.
    """

    generation = False
    stream = False
    operation = None

    def __init__(
        self, request: ServerStream, named: Named, body: bytes, *, strip_credentials: bool, mixed: bool
    ) -> None:
        self._request = request
        self._located = named.located
        self._body = body
        self.requested = named.located.model or ""
        self.chain = chain = named.chain
        self.lane = lane = chain.lane(relay_api_type(request.path, request.headers)) or chain.first
        self._strip = strip_credentials or crosses(request, lane, mixed=mixed)
        self.resend = _ANSWERS.fullmatch(request.path) is not None
        self.plan = lane.plan if self.resend else lane.unsafe
        # The rules of what is not made twice say nothing of what speaks against a model.
        self.breakers = lane.breakers if self.resend else tuple([Breaker() for _ in lane.models])

    def forget(self) -> None:
        """Let go of the request."""
        self._body = b""
        self._request.forget()

    def ask(self, model: Model) -> Ask:
        """Return the client's request with ``model`` in the place of its own."""
        return Ask(model, _relayed(self._request, splice(self._body, self._located, model.json), strip=self._strip))


def crosses(request: ServerStream, lane: Lane, *, mixed: bool) -> bool:
    """Return whether a relayed request's credentials are for another kind of provider than the one that it goes to.

    Where all providers are of one kind, a request without a mark is taken for one of theirs.
    """
    told = marked_api_type(request.path, request.headers) or (ApiType.OPENAI if mixed else None)
    return told is not None and told is not lane.models[0].api.api_type


def _relayed(request: ServerStream, body: bytes, *, strip: bool) -> Call:
    return Call(
        request.method, request.path, request.query, request.headers, body, generation=False, strip_credentials=strip
    )
