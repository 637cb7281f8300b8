"""Errors as the official SDKs see them.

The SDKs build a real request and parse a real response, so their paths are matched here, too. Only the socket is
missing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import anthropic
import boto3
import httpx2
import openai
import pytest
from anthropic.types.shared import error_type
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError

from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.base import ApiError, WireFormat
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_invoke import BedrockInvoke
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_completions import OpenAICompletions
from hydrallm.formats.openai_responses import OpenAIResponses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MESSAGE = 'models[0] "gpt-4o" at openai: connection refused – check the URL'
STATUSES = [400, 401, 402, 403, 404, 408, 409, 413, 415, 422, 424, 426, 429, 500, 501, 502, 503, 504, 529]


def api_error(status: int) -> ApiError:
    return ApiError(status, MESSAGE, "upstream_unreachable", "req-0123")


def answering(format_: WireFormat, status: int) -> httpx2.Client:
    """Return an HTTP client whose every request is taken for ``format_`` and answered with the error."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        operation = format_.match(request.url.raw_path.partition(b"?")[0])
        assert operation is not None, request.url
        response = operation.format.encode_error(api_error(status))
        return httpx2.Response(response.status, headers=response.headers, content=response.body)

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_client(format_: WireFormat, status: int) -> openai.OpenAI:
    return openai.OpenAI(api_key="k", base_url="http://h/v1", max_retries=0, http_client=answering(format_, status))


def chat(status: int) -> None:
    openai_client(OpenAIChat(), status).chat.completions.create(model="m", messages=[])


def chat_stream(status: int) -> None:
    openai_client(OpenAIChat(), status).chat.completions.create(model="m", messages=[], stream=True)


def completions(status: int) -> None:
    openai_client(OpenAICompletions(), status).completions.create(model="m", prompt="p")


def responses(status: int) -> None:
    openai_client(OpenAIResponses(), status).responses.create(model="m", input="i")


OPENAI_EXCEPTIONS: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("ask", [chat, chat_stream, completions, responses])
def test_openai_raises_its_own_exception(ask: Callable[[int], None], status: int) -> None:
    default = openai.InternalServerError if status >= 500 else openai.APIStatusError
    with pytest.raises(OPENAI_EXCEPTIONS.get(status, default)) as caught:
        ask(status)
    error = caught.value
    assert error.status_code == status
    assert error.code == "upstream_unreachable"
    assert error.param is None
    assert error.type is not None
    assert error.request_id == "req-0123"
    assert isinstance(error.body, dict)
    assert error.body["message"] == MESSAGE
    assert error.response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (413, "invalid_request_error"),
        (429, "rate_limit_error"),
        (502, "server_error"),
        (504, "timeout_error"),
    ],
)
def test_openai_names_the_kind(status: int, kind: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        chat(status)
    assert caught.value.type == kind


def anthropic_client(status: int) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="k", base_url="http://h", max_retries=0, http_client=answering(AnthropicMessages(), status)
    )


def messages(status: int) -> None:
    anthropic_client(status).messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "c"}])


def messages_stream(status: int) -> None:
    anthropic_client(status).messages.create(
        model="m", max_tokens=1, messages=[{"role": "user", "content": "c"}], stream=True
    )


def count_tokens(status: int) -> None:
    anthropic_client(status).messages.count_tokens(model="m", messages=[{"role": "user", "content": "c"}])


