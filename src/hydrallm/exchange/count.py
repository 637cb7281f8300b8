"""A request for the number of tokens that a message has.

It goes through the chain like a message, but only once: who asks wants to know quickly, and how well one model counts
is no question of life and death. A model whose API has no such question is passed over, and so is one that was found to
have none. Where no model tells, the answer is an estimate that says it is one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from hydrallm.exchange.generation import Generation
from hydrallm.exchange.job import Ask
from hydrallm.exchange.translation import CountTranslation
from hydrallm.formats.base import Operation
from hydrallm.formats.canonical import UnservedError
from hydrallm.formats.token_count import write_count
from hydrallm.formats.token_counters import COUNTERS
from hydrallm.formats.token_estimate import estimate
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from hydrallm.exchange.chain import Model
    from hydrallm.exchange.dialect import Dialect
    from hydrallm.formats.base import Problem
    from hydrallm.policy.plan import Plan

_NO_COUNT = re.compile(r"doesn.t support counting tokens")  # what Bedrock says of some models
_NOWHERE = "its API does not count tokens"


class TokenCount(Generation):
    """A request for a path that counts tokens; see :class:`Generation`."""

    def _plan(self, plan: Plan) -> Plan:
        """Return what may be tried: each model once."""
        once = tuple([msgspec.structs.replace(candidate, attempts=1) for candidate in plan.candidates])
        return msgspec.structs.replace(plan, candidates=once, max_cycles=1)

    def ask(self, model: Model) -> Ask:
        """Return what ``model`` is asked.

        Raises:
            UnservedError: it cannot be asked.
        """
        if model.speech.counts.missing:
            raise UnservedError((_NOWHERE,))
        return super().ask(model)

    def _translated(self, model: Model, dialect: Dialect) -> Ask:
        client = self._dialects[self.operation.format.name]
        counter = COUNTERS.get(dialect.format.name)
        if counter is None or client.codec is None:
            raise UnservedError((_NOWHERE,))
        counting = counter.compose(self._request_of(client.codec), model.target)
        call = self._own_call(model, dialect, counting.path, counting.headers, counting.body)
        operation = Operation(dialect.format, stream=False, counts=True)
        return Ask(model, call, operation, CountTranslation(counter, client.format))

    def classify(self, status: int, problem: Problem, ask: Ask) -> Kind:
        """Return the kind of an error response."""
        kind = super().classify(status, problem, ask)
        if kind is Kind.CLIENT_ERROR and self.estimate() is not None:
            kind = Kind.UNSUPPORTED  # it is a message, so what is refused is to count it: an image by its address, ...
        if status in {404, 405, 501} or (status == 400 and _NO_COUNT.search(problem.message)):
            ask.model.speech.counts.miss()
        return kind

    def estimate(self) -> bytes | None:
        """Return an estimate; None if it is no message that is to be counted."""
        codec = self._dialects[self.operation.format.name].codec
        assert codec is not None  # noqa: S101 - what counts can be read
        try:
            request = self._request_of(codec)
        except UnservedError:
            return None
        return write_count(estimate(request, self.lane.models[0].name))
