"""Which proxy, if any, stands on the way to an origin.

``env`` follows the variables that most programs read: HTTPS_PROXY or HTTP_PROXY by the origin's scheme, else ALL_PROXY,
in capitals or not, and NO_PROXY for the exceptions. As in Go, an origin on this machine is never asked for through a
proxy that only the environment names: it would be that proxy's own machine.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hydrallm.errors import StartError
from hydrallm.http.dial import Proxy, proxy_authorization

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_proxy(setting: str, scheme: str, host: str, port: int, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy through which ``host`` is reached; None for a direct connection.

    Args:
        setting: ``env``, ``none``, or the URL of a proxy.
        scheme: of the origin.
        host: of the origin.
        port: of the origin.
        environ: the environment.

    Raises:
        StartError: the proxy's URL cannot be used.
    """
    if setting == "none":
        return None
    if setting != "env":
        return _parse(setting, "proxy")
    names = [name for lower in (f"{scheme}_proxy", "all_proxy") for name in (lower, lower.upper())]
    name = next((name for name in names if environ.get(name)), None)
    if name is None or _is_local(host):
        return None
    exceptions = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if any(_is_excepted(host, port, entry.strip().lower()) for entry in exceptions.split(",")):
        return None
    return _parse(environ[name], f"the environment's {name}")


def _is_excepted(host: str, port: int, entry: str) -> bool:
    """Tell whether an entry of NO_PROXY names ``host``: ``*``, a name and all below it, an address or a network."""
    name, _, number = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
    if number and number != str(port):
        return False
    name = name.removeprefix("*.").removeprefix(".").strip("[]")
    if name in {"*", host} or (name and host.endswith(f".{name}")):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        return False


def _parse(text: str, source: str) -> Proxy:
    """Take a proxy's URL apart; a URL without a scheme, as in ``HTTP_PROXY=proxy:3128``, is an HTTP proxy's.

    Args:
        text: the URL; it may hold a password, so it is not repeated.
        source: what named it.
    """
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        host, port = url.hostname, url.port or 80
    except ValueError:
        host, port, url = None, 0, urlsplit("")
    if url.scheme != "http" or not host:
        where = f"{url.scheme}://{host}" if host else "what is no URL"
        raise StartError(
            f"{source} names {where} as the proxy to use; only http:// proxies can be, such as http://proxy:3128. "
            'Name one, or set proxy = "none" for this endpoint'
        )
    authorization = b""
    if url.username is not None:
        authorization = proxy_authorization(unquote(url.username), unquote(url.password or ""))
    return Proxy(host, port, authorization)


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
