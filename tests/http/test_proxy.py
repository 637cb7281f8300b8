"""Which proxy stands on the way. Where it can judge, the standard library's ``urllib`` is the oracle."""

from __future__ import annotations

import urllib.request
from typing import NamedTuple

import pytest

from hydrallm.errors import StartError
from hydrallm.http.dial import Proxy
from hydrallm.http.proxy import find_proxy

PROXY = "http://proxy.example:3128"
FOUND = Proxy("proxy.example", 3128)


def test_none_is_direct_and_a_url_is_taken_whatever_the_environment_says() -> None:
    environment = {"HTTPS_PROXY": "http://other.example:1", "NO_PROXY": "*"}
    assert find_proxy("none", "https", "api.example", 443, environment) is None
    assert find_proxy(PROXY, "https", "api.example", 443, environment) == FOUND
    assert find_proxy(PROXY, "http", "localhost", 80, environment) == FOUND, "asked for by name, so it is meant"


class Named(NamedTuple):
    environment: dict[str, str]
    scheme: str
    found: bool


@pytest.mark.parametrize(
    "case",
    [
        Named({"HTTPS_PROXY": PROXY}, "https", found=True),
        Named({"https_proxy": PROXY}, "https", found=True),
        Named({"HTTP_PROXY": PROXY}, "http", found=True),
        Named({"http_proxy": PROXY}, "http", found=True),
        Named({"HTTP_PROXY": PROXY}, "https", found=False),
        Named({"HTTPS_PROXY": PROXY}, "http", found=False),
        Named({"ALL_PROXY": PROXY}, "https", found=True),
        Named({"all_proxy": PROXY}, "http", found=True),
        Named({"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://other.example:1"}, "https", found=True),
        Named({"HTTPS_PROXY": "", "ALL_PROXY": PROXY}, "https", found=True),
        Named({"HTTPS_PROXY": ""}, "https", found=False),
        Named({}, "https", found=False),
    ],
    ids=repr,
)
def test_the_variables_of_the_environment(case: Named) -> None:
    assert find_proxy("env", case.scheme, "api.example", 443, case.environment) == (FOUND if case.found else None)


HOSTS = ["api.example", "deep.api.example", "notapi.example", "example", "10.1.2.3", "192.0.2.7"]
EXCEPTIONS = [
    "*",
    "api.example",
    ".api.example",
    "example",
    "other.example",
    "10.1.2.3",
    " api.example , x",
    "x,y",
    "",
    ",",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("exceptions", EXCEPTIONS)
def test_no_proxy_is_read_as_urllib_reads_it(host: str, exceptions: str) -> None:
    bypassed = urllib.request.proxy_bypass_environment(host, {"no": exceptions})  # type: ignore[attr-defined]
    environment = {"https_proxy": PROXY, "no_proxy": exceptions}
    assert find_proxy("env", "https", host, 443, environment) == (None if bypassed else FOUND)


class Entry(NamedTuple):
    exceptions: str
    host: str
    direct: bool


@pytest.mark.parametrize(
    "case",
    [
        Entry("api.example:443", "api.example", direct=True),
        Entry("api.example:8443", "api.example", direct=False),
        Entry("*.api.example", "deep.api.example", direct=True),
        Entry("API.Example", "api.example", direct=True),
        Entry("10.0.0.0/8", "10.1.2.3", direct=True),
        Entry("10.0.0.0/8", "11.1.2.3", direct=False),
        Entry("10.0.0.0/8", "api.example", direct=False),
        Entry("2001:db8::/32", "2001:db8::1", direct=True),
        Entry("2001:db8::1", "2001:db8::1", direct=True),
        Entry("[2001:db8::1]", "2001:db8::1", direct=True),
        Entry("2001:db8::2", "2001:db8::1", direct=False),
    ],
    ids=repr,
)
def test_no_proxy_beyond_urllib(case: Entry) -> None:
    """Ports, networks and patterns, as curl and Go read them."""
    environment = {"HTTPS_PROXY": PROXY, "NO_PROXY": case.exceptions}
    assert find_proxy("env", "https", case.host, 443, environment) == (None if case.direct else FOUND)


@pytest.mark.parametrize("host", ["localhost", "api.localhost", "127.0.0.1", "127.8.9.1", "::1"])
def test_this_machine_is_never_behind_a_proxy_of_the_environment(host: str) -> None:
    assert find_proxy("env", "http", host, 11434, {"HTTP_PROXY": PROXY, "ALL_PROXY": PROXY}) is None


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://proxy.example", Proxy("proxy.example", 80)),
        ("proxy.example:3128", FOUND),
        ("HTTP://Proxy.Example:3128/", FOUND),
        ("http://[::1]:3128", Proxy("::1", 3128)),
        ("http://me:secret@proxy.example:3128", Proxy("proxy.example", 3128, b"Basic bWU6c2VjcmV0")),
        ("http://me@proxy.example:3128", Proxy("proxy.example", 3128, b"Basic bWU6")),
        ("http://m%40e:%3A%20@proxy.example:3128", Proxy("proxy.example", 3128, b"Basic bUBlOjog")),
    ],
)
def test_a_proxys_url(url: str, proxy: Proxy) -> None:
    assert find_proxy(url, "https", "api.example", 443, {}) == proxy
    assert find_proxy("env", "https", "api.example", 443, {"HTTPS_PROXY": url}) == proxy


@pytest.mark.parametrize(
    "url",
    [
        "socks5://proxy.example:1080",
        "https://me:hunter2@proxy.example",
        "http://",
        "http://me:hunter2@:1",
        "http://x:99999",
        "http://[::1",
    ],
)
def test_what_is_no_http_proxy_is_refused_without_showing_a_password(url: str) -> None:
    with pytest.raises(StartError, match="only http:// proxies can be") as caught:
        find_proxy("env", "https", "api.example", 443, {"ALL_PROXY": url})
    assert "ALL_PROXY" in str(caught.value)
    assert "hunter2" not in str(caught.value)
