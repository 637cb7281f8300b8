"""Endpoints of type ``anthropic``: the key goes into ``x-api-key``, and every request names the API's version.

PURE. https://docs.anthropic.com/en/api/versioning. The client knows for which version its body was made, so what it
sends is kept, ``anthropic-beta`` included; the default is the one that every provider of this API knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.endpoints.base import ApiKey
from hydrallm.endpoints.headers import request_headers
from hydrallm.endpoints.target import request_target
from hydrallm.formats.base import ApiType
from hydrallm.message import Request, header

if TYPE_CHECKING:
    import datetime

    from hydrallm.endpoints.base import Call, Endpoint

DEFAULT_VERSION = b"2023-06-01"


class Anthropic:
    """The API type ``anthropic``."""

    api_type = ApiType.ANTHROPIC

    def address(self, endpoint: Endpoint, call: Call, now: datetime.datetime) -> Request:  # noqa: ARG002 - nothing here is signed
        """Return the request to send to ``endpoint`` for ``call``.

        Raises:
            RequestError: 400; the client's path leads nowhere at this endpoint.
        """
        own = []
        if isinstance(endpoint.credential, ApiKey):
            own.append((b"x-api-key", endpoint.credential.key.reveal().encode()))
        if header(call.headers, b"anthropic-version") is None:
            own.append((b"anthropic-version", DEFAULT_VERSION))
        headers = request_headers(endpoint, call, own)
        return Request(call.method, request_target(endpoint, call.path, call.query), headers, call.body)
