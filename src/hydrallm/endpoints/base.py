"""Endpoints: where a provider is and how it knows us, and what an API type must be able to do with one.

PURE. An *endpoint* is data from the config. An *API type* (``openai``, ``anthropic``, ``bedrock``) is behaviour: it
turns what the client asked into the request that the endpoint wants, addressed and signed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from hydrallm.message import Headers
from hydrallm.secret import Secret

if TYPE_CHECKING:
    import datetime

    from hydrallm.formats.base import ApiType
    from hydrallm.message import Request


class BaseURL(msgspec.Struct, frozen=True):
    """An endpoint's URL, taken apart once.

    Attributes:
        scheme: ``http`` or ``https``.
        host: the host name or IP literal, without brackets, in lower case (IDNA-encoded).
        port: the port, the scheme's default filled in.
        path: the path without a trailing slash; empty for the root.
        authority: the value of the Host header.
    """

    scheme: str
    host: str
    port: int
    path: bytes
    authority: bytes


class ApiKey(msgspec.Struct, frozen=True):
    """The endpoint's own key."""

    key: Secret


class AwsKeys(msgspec.Struct, frozen=True):
    """AWS credentials to sign with (Signature Version 4)."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None
    region: str


class AwsChain(msgspec.Struct, frozen=True):
    """The credentials that AWS's standard chain comes to, which change while the gateway runs.

    A value of the config, and nothing to sign with: whoever has an endpoint addressed puts the :class:`AwsKeys` of the
    moment in its place.

    Attributes:
        profile: the profile of the AWS files; None for the one that the environment names, or ``default``.
        region: to sign for; None for that of the profile.
    """

    profile: str | None
    region: str | None


class NoCredential(msgspec.Struct, frozen=True):
    """``api_key = "-"``: the client's credentials are removed and nothing takes their place."""


class ClientCredential(msgspec.Struct, frozen=True):
    """No key configured: the client's own credentials are passed on."""


Credential = ApiKey | AwsKeys | AwsChain | NoCredential | ClientCredential


class Endpoint(msgspec.Struct, frozen=True):
    """A provider's base URL with its credentials (``[endpoints.X]``).

    Attributes:
        name: the X of ``[endpoints.X]``.
        url: where it is.
        credential: what it is shown.
        strip_version_prefix: drop a whole leading ``v<digits>`` segment of the client's path.
        headers: added to every request, replacing the client's of the same name.
        query: already percent-encoded ``a=b&c=d``, added to every request; empty for none.
    """

    name: str
    url: BaseURL
    credential: Credential = ClientCredential()
    strip_version_prefix: bool = False
    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: bytes = b""

    @property
    def own_credential(self) -> bool:
        """Whether what the endpoint is shown is the proxy's choice, not the client's."""
        return not isinstance(self.credential, ClientCredential)

    @property
    def signs(self) -> bool:
        """Whether requests are signed, which takes their whole body."""
        return isinstance(self.credential, AwsKeys | AwsChain)


class Call(msgspec.Struct, frozen=True, gc=False):
    """What a client asked, ready to be addressed to an endpoint.

    Attributes:
        method: the client's method.
        path: the client's raw path, its Bedrock model id already replaced.
        query: the client's raw query, without the question mark.
        headers: all of the client's headers.
        body: the body to send; empty where it is streamed.
        generation: whether it goes through the chain (its answer may be looked at) or is merely relayed.
        strip_credentials: the client's credentials are for the proxy itself (``server.client_keys``), so they are
            dropped whatever the endpoint says.
    """

    method: bytes
    path: bytes
    query: bytes
    headers: Headers
    body: bytes
    generation: bool
    strip_credentials: bool = False


class Api(Protocol):
    """The behaviour of one API type. One file each; the list of them is in ``app.py``."""

    @property
    def api_type(self) -> ApiType:
        """The ``type`` that selects this behaviour."""

    def address(self, endpoint: Endpoint, call: Call, now: datetime.datetime) -> Request:
        """Return the request to send to ``endpoint`` for ``call``: target, headers, credentials.

        Args:
            endpoint: where it goes.
            call: what the client asked.
            now: the time in UTC, for signatures.
        """
