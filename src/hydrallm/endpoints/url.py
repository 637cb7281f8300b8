"""The URL of an endpoint, taken apart and checked once, when the config is read.

PURE. A base URL is an origin and a path (RFC 3986, section 3): no user information (credentials have keys of their
own), no query (so has that) and no fragment (it is never sent). What a browser would quietly repair, such as a space,
a backslash or a missing scheme, is refused here: in a config file it is a mistake, and the reason says which.

Host names are encoded with the standard library's IDNA 2003, so that no further dependency is needed.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote

from hydrallm.endpoints.base import BaseURL

DEFAULT_PORTS = {"http": 80, "https": 443}

_MAX_PORT = 65535
_MAX_HOST = 253  # RFC 1035, section 2.3.4, as text and without the final dot

_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u2060\u3000\ud800-\udfff\ufeff]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOT_SEGMENT = re.compile(r"(?:^|/)(?:\.|%2[Ee]){1,2}(?=/|$)")

# RFC 3986's pchar and the slash; quote() knows the unreserved characters itself.
_PATH_CHARACTERS = "/%:@!$&'()*+,;="


def parse_base_url(text: str) -> BaseURL:
    """Take ``text`` apart, such as ``https://api.openai.com/v1``.

    Args:
        text: the URL as it stands in the config.

    Returns:
        The parts: scheme and host in lower case, the host IDNA-encoded, the port filled in, the path percent-encoded
        and without trailing slashes.

    Raises:
        ValueError: it is no usable base URL. The message is the reason, and never shows a password in the URL.
    """
    if not text:
        raise ValueError("the URL is empty; write one such as https://api.openai.com/v1")
    if found := _UNPRINTABLE.search(text):
        raise ValueError(f"the URL contains a space or control character (U+{ord(found[0]):04X}); remove it")
    split = _SCHEME.fullmatch(text)
    if split is None or (scheme := split[1].lower()) not in DEFAULT_PORTS:
        raise ValueError("the URL must start with http:// or https://")
    rest = split[2]
    for mark, reason in _REFUSED.items():
        if mark in rest:
            raise ValueError(reason)
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise ValueError("the URL must not contain a user name or password; set api_key instead")
    host, port = _host_and_port(authority, DEFAULT_PORTS[scheme])
    shown = f"[{host}]" if ":" in host else host
    return BaseURL(
        scheme=scheme,
        host=host,
        port=port,
        path=_path(slash + path),
        authority=(shown if port == DEFAULT_PORTS[scheme] else f"{shown}:{port}").encode(),
    )


_REFUSED = {
    "#": "the URL must not contain a fragment (#...); remove it",
    "?": "the URL must not contain a query (?...); put it into the endpoint's query table",
    "\\": "the URL contains a backslash; write / instead",
}


def _host_and_port(authority: str, default_port: int) -> tuple[str, int]:
    if authority.startswith("["):
        literal, bracket, tail = authority[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise ValueError("an IPv6 address must stand alone in square brackets, such as http://[::1]:8080")
        return _ipv6(literal), _port(tail, default_port)
    name, colon, port = authority.partition(":")
    if ":" in port:
        raise ValueError("the host has more than one colon; put an IPv6 address in square brackets, as in http://[::1]")
    return _host(name), _port(colon + port, default_port)


def _ipv6(literal: str) -> str:
    if "%" in literal:
        raise ValueError("the URL has an IPv6 zone (%...), which is not supported; use an address without one")
    try:
        return ipaddress.IPv6Address(literal).compressed
    except ValueError:
        raise ValueError(f"{literal!r} is not an IPv6 address") from None


def _host(name: str) -> str:
    if not name:
        raise ValueError("the URL has no host; write one such as https://api.openai.com/v1")
    try:
        host = name.lower() if name.isascii() else name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f"{name!r} is not a valid host name") from None
    labels = host.removesuffix(".").split(".")
    if len(host.removesuffix(".")) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{name!r} is not a valid host name")
    if labels[-1].isdigit():  # no top-level domain is a number, so this is meant as an IPv4 address
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError(f"{name!r} is not an IPv4 address") from None
    return host


def _port(tail: str, default: int) -> int:
    if not tail:
        return default
    digits = tail[1:]
    # What stands here may be half a password with a slash in it, so it is not shown.
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"what follows the host's colon is not a port; write a number from 1 to {_MAX_PORT}")
    if len(digits) > len(str(_MAX_PORT)) or not 1 <= int(digits) <= _MAX_PORT:
        raise ValueError(f"the port is out of range; write a number from 1 to {_MAX_PORT}")
    return int(digits)


def _path(path: str) -> bytes:
    if _BAD_ESCAPE.search(path):
        raise ValueError("the URL's path has a % that is not followed by two hexadecimal digits; write %25 for itself")
    if _DOT_SEGMENT.search(path):
        raise ValueError("the URL's path has a . or .. segment; write the path it stands for")
    return quote(path.rstrip("/"), safe=_PATH_CHARACTERS).encode("ascii")
