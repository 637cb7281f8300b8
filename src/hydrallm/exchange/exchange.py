"""One job, from the first attempt to the last byte.

The policy decides, this acts: it makes the attempts it is told to make, waits as it is told to, and says what happened.

Until the *commit* nothing is sent to the client, so that a failure can still be made good by another attempt: a JSON
answer is held whole (up to ``HOLD_LIMIT``), a stream until its first byte. After the commit bytes pass as they come,
and an answer that is cut upstream is cut for the client too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple, assert_never

from hydrallm.endpoints.headers import response_headers
from hydrallm.errors import (
    ConnectError,
    CutError,
    RemoteProtocolError,
    SilenceError,
    TlsError,
    UpstreamError,
)
from hydrallm.exchange.answer import Answer
from hydrallm.exchange.verdict import RETRY_HEADERS, retry_headers, verdict
from hydrallm.formats.base import ApiError
from hydrallm.message import Headers, Response
from hydrallm.policy.attempts import (
    AttemptFailed,
    Attempts,
    ClientLeft,
    ContentSeen,
    Deliver,
    Event,
    GiveUp,
    Started,
    Stop,
    Try,
    Wait,
    Waited,
)
from hydrallm.policy.classify import Kind
from hydrallm.policy.retry_after import retry_after
from hydrallm.telemetry.records import AttemptRecord, ExchangeRecord

if TYPE_CHECKING:
    from hydrallm.exchange.chain import Model
    from hydrallm.exchange.gateway import Gateway
    from hydrallm.exchange.job import Job
    from hydrallm.formats.base import WireFormat
    from hydrallm.http.server_stream import ServerStream

HOLD_LIMIT = 16 * 1024 * 1024
"""Bytes of a JSON answer or an error body that are held; a longer answer is committed and streamed."""

ERROR_PATIENCE = 5.0
"""Seconds for the body of an error: its status has said already that this attempt has failed."""

LOGGED_BODY = 4096
"""Bytes of an upstream's error body that are logged, where the config asks for it."""

_KINDS: list[tuple[type[UpstreamError], Kind]] = [
    (TlsError, Kind.TLS),
    (ConnectError, Kind.UNREACHABLE),
    (SilenceError, Kind.SLOW_START),
    (CutError, Kind.CUT),
    (RemoteProtocolError, Kind.BAD_ANSWER),
]


