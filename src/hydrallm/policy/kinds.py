"""The kinds of failure, and what each leads to.

PURE. Everything that follows from a failure (whether to try again, what the client is told, how it is logged, what the
model's breaker makes of it) follows from its kind, so that it can be read in one table.
"""

from __future__ import annotations

import enum
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Kind(enum.StrEnum):
    """How an attempt failed."""

    UNREACHABLE = "unreachable"
    """No connection was made."""
    SATURATED = "saturated"
    """Nobody was asked, because this side has no connection to spare; about the model that says nothing."""
    TLS = "tls"
    """The TLS handshake or the certificate check failed."""
    RATE_LIMITED = "rate_limited"
    QUOTA = "quota"
    """The account has no money or quota left: waiting does not help."""
    SERVER = "server"
    OVERLOADED = "overloaded"
    TRANSIENT = "transient"
    """The upstream timed out or saw a conflict; it asks for one more try."""
    MISCONFIGURED = "misconfigured"
    """The upstream refuses our key or does not know the model."""
    UNAUTHORIZED = "unauthorized"
    """The upstream refuses the client's own credential; another model may be asked with one of ours."""
    UNSUPPORTED = "unsupported"
    """The endpoint has no such path; about the model that says nothing."""
    CONTEXT_LENGTH = "context_length"
    """The request is too long for this model."""
    CONTENT_FILTER = "content_filter"
    """The provider's filter refuses the request or the answer."""
    CLIENT_ERROR = "client_error"
    """The request itself is wrong, for this upstream and any other."""
    BAD_ANSWER = "bad_answer"
    """A success by its status, but not an answer."""
    CUT = "cut"
    """The answer ended before it was complete."""
    STALLED = "stalled"
    """The answer fell silent after its first content."""
    SLOW_START = "slow_start"
    """No content came in time."""
    REPHRASED = "rephrased"
    """The upstream does not take the request in this form, and there is another one to ask in."""
    UNSERVED = "unserved"
    """No model of the chain can do what is asked; nobody was."""


class Next(enum.Enum):
    """What a failure leads to, while tries are left."""

    SAME = enum.auto()
    """Try this model again, up to its attempts, then the next."""
    NEXT = enum.auto()
    """Go on to the next model."""
    RETURN = enum.auto()
    """The upstream's answer is the client's answer."""


class Rule(msgspec.Struct, frozen=True):
    """What a kind of failure leads to.

    Attributes:
        next: where the exchange goes on.
        retries: how often ``SAME`` may be taken for this kind by one model in one cycle; None for all its attempts.
        returns: whether the model is tried again in a later cycle.
        put_off: whether the tries it has left are used after all, once no other model is left.
        rank: how useful the upstream's answer is to the client once all are exhausted; the highest is shown, and of
            equals the last.
        loud: whether a person should do something about it, so that it is logged as an error.
        counts: whether it speaks against the model, to its breaker and its cooldown.
        opens: seconds for which one such failure opens the breaker at once; 0: it merely counts.
        cools: whether a Retry-After says all there is to say, so that it does not count beside the cooldown.
        free: whether ``SAME`` is taken at once and beyond the model's attempts, because something else will be asked.
    """

    next: Next
    retries: int | None = None
    returns: bool = True
    put_off: bool = False
    rank: int = 2
    loud: bool = False
    counts: bool = True
    opens: float = 0.0
    cools: bool = False
    free: bool = False


RULES: Mapping[Kind, Rule] = MappingProxyType(
    {
        Kind.UNREACHABLE: Rule(Next.NEXT),
        Kind.SATURATED: Rule(Next.NEXT, returns=False, rank=1, counts=False),
        Kind.TLS: Rule(Next.NEXT, returns=False, loud=True),
        Kind.RATE_LIMITED: Rule(Next.SAME, rank=3, cools=True),
        Kind.QUOTA: Rule(Next.NEXT, returns=False, rank=1, loud=True, opens=300.0),
        Kind.SERVER: Rule(Next.SAME),
        Kind.OVERLOADED: Rule(Next.SAME, rank=3),
        Kind.TRANSIENT: Rule(Next.SAME, retries=1),
        Kind.MISCONFIGURED: Rule(Next.NEXT, returns=False, rank=1, loud=True, opens=20.0),
        Kind.UNAUTHORIZED: Rule(Next.NEXT, returns=False, rank=1, counts=False),
        Kind.UNSUPPORTED: Rule(Next.NEXT, returns=False, rank=1, loud=True, counts=False),
        Kind.CONTEXT_LENGTH: Rule(Next.NEXT, returns=False, rank=3, counts=False),
        Kind.CONTENT_FILTER: Rule(Next.RETURN, rank=3, counts=False),
        Kind.CLIENT_ERROR: Rule(Next.RETURN, rank=3, counts=False),
        Kind.BAD_ANSWER: Rule(Next.SAME),
        Kind.CUT: Rule(Next.SAME),
        Kind.STALLED: Rule(Next.SAME),
        Kind.SLOW_START: Rule(Next.NEXT, returns=False, put_off=True),
        Kind.REPHRASED: Rule(Next.SAME, retries=2, rank=0, counts=False, free=True),
        Kind.UNSERVED: Rule(Next.NEXT, returns=False, rank=0, counts=False),
    }
)

_ALWAYS = frozenset(
    {
        Kind.UNREACHABLE,
        Kind.SATURATED,
        Kind.TLS,
        Kind.MISCONFIGURED,
        Kind.QUOTA,
        Kind.UNAUTHORIZED,
        Kind.UNSUPPORTED,
    }
)
"""After these nothing was done upstream, so they mean the same for every request. ``context_length`` is none of them: a
413 may come in the middle of an upload, of which the upstream has kept a part and the proxy nothing."""

UNSAFE_RULES: Mapping[Kind, Rule] = MappingProxyType(
    {kind: rule if kind in _ALWAYS else Rule(Next.RETURN) for kind, rule in RULES.items()}
)
"""For a relayed request that must not be made twice: tried again only while no connection was made."""
