"""What happened in an exchange: what the policy is told.

PURE. Events are in the past tense, and carry the time at which they happened, in seconds of any monotonic clock.
"""

from __future__ import annotations

import msgspec

from hydrallm.policy.kinds import Kind


class Started(msgspec.Struct, frozen=True, gc=False):
    """The exchange has begun.

    Attributes:
        at: when.
        stream: whether the client asked for a stream.
        retrying: whether the client says that it is itself trying again.
    """

    at: float
    stream: bool
    retrying: bool = False


class AttemptFailed(msgspec.Struct, frozen=True, gc=False):
    """An attempt ended without an answer, or its answer broke off after it had begun.

    Attributes:
        attempt: its number.
        kind: how.
        at: when.
        answered: whether the upstream sent an error response that can be shown to the client.
        retry_after: seconds after which the upstream wants to be asked again, if it said so.
        personal: whether it is about the client's own account, so that it says nothing to other exchanges.
    """

    attempt: int
    kind: Kind
    at: float
    answered: bool = False
    retry_after: float | None = None
    personal: bool = False


class Unserved(msgspec.Struct, frozen=True, gc=False):
    """The request cannot be put to the candidate that was to be tried, so it was not asked."""

    at: float


class ContentSeen(msgspec.Struct, frozen=True, gc=False):
    """An attempt has an answer.

    Attributes:
        attempt: its number.
        at: when.
        complete: whether this is all of it; otherwise the beginning, and :class:`AnswerEnded` or
            :class:`AttemptFailed` follows.
    """

    attempt: int
    at: float
    complete: bool


class AnswerEnded(msgspec.Struct, frozen=True, gc=False):
    """An answer that had begun is complete."""

    attempt: int
    at: float


class Waited(msgspec.Struct, frozen=True, gc=False):
    """The wait is over."""

    at: float


class ClientLeft(msgspec.Struct, frozen=True, gc=False):
    """Nobody waits for the answer any more."""

    at: float


Event = Started | AttemptFailed | Unserved | ContentSeen | AnswerEnded | Waited | ClientLeft
