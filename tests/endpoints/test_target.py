"""Where a path leads: tables for the rules, posixpath for the promise that no path leaves the endpoint's."""

from __future__ import annotations

import posixpath
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import boto3
import pytest
from hypothesis import example, given, reject, settings
from hypothesis import strategies as st

from hydrallm.endpoints.base import Endpoint
from hydrallm.endpoints.target import replace_model, request_target
from hydrallm.endpoints.url import parse_base_url
from hydrallm.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Callable


def endpoint(url: str, *, strip: bool = False, query: bytes = b"") -> Endpoint:
    return Endpoint("e", parse_base_url(url), strip_version_prefix=strip, query=query)


@pytest.mark.parametrize(
    ("url", "strip", "path", "expected"),
    [
        # The first segment is dropped if it equals the URL's last.
        ("https://api.openai.com/v1", False, b"/v1/chat/completions", b"/v1/chat/completions"),
        ("https://api.openai.com/v1", False, b"/chat/completions", b"/v1/chat/completions"),
        ("https://api.openai.com/v1/", False, b"/v1/chat/completions", b"/v1/chat/completions"),
        ("https://api.openai.com/v1", False, b"/v1/v1/chat/completions", b"/v1/v1/chat/completions"),
        ("https://api.openai.com/v1", False, b"/v1", b"/v1"),
        ("https://api.openai.com/v1", False, b"/v1/", b"/v1/"),
        ("https://api.openai.com/v1", False, b"/v10/models", b"/v1/v10/models"),
        ("https://api.openai.com/v1", False, b"/V1/models", b"/v1/V1/models"),
        ("https://api.openai.com/v1", False, b"/%761/models", b"/v1/%761/models"),
        ("https://h/openai/v1", False, b"/openai/v1/models", b"/openai/v1/openai/v1/models"),
        ("https://h/api/anthropic", False, b"/v1/messages", b"/api/anthropic/v1/messages"),
        ("https://h/api/anthropic", False, b"/anthropic/v1/messages", b"/api/anthropic/v1/messages"),
        ("https://h/paas/v4", False, b"/v1/chat/completions", b"/paas/v4/v1/chat/completions"),
        # strip_version_prefix, also where the URL ends differently.
        ("https://h/paas/v4", True, b"/v1/chat/completions", b"/paas/v4/chat/completions"),
        ("https://h/paas/v4", True, b"/v4/chat/completions", b"/paas/v4/chat/completions"),
        ("https://h/paas/v4", True, b"/chat/completions", b"/paas/v4/chat/completions"),
        ("https://h/paas/v4", True, b"/v1beta/models", b"/paas/v4/v1beta/models"),
        ("https://h/paas/v4", True, b"/v/models", b"/paas/v4/v/models"),
        ("https://h/paas/v4", True, b"/v1/v4/models", b"/paas/v4/v4/models"),
        ("https://h", True, b"/v1/models", b"/models"),
        ("https://h", True, b"/v1", b"/"),
        ("https://h/x", True, b"/v12", b"/x"),
        ("https://h/x", True, b"/models/v1", b"/x/models/v1"),
        # No path of its own.
        ("https://h", False, b"/v1/models", b"/v1/models"),
        ("https://h", False, b"/", b"/"),
        # Leading slashes collapse, others stay.
        ("https://h/v1", False, b"//v1//models//a", b"/v1/models//a"),
        ("https://h/v1", False, b"///models", b"/v1/models"),
        ("https://h/v1", False, b"//", b"/v1/"),
        # Percent-encoding stays as it is.
        ("https://h", False, b"/model/a%3A0%2Fb:c/invoke", b"/model/a%3A0%2Fb:c/invoke"),
        ("https://h/v1", False, b"/files/%7euser/\xc3\xa9", b"/v1/files/%7euser/\xc3\xa9"),
        # Dot segments that stay inside.
        ("https://h/v1", False, b"/files/../models", b"/v1/files/../models"),
        ("https://h/v1", False, b"/files/./a...b/..c", b"/v1/files/./a...b/..c"),
        ("https://h/v1", False, b"/v1/a/%2e%2E/models", b"/v1/a/%2e%2E/models"),
    ],
)
def test_path(url: str, strip: bool, path: bytes, expected: bytes) -> None:
    assert request_target(endpoint(url, strip=strip), path, b"") == expected


