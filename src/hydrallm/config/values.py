"""The kinds of values that a config holds: what each accepts, and what it becomes.

A kind's ``parse`` gets a value of one of the ``accepts`` types and returns what it stands for, or None if it is a zero
value, which stands for the default (``0``, ``"0s"``, ``""``), as in the original. It raises ValueError with a reason.
The reason follows the value in a sentence (``"5 min" is not a duration``), unless the kind is not ``shown``: what may
hold a secret is never repeated in a message.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin
from urllib.parse import SplitResult, quote, urlsplit

import msgspec

from hydrallm.config import quantities
from hydrallm.config.facts import Told
from hydrallm.config.spelling import did_you_mean
from hydrallm.credentials import environment
from hydrallm.credentials.aws import REGION as REGION_NAME
from hydrallm.endpoints.base import BaseURL
from hydrallm.endpoints.headers import ENGINE, HOP_BY_HOP
from hydrallm.endpoints.url import parse_base_url
from hydrallm.formats.base import ApiType
from hydrallm.formats.effort import BUDGETS, NONE
from hydrallm.policy.kinds import Kind as Failure
from hydrallm.policy.kinds import Next
from hydrallm.policy.overrides import FIXED

if TYPE_CHECKING:
    from hydrallm.secret import Secret


class Kind(msgspec.Struct, frozen=True):
    """What values a key takes.

    Attributes:
        name: what the documentation calls it.
        accepts: the types, as TOML has them, that ``parse`` takes.
        expects: ends the sentence "must be ..." when a value has another type.
        parse: turns a value into what it stands for, None for the default.
        blank: takes the place of a value that is required but missing or wrong, so that checking can go on.
        shown: whether messages may repeat the value.
        secret: whether the value is a secret when it stands in the file itself.
        shape: whether the key holds one value, a list of them, or a table of them.
        parse_name: checks and turns a name of such a table.
        example: such a table, for messages.
        members: the kinds of its values, where each name has its own.
    """

    name: str
    accepts: tuple[type, ...]
    expects: str
    parse: Callable[[Any], object]
    blank: object = None
    shown: bool = True
    secret: bool = False
    shape: Literal["single", "list", "table"] = "single"
    parse_name: Callable[[str], object] = str
    example: str = '{ name = "..." }'
    members: dict[str, Kind] = {}


MAX_WORKERS = 256
_ID = re.compile(r"[A-Za-z0-9._:/-]+")
_VERSION = re.compile(r"(?:bedrock-)?[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BETA = re.compile(r"[A-Za-z0-9._-]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # a token (RFC 9110, section 5.6.2)
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")  # RFC 9110, section 5.5, without the obsolete octets
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")  # RFC 6454, section 6.2

# Written by the HTTP engine itself; a second one would make the message ambiguous (RFC 9112, section 6.3).
_NOT_FOR_CONFIG = HOP_BY_HOP | ENGINE | {b"accept-encoding"}


def _text(value: str) -> str | None:
    if _CONTROL.search(value):
        raise ValueError("contains a control character; remove it")
    return value or None


def _id(value: str) -> str | None:
    if value and not _ID.fullmatch(value):
        raise ValueError('is not an id: write letters, digits and . _ - : /, such as "fast"')
    return value or None


def _version(value: str) -> str | None:
    if value and not _VERSION.fullmatch(value):
        raise ValueError('is not a version of Anthropic\'s API; write one such as "2023-06-01" or "bedrock-2023-05-31"')
    return value or None


def _beta(value: str) -> str | None:
    if value and not _BETA.fullmatch(value):
        raise ValueError("is not the name of a beta: write letters, digits and . _ -, one name to a string")
    return value or None


def _secret(value: str) -> Secret | None:
    return environment.secret(value) if value else None


def _count(value: int) -> int | None:
    if value < 0:
        raise ValueError("is negative; write 1 or more, or 0 for the default")
    return value or None


def _port(value: int) -> int | None:
    if not 0 <= value <= 65535:
        raise ValueError("is not a port; write a number from 1 to 65535, or 0 for the default")
    return value or None


def _workers(value: str | int) -> str | int | None:
    number = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,4}", value) else value
    if isinstance(number, str):
        if number.lower() in {"", "auto"}:
            return number.lower() or None
    elif 0 <= number <= MAX_WORKERS:
        return number or None
    raise ValueError(f'is no number of workers: write one from 1 to {MAX_WORKERS}, or "auto"')


def _duration(value: str | float) -> float | None:
    if isinstance(value, str):
        return (quantities.duration(value) or None) if value else None
    if value:
        raise ValueError('has no unit; write it with one, such as "30s" or "500ms"')
    return None


def _size(value: str | int) -> int | None:
    if isinstance(value, str):
        return (quantities.size(value) or None) if value else None
    if value < 0:
        raise ValueError("is negative; write a number of bytes, or 0 for the default")
    return value or None


def _host(value: str) -> str | None:
    host = value.removeprefix("[").removesuffix("]") if value.startswith("[") else value
    if not host:
        return None
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if not _HOST_NAME.fullmatch(host) or host.replace(".", "").isdigit():
            raise ValueError(
                'is not a host: write a name or an IP address without a port, such as "127.0.0.1"'
            ) from None
    return host.lower()


def _region(value: str) -> str | None:
    if value and not REGION_NAME.fullmatch(value):
        raise ValueError('is not an AWS region; write one such as "us-east-1"')
    return value or None


def _url(value: str) -> BaseURL | None:
    return parse_base_url(value) if value else None


def _proxy(value: str) -> str | None:
    if value.lower() in {"", "env", "none"}:
        return value.lower() or None
    if not _is_proxy_url(value):
        raise ValueError('must be "env", "none", or the http URL of a proxy, such as "http://proxy.example:3128"')
    return value.removesuffix("/")


def _is_proxy_url(value: str) -> bool:
    """Return whether ``value`` is the http URL of a host, perhaps with a user, and of nothing more."""
    if not _HEADER_VALUE.fullmatch(value) or re.search(r"\s", value):
        return False
    try:
        url = urlsplit(value)
        return url.scheme == "http" and bool(url.hostname) and url.port != 0 and _is_bare(url)
    except ValueError:  # the port, or an IPv6 literal
        return False


def _is_bare(url: SplitResult) -> bool:
    return url.path in {"", "/"} and not url.query and not url.fragment


def _origin(value: str) -> str | None:
    origin = value.lower().removesuffix("/")
    if origin and not _ORIGIN.fullmatch(origin):
        raise ValueError('is not an origin: write scheme, host and port, such as "http://localhost:3000"')
    return origin or None


def _header_name(name: str) -> bytes:
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError("is not the name of a header")
    lower = name.lower().encode()
    if lower in _NOT_FOR_CONFIG:
        raise ValueError("is a header that HydraLLM writes itself; remove it")
    return lower


def _header_value(value: str) -> bytes:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("the value contains a line break or another character that no header may have")
    return value.strip().encode()


def _one_of(*choices: str) -> Callable[[str], str | None]:
    def parse(value: str) -> str | None:
        if value and value.lower() not in choices:
            known = ", ".join(f'"{choice}"' for choice in choices)
            raise ValueError(f"is not one of {known}{did_you_mean(value, choices)}")
        return value.lower() or None

    return parse


def _api_type(value: str) -> ApiType | None:
    name = _one_of(*(kind.value for kind in ApiType))(value)
    return ApiType(name) if name else None


def _failure(name: str) -> Failure:
    known = [kind.value for kind in Failure if kind not in FIXED]
    if name in known:
        return Failure(name)
    if name in FIXED:
        raise ValueError("cannot be set: what it leads to is always the same; remove it")
    hint = did_you_mean(name, known) or f"; write one of {', '.join(known)}"
    raise ValueError(f"is not a kind of failure{hint}")


def _next(value: str) -> Next | None:
    name = _one_of(*(choice.name.lower() for choice in Next))(value)
    return Next[name.upper()] if name else None


def _fact(name: str) -> str:
    if name in _FACTS:
        return name
    hint = did_you_mean(name, _FACTS) or f"; write one of {', '.join(_FACTS)}"
    raise ValueError(f"unknown key{hint}")


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _choice(*choices: str) -> Kind:
    return Kind("string", (str,), f"one of {', '.join(choices)}", _one_of(*choices))


NO_URL = BaseURL(scheme="", host="", port=0, path=b"", authority=b"")

TEXT = Kind("string", (str,), "a string", _text, blank="")
SECRET = Kind("secret", (str,), "a string", _secret, shown=False, secret=True)
FLAG = Kind("boolean", (bool,), "true or false", bool)
COUNT = Kind("integer", (int,), "an integer", _count)
PORT = Kind("port", (int,), "an integer from 1 to 65535", _port)
WORKERS = Kind("number of workers", (int, str), 'an integer, or "auto"', _workers)
DURATION = Kind("duration", (str, int, float), 'a duration such as "30s"', _duration)
SIZE = Kind("size", (str, int), 'bytes, or a size such as "100MB"', _size)
HOST = Kind("host", (str,), "a string", _host)
REGION = Kind("string", (str,), "a string", _region)
URL = Kind("URL", (str,), "a string", _url, blank=NO_URL, shown=False)
PROXY = Kind("proxy", (str,), 'a string: "env", "none" or a URL', _proxy, shown=False)
FILE = Kind("file", (str,), "a string: the path of a file", _text)
API = _choice("chat", "responses", "converse", "invoke")
VERSION = Kind("string", (str,), 'a date in quotes, such as "2023-06-01"', _version)
API_TYPE = Kind("string", (str,), f"one of {', '.join(ApiType)}", _api_type)
LOG_LEVEL = _choice("debug", "info", "warn", "error")
LOG_FORMAT = _choice("auto", "console", "json")
ID = Kind("string", (str,), "a string", _id)
NAMES = Kind("list of strings", (str,), "a string", _text, shape="list")
SECRETS = Kind("list of secrets", (str,), "a string", _secret, shown=False, secret=True, shape="list")
BETAS = Kind("list of strings", (str,), "a string", _beta, shape="list")
EFFORTS = Kind("list of strings", (str,), "a string", _one_of(NONE, *BUDGETS), shape="list")
HOSTS = Kind("list of hosts", (str,), "a string", _host, shape="list")
ORIGINS = Kind("list of origins", (str,), "a string", _origin, shape="list")
HEADERS = Kind(
    "table of strings", (str,), "a string", _header_value, shown=False, shape="table", parse_name=_header_name
)
OVERRIDES = Kind("table of strings", (str,), "a string", _next, shape="table", parse_name=_failure)
QUERY = Kind("table of strings", (str,), "a string", _quoted, shown=False, shape="table", parse_name=_quoted)

_OF_FACTS: dict[object, Kind] = {int: COUNT, int | None: COUNT, bool: FLAG, tuple[str, ...]: EFFORTS}
_FACTS = {
    field.name: _choice(*get_args(field.type)) if get_origin(field.type) is Literal else _OF_FACTS[field.type]
    for field in msgspec.structs.fields(Told)
}
FACTS = Kind(
    "table of facts", (), "", _text, shape="table", parse_name=_fact, example="{ images = false }", members=_FACTS
)
