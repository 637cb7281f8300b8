"""An answer on its way from the format of a model to that of a client.

Whatever decides about an answer (is it one, has its content come, is it complete) has been decided before, in the
model's own format: see :mod:`hydrallm.formats.base`. Here it is only said in other words.
"""

from __future__ import annotations

import traceback
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from hydrallm.endpoints.headers import translated_response_headers
from hydrallm.formats.base import ApiError, Problem
from hydrallm.formats.canonical import UnservedError, UntranslatableError
from hydrallm.formats.error_translation import Meaning, translated
from hydrallm.formats.token_count import write_count
from hydrallm.message import Response
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from hydrallm.exchange.dialect import Dialect
    from hydrallm.formats.base import Scan, WireFormat
    from hydrallm.formats.codec import Asked, Codec, Reader, Writer
    from hydrallm.formats.token_count import Counter
    from hydrallm.message import Headers

FAULT = "a fault in HydraLLM itself; the log has it"

_MEANINGS = {
    Kind.QUOTA: Meaning.QUOTA,
    Kind.RATE_LIMITED: Meaning.RATE,
    Kind.OVERLOADED: Meaning.OVERLOADED,
    Kind.CONTEXT_LENGTH: Meaning.CONTEXT_LENGTH,
    Kind.CONTENT_FILTER: Meaning.CONTENT_FILTER,
}
"""What the policy knows from wordings, where names and status say less."""


class MalformedError(UnservedError):
    """A request is none of the client's own format.

    Args:
        wire_format: the client's.
        error: where and what.
    """

    def __init__(self, wire_format: WireFormat, error: UntranslatableError) -> None:
        super().__init__((f"the request is not one of {wire_format.name}: {error}",))


class Translation(ABC):
    """The way back of one attempt.

    Args:
        client: the format that the client has asked in.
    """

    __slots__ = ("_client",)

    def __init__(self, client: WireFormat) -> None:
        self._client = client

    @abstractmethod
    def answer(self, body: bytes) -> bytes | Problem:
        """Return a whole answer as the client's format has it; what is wrong with it, if it has no place there."""

    @abstractmethod
    def stream(self, scan: Scan) -> Scan:
        """Return a scan that passes on in the client's format what ``scan`` passes on in the model's."""

    def problem(self, problem: Problem, kind: Kind | None) -> Problem:
        """Return what went wrong, and is known to be of a ``kind``, in the words of the client's format."""
        return translated(problem, self._client.name, _MEANINGS.get(kind) if kind else None)

    def headers(self, headers: Headers, *, stream: bool) -> Headers:
        """Return those of an upstream's headers that go with the translated answer."""
        content_type = self._client.stream_type if stream else b"application/json"
        kept = translated_response_headers(headers, self._client.request_id)
        return [(b"content-type", content_type), *kept]

    def error(self, problem: Problem, headers: Headers, identity: str) -> Response:
        """Return an upstream's error response as one of the client's format.

        Args:
            problem: what the upstream said, translated.
            headers: the upstream's.
            identity: the exchange's.
        """
        error = ApiError(problem.status, problem.message, problem.code, identity, problem.type)
        response = self._client.encode_error(error)
        useful = translated_response_headers(headers, self._client.request_id)
        named = {name for name, _ in useful}
        own = [pair for pair in response.headers if pair[0] not in named]
        return Response(response.status, [*own, *useful], response.body)


