"""Endpoints of type ``bedrock``: signed (AWS Signature Version 4), or with a Bedrock API key as a bearer token.

PURE. https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html

An endpoint without a credential gets what the client sent, but for the client's signature: it was made for another
host, so it cannot hold here, and a signature that does not hold is worse than none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.endpoints import sigv4
from hydrallm.endpoints.base import ApiKey, AwsChain, AwsKeys, ClientCredential
from hydrallm.endpoints.headers import SIGNATURE, request_headers
from hydrallm.endpoints.target import request_target
from hydrallm.formats.base import ApiType
from hydrallm.message import Request

if TYPE_CHECKING:
    import datetime

    from hydrallm.endpoints.base import Call, Endpoint

SERVICE = "bedrock"
"""The name that Bedrock's runtime signs with; its host says ``bedrock-runtime``."""


class Bedrock:
    """The API type ``bedrock``."""

    api_type = ApiType.BEDROCK

    def address(self, endpoint: Endpoint, call: Call, now: datetime.datetime) -> Request:
        """Return the request to send to ``endpoint`` for ``call``.

        A signature covers the body, so with AWS keys ``call.body`` must be the whole of it.

        Args:
            endpoint: where it goes; its credential is no :class:`~hydrallm.endpoints.base.AwsChain` any more.
            call: what the client asked; the path names the model already.
            now: the time in UTC; AWS accepts five minutes of difference.

        Raises:
            RequestError: 400; the client's path leads nowhere at this endpoint.
        """
        credential = endpoint.credential
        assert not isinstance(credential, AwsChain)  # noqa: S101 - it would go out unsigned
        own = []
        if isinstance(credential, ApiKey):
            own.append((b"authorization", b"Bearer " + credential.key.reveal().encode()))
        headers = request_headers(endpoint, call, own)
        request = Request(call.method, request_target(endpoint, call.path, call.query), headers, call.body)
        if isinstance(credential, AwsKeys):
            if any(name == b"authorization" for name, _ in endpoint.headers):
                return request  # the config wins, as in every header
            headers += sigv4.sign(request, endpoint.url.authority, credential, SERVICE, now)
        elif isinstance(credential, ClientCredential):
            headers[:] = [pair for pair in headers if not _is_signature(pair)]
        return request


def _is_signature(pair: tuple[bytes, bytes]) -> bool:
    name, value = pair
    return name in SIGNATURE or (name == b"authorization" and value.startswith(sigv4.ALGORITHM.encode()))
