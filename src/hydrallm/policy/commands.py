"""What to do next in an exchange: what the policy says.

PURE. Commands are in the imperative; the exchange carries them out.
"""

from __future__ import annotations

import msgspec

from hydrallm.policy.kinds import Kind


class Try(msgspec.Struct, frozen=True, gc=False):
    """Make an attempt.

    Attributes:
        attempt: its number, from 1.
        candidate: index in the plan.
        expires: when it has failed for being slow.
    """

    attempt: int
    candidate: int
    expires: float


class Wait(msgspec.Struct, frozen=True, gc=False):
    """Do nothing until then, and say :class:`~hydrallm.policy.events.Waited`."""

    until: float


class Deliver(msgspec.Struct, frozen=True, gc=False):
    """Give the client what this attempt brought: the answer, or an error that is the client's to mend."""

    attempt: int


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """Tell the client that nothing worked.

    Attributes:
        kind: of the failure that is shown.
        attempt: the one whose error response is shown; None where no upstream sent one that is for the client.
        spent: whether all tries were used, or the deadline; False where the exchange stopped early, as another try
            would have had to wait beyond the deadline, was denied by the retry budget or a breaker, or would have been
            unsafe.
        retry_after: seconds after which the first candidate takes requests again, where an upstream said so.
    """

    kind: Kind
    attempt: int | None
    spent: bool
    retry_after: float | None = None


class BreakOff(msgspec.Struct, frozen=True, gc=False):
    """Tell the client, in the middle of its answer, that the rest will not come.

    Attributes:
        attempt: whose answer it was.
        kind: how it failed.
    """

    attempt: int
    kind: Kind


class Stop(msgspec.Struct, frozen=True, gc=False):
    """It is over: let go of everything."""


Command = Try | Wait | Deliver | GiveUp | BreakOff | Stop
