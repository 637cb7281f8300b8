"""Which paths are generations, and which of them stream. The paths of the official SDKs are in test_error_response."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.base import ApiType, Operation, WireFormat
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_invoke import BedrockInvoke
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_completions import OpenAICompletions
from hydrallm.formats.openai_responses import OpenAIResponses

FORMATS: tuple[WireFormat, ...] = (
    OpenAIChat(),
    OpenAICompletions(),
    OpenAIResponses(),
    AnthropicMessages(),
    BedrockInvoke(),
    BedrockConverse(),
)


def match(path: bytes) -> Operation | None:
    """Ask all formats; at most one may say yes."""
    found = [operation for format_ in FORMATS if (operation := format_.match(path)) is not None]
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize("prefix", [b"", b"/v1", b"/v4", b"/v1beta", b"/v1beta2", b"/v2024", b"/", b"//v1"])
@pytest.mark.parametrize(
    ("path", "name", "api_type", "stream"),
    [
        (b"/chat/completions", "openai-chat", ApiType.OPENAI, None),
        (b"/completions", "openai-completions", ApiType.OPENAI, None),
        (b"/responses", "openai-responses", ApiType.OPENAI, None),
        (b"/messages", "anthropic-messages", ApiType.ANTHROPIC, None),
        (b"/messages/count_tokens", "anthropic-messages", ApiType.ANTHROPIC, False),
    ],
)
def test_the_version_is_optional(prefix: bytes, path: bytes, name: str, api_type: ApiType, stream: bool | None) -> None:
    operation = match(prefix + path)
    assert operation is not None
    assert operation.format.name == name
    assert operation.format.api_type is api_type
    assert operation.stream is stream
    assert operation.model_span is None


@pytest.mark.parametrize(
    ("path", "name", "stream"),
    [
        (b"/model/%s/invoke", "bedrock-invoke", False),
        (b"/model/%s/invoke-with-response-stream", "bedrock-invoke", True),
        (b"/model/%s/converse", "bedrock-converse", False),
        (b"/model/%s/converse-stream", "bedrock-converse", True),
        (b"//model/%s/converse-stream", "bedrock-converse", True),
    ],
)
@pytest.mark.parametrize(
    "model",
    [
        b"amazon.nova-lite-v1%3A0",
        b"amazon.nova-lite-v1:0",
        b"arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.amazon.nova-lite-v1%3A0",
        b"arn:aws:bedrock:us-east-1:123456789012:inference-profile%2fus.amazon.nova-lite-v1:0",
        b"invoke",
        b"model",
    ],
)
def test_bedrock_says_it_all_in_the_path(path: bytes, name: str, stream: bool, model: bytes) -> None:
    operation = match(path % model)
    assert operation is not None
    assert operation.format.name == name
    assert operation.format.api_type is ApiType.BEDROCK
    assert operation.stream is stream
    assert operation.model_span is not None
    start, end = operation.model_span
    assert (path % model)[start:end] == model


@given(model=st.text(min_size=1))
def test_any_model_id_is_found_as_boto3_writes_it(model: str) -> None:
    encoded = quote(model.encode("utf-8", "replace"), safe="-._~").encode()
    operation = match(b"/model/" + encoded + b"/converse")
    assert operation is not None
    assert operation.model_span == (7, 7 + len(encoded))


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"/",
        b"*",
        b"chat/completions",
        b"/v1",
        b"/chat",
        b"/v1/chat/completions/",
        b"/v1/chat/completions/chatcmpl-1",
        b"/v1/chat//completions",
        b"/v1/v1/chat/completions",
        b"/openai/v1/chat/completions",
        b"/vv1/chat/completions",
        b"/v/chat/completions",
        b"/v1-beta/chat/completions",
        b"/V1/chat/completions",
        b"/v1/chat%2Fcompletions",
        b"/v1/chat/completions\n",
        b"/v1/embeddings",
        b"/v1/models",
        b"/v1/responses/resp_1",
        b"/v1/responses/resp_1/cancel",
        b"/v1/responses/input_tokens",
        b"/v1/messages/batches",
        b"/v1/messages/count_tokens/x",
        b"/model//invoke",
        b"/model/a/b/invoke",
        b"/model/a/invoke/",
        b"/model/a/invoke-stream",
        b"/v1/model/a/invoke",
        b"/model/a/count-tokens",
        b"/model/a/invoke\n",
    ],
)
def test_everything_else_is_relayed(path: bytes) -> None:
    assert match(path) is None
