"""One upstream try: from the request to the answer's first content, and then to its last byte.

Until the *commit* nothing is sent to the client, so that a failure can still be made good by another attempt:

* a JSON answer is held whole (up to ``HOLD_LIMIT``) and examined: a 200 may be an error, or half an answer;
* a stream is held up to its first content, event by event. If all of it arrived at once, it is known by then whether it
  is complete;
* an error's body is read, because what failed is often only said there.

After the commit whole events pass as they come, until the stream's own terminal event has been seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.endpoints.headers import response_headers
from hydrallm.errors import RemoteProtocolError, SilenceError, UpstreamError
from hydrallm.exchange.answer import Answer
from hydrallm.exchange.failure import ABOUT_A_RATE, ABOUT_AN_ACCOUNT, ErrorAnswer, about_our_key, kind_of, no_answer
from hydrallm.exchange.verdict import api_error, excerpt, masked
from hydrallm.formats.base import Problem
from hydrallm.formats.problem import read_problem
from hydrallm.message import Response
from hydrallm.policy.events import AnswerEnded, AttemptFailed, ContentSeen
from hydrallm.policy.kinds import Kind, Next
from hydrallm.policy.retry_after import retry_after

if TYPE_CHECKING:
    from hydrallm.exchange.gateway import Gateway
    from hydrallm.exchange.job import Ask, Job
    from hydrallm.exchange.reply import Reply
    from hydrallm.formats.base import Scan
    from hydrallm.message import Headers
    from hydrallm.policy.commands import Try
    from hydrallm.telemetry.records import AttemptRecord, ExchangeRecord

HOLD_LIMIT = 16 * 1024 * 1024
"""Bytes of a JSON answer or an error body that are held; a longer answer is committed and streamed."""

ERROR_PATIENCE = 5.0
"""Seconds for the body of an error: its status has said already that this attempt has failed."""

LINGER = 2.0
"""Seconds for the end of a body whose format has said already that it is complete."""

LOGGED_WORDS = 100
"""Characters of an error's message that are logged where it has neither code nor type."""

_UNENDED = "the stream ended without its terminal event"
_FILTERED = Problem(type="content_filter", message="the provider's filter left nothing of the answer", ours="filtered")
_NO_STREAM = Problem(message="a stream was asked for, and one JSON document came", ours="not_an_answer")