class _ErrorAnswer(NamedTuple):
    """An upstream's error response, kept in case it is the one to show."""

    model: Model
    response: Response


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
        "_answer",
        "_errors",
        "_format",
        "_gateway",
        "_held",
        "_job",
        "_model",
        "_record",
        "_request",
        "_waited",
    )

    def __init__(
        self, gateway: Gateway, request: ServerStream, job: Job, wire_format: WireFormat, record: ExchangeRecord
    ) -> None:
        self._gateway = gateway
        self._request = request
        self._job = job
        self._format = wire_format
        self._record = record
        self._answer: Answer | None = None
        self._held = b""
        self._model = job.lane.models[0]
        self._errors: dict[int, _ErrorAnswer] = {}
        self._waited = 0.0

    async def run(self) -> None:
        """Do the job: answer the request, one way or the other."""
        policy = Attempts(self._job.plan, self._gateway.sources.chance)
        command = policy.step(Started(self._gateway.loop.time(), self._job.stream))
        try:
            while True:
                match command:
                    case Try():
                        command = policy.step(await self._attempt(command))
                        self._forget_errors(policy.shown, command)
                    case Wait(until=until):
                        command = policy.step(await self._wait(until))
                    case Deliver(attempt=attempt):
                        await self._deliver(attempt)
                        return
                    case GiveUp():
                        self._give_up(command)
                        return
                    case Stop():
                        return
                    case _:
                        assert_never(command)
        except asyncio.CancelledError:
            policy.step(ClientLeft())
            raise
        finally:
            if self._answer is not None:
                self._answer.close()

    # -- commands ----------------------------------------------------------------------------------------------------

    async def _wait(self, until: float) -> Event:
        now = self._gateway.loop.time()
        self._waited = until - now
        await asyncio.sleep(until - now)
        return Waited(self._gateway.loop.time())

    async def _attempt(self, command: Try) -> Event:
        """Make an attempt, up to the point at which it can be delivered or has failed."""
        loop = self._gateway.loop
        began = loop.time()
        model = self._model = self._job.lane.models[command.candidate]
        attempt = AttemptRecord(command.attempt, model.endpoint.name, model.name, self._waited)
        self._waited = 0.0
        self._record.attempts.append(attempt)
        try:
            event = await self._ask(command, model, attempt)
        except UpstreamError as error:
            kind = next(kind for error_type, kind in _KINDS if isinstance(error, error_type))
            attempt.detail = str(error)
            event = AttemptFailed(command.attempt, kind, loop.time())
        finally:
            attempt.seconds = loop.time() - began
        if isinstance(event, AttemptFailed):
            self._close_answer()
            attempt.kind = event.kind
            attempt.loud = self._job.plan.rules[event.kind].loud
            self._gateway.sink.attempt_failed(self._record, attempt)
        return event

    async def _ask(self, command: Try, model: Model, attempt: AttemptRecord) -> ContentSeen | AttemptFailed:
        job = self._job
        request = model.api.address(model.endpoint, job.call(model), self._gateway.sources.now())
        if self._gateway.sink.wants_requests:
            self._gateway.sink.attempt_begun(self._record, attempt, request)
        upstream = await model.client.request(
            request,
            expires=command.expires,
            connect_timeout=model.candidate.clocks.connect,
            upload=job.upload(),
            resend=job.resend,
        )
        self._answer = answer = Answer(upstream, decode=job.generation)
        attempt.status = upstream.status
        kind = job.classify(upstream.status, model)
        if kind is not None:
            return await self._keep_error(command, kind, model, attempt)
        self._held = await self._hold(answer)
        if job.generation and not self._held and answer.complete and upstream.status < 300:
            attempt.detail = "the answer's body is empty"
            return AttemptFailed(command.attempt, Kind.BAD_ANSWER, self._gateway.loop.time())
        if upstream.to_eof and upstream.status < 300 and answer.is_cut_json(self._held):
            attempt.detail = "the answer's JSON is cut"
            return AttemptFailed(command.attempt, Kind.BAD_ANSWER, self._gateway.loop.time())
        return ContentSeen(command.attempt)

    async def _hold(self, answer: Answer) -> bytes:
        """Return what is held of a good answer before the commit."""
        if answer.is_json:
            return await answer.gather(HOLD_LIMIT)
        if self._job.generation or answer.upstream.complete:
            return await answer.chunk()
        return b""

    async def _keep_error(
        self, command: Try, kind: Kind, model: Model, attempt: AttemptRecord
    ) -> ContentSeen | AttemptFailed:
        """Read an error response and keep it.

        Raises:
            UpstreamError: the body of a client's error did not arrive. Of any other error the status has said enough.
        """
        answer = self._answer
        assert answer is not None  # noqa: S101 - set by the caller
        asked = retry_after(answer.upstream.headers, self._gateway.sources.now())
        answered = True
        if not answer.upstream.complete:
            answer.upstream.expire_at(min(command.expires, self._gateway.loop.time() + ERROR_PATIENCE))
        try:
            body = await answer.gather(HOLD_LIMIT)
            if not answer.complete:
                raise RemoteProtocolError(f"an error body is over {HOLD_LIMIT} bytes")
            headers = response_headers(answer.upstream.headers, decoded=answer.decoded)
            response = Response(attempt.status, headers, body)
            self._errors[command.attempt] = _ErrorAnswer(model, response)
        except UpstreamError as error:
            if kind is Kind.CLIENT_ERROR:
                raise
            body, answered = b"", False
            attempt.detail = f"its error body did not arrive: {error}"
        if self._gateway.sink.wants_bodies:
            # Masked first, and with some more of it: half of a key at its end would not be known for one.
            attempt.body = self._gateway.mask(body[: 2 * LOGGED_BODY].decode("utf-8", "replace"))[:LOGGED_BODY]
        return AttemptFailed(command.attempt, kind, self._gateway.loop.time(), answered, asked)

    async def _deliver(self, number: int) -> None:
        error = self._errors.get(number)
        if error is not None:
            self._record.outcome = str(self._record.attempts[-1].kind)
            self._send(error.response, error.model)
            return
        answer = self._answer
        assert answer is not None  # noqa: S101 - the attempt that is delivered has one
        headers = response_headers(answer.upstream.headers, decoded=answer.decoded)
        headers += self._marks(self._model)
        status = answer.upstream.status
        self._record.first_byte = self._gateway.loop.time() - self._record.began
        if answer.complete:
            head_only = self._request.method == b"HEAD"
            length = answer.length if head_only else len(self._held)
            self._request.start(status, headers, length=length, first=self._held)
            self._request.finish()
            return
        self._request.start(status, headers, length=answer.length, first=self._held)
        self._held = b""
        await self._relay(answer)

    async def _relay(self, answer: Answer) -> None:
        """Pass the rest of a committed answer on as it comes."""
        request = self._request
        answer.upstream.limit_silence(self._model.candidate.clocks.idle)
        try:
            while data := await answer.chunk():
                request.write(data)
                await request.drain()
        except UpstreamError as error:
            self._record.outcome = "stalled" if isinstance(error, SilenceError) else "cut"
            self._record.detail = str(error)
            request.cut()
        else:
            request.finish()

    def _give_up(self, command: GiveUp) -> None:
        self._record.outcome = str(command.kind)
        shown = self._errors.get(command.attempt) if command.attempt is not None else None
        if shown is not None:
            kept = [pair for pair in shown.response.headers if pair[0] not in RETRY_HEADERS]
            headers = kept + retry_headers(command)
            self._send(Response(shown.response.status, headers, shown.response.body), shown.model)
            return
        own = verdict(command, self._record.attempts)
        self._record.detail = own.message
        error = ApiError(own.status, self._gateway.mask(own.message), own.code, self._record.id)
        response = self._format.encode_error(error)
        response.headers.extend([*retry_headers(command), (b"date", self._request.date)])
        self._send(response, self._model)

    # -- answers -----------------------------------------------------------------------------------------------------

    def _send(self, response: Response, model: Model) -> None:
        self._record.first_byte = self._gateway.loop.time() - self._record.began
        self._request.respond(Response(response.status, response.headers + self._marks(model), response.body))

    def _marks(self, model: Model) -> Headers:
        """Return the headers that say where an answer came from."""
        return [
            (b"x-hydrallm-request-id", self._record.id.encode()),
            *model.headers,
            (b"x-hydrallm-attempts", b"%d" % len(self._record.attempts)),
        ]

    def _close_answer(self) -> None:
        if self._answer is not None:
            self._answer.close()
            self._answer = None

    def _forget_errors(self, shown: int | None, command: object) -> None:
        """Drop the error responses that nobody will see, so that a long fight holds one body and not a hundred."""
        if len(self._errors) > 1 and not isinstance(command, Deliver):
            self._errors = {number: error for number, error in self._errors.items() if number == shown}