@pytest.mark.parametrize(
    ("own", "query", "expected"),
    [
        (b"", b"", b"/v1/m"),
        (b"", b"a=1&b=%20+%2B&a", b"/v1/m?a=1&b=%20+%2B&a"),
        (b"api-version=2026-01-01", b"", b"/v1/m?api-version=2026-01-01"),
        (b"api-version=1", b"a=?b", b"/v1/m?a=?b&api-version=1"),
    ],
)
def test_query(own: bytes, query: bytes, expected: bytes) -> None:
    assert request_target(endpoint("https://h/v1", query=own), b"/m", query) == expected


@pytest.mark.parametrize(
    "path",
    [
        b"/..",
        b"/../admin",
        b"/v1/../admin",
        b"/v1/..",
        b"/a/../../admin",
        b"/%2e%2e/admin",
        b"/.%2E/admin",
        b"/./../admin",
        b"//../admin",
        b"/a//../../admin",
        b"/..%2fadmin",
        b"/a%2f..%2F..%2Fadmin",
        b"/a%2fb/../../admin",
        b"/..\\admin",
        b"/a/..%5c..%5Cadmin",
        b"/..;x=1/admin",
        b"/a/..;/..;/admin",
        b"/;/../admin",
        b"/;%2Fa/../admin",
        b"/%3bx/../admin",
    ],
)
def test_no_path_climbs_out(path: bytes) -> None:
    with pytest.raises(RequestError, match="climbs out") as caught:
        request_target(endpoint("https://h/api/v1"), path, b"")
    assert caught.value.status == 400


@pytest.mark.parametrize("path", [b"", b"*", b"v1/models", b"http://h/v1"])
def test_a_path_starts_with_a_slash(path: bytes) -> None:
    with pytest.raises(RequestError, match="must start with a slash"):
        request_target(endpoint("https://h"), path, b"")


READINGS: dict[str, Callable[[bytes], bytes]] = {
    "as it stands": lambda path: path,
    "decoded": unquote_to_bytes,
    "unreserved decoded": lambda path: re.sub(rb"%2[eE]", b".", path),
    "backslashes": lambda path: unquote_to_bytes(path).replace(b"\\", b"/"),
    "parameters cut": lambda path: re.sub(rb";[^/]*", b"", path),
    "decoded, parameters cut": lambda path: re.sub(rb";[^/]*", b"", unquote_to_bytes(path)),
}
pieces = st.sampled_from(
    [b"/", b"/", b"/", b"..", b"..", b".", b"%2e", b"%2F", b"\\", b"%5c", b";", b"%3b", b"a", b"v1", b"api"]
)


@settings(max_examples=500)
@given(path=st.lists(pieces, max_size=14).map(lambda parts: b"/" + b"".join(parts)), strip=st.booleans())
@example(path=b"/x/..;a/..", strip=False)
@example(path=b"/;%2Fa/..", strip=False)
@example(path=b"/%3Bx/..", strip=False)
def test_no_servers_reading_of_a_path_is_outside(path: bytes, strip: bool) -> None:
    try:
        target = request_target(endpoint("https://h/api/v1", strip=strip), path, b"")
    except RequestError:
        reject()
    for reading, read in READINGS.items():
        assert (posixpath.normpath(read(target)) + b"/").startswith(b"/api/v1/"), reading


models = st.text(min_size=1).filter(lambda text: "\x00" not in text) | st.sampled_from(
    ["anthropic.claude-v2:1", "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0", "a b%3A~-._"]
)
client = boto3.client(
    "bedrock-runtime", region_name="us-east-1", aws_access_key_id="AKID", aws_secret_access_key="secret"
)


@given(model=models)
def test_the_model_is_written_as_boto3_writes_it(model: str) -> None:
    seen: list[str] = []

    def before_call(model: object, params: dict[str, str], **_: object) -> tuple[object, dict[str, str]]:
        seen.append(params["url_path"])
        return SimpleNamespace(status_code=200), {}

    client.meta.events.register("before-call", before_call)
    try:
        client.converse(modelId=model, messages=[])
    finally:
        client.meta.events.unregister("before-call", before_call)
    path = b"/model/old%3A0/converse-stream"
    assert replace_model(path, (7, 14), model) == seen[0].encode() + b"-stream"
