"""The handler of every request: who may ask, what is asked, which job that makes.

Every request ends here, one way or another, with an answer that carries ``x-hydrallm-request-id`` and with one record
for the sinks. Also what the HTTP engine refuses by itself does: it asks :meth:`Gateway.refuse` for the answer.
"""

from __future__ import annotations

import asyncio
import re
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from hydrallm import __version__
from hydrallm.errors import OverloadError, RequestError
from hydrallm.exchange.catalog import Catalog
from hydrallm.exchange.count import TokenCount
from hydrallm.exchange.exchange import Exchange
from hydrallm.exchange.generation import Context, Generation
from hydrallm.exchange.health import joint_report, report
from hydrallm.exchange.job import NamedRelay, Relay, crosses, find_named, may_name
from hydrallm.exchange.paths import relay_api_type
from hydrallm.exchange.shedding import Shedding
from hydrallm.formats.base import ApiError
from hydrallm.http.server_stream import Ending
from hydrallm.message import Response, header
from hydrallm.policy.budget import Budget
from hydrallm.telemetry.records import ExchangeRecord

if TYPE_CHECKING:
    import datetime
    from collections.abc import Awaitable, Callable, Sequence

    from hydrallm.exchange.access import Access
    from hydrallm.exchange.chains import Chains
    from hydrallm.exchange.dialect import Dialects
    from hydrallm.exchange.health import Witness
    from hydrallm.exchange.job import Job
    from hydrallm.exchange.paths import Paths
    from hydrallm.formats.base import Operation, WireFormat
    from hydrallm.http.server_stream import ServerStream
    from hydrallm.telemetry.masking import Mask
    from hydrallm.telemetry.records import Sink

OWN_PATHS = re.compile(rb"/_hydra(?:/|$)")
CLIENT_LEFT = 499
"""nginx's status for a client that closed its connection before the answer."""

_LATER = [(b"retry-after", b"1"), (b"x-should-retry", b"true")]
"""What the official SDKs go by: the same request may well be served a little later."""

_CODES = {
    400: "bad_request",
    401: "invalid_client_key",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "request_too_large",
    415: "unsupported_content_encoding",
    417: "expectation_failed",
    421: "misdirected_request",
    426: "upgrade_refused",
    431: "headers_too_large",
    500: "internal_error",
    501: "not_implemented",
    503: "overloaded",
    505: "http_version_not_supported",
}


class Sources(NamedTuple):
    """What no program can make by itself; handed in, so that a test can say what it is."""

    now: Callable[[], datetime.datetime]
    """The time in UTC."""
    chance: Callable[[], float]
    """Random numbers from [0, 1)."""
    identity: Callable[[], str]
    """A new id for each exchange; sorts by time."""


