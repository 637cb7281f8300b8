"""What the client is told when nothing worked.

The most useful error that an upstream sent is passed on whole: status, headers and body. Where none sent any, or what
it says is about our key and not about the client's request, the answer is our own, in the shape of the client's API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.exchange.access import shown_keys
from hydrallm.formats.base import ApiError
from hydrallm.message import Response
from hydrallm.policy.kinds import Kind, Next
from hydrallm.telemetry.masking import MASK, MIN_LENGTH

if TYPE_CHECKING:
    from hydrallm.formats.base import Problem
    from hydrallm.message import Headers
    from hydrallm.policy.commands import GiveUp
    from hydrallm.policy.plan import Plan
    from hydrallm.telemetry.masking import Mask
    from hydrallm.telemetry.records import AttemptRecord, ExchangeRecord

STATUSES: dict[Kind, int] = {Kind.SLOW_START: 504, Kind.UNSERVED: 400, Kind.SATURATED: 503}
"""What a failure without an upstream's error is for the client; everything else is 502."""

INSIDE_STATUSES: dict[Kind, int] = {
    Kind.RATE_LIMITED: 429,
    Kind.QUOTA: 429,
    Kind.OVERLOADED: 503,
    Kind.SATURATED: 503,
    Kind.TRANSIENT: 503,
    Kind.CONTEXT_LENGTH: 400,
    Kind.CONTENT_FILTER: 400,
    Kind.UNAUTHORIZED: 401,
    Kind.STALLED: 504,
}
"""What an error inside a success should have had for a status, where it names none itself; everything else is 502."""

LOGGED_BODY = 4096
"""Bytes of an upstream's error body that are logged, where the config asks for it."""

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


def verdict(command: GiveUp, plan: Plan, seconds: float, record: ExchangeRecord) -> Verdict:
    """Return what the client is told, where no upstream's own error is shown.

    Args:
        command: the policy's.
        plan: of the exchange.
        seconds: how long it took, from the request's last byte.
        record: what was tried, and who was not asked.
    """
    skipped = "; ".join([f"{skip.endpoint}/{skip.model}: {', '.join(skip.reasons)}" for skip in record.skipped])
    if command.kind is Kind.UNSERVED:
        if all(skip.malformed for skip in record.skipped):  # whoever is asked
            return Verdict(STATUSES[command.kind], "bad_request", ", ".join(record.skipped[0].reasons))
        return Verdict(STATUSES[command.kind], "unserved", f"no model of the chain can serve this request: {skipped}")
    attempts = record.attempts
    if seconds >= plan.deadline:
        why = f"the deadline of {plan.deadline:g} s passed"
    elif command.spent:
        why = "every model failed"
    elif plan.rules[command.kind].next is Next.RETURN:
        why = "this kind of failure is not tried again"
    else:
        why = "stopped early, as these models are failing for others too, or another try would be too late"
    tried = "; ".join([_told(attempt) for attempt in _distinct(attempts)]) or "no model could be asked"
    count = "1 attempt" if len(attempts) == 1 else f"{len(attempts)} attempts"
    told = f"{why} ({count}): {tried}; not asked: {skipped}" if skipped else f"{why} ({count}): {tried}"
    return Verdict(STATUSES.get(command.kind, 502), f"upstream_{command.kind}", told)


def api_error(kind: Kind, message: str, identity: str, problem: Problem | None, mask: Mask) -> ApiError:
    """Return a failure as an error of our own, with the upstream's own words for its type and code, if it had any.

    Args:
        kind: of the failure.
        message: for a person.
        identity: the exchange's.
        problem: what the upstream said, if it did.
        mask: takes secrets out: an upstream may well repeat the key that it was shown.
    """
    status = INSIDE_STATUSES.get(kind, 502)
    if problem is None:
        return ApiError(status, mask(message), f"upstream_{kind}", identity)
    if 400 <= problem.status <= 599:
        status = problem.status
    code = mask(problem.code) or f"upstream_{kind}"
    return ApiError(status, mask(message), code, identity, mask(problem.type))


def masked(response: Response, mask: Mask) -> Response:
    """Return an upstream's error response without secrets; without any in it, every byte is as it was."""
    headers = [(name, _masked(value, mask)) for name, value in response.headers]
    return Response(response.status, headers, _masked(response.body, mask))


def _masked(data: bytes, mask: Mask) -> bytes:
    # Latin-1 has a character for each byte and keeps them apart, and secrets are ASCII.
    return mask(data.decode("latin-1")).encode("latin-1")


def excerpt(body: bytes, mask: Mask, client: Headers) -> str:
    """Return the beginning of an upstream's error body for the log.

    Args:
        body: the whole of it.
        mask: takes our secrets out.
        client: the client's headers: what credentials it has shown are taken out as well.
    """
    # Masked first, and with some more of it: half of a key at its end would not be known for one.
    text = mask(body[: 2 * LOGGED_BODY].decode("utf-8", "replace"))
    for key in shown_keys(client):
        text = text.replace(key.decode("latin-1"), MASK) if len(key) >= MIN_LENGTH else text
    return text[:LOGGED_BODY]


def broken_off(attempt: AttemptRecord) -> str:
    """Return what the client is told in the middle of its answer."""
    return f"the answer broke off: {_told(attempt)}"


def retry_headers(command: GiveUp) -> Headers:
    """Return what tells the client's SDK whether to try again, and when.

    ``x-should-retry`` is obeyed by the official OpenAI and Anthropic SDKs: without it they would repeat what was just
    done here, attempt by attempt.
    """
    again = not command.spent or command.kind is Kind.SATURATED  # nobody was asked, so nothing is multiplied
    headers: Headers = [(b"x-should-retry", b"true" if again else b"false")]
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
