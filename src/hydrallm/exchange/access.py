"""Who may ask.

A proxy on a local port that holds API keys is a target for any web page that its user visits: a page can send requests
to ``127.0.0.1``, and by DNS rebinding even read the answers. About three headers, though, a browser cannot lie. Host
names the site that the page believes to talk to, so a foreign Host is refused; Origin names the page itself, so a
foreign Origin is refused. What a page merely embeds, such as an image, is fetched without Origin, and Sec-Fetch-Site
says that it is cross-site (https://www.w3.org/TR/fetch-metadata/). These rules end when clients have to show a key,
which a page does not have.

A listener that other machines can reach, but that asks for no key, would give its keys' credit away: it starts, and
answers only peers on this machine until the config says what is meant.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from hydrallm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.http.server_stream import ServerStream
    from hydrallm.message import Headers
    from hydrallm.secret import Secret

_REMEMBERED = 1024
"""Host values found good are remembered, up to this many: there is one, usually."""


class Access:
    """The rules of one listener.

    Args:
        client_keys: keys of which a client has to show one; none: everybody on this machine may ask.
        allow_remote: whether other machines may ask although there are no keys.
        hosts: names under which the listener is reached, beside IP literals and ``localhost``.
        origins: origins of web pages that may ask, beside loopback ones.
    """

    def __init__(
        self,
        client_keys: Iterable[Secret] = (),
        *,
        allow_remote: bool = False,
        hosts: Iterable[str] = (),
        origins: Iterable[str] = (),
    ) -> None:
        self._keys = [_digest(key.reveal().encode()) for key in client_keys]
        self._allow_remote = allow_remote
        self._hosts = {host.lower().rstrip(".") for host in hosts}
        self._origins = {origin.lower().rstrip("/") for origin in origins}
        self._good_hosts: set[bytes] = set()

    @property
    def has_keys(self) -> bool:
        """Whether clients have to show a key, so that their credentials are for this proxy and for nobody else."""
        return bool(self._keys)

    def check_place(self, stream: ServerStream) -> None:
        """Check where a request comes from.

        Raises:
            RequestError: 421 for a foreign Host, 403 for a page of another site or a peer on another machine.
        """
        if self._keys:
            return
        if not self._allow_remote and not _is_loopback(stream.peer):
            raise RequestError(
                403,
                "requests from other machines are refused: set server.client_keys (recommended) or "
                "server.allow_remote = true",
            )
        if stream.host not in self._good_hosts:
            self._check_host(stream.host)
        cross_site = False
        for name, value in stream.headers:
            if name == b"origin":
                self._check_origin(value)
                return
            if name == b"sec-fetch-site":
                cross_site = cross_site or value == b"cross-site"
        if cross_site:
            raise RequestError(
                403,
                "requests that a web page of another site makes are refused: open the address yourself, or set "
                "server.client_keys",
            )

    def check_key(self, headers: Headers) -> None:
        """Check that the client shows one of the keys, if any are asked for.

        Raises:
            RequestError: 401.
        """
        if not self.knows(headers):
            raise RequestError(
                401,
                "this HydraLLM asks for a key: send one of server.client_keys as Authorization: Bearer, x-api-key "
                "or api-key",
            )

    def knows(self, headers: Headers) -> bool:
        """Return whether the client shows one of the keys, or need not."""
        if not self._keys:
            return True
        shown = [_digest(key) for key in shown_keys(headers)]
        # Every pair is compared, in constant time: how long it takes must not tell which key was nearly right.
        return any([hmac.compare_digest(one, other) for one in shown for other in self._keys])  # noqa: C419 - see above

    def _check_host(self, value: bytes) -> None:
        host = _host_name(value)
        if host and not (
            host == "localhost" or host.endswith(".localhost") or host in self._hosts or _ip_literal(host) is not None
        ):
            raise RequestError(
                421,
                f"the Host {host!r} is not this server's: call it by its IP address or localhost, or add the name to "
                "server.allowed_hosts",
                close=True,
            )
        if len(self._good_hosts) < _REMEMBERED:
            self._good_hosts.add(value)

    def _check_origin(self, value: bytes) -> None:
        origin = value.decode("latin-1").lower().rstrip("/")
        if origin in self._origins:
            return
        try:
            host = urlsplit(origin).hostname or ""
        except ValueError:
            host = ""
        if not host or not (host == "localhost" or host.endswith(".localhost") or _is_loopback(host)):
            raise RequestError(
                403,
                f"requests from the web page {origin!r} are refused: add it to server.allowed_origins if it is yours",
            )


def shown_keys(headers: Headers) -> list[bytes]:
    """Return the keys that a client shows."""
    shown: list[bytes] = []
    for name, value in headers:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            shown.append(value[7:].strip())
        elif name in {b"x-api-key", b"api-key"}:
            shown.append(value.strip())
    return shown


def _digest(key: bytes) -> bytes:
    """Return what is kept of a key: enough to compare, useless to steal."""
    return hashlib.sha256(key).digest()


def _host_name(value: bytes) -> str:
    """Return the host of a Host header, without port, brackets and final dot, in lower case."""
    text = value.decode("latin-1").strip().lower()
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        return host if bracket and rest[:1] in {"", ":"} else text
    return text.partition(":")[0].rstrip(".")


def _ip_literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    if host in {"127.0.0.1", "::1", ""}:  # the usual ones; a Unix socket's peer has no address
        return True
    address = _ip_literal(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address is not None and address.is_loopback
