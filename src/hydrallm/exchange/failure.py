"""How an attempt failed: the errors of the engine as kinds, and whom a failure is about.

A failure may be about the request, the model, our account with its provider, or, where clients show credentials of
their own, about one client's account. Who is told, and who is kept from asking again, depends on that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hydrallm.errors import (
    ConnectError,
    CutError,
    RemoteProtocolError,
    SaturatedError,
    SilenceError,
    TlsError,
    UpstreamError,
)
from hydrallm.message import header
from hydrallm.policy.kinds import Kind

if TYPE_CHECKING:
    from hydrallm.exchange.chain import Model
    from hydrallm.formats.base import Problem
    from hydrallm.message import Headers, Response

_KINDS: list[tuple[type[UpstreamError], Kind]] = [
    (TlsError, Kind.TLS),
    (SaturatedError, Kind.SATURATED),
    (ConnectError, Kind.UNREACHABLE),
    (SilenceError, Kind.SLOW_START),
    (CutError, Kind.CUT),
    (RemoteProtocolError, Kind.BAD_ANSWER),
]

ABOUT_A_RATE = frozenset({Kind.RATE_LIMITED, Kind.OVERLOADED, Kind.QUOTA})
"""With these a rate limit's own reset says when to come back."""

ABOUT_AN_ACCOUNT = frozenset({Kind.RATE_LIMITED, Kind.QUOTA, Kind.MISCONFIGURED})
"""What may be so for one client and not for another, where clients show credentials of their own."""

_SHOWN = 100  # characters of what an upstream says

_ABOUT_OUR_KEY = frozenset({Kind.MISCONFIGURED, Kind.QUOTA, Kind.UNSUPPORTED})
"""What is said about our key or our config; a client would take it for a word about its own request."""


class ErrorAnswer(NamedTuple):
    """What an upstream said went wrong, kept in case it is the error to show."""

    model: Model
    response: Response
    problem: Problem


def kind_of(error: UpstreamError) -> Kind:
    """Return the kind of what the HTTP engine met before the first content."""
    return next(kind for error_type, kind in _KINDS if isinstance(error, error_type))


def about_our_key(kind: Kind, model: Model) -> bool:
    """Return whether a failure is about our key or our config, so that its error is not for the client."""
    return kind in _ABOUT_OUR_KEY and model.endpoint.own_credential


def no_answer(status: int, headers: Headers) -> tuple[Kind, str]:
    """Return why what came to a generation is none, by its head alone: a redirect, or a coding that cannot be undone.

    A redirect is not followed, and not passed on: the client would take the request, and its key, to another place.
    """
    if status >= 300:
        return Kind.MISCONFIGURED, f"a redirect ({status}): correct the endpoint's url"
    coding = header(headers, b"content-encoding") or b""
    shown = coding.decode("latin-1")[:_SHOWN]
    return Kind.BAD_ANSWER, f"an answer in the coding {shown!r}, though identity was asked for"