class AnswerTranslation(Translation):
    """The way back of an answer.

    Args:
        model: what the model is asked in.
        client: what the client has asked in.
        asked: what the answer must know of the request.
        report: told of a fault of our own.
    """

    __slots__ = ("_asked", "_codec", "_model", "_report")

    def __init__(self, model: Codec, client: Dialect, asked: Asked, report: Callable[[str], None]) -> None:
        super().__init__(client.format)
        self._report = report
        assert client.codec is not None  # noqa: S101 - its request has been read
        self._model = model
        self._codec = client.codec
        self._asked = asked

    def answer(self, body: bytes) -> bytes | Problem:
        """Return a whole answer as the client's format has it; what is wrong with it, if it has no place there."""
        try:
            return self._codec.write_answer(self._model.read_answer(body), self._asked)
        except UntranslatableError as error:
            return _unsaid(str(error))
        except Exception:  # noqa: BLE001 - a fault of ours in one format loses no answer that another model can give
            self._report(traceback.format_exc())
            return _unsaid(FAULT)

    def stream(self, scan: Scan) -> Scan:
        """Return a scan that passes on in the client's format what ``scan`` passes on in the model's."""
        return TranslatedScan(scan, self._model.reader(), self._codec.writer(self._asked), self._report)


class CountTranslation(Translation):
    """The way back of a number of tokens.

    Args:
        counter: what the model was asked by.
        client: the format that the client has asked in.
    """

    __slots__ = ("_counter",)

    def __init__(self, counter: Counter, client: WireFormat) -> None:
        super().__init__(client)
        self._counter = counter

    def answer(self, body: bytes) -> bytes | Problem:
        """Return the number as the client's format has it; what is wrong with it, if there is none."""
        try:
            return write_count(self._counter.read(body))
        except UntranslatableError as error:
            return _unsaid(str(error))

    def stream(self, scan: Scan) -> Scan:
        """Return the scan: there is nothing to be passed on."""
        return scan


def _unsaid(why: str) -> Problem:
    return Problem(message=f"it cannot be translated: {why}", ours="not_an_answer")


class TranslatedScan:
    """A scan of a model's stream that passes it on in the client's format; see :class:`hydrallm.formats.base.Scan`.

    Args:
        scan: of the model's stream.
        reader: of what that passes on.
        writer: of what the client is sent.
        report: told of a fault of our own.
    """

    __slots__ = ("_fault", "_reader", "_report", "_scan", "_writer")

    def __init__(self, scan: Scan, reader: Reader, writer: Writer, report: Callable[[str], None]) -> None:
        self._scan = scan
        self._reader = reader
        self._writer = writer
        self._report = report
        self._fault: Problem | None = None

    @property
    def content(self) -> bool:
        """Whether content has been seen."""
        return self._scan.content

    @property
    def ended(self) -> bool:
        """Whether the terminal event has been seen, and everything up to it could be said."""
        return self._scan.ended and self._fault is None

    @property
    def filtered(self) -> bool:
        """Whether the stream ended on a content filter's word."""
        return self._scan.filtered

    @property
    def problem(self) -> Problem | None:
        """The error that the stream reported, or why it cannot be translated."""
        return self._fault or self._scan.problem

    @property
    def broken(self) -> str:
        """Why the stream cannot be read any further."""
        return self._scan.broken

    @property
    def dropped(self) -> int:
        """How many events were dropped, because they did not parse."""
        return self._scan.dropped

    @property
    def complete(self) -> bool:
        """Whether the answer is complete, if nothing more comes."""
        return self._scan.complete and self._fault is None

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived; return the whole events among it and before it, translated; may be empty."""
        events = self._scan.feed(data)
        return self._said(events) if events else b""

    def finish(self) -> bytes:
        """Take note that nothing more comes; return what is left to be said."""
        last = self._scan.finish()
        whole = self._scan.ended or self._scan.complete
        return self._said(last, last=whole) if last or whole else b""

    def _said(self, events: bytes, *, last: bool = False) -> bytes:
        if self._fault is not None:
            return b""
        try:
            said = self._reader.feed(events) if events else []
            return self._writer.feed([*said, *self._reader.finish()] if last else said)
        except UntranslatableError as error:
            self._fault = _unsaid(str(error))
        except Exception:  # noqa: BLE001 - what is said up to here stands, and nobody may take it for all
            self._report(traceback.format_exc())
            self._fault = _unsaid(FAULT)
        return b""
