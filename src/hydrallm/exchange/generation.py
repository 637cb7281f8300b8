"""A request for one of the generation paths, and what each model of its chain is asked for it.

A model that understands the client's format gets the client's bytes, with its own name in the place of the model's. Any
other gets a request of its own format, composed from what the client asks (:mod:`hydrallm.formats.canonical`), which is
read once and only if it comes to that. What cannot be put to a model is no failure: nobody is asked, and the next one
is.

Two things are only found out by asking, and the same model is then asked in other words (``rephrased``): an endpoint
has no Responses; a model refuses thoughts that another one has signed, or misses its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from hydrallm.endpoints.base import Call
from hydrallm.endpoints.headers import translated_request_headers
from hydrallm.endpoints.target import own_path, replace_model
from hydrallm.exchange.dialect import CHAT, INVOKE, RESPONSES, no_such_path
from hydrallm.exchange.job import Ask, ThroughTheChain
from hydrallm.exchange.translation import AnswerTranslation, described
from hydrallm.formats import foreign_thought
from hydrallm.formats.anthropic_betas import read_betas
from hydrallm.formats.canonical import Target, UnservedError, UntranslatableError
from hydrallm.formats.codec import Asked
from hydrallm.formats.history import without_thoughts
from hydrallm.formats.splice import Located, locate, splice
from hydrallm.message import header
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from hydrallm.exchange.chain import Model
    from hydrallm.exchange.chains import Chains
    from hydrallm.exchange.dialect import Dialect, Dialects
    from hydrallm.formats.base import Operation, Problem
    from hydrallm.formats.canonical import Composed, Request
    from hydrallm.formats.codec import Codec
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.message import Headers
    from hydrallm.policy.plan import Plan

_FOR_CLAUDE = b'"anthropic_version"'
"""What every body of InvokeModel has that is made for Anthropic's models, and no other."""


_UNSEALED = frozenset({CHAT, "openai-completions"})
"""Formats in which no client is ever given the seal of a thought, so that none sends one back."""


