"""One job, from the first attempt to the last byte.

The policy decides, this acts: it makes the attempts it is told to make, waits as it is told to, delivers, gives up or
breaks off, and says what happened.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, assert_never

from hydrallm.exchange.attempt import Attempt
from hydrallm.exchange.chain import listed
from hydrallm.exchange.reply import Reply
from hydrallm.exchange.translation import MalformedError
from hydrallm.exchange.verdict import RETRY_HEADERS, api_error, broken_off, retry_headers, verdict
from hydrallm.formats.base import ApiError
from hydrallm.formats.canonical import UnservedError
from hydrallm.message import Headers, Response, header
from hydrallm.policy.attempts import Attempts
from hydrallm.policy.commands import BreakOff, Deliver, GiveUp, Stop, Try, Wait
from hydrallm.policy.events import AttemptFailed, ClientLeft, Event, Started, Unserved, Waited
from hydrallm.telemetry.records import AttemptRecord, ExchangeRecord, Skip

if TYPE_CHECKING:
    from hydrallm.exchange.chain import Model
    from hydrallm.exchange.failure import ErrorAnswer
    from hydrallm.exchange.gateway import Gateway
    from hydrallm.exchange.job import Job
    from hydrallm.formats.base import WireFormat
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.policy.kinds import Kind


class Exchange:
    """The course of one job.

    Args:
        gateway: what all exchanges share.
        request: the client's.
        job: what is to be done.
        wire_format: gives our own errors their shape.
        record: filled in as it goes.
    """

    __slots__ = (
        "_attempt",
        "_began",
        "_errors",
        "_format",
        "_gateway",
        "_job",
        "_loop",
        "_record",
        "_reply",
        "_request",
        "_waited",
    )

    def __init__(
        self, gateway: Gateway, request: ServerStream, job: Job, wire_format: WireFormat, record: ExchangeRecord
    ) -> None:
        self._gateway = gateway
        self._loop = gateway.loop
        self._request = request
        self._job = job
        self._format = wire_format
        self._record = record
        self._reply = Reply(gateway.loop, request, wire_format, job.plan.hold_limit if job.stream else None, record.id)
        self._attempt: Attempt | None = None
        self._errors: dict[int, ErrorAnswer] = {}
        self._waited = 0.0
        self._began = gateway.loop.time()

    async def run(self) -> None:
        """Do the job: answer the request, one way or the other."""
        job = self._job
        policy = Attempts(job.plan, self._gateway.sources.chance, job.breakers, self._gateway.budget)
        retrying = header(self._request.headers, b"x-stainless-retry-count") not in {None, b"", b"0"}
        command = policy.step(Started(self._began, job.stream, retrying))
        try:
            while True:
                match command:
                    case Try():
                        command = policy.step(await self._try(command))
                        self._forget_errors(policy.shown, command)
                    case Wait(until=until):
                        command = policy.step(await self._wait(until))
                    case Deliver(attempt=number):
                        event = await self._deliver(number)
                        if event is None:
                            return
                        command = policy.step(event)
                    case GiveUp() | BreakOff() | Stop():
                        self._end(command)
                        return
                    case _:
                        assert_never(command)
        except BaseException:
            policy.step(ClientLeft(self._loop.time()))
            raise
        finally:
            self._reply.close()
            if self._attempt is not None:
                self._record.dropped_events += self._attempt.dropped
                self._attempt.close()

    # -- commands ----------------------------------------------------------------------------------------------------

    async def _wait(self, until: float) -> Event:
        now = self._loop.time()
        self._waited = max(0.0, until - now)
        self._reply.hold()
        await asyncio.sleep(until - now)
        return Waited(self._loop.time())

    async def _try(self, command: Try) -> Event:
        model = self._job.lane.models[command.candidate]
        try:
            ask = self._job.ask(model)
        except UnservedError as error:
            self._record.skipped.append(
                Skip(model.endpoint.name, model.name, error.reasons, isinstance(error, MalformedError))
            )
            return Unserved(self._loop.time())
        record = AttemptRecord(command.attempt, model.endpoint.name, model.name, self._waited)
        if ask.translation is not None and ask.operation is not None:
            record.wire_format = ask.operation.format.name
        record.dropped = ask.dropped
        self._waited = 0.0
        self._record.attempts.append(record)
        self._attempt = attempt = Attempt(self._gateway, self._job, ask, command, self._record, record, self._reply)
        began = self._loop.time()
        try:
            event = await attempt.run()
        finally:
            record.seconds = self._loop.time() - began
        if isinstance(event, AttemptFailed):
            attempt.close()
            if attempt.error is not None:
                self._errors[command.attempt] = attempt.error
            self._note(event, record)
        return event

    async def _deliver(self, number: int) -> Event | None:
        """Deliver what an attempt brought; return what came of that, or None where nothing more can come."""
        error = self._errors.get(number)
        if error is not None:
            kind = self._record.attempts[-1].kind
            assert kind is not None  # noqa: S101 - it has failed
            self._record.outcome = str(kind)
            self._show(error, error.response, kind)
            return None
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - the attempt that is delivered
        self._errors = {}  # nobody will see them
        self._commit()
        event = await attempt.deliver(self._marks(attempt.model))
        if isinstance(event, AttemptFailed):
            self._note(event, attempt.record)
        return event

    def _end(self, command: GiveUp | BreakOff | Stop) -> None:
        match command:
            case GiveUp():
                self._give_up(command)
            case BreakOff():
                self._break_off(command)
            case Stop():
                pass
            case _:
                assert_never(command)

    def _give_up(self, command: GiveUp) -> None:
        self._record.outcome = str(command.kind)
        if (estimate := self._job.estimate()) is not None:
            self._estimate(estimate, command)
            return
        shown = self._errors.get(command.attempt) if command.attempt is not None else None
        if shown is not None:
            kept = [pair for pair in shown.response.headers if pair[0] not in RETRY_HEADERS]
            response = shown.response
            response = Response(response.status, kept + retry_headers(command), response.body)
            self._show(shown, response, command.kind)
            return
        seconds = self._loop.time() - self._began
        own = verdict(command, self._job.plan, seconds, self._record)
        self._record.detail = own.message
        self._commit()
        error = ApiError(own.status, self._gateway.mask(own.message), own.code, self._record.id)
        if self._reply.opened:
            self._reply.break_off(error)
            return
        response = self._format.encode_error(error)
        response.headers.extend([*retry_headers(command), (b"date", self._request.date)])
        response.headers.extend(self._marks(self._attempt.model if self._attempt is not None else None))
        self._reply.respond(response)

    def _estimate(self, body: bytes, command: GiveUp) -> None:
        """Answer with what was made up, where no model has told."""
        self._record.outcome = "answered"
        told = verdict(command, self._job.plan, self._loop.time() - self._began, self._record)
        self._record.detail = f"estimated: {told.message}"
        self._commit()
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"date", self._request.date),
            (b"x-hydrallm-estimated", b"true"),
            (b"x-hydrallm-request-id", self._record.id.encode()),
        ]
        self._reply.respond(Response(200, headers, body))

    def _break_off(self, command: BreakOff) -> None:
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - whose answer it was
        self._record.outcome = str(command.kind)
        self._record.detail = attempt.record.detail
        message = attempt.problem.message if attempt.problem is not None else ""
        message = message or broken_off(attempt.record)
        error = api_error(command.kind, message, self._record.id, attempt.problem, self._gateway.mask)
        self._reply.break_off(error, said=attempt.scanned)

    # -- answers -----------------------------------------------------------------------------------------------------

    def _show(self, error: ErrorAnswer, response: Response, kind: Kind) -> None:
        """Send the client an upstream's error: as it is, or inside the stream whose head it has been sent."""
        self._commit()
        if self._reply.opened and response.status >= 300:
            message = error.problem.message or f"the upstream answered {response.status}"
            self._reply.break_off(api_error(kind, message, self._record.id, error.problem, self._gateway.mask))
            return
        headers = response.headers + self._marks(error.model)
        self._reply.respond(Response(response.status, headers, response.body))

    def _commit(self) -> None:
        now = self._loop.time()
        self._record.first_byte = now - self._record.began
        self._record.held = self._reply.end_hold(now)

    def _marks(self, model: Model | None) -> Headers:
        """Return the headers that say where an answer came from; None for one that nobody was asked for."""
        attempts = self._record.attempts
        marks = [
            (b"x-hydrallm-request-id", self._record.id.encode()),
            *(model.headers if model is not None else ()),
            (b"x-hydrallm-attempts", b"%d" % len(attempts)),
        ]
        if attempts and attempts[-1].dropped:
            marks.append((b"x-hydrallm-dropped", listed(attempts[-1].dropped)))
        return marks

    # -- bookkeeping -------------------------------------------------------------------------------------------------

    def _note(self, event: AttemptFailed, record: AttemptRecord) -> None:
        record.kind = event.kind
        record.loud = self._job.plan.rules[event.kind].loud
        self._gateway.sink.attempt_failed(self._record, record)

    def _forget_errors(self, shown: int | None, command: object) -> None:
        """Drop the error responses that nobody will see, so that a long fight holds one body and not a hundred."""
        if len(self._errors) > 1 and not isinstance(command, Deliver):
            self._errors = {number: error for number, error in self._errors.items() if number == shown}
