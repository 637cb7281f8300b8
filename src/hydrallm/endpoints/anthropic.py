"""Endpoints of type ``anthropic``: the key goes into ``x-api-key``, and every request names the API's version.

PURE. https://docs.anthropic.com/en/api/versioning. The client knows for which version its body was made, so what it
sends is kept, ``anthropic-beta`` included; the default is the one that every provider of this API knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.endpoints.base import ApiKey
from hydrallm.endpoints.headers import request_headers, set_default
from hydrallm.endpoints.target import request_target
from hydrallm.formats.base import ApiType
from hydrallm.message import Request

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
        headers = request_headers(endpoint, call)
        if isinstance(endpoint.credential, ApiKey):
            set_default(headers, b"x-api-key", endpoint.credential.key.reveal().encode())
        set_default(headers, b"anthropic-version", DEFAULT_VERSION)
        return Request(call.method, request_target(endpoint, call.path, call.query), headers, call.body)
