"""A request for one of the generation paths, and what each model of its chain is asked for it.

A model that understands the client's format gets the client's bytes, with its own name in the place of the model's. Any
other gets a request of its own format, composed from what the client asks (:mod:`hydrallm.formats.canonical`), which is
read once and only if it comes to that. What cannot be put to a model is no failure: nobody is asked, and the next one
is.

Two things are only found out by asking, and the same model is then asked in other words (``rephrased``): an endpoint
has no Responses; a model refuses thoughts that another one has signed, or misses its own.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

import msgspec

from hydrallm.endpoints.base import Call
from hydrallm.endpoints.headers import translated_request_headers
from hydrallm.endpoints.target import own_path, replace_model
from hydrallm.exchange.dialect import CHAT, INVOKE, RESPONSES, no_such_path
from hydrallm.exchange.job import Ask, ThroughTheChain
from hydrallm.exchange.translation import FAULT, AnswerTranslation, MalformedError
from hydrallm.formats import foreign_thought, history
from hydrallm.formats.anthropic_betas import read_betas
from hydrallm.formats.canonical import Target, UnservedError, UntranslatableError
from hydrallm.formats.codec import Asked
from hydrallm.formats.splice import Located, locate, splice
from hydrallm.formats.thought_removal import without_thoughts
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


class Context(NamedTuple):
    """What all generations of a listener share.

    Attributes:
        dialects: all that there are.
        now: tells the time in UTC.
        report: told of a fault of our own.
    """

    dialects: Dialects
    now: Callable[[], datetime.datetime]
    report: Callable[[str], None]


class Generation(ThroughTheChain):
    """A request for one of the generation paths.

    Args:
        request: the client's.
        operation: what its path stands for.
        chains: what may serve it.
        context: what it shares with all others.
        body: decoded and whole.
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
        context: Context,
        body: bytes,
        *,
        strip_credentials: bool,
    ) -> None:
        self._request = request
        self._body = body
        self._strip = strip_credentials
        self._dialects, self._now, self._report = context
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
        """What those are asked that have refused the thoughts of the conversation, and speak another format."""
        self._cleared: dict[Model, bytes] = {}
        """The client's body without thoughts that were refused, for those that speak its format."""

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
        if dialect.format is operation.format:
            return Ask(model, self._spliced(model), operation)
        return self._translated(model, dialect)

    def _spliced(self, model: Model) -> Call:
        """Return the client's request with ``model`` in the place of its own."""
        request, span, body, located = self._request, self.operation.model_span, self._body, self._located
        if self._foreign and model not in self._cleared:
            self._cleared[model] = without_thoughts(body, foreign=True) or body
        if (cleared := self._cleared.get(model)) is not None:
            body = cleared
            located = None if located is None else locate(body)
        path = request.path if span is None else replace_model(request.path, span, model.name)
        if located is not None:
            body = splice(body, located, model.json)
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
        composed = self._compose(model, codec, request, model.target)
        path, headers = codec.address(request, model.target)
        operation = dialect.format.match(path)
        call = self._own_call(model, dialect, path, headers, composed.body)
        translation = AnswerTranslation(codec, client, self._asked(model, request, composed), self._report)
        return Ask(model, call, operation, translation, composed.dropped)

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
                raise MalformedError(self.operation.format, error) from error
            except Exception as error:
                raise self._fault() from error
            if betas := header(self._request.headers, b"anthropic-beta"):
                request = msgspec.structs.replace(request, betas=(*request.betas, *read_betas(betas)))
            self._read = request
        return self._read

    def _compose(self, model: Model, codec: Codec, request: Request, target: Target) -> Composed:
        key = (model, codec.name)
        made = self._composed.get(key)
        if made is None or made[1] is not request:
            try:
                made = self._composed[key] = codec.compose(request, target), request
            except UnservedError:
                raise
            except Exception as error:
                raise self._fault() from error
        composed = made[0]
        if composed.dropped and self.chain.strict:
            reasons = [f"it cannot be told {name}, and the chain is strict" for name in composed.dropped]
            raise UnservedError(tuple(reasons))
        return composed

    def _fault(self) -> UnservedError:
        """Report the fault of our own that is being handled: another model may be asked in a format without it."""
        self._report(traceback.format_exc())
        return UnservedError((FAULT,))

    def _own_call(self, model: Model, dialect: Dialect, path: bytes, headers: Headers, body: bytes) -> Call:
        """Return a call that was composed here."""
        # A client's key is for its own kind of provider: no other is ever shown it.
        strip = self._strip or self.operation.format.api_type is not dialect.format.api_type
        headers = translated_request_headers(self._request.headers, keep_credentials=not strip) + headers
        path = own_path(model.endpoint, path)
        return Call(b"POST", path, b"", headers, body, generation=True, strip_credentials=strip)

    def forget(self) -> None:
        """Let go of the request, in all its forms."""
        self._request.forget()
        self._body = b""
        self._read = None
        self._composed.clear()
        self._bare.clear()
        self._cleared.clear()

    # -- what came of it ---------------------------------------------------------------------------------------------

    def classify(self, status: int, problem: Problem, ask: Ask) -> Kind:
        """Return the kind of an error response."""
        kind = super().classify(status, problem, ask)
        responses = ask.operation is not None and ask.operation.format.name == RESPONSES
        if kind is Kind.UNSUPPORTED and responses and no_such_path(problem) and ask.model.speech.lacks_responses():
            return Kind.REPHRASED
        return kind

    def rephrases(self, model: Model) -> bool:
        """Take the thoughts that ``model`` has refused out of what it is asked; return whether there are any.

        Or the thought is missing with which it would have begun a turn that another model has spoken: then it is asked
        not to think.
        """
        if not self._body:
            return False  # it is too late: an answer was delivered
        if model.speech.dialect(self.operation.format, claude=self._claude).format is self.operation.format:
            before = self._cleared.get(model, self._body)
            cleared = without_thoughts(before, foreign=False)
            if cleared is None:
                return False
            self._cleared[model] = cleared
            return True
        codec = self._dialects[self.operation.format.name].codec
        if codec is None or model in self._bare:
            return False
        bare = history.without_thoughts(self._request_of(codec))
        if bare is None:
            return False
        self._bare[model] = bare
        return True