ANTHROPIC_EXCEPTIONS: dict[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    401: anthropic.AuthenticationError,
    403: anthropic.PermissionDeniedError,
    404: anthropic.NotFoundError,
    409: anthropic.ConflictError,
    422: anthropic.UnprocessableEntityError,
    429: anthropic.RateLimitError,
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("ask", [messages, messages_stream, count_tokens])
def test_anthropic_raises_its_own_exception(ask: Callable[[int], None], status: int) -> None:
    default = anthropic.InternalServerError if status >= 500 else anthropic.APIStatusError
    with pytest.raises(ANTHROPIC_EXCEPTIONS.get(status, default)) as caught:
        ask(status)
    error = caught.value
    assert error.status_code == status
    assert error.api_message == MESSAGE
    assert error.request_id == "req-0123"
    # request_too_large is documented, but missing from the SDK's list of types.
    assert error.type in {*get_args(error_type.ErrorType), "request_too_large"}
    assert isinstance(error.body, dict)
    assert error.body["type"] == "error"
    assert error.body["request_id"] == "req-0123"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (402, "billing_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (502, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_anthropic_names_the_kind(status: int, kind: str) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        messages(status)
    assert caught.value.type == kind


ARN = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-v2:1"


class Body:
    """The part of urllib3's response that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content

    def read(self, amount: int | None = None) -> bytes:
        return self._content


def bedrock_client(format_: WireFormat, status: int) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        path = request.url.removeprefix("http://h").encode()
        operation = format_.match(path)
        assert operation is not None, path
        response = operation.format.encode_error(api_error(status))
        headers = {name.decode(): value.decode() for name, value in response.headers}
        return AWSResponse(request.url, response.status, headers, Body(response.body))

    client = boto3.client(
        "bedrock-runtime",
        endpoint_url="http://h",
        region_name="us-east-1",
        aws_access_key_id="AKID",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
    )
    client.meta.events.register("before-send", answer)
    return client


def invoke(status: int) -> None:
    bedrock_client(BedrockInvoke(), status).invoke_model(modelId=ARN, body=b"{}")


def invoke_stream(status: int) -> None:
    bedrock_client(BedrockInvoke(), status).invoke_model_with_response_stream(modelId=ARN, body=b"{}")


def converse(status: int) -> None:
    bedrock_client(BedrockConverse(), status).converse(modelId=ARN, messages=[])


def converse_stream(status: int) -> None:
    bedrock_client(BedrockConverse(), status).converse_stream(modelId=ARN, messages=[])


@pytest.mark.parametrize("status", [400, 429, 502])
@pytest.mark.parametrize("ask", [invoke, invoke_stream, converse, converse_stream])
def test_boto3_raises_a_client_error(ask: Callable[[int], None], status: int) -> None:
    with pytest.raises(ClientError) as caught:
        ask(status)
    response = caught.value.response
    assert response["Error"]["Message"] == MESSAGE
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert response["ResponseMetadata"]["RequestId"] == "req-0123"


@pytest.mark.parametrize(
    ("status", "exception"),
    [
        (400, "ValidationException"),
        (401, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (408, "ModelTimeoutException"),
        (413, "ValidationException"),
        (424, "ModelErrorException"),
        (429, "ThrottlingException"),
        (500, "InternalServerException"),
        (501, "InternalServerException"),
        (502, "ServiceUnavailableException"),
        (503, "ServiceUnavailableException"),
        (504, "ModelTimeoutException"),
    ],
)
def test_boto3_knows_the_exception(status: int, exception: str) -> None:
    client = bedrock_client(BedrockConverse(), status)
    with pytest.raises(getattr(client.exceptions, exception)) as caught:
        client.converse(modelId=ARN, messages=[])
    assert caught.value.response["Error"]["Code"] == exception


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 429, 503])
def test_anthropic_bedrock_raises_its_own_exception(status: int, stream: bool) -> None:
    client = anthropic.AnthropicBedrock(
        base_url="http://h",
        aws_access_key="AKID",
        aws_secret_key="secret",
        aws_region="us-east-1",
        max_retries=0,
        http_client=answering(BedrockInvoke(), status),
    )
    with pytest.raises(anthropic.APIStatusError, match="connection refused") as caught:
        client.messages.create(model=ARN, max_tokens=1, messages=[{"role": "user", "content": "c"}], stream=stream)
    assert caught.value.status_code == status


@pytest.mark.parametrize("format_", [OpenAIChat(), OpenAICompletions(), OpenAIResponses(), AnthropicMessages()])
def test_the_type_that_an_upstream_said_is_kept(format_: WireFormat) -> None:
    response = format_.encode_error(ApiError(429, MESSAGE, "insufficient_quota", "r", "insufficient_quota"))
    assert json.loads(response.body)["error"]["type"] == "insufficient_quota"


@pytest.mark.parametrize("format_", [OpenAIChat(), AnthropicMessages(), BedrockInvoke()])
def test_a_message_that_has_no_utf8_is_still_said(format_: WireFormat) -> None:
    response = format_.encode_error(ApiError(400, 'no "\ud800" here', "bad_request", "r"))
    assert 'no \\"?\\" here' in response.body.decode()
    json.loads(response.body)
