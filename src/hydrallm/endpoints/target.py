"""The request target: the endpoint's path, what is left of the client's path, and both queries.

PURE. Which of the client's segments is the version that the endpoint's URL already has is decided by two rules, and
at most one segment is dropped:

- the first segment, if it equals the last one of the endpoint's URL: ``…/v1`` + ``/v1/chat/completions`` and
  ``/chat/completions`` both reach ``…/v1/chat/completions``;
- a first segment ``v<digits>``, if the endpoint says ``strip_version_prefix``: ``…/paas/v4`` + ``/v1/chat/completions``
  reaches ``…/paas/v4/chat/completions``. ``/v1beta`` stays.

Percent-encoding stays as the client sent it. Clients never choose the upstream's URL, so a path that would climb out of
the endpoint's is refused, however the upstream might read it (:func:`_climbs`).
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from hydrallm.errors import RequestError

if TYPE_CHECKING:
    from hydrallm.endpoints.base import Endpoint

_VERSION = re.compile(rb"v[0-9]+")
_ANY_VERSION = re.compile(rb"v[0-9]")
_OTHER_SLASH = re.compile(rb"\\|%2[Ff]|%5[Cc]")
_DOT = re.compile(rb"%2[Ee]")
_SEMICOLON = re.compile(rb"%3[Bb]")


def request_target(endpoint: Endpoint, path: bytes, query: bytes) -> bytes:
    """Return the target in origin form that reaches ``path`` at ``endpoint``.

    Args:
        endpoint: its URL's path, its query and ``strip_version_prefix`` count.
        path: the client's raw path.
        query: the client's raw query, without the question mark; the endpoint's is appended to it.

    Raises:
        RequestError: 400; the path does not start with a slash, or climbs out of the endpoint's path.
    """
    if not path.startswith(b"/"):
        raise RequestError(400, "the request's path must start with a slash")
    base = endpoint.url.path
    rest = b"/" + path.lstrip(b"/")
    slash = rest.find(b"/", 1)
    first = rest[1:] if slash < 0 else rest[1:slash]
    if first and (
        first == base[base.rfind(b"/") + 1 :] or (endpoint.strip_version_prefix and _VERSION.fullmatch(first))
    ):
        rest = b"" if slash < 0 else b"/" + rest[slash:].lstrip(b"/")
    if (b"." in rest or b"%2" in rest) and _climbs(rest):
        raise RequestError(400, "the request's path climbs out of the endpoint's with its .. segments; send it without")
    target = base + rest or b"/"
    if query and endpoint.query:
        return b"%b?%b&%b" % (target, query, endpoint.query)
    query = query or endpoint.query
    return b"%b?%b" % (target, query) if query else target


def own_path(endpoint: Endpoint, path: bytes) -> bytes:
    """Return the path of a request that was composed here, as a client of ``endpoint`` would have it.

    Clients are given a base URL that has the API's version, or one to which they add it. An endpoint's URL is such a
    one, so the version is left out where the URL has one anywhere (``.../v1``, ``.../v1beta/openai``).

    Args:
        endpoint: where it goes.
        path: from the API's root, with its version.
    """
    return _without_version(endpoint.url.path, path)


@functools.lru_cache(256)
def _without_version(base: bytes, path: bytes) -> bytes:
    versioned = any(_ANY_VERSION.match(segment) for segment in base.split(b"/"))
    first = path[1:].partition(b"/")[0]
    return path[1 + len(first) :] if versioned and _VERSION.fullmatch(first) else path


def replace_model(path: bytes, span: tuple[int, int], model: str) -> bytes:
    """Return ``path`` with ``model`` at ``span``, percent-encoded as boto3 encodes it: colons and slashes too.

    Args:
        path: the client's raw path.
        span: where its model id stands (``Operation.model_span``).
        model: the id or ARN, not encoded.
    """
    start, end = span
    return path[:start] + quote(model, safe="").encode("ascii") + path[end:]


def _climbs(path: bytes) -> bool:
    """Tell whether some upstream's reading of ``path`` would leave the place it starts from.

    Servers differ: some decode ``%2e`` and ``%2f`` first, take a backslash for a slash, merge repeated slashes or cut a
    segment's ``;parameters`` off. So a step up counts if any of them sees it, a step down only if all of them do.
    """
    depth = 0
    for segment in path.split(b"/"):
        plain = _SEMICOLON.sub(b";", _DOT.sub(b".", segment))
        names = [part.partition(b";")[0] for part in _OTHER_SLASH.split(plain)]
        if up := names.count(b".."):
            depth -= up
            if depth < 0:
                return True
        # Whoever cuts parameters off before decoding the slashes in them sees only what stands before the first ";".
        elif any(name not in (b"", b".") for name in _OTHER_SLASH.split(plain.partition(b";")[0])):
            depth += 1
    return False
