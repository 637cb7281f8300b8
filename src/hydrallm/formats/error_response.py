"""What error responses have in common: a JSON body, and a type that follows from the status.

PURE. Error responses are rare, so they are made for whoever reads them: characters stay readable, and a lone surrogate,
which has no UTF-8, becomes a question mark.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hydrallm.message import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.formats.base import ApiError
    from hydrallm.message import Headers


def error_response(error: ApiError, body: object, headers: Headers) -> Response:
    """Return the response that says ``error``: its status, ``headers`` and ``body`` as JSON."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(error.status, [(b"content-type", b"application/json"), *headers], content)


def error_type(types: Mapping[int, str], status: int) -> str:
    """Return the type of ``status`` in ``types``, or that of its class: 400 speaks for 4xx, 500 for 5xx."""
    return types.get(status) or types[400 if status < 500 else 500]