class Attempt:
    """One try, from the request to the end of its answer.

    Args:
        gateway: what all exchanges share.
        job: what is to be done.
        ask: who is asked, and what.
        command: the policy's.
        exchange: the record of the exchange.
        record: of this attempt; filled in as it goes.
        reply: the client's side.

    Attributes:
        error: the upstream's error, if it sent one.
        problem: what went wrong inside the answer, if it said so; in the words of the client's format.
    """

    __slots__ = (
        "_answer", "_ask", "_command", "_exchange", "_gateway", "_held", "_job", "_reply", "_scan", "error", "model",
        "problem", "record",
    )  # fmt: skip

    def __init__(
        self,
        gateway: Gateway,
        job: Job,
        ask: Ask,
        command: Try,
        exchange: ExchangeRecord,
        record: AttemptRecord,
        reply: Reply,
    ) -> None:
        self._gateway = gateway
        self._job = job
        self._ask = ask
        self._command = command
        self._exchange = exchange
        self._reply = reply
        self._answer: Answer | None = None
        self._scan: Scan | None = None
        self._held = b""
        self.model = ask.model
        self.record = record
        self.error: ErrorAnswer | None = None
        self.problem: Problem | None = None

    def close(self) -> None:
        """Let go of the upstream."""
        if self._answer is not None:
            self._answer.close()

    # -- up to the commit --------------------------------------------------------------------------------------------

    async def run(self) -> ContentSeen | AttemptFailed:
        """Ask, and return as soon as the answer can be delivered or has failed."""
        job, model = self._job, self.model
        try:
            endpoint = model.endpoint
            if model.supply is not None:
                connect_by = self._gateway.loop.time() + model.candidate.clocks.connect
                endpoint = await model.supply.endpoint(min(self._command.expires, connect_by))
            request = model.api.address(endpoint, self._ask.call, self._gateway.sources.now())
            if self._gateway.sink.wants_requests:
                self._gateway.sink.attempt_begun(self._exchange, self.record, request)
            upstream = await model.client.request(
                request,
                expires=self._command.expires,
                connect_timeout=model.candidate.clocks.connect,
                upload=job.upload(),
                resend=job.resend,
            )
            self._answer = answer = Answer(upstream, decode=job.generation)
            status = self.record.status = upstream.status
            if job.failed(status, model):
                return await self._read_error(answer)
            if job.operation is None:
                return await self._hold_relayed(answer)
            if status >= 300 or answer.opaque:
                return self._failed(*no_answer(status, upstream.headers))
            if job.stream and not answer.is_json:
                return await self._hold_stream(answer)
            looked_at = answer.is_text or self._ask.translation is not None
            return await (self._hold_json(answer) if looked_at else self._hold_relayed(answer))
        except UpstreamError as error:
            return self._failed(kind_of(error), str(error))

    async def _read_error(self, answer: Answer) -> AttemptFailed:
        """Read an error response and name it.

        Raises:
            UpstreamError: the body of a client's error did not arrive. Of any other error the status has said enough.
        """
        headers = answer.upstream.headers
        self._reply.hold()
        if not answer.upstream.complete:
            patience = self._gateway.loop.time() + ERROR_PATIENCE
            answer.upstream.expire_at(min(self._command.expires, patience))
        try:
            body = await answer.gather(HOLD_LIMIT)
            if not answer.complete:
                raise RemoteProtocolError(f"an error body is over {HOLD_LIMIT} bytes")
        except UpstreamError as error:
            kind = self._job.classify(self.record.status, Problem(self.record.status), self._ask)
            if kind is Kind.CLIENT_ERROR:
                raise
            return self._failed(kind, f"its error body did not arrive: {error}", asked=self._asked(kind, headers))
        problem = read_problem(self.record.status, headers, body)
        kind = self._job.classify(self.record.status, problem, self._ask)
        detail = problem.code or problem.type
        if (translation := self._ask.translation) is not None:
            problem = translation.problem(problem, kind)
            response = translation.error(problem, headers, self._exchange.id)
        else:
            response = Response(self.record.status, response_headers(headers, decoded=answer.decoded), body)
        if self.model.endpoint.own_credential:
            response = masked(response, self._gateway.mask)
        self.error = ErrorAnswer(self.model, response, problem)
        if self._gateway.sink.wants_bodies:
            self.record.body = excerpt(body, self._gateway.mask, self._reply.request.headers)
        # A web page of some server in between is of no use to a program; what we say instead names it.
        readable = self._job.operation is None or not body.lstrip().startswith(b"<")
        answered = readable or self._job.plan.rules[kind].next is Next.RETURN
        detail = detail or ("" if readable else problem.message[:LOGGED_WORDS])
        return self._failed(kind, detail, answered=answered, asked=self._asked(kind, headers))

    def _asked(self, kind: Kind, headers: Headers) -> float | None:
        """Return for how many seconds the upstream asks to be left alone."""
        return retry_after(headers, self._gateway.sources.now(), limits=kind in ABOUT_A_RATE)

    async def _hold_relayed(self, answer: Answer) -> ContentSeen | AttemptFailed:
        """Hold what is passed on as it is: relayed, or asked for as an answer but no text (a picture, sound)."""
        if answer.is_json:
            self._held = await answer.gather(HOLD_LIMIT)
        elif self._job.generation or answer.upstream.complete:
            self._held = await answer.chunk()
        success = self.record.status < 300
        if success and answer.upstream.to_eof and answer.is_cut_json(self._held):
            return self._failed(Kind.BAD_ANSWER, "the answer's JSON is cut")
        if success and self._job.generation and not self._held and answer.complete:
            return self._failed(Kind.BAD_ANSWER, "the answer's body is empty")
        return self._seen(complete=answer.complete)

    async def _hold_json(self, answer: Answer) -> ContentSeen | AttemptFailed:
        """Hold a whole answer and examine it."""
        operation, translation = self._ask.operation, self._ask.translation
        assert operation is not None  # noqa: S101 - a generation's is known
        self._held = body = await answer.gather(HOLD_LIMIT)
        if not answer.complete:
            if self._job.stream:
                return self._failed_inside(_NO_STREAM, Kind.BAD_ANSWER)
            if translation is not None:
                return self._failed(Kind.BAD_ANSWER, f"an answer of over {HOLD_LIMIT} bytes cannot be translated")
            return self._seen(complete=False)
        counted = operation.counts and translation is not None  # its translation is the one who knows
        problem = None if counted else operation.format.examine(body, operation)
        if problem is None and self._job.stream:
            problem = _NO_STREAM
        elif translation is not None and (problem is None or problem.ours == "filtered"):
            said = translation.answer(body)
            if isinstance(said, Problem):
                problem = said
            else:
                self._held = said
        return self._seen(complete=True) if problem is None else self._failed_inside(problem, Kind.BAD_ANSWER)

    async def _hold_stream(self, answer: Answer) -> ContentSeen | AttemptFailed:
        """Hold a stream up to its first content, or up to its end where there is none."""
        operation, translation = self._ask.operation, self._ask.translation
        assert operation is not None  # noqa: S101 - a generation's is known
        scan = operation.format.scan()
        if translation is not None:
            scan = translation.stream(scan)
        self._scan = scan
        held: list[bytes] = []
        size = 0
        self._reply.hold()
        while not (scan.content or scan.ended):
            data = await answer.chunk()
            if not data:
                break
            size += len(data)
            held.append(scan.feed(data))
            if scan.problem is not None or scan.broken or size > HOLD_LIMIT:
                break
        if answer.complete:
            held.append(scan.finish())
        self._held = held[0] if len(held) == 1 else b"".join(held)
        return self._judge(scan, size, over=answer.complete)

    def _judge(self, scan: Scan, size: int, *, over: bool) -> ContentSeen | AttemptFailed:
        """Say what has come of a stream: its first content, its end, or a failure.

        Args:
            scan: what was seen.
            size: bytes that came.
            over: whether the upstream has sent all it had to send.
        """
        if scan.problem is not None:
            return self._failed_inside(scan.problem, Kind.BAD_ANSWER if scan.problem.ours else Kind.CUT)
        if scan.broken or (over and not scan.complete):
            empty = Kind.CUT if size else Kind.BAD_ANSWER
            return self._failed(empty, scan.broken or _UNENDED)
        if scan.filtered and not scan.content:
            return self._failed_inside(_FILTERED, Kind.CONTENT_FILTER)
        if not (scan.content or scan.ended):
            return self._failed(Kind.BAD_ANSWER, f"{HOLD_LIMIT} bytes came without any content")
        return self._seen(complete=over)

    # -- after the commit --------------------------------------------------------------------------------------------

    async def deliver(self, marks: Headers) -> AnswerEnded | AttemptFailed | None:
        """Send the client what is held, and pass on the rest as it comes; None if nothing was left.

        Args:
            marks: our headers.
        """
        answer, reply = self._answer, self._reply
        assert answer is not None  # noqa: S101 - the attempt that is delivered has one
        headers = self._headers(answer)
        headers += marks
        status = answer.upstream.status
        held, self._held = self._held, b""
        if answer.complete:
            length = answer.length if reply.request.method == b"HEAD" else len(held)
            reply.begin(status, headers, length=length, first=held)
            reply.request.finish()
            return None
        reply.begin(status, headers, length=answer.length if self._scan is None else None, first=held)
        del held  # it may be big, and the stream long; so may the request
        self._job.forget()
        self._ask = self._ask.sent()
        answer.upstream.limit_silence(self.model.candidate.clocks.idle)
        try:
            failed = await (self._pass_on(answer) if self._scan is None else self._pass_events(answer, self._scan))
        except UpstreamError as error:
            if self._scan is not None and self._scan.ended:
                failed = self._end_events(self._scan)
            else:
                failed = self._failed(Kind.STALLED if isinstance(error, SilenceError) else Kind.CUT, str(error))
        if failed is None:
            reply.request.finish()
        return failed or AnswerEnded(self._command.attempt, self._gateway.loop.time())

    async def _pass_on(self, answer: Answer) -> None:
        """Pass a body on as it comes."""
        request = self._reply.request
        while data := await answer.chunk():
            request.write(data)
            await request.drain()

    async def _pass_events(self, answer: Answer, scan: Scan) -> AttemptFailed | None:
        """Pass a stream on, whole events only; return the failure, if it does not end as its format says."""
        request = self._reply.request
        lingers = scan.ended
        if lingers:
            self._linger(answer)
        while data := await answer.chunk():
            if events := scan.feed(data):
                request.write(events)
                await request.drain()
            if scan.ended:  # what follows means little, and is not waited for long
                if not lingers:
                    lingers = True
                    self._linger(answer)
            elif scan.problem is not None or scan.broken:
                return self._broken_off(scan)
        return self._end_events(scan)

    def _end_events(self, scan: Scan) -> AttemptFailed | None:
        """Pass on what is left to be said of a stream of which no more comes; return the failure, if it has no end."""
        if last := scan.finish():
            self._reply.request.write(last)
        return None if scan.ended or scan.complete else self._broken_off(scan)

    def _broken_off(self, scan: Scan) -> AttemptFailed:
        """Name what ended a stream before its end."""
        if scan.problem is not None:
            return self._failed(self._name(scan.problem, Kind.CUT), scan.problem.code or scan.problem.type)
        return self._failed(Kind.CUT, scan.broken or _UNENDED)

    def _linger(self, answer: Answer) -> None:
        """Wait no longer than that for the end of the body."""
        answer.upstream.expire_at(self._gateway.loop.time() + LINGER)

    @property
    def scanned(self) -> bool:
        """Whether what is passed on is the events of a stream."""
        return self._scan is not None

    @property
    def dropped(self) -> int:
        """How many events were dropped because they did not parse."""
        return 0 if self._scan is None else self._scan.dropped

    # -- what came of it ---------------------------------------------------------------------------------------------

    def _seen(self, *, complete: bool) -> ContentSeen:
        return ContentSeen(self._command.attempt, self._gateway.loop.time(), complete)

    def _failed(self, kind: Kind, detail: str, *, answered: bool = False, asked: float | None = None) -> AttemptFailed:
        self.record.detail = detail
        shown = answered and not about_our_key(kind, self.model)
        personal = kind in ABOUT_AN_ACCOUNT and not self.model.endpoint.own_credential
        return AttemptFailed(self._command.attempt, kind, self._gateway.loop.time(), shown, asked, personal)

    def _name(self, problem: Problem, default: Kind) -> Kind:
        """Return the kind of an error that came inside a 200; ``default`` where that says nothing known."""
        translation = self._ask.translation
        kind = self._job.classify_inside(problem, self.model)
        self.problem = problem if translation is None or problem.ours else translation.problem(problem, kind)
        return kind or default

    def _failed_inside(self, problem: Problem, default: Kind) -> AttemptFailed:
        """Keep an error that came inside a 200 as the error response that it should have been.

        An answer that a content filter has emptied is kept as the answer that it is.

        Args:
            problem: what was said.
            default: the kind, where that says nothing known.
        """
        kind = self._name(problem, default)
        detail = problem.code or problem.type or problem.message[:LOGGED_WORDS]
        if problem.ours == "not_an_answer":
            return self._failed(kind, problem.message)
        assert self._job.operation is not None  # noqa: S101 - a generation's is known
        if problem.ours == "filtered" and (self._scan is not None or not self._job.stream):
            response = self._as_it_is()
        else:
            said = self.problem or problem
            error = api_error(kind, said.message, self._exchange.id, said, self._gateway.mask)
            response = self._job.operation.format.encode_error(error)
            problem = said
        self.error = ErrorAnswer(self.model, response, problem)
        return self._failed(kind, f"inside a {self.record.status}: {detail}", answered=True)

    def _as_it_is(self) -> Response:
        """Return the answer as the response that it is, whatever its content."""
        assert self._answer is not None  # noqa: S101 - something is held of it
        return Response(self.record.status, self._headers(self._answer), self._held)

    def _headers(self, answer: Answer) -> Headers:
        """Return those of the upstream's headers that go with its answer."""
        if (translation := self._ask.translation) is not None:
            return translation.headers(answer.upstream.headers, stream=self._scan is not None)
        return response_headers(answer.upstream.headers, decoded=answer.decoded)
