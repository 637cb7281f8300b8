"""Base URLs against httpx2's parser, and what is refused with which reason."""

from __future__ import annotations

import re
import string

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.endpoints.base import BaseURL
from hydrallm.endpoints.url import parse_base_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://api.openai.com/v1", BaseURL("https", "api.openai.com", 443, b"/v1", b"api.openai.com")),
        ("https://api.openai.com/v1/", BaseURL("https", "api.openai.com", 443, b"/v1", b"api.openai.com")),
        ("https://api.openai.com", BaseURL("https", "api.openai.com", 443, b"", b"api.openai.com")),
        ("https://api.openai.com//", BaseURL("https", "api.openai.com", 443, b"", b"api.openai.com")),
        ("HTTP://LocalHost:11434/v1", BaseURL("http", "localhost", 11434, b"/v1", b"localhost:11434")),
        ("http://localhost:80", BaseURL("http", "localhost", 80, b"", b"localhost")),
        ("https://localhost:80", BaseURL("https", "localhost", 80, b"", b"localhost:80")),
        ("http://127.0.0.1:8080", BaseURL("http", "127.0.0.1", 8080, b"", b"127.0.0.1:8080")),
        ("http://[::1]", BaseURL("http", "::1", 80, b"", b"[::1]")),
        ("http://[2001:DB8:0::1]:81/a", BaseURL("http", "2001:db8::1", 81, b"/a", b"[2001:db8::1]:81")),
        ("http://llama_cpp:1/", BaseURL("http", "llama_cpp", 1, b"", b"llama_cpp:1")),
        ("https://a.example.:65535", BaseURL("https", "a.example.", 65535, b"", b"a.example.:65535")),
        ("https://bücher.example", BaseURL("https", "xn--bcher-kva.example", 443, b"", b"xn--bcher-kva.example")),
        ("https://h/a%20b/ü:@", BaseURL("https", "h", 443, b"/a%20b/%C3%BC:@", b"h")),
        ("https://h/..a/b..", BaseURL("https", "h", 443, b"/..a/b..", b"h")),
    ],
)
def test_parts(text: str, expected: BaseURL) -> None:
    assert parse_base_url(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("api.openai.com/v1", "must start with http:// or https://"),
        ("ftp://h", "must start with http:// or https://"),
        ("https:/h", "must start with http:// or https://"),
        ("//h/v1", "must start with http:// or https://"),
        ("$OPENAI_URL", "must start with http:// or https://"),
        ("https://", "has no host"),
        ("https:///v1", "has no host"),
        ("https://:443/v1", "has no host"),
        ("https://user:hunter2@h/v1", "user name or password"),
        ("https://user:hunter2/x@h/v1", "is not a port"),
        ("https://h/v1?api-version=1", "query table"),
        ("https://h?", "query table"),
        ("https://h/v1#x", "fragment"),
        ("https://h\\v1", "backslash"),
        (" https://h", "U+0020"),
        ("https://h/v1\n", "U+000A"),
        ("https://h/\x00", "U+0000"),
        ("https://h/\x7f", "U+007F"),
        ("https://h/\u00a0", "U+00A0"),
        ("https://h\u200b/", "U+200B"),
        ("https://h/\ud800", "U+D800"),
        ("https://h:/", "is not a port"),
        ("https://h:http/", "is not a port"),
        ("https://h:+80/", "is not a port"),
        ("https://h:-1/", "is not a port"),
        ("https://h:8_0/", "is not a port"),
        ("https://h:٨/", "is not a port"),
        ("https://h:0/", "port is out of range"),
        ("https://h:65536/", "port is out of range"),
        ("https://h:" + "9" * 5000, "port is out of range"),
        ("http://::1/", "square brackets"),
        ("http://[::1/", "square brackets"),
        ("http://[::1]x/", "square brackets"),
        ("http://[::g]/", "is not an IPv6 address"),
        ("http://[]/", "is not an IPv6 address"),
        ("http://[127.0.0.1]/", "is not an IPv6 address"),
        ("http://[fe80::1%25eth0]/", "zone"),
        ("http://127.0.0.256/", "is not an IPv4 address"),
        ("http://127.1/", "is not an IPv4 address"),
        ("http://1.2.3.4./", "is not an IPv4 address"),
        ("http://a..b/", "is not a valid host name"),
        ("http://./", "is not a valid host name"),
        ("http://-a/", "is not a valid host name"),
        ("http://a-/", "is not a valid host name"),
        ("http://a*b/", "is not a valid host name"),
        ("http://a%41/", "is not a valid host name"),
        ("http://" + "a" * 64 + "/", "is not a valid host name"),
        ("http://" + "ü" * 64 + "/", "is not a valid host name"),
        ("http://" + ".".join(["a" * 50] * 6), "is not a valid host name"),
        ("http://h/%", "%25"),
        ("http://h/%zz", "%25"),
        ("http://h/a/../b", ". or .. segment"),
        ("http://h/.", ". or .. segment"),
        ("http://h/%2E%2e/b", ". or .. segment"),
    ],
    ids=lambda value: ascii(value[:40]),
)
def test_refused_with_a_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)) as caught:
        parse_base_url(text)
    assert "hunter2" not in str(caught.value)


labels = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
hosts = st.one_of(
    st.lists(labels, min_size=1, max_size=4).map(".".join).filter(lambda host: not host.rpartition(".")[2].isdigit()),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(lambda address: f"[{address.compressed}]"),
    st.sampled_from(["münchen.example", "例え.テスト", "xn--bcher-kva.example"]),
)
segments = st.text(string.ascii_letters + string.digits + "-_~!$&'()*+,;=:@é漢", max_size=8)


@given(
    scheme=st.sampled_from(["http", "https", "HTTPS"]),
    host=hosts,
    port=st.none() | st.integers(1, 65535),
    path=st.lists(segments, max_size=4),
)
def test_parts_are_those_httpx_sees(scheme: str, host: str, port: int | None, path: list[str]) -> None:
    text = f"{scheme}://{host}" + ("" if port is None else f":{port}") + "".join(f"/{segment}" for segment in path)
    url = parse_base_url(text)
    other = httpx2.URL(text)
    assert url.scheme == other.scheme
    assert url.host.encode() == other.raw_host
    assert url.port == (other.port or {"http": 80, "https": 443}[other.scheme])
    assert url.path == other.raw_path.rstrip(b"/")
    assert url.authority == other.netloc


@given(text=st.text() | st.text().map(lambda rest: "https://" + rest) | st.text("ah:/@[]%.?#\\ 0", max_size=20))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        url = parse_base_url(text)
    except ValueError:
        return
    assert url.host
    assert url.path == b"" or url.path.startswith(b"/")
    assert not url.path.endswith(b"/")
    assert all(0x20 < byte < 0x7F for byte in url.path + url.authority)
