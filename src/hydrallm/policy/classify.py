"""The kinds of failure, and what each leads to.

PURE. Everything that follows from a failure (whether to try again, what the client is told, how it is logged) follows
from its kind, so that it can be read in one table.
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
    CLIENT_ERROR = "client_error"
    """The request itself is wrong, for this upstream and any other."""
    BAD_ANSWER = "bad_answer"
    """A success by its status, but not an answer."""
    CUT = "cut"
    """The answer ended before it was complete."""
    SLOW_START = "slow_start"
    """Nothing came in time."""


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
        rank: how useful the upstream's answer is to the client once all are exhausted; the highest is shown. What is
            said about our key (0) is never shown: the client must not take it for a word about its own.
        loud: whether a person should do something about it, so that it is logged as an error.
    """

    next: Next
    retries: int | None = None
    returns: bool = True
    put_off: bool = False
    rank: int = 1
    loud: bool = False


RULES: Mapping[Kind, Rule] = MappingProxyType(
    {
        Kind.UNREACHABLE: Rule(Next.NEXT),
        Kind.TLS: Rule(Next.NEXT, returns=False, loud=True),
        Kind.RATE_LIMITED: Rule(Next.SAME, rank=2),
        Kind.QUOTA: Rule(Next.NEXT, returns=False, rank=0, loud=True),
        Kind.SERVER: Rule(Next.SAME),
        Kind.OVERLOADED: Rule(Next.SAME, rank=2),
        Kind.TRANSIENT: Rule(Next.SAME, retries=1),
        Kind.MISCONFIGURED: Rule(Next.NEXT, returns=False, rank=0, loud=True),
        Kind.CLIENT_ERROR: Rule(Next.RETURN),
        Kind.BAD_ANSWER: Rule(Next.SAME),
        Kind.CUT: Rule(Next.SAME),
        Kind.SLOW_START: Rule(Next.NEXT, returns=False, put_off=True),
    }
)

_ALWAYS = frozenset({Kind.UNREACHABLE, Kind.TLS, Kind.MISCONFIGURED, Kind.QUOTA})
"""After these nothing was done upstream, so they mean the same for every request."""

UNSAFE_RULES: Mapping[Kind, Rule] = MappingProxyType(
    {kind: rule if kind in _ALWAYS else Rule(Next.RETURN) for kind, rule in RULES.items()}
)
"""For a relayed request that must not be made twice: tried again only while no connection was made."""

_STATUSES: dict[int, Kind] = {
    408: Kind.TRANSIENT,
    409: Kind.TRANSIENT,
    424: Kind.SERVER,  # Bedrock's ModelErrorException
    429: Kind.RATE_LIMITED,
    503: Kind.OVERLOADED,
    529: Kind.OVERLOADED,  # Anthropic's overloaded_error
}

_OWN_CREDENTIAL_STATUSES: dict[int, Kind] = {
    401: Kind.MISCONFIGURED,
    402: Kind.QUOTA,
    403: Kind.MISCONFIGURED,
    404: Kind.MISCONFIGURED,
}


def classify_status(status: int, *, own_credential: bool) -> Kind | None:
    """Return what a status means; None for a success (and for a redirect, which is the client's business).

    Args:
        status: the upstream's status.
        own_credential: whether the upstream was shown the proxy's credential. A refusal of the *client's* credential is
            the client's to mend, and another model would not help.
    """
    if status < 400:
        return None
    if own_credential and (kind := _OWN_CREDENTIAL_STATUSES.get(status)):
        return kind
    return _STATUSES.get(status) or (Kind.SERVER if status >= 500 else Kind.CLIENT_ERROR)