class Gateway:
    """What all exchanges of a listener share, and where each begins: the handler of an HTTP server.

    Args:
        chains: the models.
        access: who may ask.
        paths: what the paths stand for.
        dialects: what models can be asked in.
        sink: told of every exchange.
        mask: takes secrets out of what a client is told.
        sources: time, chance and ids.
        max_exchanges: how many may run at a time; None for as many as there are clients.

    Attributes:
        budget: pays for the retries of all exchanges.
    """

    def __init__(  # noqa: PLR0913 - made in one place, from what stands there
        self,
        *,
        chains: Chains,
        access: Access,
        paths: Paths,
        dialects: Dialects,
        sink: Sink,
        mask: Mask,
        sources: Sources,
        max_exchanges: int | None = None,
    ) -> None:
        self.chains = chains
        self.access = access
        self.sink = sink
        self.mask = mask
        self.sources = sources
        self.budget = Budget()
        self.loop = asyncio.get_running_loop()
        self.listener = ""
        """The address the listener is bound to, once it is."""
        self.exchanges = 0
        """How many have begun."""
        self.running = 0
        """How many of them have not ended."""
        self.max_exchanges = max_exchanges or sys.maxsize
        self.witnesses: Callable[[], Awaitable[Sequence[Witness]]] | None = None
        """Asks all processes of the listener how its models fare; None where there is only this one."""
        self._paths = paths
        self._context = Context(dialects, sources.now, sink.fault)
        self._catalog = Catalog(chains)
        self._shedding = Shedding(sink, self.loop)
        self._refusals: dict[str, str] = {}
        """Why the connection has refused a request whose handler runs; by id, until that handler is cancelled."""

    async def __call__(self, request: ServerStream) -> None:
        """Answer one request."""
        loop = self.loop
        self.exchanges += 1
        self.running += 1
        method = request.method.decode("latin-1")
        record = ExchangeRecord(loop.time(), self.sources.identity(), method, request.path.decode("latin-1"))
        request.identity = record.id
        operation = self._paths.operation(request.method, request.path)
        try:
            await self._handle(request, operation, record)
        except RequestError as error:
            self._note_refusal(error, record)
            if request.status == 0:
                self._refuse(request, error, self._paths.error_format(request.path, request.headers), record.id)
        except asyncio.CancelledError:
            record.outcome = str(request.ended_by or Ending.STOPPED)
            record.detail = self._refusals.pop(record.id, "")
            if request.ended_by is Ending.CLIENT_LEFT:
                request.status = CLIENT_LEFT
            raise
        except Exception:  # the server answers it, where nothing has been answered yet
            record.outcome = "fault"
            record.status = 500
            raise
        finally:
            self.running -= 1
            if request.held:
                request.release()
            record.status = request.status or record.status
            record.sent = request.bytes_sent
            record.seconds = loop.time() - record.began
            self.sink.exchange_ended(record)

    async def _handle(self, request: ServerStream, operation: Operation | None, record: ExchangeRecord) -> None:
        self.access.check_place(request)
        if OWN_PATHS.match(request.path):
            await self._own(request, record)
            return
        self.access.check_key(request.headers)
        if self.running > self.max_exchanges:
            message = f"{self.max_exchanges} requests are being answered, which is all that server.max_exchanges allows"
            raise OverloadError("server.max_exchanges", message)
        if operation is not None:
            job: Job = await self._generation(request, operation, record)
            wire_format = operation.format
        elif (listed := self._catalog.answer(request.method, request.path, request.query, request.headers)) is not None:
            self._respond(request, listed, record)
            return
        else:
            job = await self._relay(request, record)
            wire_format = self._paths.error_format(request.path, request.headers)
        record.stream = job.stream
        await Exchange(self, request, job, wire_format, record).run()

    async def _generation(self, request: ServerStream, operation: Operation, record: ExchangeRecord) -> Generation:
        record.wire_format = operation.format.name
        coding = header(request.headers, b"content-encoding")
        body = await (request.body() if coding is None else request.decoded_body(coding))
        job = (TokenCount if operation.counts else Generation)(
            request,
            operation,
            self.chains,
            self._context,
            body,
            strip_credentials=self.access.has_keys,
        )
        self._note(job, record)
        return job

    async def _relay(self, request: ServerStream, record: ExchangeRecord) -> Relay | NamedRelay:
        default, has_keys = self.chains.default, self.access.has_keys
        lane = default.lane(relay_api_type(request.path, request.headers)) or default.first
        request.check_length()  # before anybody is asked, and not when the body is read
        looked_at = may_name(request)
        body = None
        if (looked_at and self.chains.configured) or Relay.needs_whole_body(request, lane):
            body = await request.body()
            named = find_named(body, self.chains) if looked_at else None
            if named is not None:
                job = NamedRelay(request, named, body, strip_credentials=has_keys, mixed=self.chains.mixed)
                self._note(job, record)
                return job
        strip = has_keys or crosses(request, lane, mixed=self.chains.mixed)
        return Relay(request, lane, body, strip_credentials=strip)

    def _note(self, job: Generation | NamedRelay, record: ExchangeRecord) -> None:
        """Record what the client named, and what that selected."""
        record.requested = job.requested
        if job.chain is not self.chains.default:
            record.chain = job.chain.name

    async def _own(self, request: ServerStream, record: ExchangeRecord) -> None:
        """Answer on a path of our own; none of them is ever relayed."""
        if request.path != b"/_hydra/health":
            raise RequestError(404, "no such path; there is /_hydra/health")
        if request.method not in {b"GET", b"HEAD"}:
            raise RequestError(405, "ask for /_hydra/health with GET")
        witnesses = () if self.witnesses is None else await self.witnesses()
        if witnesses:
            told = joint_report(__version__, self.listener, witnesses)
        else:
            told = report(__version__, self.listener, self.chains.models, self.loop.time())
        if not self.access.knows(request.headers):  # where clients have keys, that is nobody else's business
            told = {name: told[name] for name in ("status", "version", "listener")}
        self._respond(request, msgspec.json.encode(told), record)

    def _respond(self, request: ServerStream, body: bytes, record: ExchangeRecord) -> None:
        """Answer with JSON of our own."""
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (b"date", request.date),
            (b"x-hydrallm-request-id", record.id.encode()),
        ]
        request.respond(Response(200, headers, body))

    # -- errors of our own -------------------------------------------------------------------------------------------

    def refuse(self, error: RequestError, request: ServerStream | None) -> Response:
        """Return the response to a request that the HTTP engine itself refuses.

        Args:
            error: why.
            request: the request, as far as it is known; None if its head was not even complete. One whose handler has
                begun has an id, and the handler writes its record.
        """
        method, path, headers = (request.method, request.path, request.headers) if request else (b"", b"", [])
        identity = request.identity if request else ""
        if not identity:
            identity = self.sources.identity()
            record = ExchangeRecord(self.loop.time(), identity, method.decode("latin-1"), path.decode("latin-1"))
            record.status = error.status
            self._note_refusal(error, record)
            self.sink.exchange_ended(record)
        elif request is not None and request.finished:  # not a fault, which ends the handler first
            self._refusals[identity] = str(error)
        return self._error(error, self._paths.error_format(path, headers), identity)

    def _note_refusal(self, error: RequestError, record: ExchangeRecord) -> None:
        record.outcome = "refused"
        record.detail = str(error)
        if isinstance(error, OverloadError):
            record.outcome = "shed"
            self._shedding.note(error.limit, str(error))

    def on_exhausted(self) -> None:
        """Note that this process cannot open another file."""
        self._shedding.note("open files", "no file can be opened, so clients cannot connect: raise ulimit -n")

    def on_fault(self, request: ServerStream) -> None:  # noqa: ARG002 - the server's signature
        """Note a fault of our own; called while it is being handled."""
        self.sink.fault(traceback.format_exc())

    def _refuse(self, request: ServerStream, error: RequestError, wire_format: WireFormat, identity: str) -> None:
        if error.close:
            request.keep_alive = False
        response = self._error(error, wire_format, identity)
        response.headers.append((b"date", request.date))
        request.respond(response)

    def _error(self, error: RequestError, wire_format: WireFormat, identity: str) -> Response:
        code = _CODES.get(error.status, "bad_request")
        response = wire_format.encode_error(ApiError(error.status, self.mask(str(error)), code, identity))
        response.headers.append((b"x-hydrallm-request-id", identity.encode()))
        if isinstance(error, OverloadError):
            response.headers.extend(_LATER)
        return response
