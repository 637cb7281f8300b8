"""What the client is told when nothing worked.

The most useful error that an upstream sent is passed on whole: status, headers and body. Where none sent any, or what
it says is about our key and not about the client's request, the answer is our own, in the shape of the client's API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats.base import ApiError
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from hydrallm.formats.base import Problem
    from hydrallm.message import Headers
    from hydrallm.policy.commands import GiveUp
    from hydrallm.telemetry.records import AttemptRecord

STATUSES: dict[Kind, int] = {Kind.SLOW_START: 504}
"""What a failure without an upstream's error is for the client; everything else is 502."""

INSIDE_STATUSES: dict[Kind, int] = {
    Kind.RATE_LIMITED: 429,
    Kind.QUOTA: 429,
    Kind.OVERLOADED: 503,
    Kind.TRANSIENT: 503,
    Kind.CONTEXT_LENGTH: 400,
    Kind.CONTENT_FILTER: 400,
    Kind.UNAUTHORIZED: 401,
    Kind.STALLED: 504,
}
"""What an error inside a success should have had for a status, where it names none itself; everything else is 502."""

RETRY_HEADERS = frozenset({b"x-should-retry", b"retry-after", b"retry-after-ms"})
"""What an upstream says about trying again is about one attempt; what :func:`retry_headers` says takes its place."""


class Verdict(msgspec.Struct, frozen=True):
    """An error of our own.

    Attributes:
        status: to answer with.
        code: short and machine-readable.
        message: for a person.
    """

    status: int
    code: str
    message: str


def verdict(command: GiveUp, attempts: list[AttemptRecord]) -> Verdict:
    """Return what the client is told, where no upstream's own error is shown."""
    status = STATUSES.get(command.kind, 502)
    tried = "; ".join([_told(attempt) for attempt in _distinct(attempts)])
    why = "every model failed" if command.spent else "stopped early, as another try would be unsafe or too late"
    return Verdict(status, f"upstream_{command.kind}", f"{why} ({len(attempts)} attempts): {tried}")


def api_error(kind: Kind, message: str, identity: str, problem: Problem | None = None) -> ApiError:
    """Return a failure as an error of our own, with the upstream's own words for its type and code, if it had any.

    Args:
        kind: of the failure.
        message: for a person.
        identity: the exchange's.
        problem: what the upstream said, if it did.
    """
    status = INSIDE_STATUSES.get(kind, 502)
    if problem is None:
        return ApiError(status, message, f"upstream_{kind}", identity)
    if 400 <= problem.status <= 599:
        status = problem.status
    return ApiError(status, message, problem.code or f"upstream_{kind}", identity, problem.type)


def broken_off(attempt: AttemptRecord) -> str:
    """Return what the client is told in the middle of its answer."""
    return f"the answer broke off: {_told(attempt)}"


def retry_headers(command: GiveUp) -> Headers:
    """Return what tells the client's SDK whether to try again, and when.

    ``x-should-retry`` is obeyed by the official OpenAI and Anthropic SDKs: without it they would repeat what was just
    done here, attempt by attempt.
    """
    headers: Headers = [(b"x-should-retry", b"false" if command.spent else b"true")]
    if command.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, -int(-command.retry_after // 1))))
    return headers


def _distinct(attempts: list[AttemptRecord]) -> list[AttemptRecord]:
    """Return the last failure of each model, in order."""
    last = {(attempt.endpoint, attempt.model): attempt for attempt in attempts}
    return list(last.values())


def _told(attempt: AttemptRecord) -> str:
    status = f" {attempt.status}" if attempt.status else ""
    detail = f", {attempt.detail}" if attempt.detail else ""
    return f"{attempt.endpoint}/{attempt.model} {attempt.kind}{status}{detail}"
