"""Endpoints of type ``openai``: the key goes into ``Authorization: Bearer`` (RFC 6750, section 2.1).

PURE. https://platform.openai.com/docs/api-reference/authentication
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.endpoints.base import ApiKey
from hydrallm.endpoints.headers import request_headers
from hydrallm.endpoints.target import request_target
from hydrallm.formats.base import ApiType
from hydrallm.message import Request

if TYPE_CHECKING:
    import datetime

    from hydrallm.endpoints.base import Call, Endpoint


class OpenAI:
    """The API type ``openai``."""

    api_type = ApiType.OPENAI

    def address(self, endpoint: Endpoint, call: Call, now: datetime.datetime) -> Request:  # noqa: ARG002 - nothing here is signed
        """Return the request to send to ``endpoint`` for ``call``.

        Raises:
            RequestError: 400; the client's path leads nowhere at this endpoint.
        """
        own = []
        if isinstance(endpoint.credential, ApiKey):
            own.append((b"authorization", b"Bearer " + endpoint.credential.key.reveal().encode()))
        headers = request_headers(endpoint, call, own)
        return Request(call.method, request_target(endpoint, call.path, call.query), headers, call.body)