class Generation(ThroughTheChain):
    """A request for one of the generation paths.

    Args:
        request: the client's.
        operation: what its path stands for.
        chains: what may serve it.
        dialects: all that there are.
        body: decoded and whole.
        now: tells the time in UTC.
        strip_credentials: whether the client's credentials are for this proxy only.

    Attributes:
        requested: the model that the client named; empty if it named none.
        chain: the one that this selects.

    Raises:
        RequestError: 400, the body is not one in which a model can be replaced; 404, it pins a model that is not there.
    """

    generation = True
    resend = True

    def __init__(
        self,
        request: ServerStream,
        operation: Operation,
        chains: Chains,
        dialects: Dialects,
        body: bytes,
        now: Callable[[], datetime.datetime],
        *,
        strip_credentials: bool,
    ) -> None:
        self._request = request
        self._body = body
        self._strip = strip_credentials
        self._dialects = dialects
        self._now = now
        self._located: Located | None = None
        if operation.model_span is None:
            self._located = locate(body)
            self.requested = self._located.model or ""
        else:
            start, end = operation.model_span
            self.requested = unquote(request.path[start:end].decode("latin-1"))
        self.chain = chains.select(self.requested)
        self.lane = lane = self.chain.whole
        self.plan = self._plan(lane.plan)
        self.breakers = lane.breakers
        self.operation = operation
        self.stream = self._located.stream if self._located and operation.stream is None else bool(operation.stream)
        name = operation.format.name
        self._claude = name == INVOKE and _FOR_CLAUDE in body
        self._foreign = name not in _UNSEALED and foreign_thought.may_have(body)
        self._read: Request | None = None
        self._composed: dict[tuple[Model, str], tuple[Composed, Request]] = {}
        self._bare: dict[Model, Request] = {}
        """What those are asked that have refused the thoughts of the conversation."""

    def _plan(self, plan: Plan) -> Plan:
        """Return what may be tried, of what the chain allows."""
        return plan

    # -- what a model is asked ---------------------------------------------------------------------------------------

    def ask(self, model: Model) -> Ask:
        """Return what ``model`` is asked.

        Raises:
            UnservedError: it cannot be asked.
        """
        operation = self.operation
        dialect = model.speech.dialect(operation.format, claude=self._claude)
        if dialect.format is operation.format and not (self._foreign or model in self._bare):
            return Ask(model, self._spliced(model, self._body), operation)
        return self._translated(model, dialect)

    def _spliced(self, model: Model, body: bytes) -> Call:
        """Return the client's request with ``model`` in the place of its own."""
        request, span = self._request, self.operation.model_span
        path = request.path
        if span is not None:
            path = replace_model(path, span, model.name)
        elif body is self._body and self._located is not None:
            body = splice(body, self._located, model.json)
        return Call(
            request.method, path, request.query, request.headers, body, generation=True, strip_credentials=self._strip
        )

    def _translated(self, model: Model, dialect: Dialect) -> Ask:
        client = self._dialects[self.operation.format.name]
        if client.codec is None or dialect.codec is None:
            raise UnservedError((f"{client.format.name} is not translated",))
        request = self._bare.get(model) or self._request_of(client.codec)
        if model.speech.prefers_responses(dialect, client.format, request, model.target.facts):
            dialect = self._dialects[RESPONSES]
        codec = dialect.codec
        assert codec is not None  # noqa: S101 - asked, or Responses
        if dialect.format is client.format:
            return self._repaired(model, codec, request, client)
        composed = self._compose(model, codec, request, model.target)
        path, headers = codec.address(request, model.target)
        operation = dialect.format.match(path)
        call = self._own_call(model, dialect, path, headers, composed.body)
        translation = AnswerTranslation(codec, client, self._asked(model, request, composed))
        return Ask(model, call, operation, translation, composed.dropped)

    def _repaired(self, model: Model, codec: Codec, request: Request, client: Dialect) -> Ask:
        """Return what a model is asked that takes the client's format, but not the client's bytes."""
        target = model.target
        if (version := header(self._request.headers, b"anthropic-version")) is not None:
            target = msgspec.structs.replace(target, version=version.decode("latin-1"))
        composed = self._compose(model, codec, request, target)
        translation = None
        if composed.names or composed.ids or composed.custom:
            translation = AnswerTranslation(codec, client, self._asked(model, request, composed))
        return Ask(model, self._spliced(model, composed.body), self.operation, translation, composed.dropped)

    def _asked(self, model: Model, request: Request, composed: Composed) -> Asked:
        return Asked(
            model=model.name,
            id=self._request.identity,
            created=int(self._now().timestamp()),
            usage_in_stream=request.usage_in_stream,
            names=composed.names,
            ids=composed.ids,
            custom=composed.custom,
        )

    def _request_of(self, codec: Codec) -> Request:
        """Return what the client asks.

        Raises:
            UnservedError: it is not a request of the client's format.
        """
        if self._read is None:
            named = self.requested if self.operation.model_span is not None else ""
            try:
                request = codec.read_request(self._body, model=named, stream=self.stream)
            except UntranslatableError as error:
                raise UnservedError((described(self.operation.format, error),)) from error
            betas = read_betas(header(self._request.headers, b"anthropic-beta") or b"")
            self._read = msgspec.structs.replace(request, betas=(*request.betas, *betas)) if betas else request
        return self._read

    def _compose(self, model: Model, codec: Codec, request: Request, target: Target) -> Composed:
        key = (model, codec.name)
        made = self._composed.get(key)
        if made is None or made[1] is not request:
            made = self._composed[key] = codec.compose(request, target), request
        composed = made[0]
        if composed.dropped and self.chain.strict:
            reasons = [f"it cannot be told {name}, and the chain is strict" for name in composed.dropped]
            raise UnservedError(tuple(reasons))
        return composed

    def _own_call(self, model: Model, dialect: Dialect, path: bytes, headers: Headers, body: bytes) -> Call:
        """Return a call that was composed here."""
        # A client's key is for its own kind of provider: no other is ever shown it.
        strip = self._strip or self.operation.format.api_type is not dialect.format.api_type
        headers = translated_request_headers(self._request.headers, keep_credentials=not strip) + headers
        path = own_path(model.endpoint, path)
        return Call(b"POST", path, b"", headers, body, generation=True, strip_credentials=strip)

    # -- what came of it ---------------------------------------------------------------------------------------------

    def classify(self, status: int, problem: Problem, ask: Ask) -> Kind:
        """Return the kind of an error response."""
        kind = super().classify(status, problem, ask)
        responses = ask.operation is not None and ask.operation.format.name == RESPONSES
        if kind is Kind.UNSUPPORTED and responses and no_such_path(problem) and ask.model.speech.lacks_responses():
            return Kind.REPHRASED
        return kind

    def rephrases(self, model: Model) -> bool:
        """Return whether ``model``, which refuses the conversation's thoughts, can be asked without them.

        Or the thought is missing with which it would have begun a turn that another model has spoken: then it is asked
        not to think, as it is whenever such a request is composed.
        """
        codec = self._dialects[self.operation.format.name].codec
        if codec is None or model in self._bare:
            return False
        try:
            request = self._request_of(codec)
        except UnservedError:
            return False
        bare = without_thoughts(request)
        if bare is None and (model, self.operation.format.name) in self._composed:
            return False
        self._bare[model] = bare or request
        return True
