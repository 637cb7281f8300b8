"""Which requests are generations, and how an error is said on all other paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.app import ERROR_FORMATS, FORMATS
from hydrallm.exchange.paths import Paths, relay_api_type
from hydrallm.formats.base import ApiType

if TYPE_CHECKING:
    from hydrallm.message import Headers

# The generation paths that the issue lists, as the SDKs ask for them.
GENERATIONS = {
    b"/v1/chat/completions": "openai-chat",
    b"/chat/completions": "openai-chat",
    b"/v1/completions": "openai-completions",
    b"/v1/responses": "openai-responses",
    b"/v1/messages": "anthropic-messages",
    b"/v1/messages/count_tokens": "anthropic-messages",
    b"/model/a%3Ab/invoke": "bedrock-invoke",
    b"/model/a%3Ab/invoke-with-response-stream": "bedrock-invoke",
    b"/model/a%3Ab/converse": "bedrock-converse",
    b"/model/a%3Ab/converse-stream": "bedrock-converse",
}
RELAYED = [
    b"/",
    b"/v1/models",
    b"/v1/embeddings",
    b"/v1/files",
    b"/v1/audio/speech",
    b"/v1/batches",
    b"/v1/messages/batches",
    b"/v1/responses/resp_1",
    b"/v1/responses/resp_1/cancel",
    b"/v1/chat/completions/chatcmpl-1",
    b"/model/x/apply",
]


@pytest.fixture
def paths() -> Paths:
    return Paths(FORMATS, ERROR_FORMATS)


@pytest.mark.parametrize(("path", "name"), GENERATIONS.items())
def test_a_post_to_a_generation_path_is_one(path: bytes, name: str, paths: Paths) -> None:
    for _ in range(2):  # looked up, then remembered
        operation = paths.operation(b"POST", path)
        assert operation is not None
        assert operation.format.name == name
    assert paths.error_format(path, []).name == name


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"post"])
def test_with_any_other_method_it_is_relayed(method: bytes, paths: Paths) -> None:
    assert all(paths.operation(b"POST", path) for path in GENERATIONS)
    assert not any(paths.operation(method, path) for path in GENERATIONS)


@pytest.mark.parametrize("path", RELAYED)
def test_everything_else_is_relayed(path: bytes, paths: Paths) -> None:
    assert paths.operation(b"POST", path) is None


@pytest.mark.parametrize(
    ("path", "headers", "api_type"),
    [
        (b"/v1/models", [], ApiType.OPENAI),
        (b"/v1/models", [(b"authorization", b"Bearer x")], ApiType.OPENAI),
        (b"/v1/models", [(b"anthropic-version", b"2026-10-21")], ApiType.ANTHROPIC),
        (b"/v1/messages/batches", [], ApiType.ANTHROPIC),
        (b"/model/x/apply", [], ApiType.BEDROCK),
        (b"/guardrail/x/version/1/apply", [], ApiType.BEDROCK),
        (b"/async-invoke", [], ApiType.BEDROCK),
        (b"/other", [(b"authorization", b"AWS4-HMAC-SHA256 Credential=x")], ApiType.BEDROCK),
    ],
)
def test_the_marks_that_sdks_leave_tell_the_api_type(
    path: bytes, headers: Headers, api_type: ApiType, paths: Paths
) -> None:
    assert relay_api_type(path, headers) is api_type
    assert paths.error_format(path, headers).api_type is api_type


def test_what_is_remembered_is_bounded(paths: Paths) -> None:
    for number in range(3000):
        assert paths.operation(b"POST", b"/model/m%d/converse" % number)
    assert len(paths._known) <= 1024  # noqa: SLF001 - a bound that cannot be seen from outside
