"""The kind of a failure, from what an upstream says: its status, the names of its error, and its wording.

PURE. The kinds, and what each leads to, are in :mod:`hydrallm.policy.kinds`; the names and wordings, provider by
provider, in :mod:`hydrallm.policy.wording`.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING

from hydrallm.policy import wording
from hydrallm.policy.kinds import RULES, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_STATUSES: Mapping[int, Kind] = MappingProxyType(
    {
        401: Kind.UNAUTHORIZED,
        402: Kind.QUOTA,
        403: Kind.UNAUTHORIZED,
        405: Kind.UNSUPPORTED,
        408: Kind.TRANSIENT,
        409: Kind.TRANSIENT,
        413: Kind.CONTEXT_LENGTH,  # the limit is this provider's; another may take it
        424: Kind.SERVER,  # Bedrock's ModelErrorException
        429: Kind.RATE_LIMITED,
        501: Kind.UNSUPPORTED,
        503: Kind.OVERLOADED,
        529: Kind.OVERLOADED,  # Anthropic's overloaded_error
    }
)
"""What a status means that says more than its class; UNAUTHORIZED is of a credential, whosever it is. For 404 see
:func:`_not_found`."""

_BLUNT = frozenset({0, 400, 422, 500, 502})
"""Statuses that may stand for anything (0: none was said), so that a name that others say by their status counts."""

_NAME_ORDER = tuple(dict.fromkeys(wording.TELLING.values())) + tuple(dict.fromkeys(wording.COMMON.values()))
_AGAINST_MODEL = frozenset(kind for kind, rule in RULES.items() if rule.counts) | {Kind.UNAUTHORIZED}
"""Kinds that speak against the model, not against one request. A refusal of our own credential is such, too."""

_SPEAKS_OF_MODEL = re.compile(r"\b(?:model|deployment|inference profile)s?\b", re.IGNORECASE)
_STATUS_NAME = re.compile(r"[45][0-9]{2}")


def classify(status: int, names: tuple[str, ...], message: str, *, own_credential: bool) -> Kind | None:
    """Return what an error of an upstream means; None if nothing says that it is one.

    First come the names that say what no status says, then the wordings, then (where the status is a blunt one) the
    names that repeat a status, at last the status itself. An error inside a success (a 200, or a stream) has no status
    but the one it may give as a name; there a fault of the request comes back as None, because the 200 had said that
    the request was fine, so the caller knows better what to make of it.

    Args:
        status: the HTTP status of the response; 0 if there is none, as for an event of a stream.
        names: the error's type and code, in any order; empty ones are allowed.
        message: for a person; its start is searched.
        own_credential: whether the upstream was shown the proxy's credential. If it was the client's, a refusal of it
            is ``unauthorized``: no fault of the configuration.
    """
    if 300 <= status < 400:
        return None  # a redirect is the client's business
    inside = status < 300
    told = next((int(name) for name in names if _STATUS_NAME.fullmatch(name)), 0) if inside else status
    bare = [wording.bare(name) for name in names]
    start = message[: wording.START]
    sure = "" if _blames_request(bare, start) else wording.unquoted(start)
    kind = (
        _named(bare, wording.TELLING)
        or _worded(start, sure, told)
        or (_named(bare, wording.COMMON) if told in _BLUNT else None)
        or _by_status(told, bare, sure)
    )
    if kind is Kind.UNAUTHORIZED and own_credential:
        return Kind.MISCONFIGURED
    if inside and kind in {Kind.CLIENT_ERROR, Kind.UNSUPPORTED}:
        return None
    return kind


def _named(bare: list[str], table: Mapping[str, Kind]) -> Kind | None:
    """Return the kind that the names tell; where they differ, the one that stands first in the table's order."""
    said = [table[name] for name in bare if name in table]
    return min(said, key=_NAME_ORDER.index) if said else None


def _blames_request(bare: list[str], start: str) -> bool:
    """Return whether an error says that the request itself is at fault."""
    return not wording.REQUEST_NAMES.isdisjoint(bare) or wording.REQUEST_WORDINGS.search(start) is not None


def _worded(start: str, sure: str, status: int) -> Kind | None:
    """Return the kind that the wording tells.

    Args:
        start: of the message.
        sure: what of that no client can have written.
        status: the response's, or the error's own; 0: any.
    """
    for row in wording.WORDINGS:
        if status and status not in row.statuses:
            continue
        if row.pattern.search(sure if row.kind in _AGAINST_MODEL else start):
            return row.kind
    return None


def _by_status(status: int, bare: list[str], sure: str) -> Kind | None:
    if status == 0:
        return None
    if status == 404:
        return _not_found(bare, sure)
    return _STATUSES.get(status) or (Kind.SERVER if status >= 500 else Kind.CLIENT_ERROR)


def _not_found(bare: list[str], sure: str) -> Kind:
    """Return what a 404 means: the model is unknown there if it speaks of one, else the path is."""
    spoken_of = any("model" in name for name in bare) or _SPEAKS_OF_MODEL.search(sure)
    return Kind.MISCONFIGURED if spoken_of else Kind.UNSUPPORTED
