"""The official SDKs as the judges of translated errors: what a program that uses them is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anthropic
import boto3
import httpx2
import openai
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from hydrallm.formats.base import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hydrallm.formats.base import Problem, WireFormat

    Raised = tuple[type[Exception], int, str, str, str]


class Body:
    """The part of urllib3's response that botocore reads."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content

    def read(self, amount: int | None = None) -> bytes:
        return self._content


class Sdks:
    """The official SDKs, answered by whatever ``format`` makes of ``error``: as a response, or inside a stream."""

    def __init__(self) -> None:
        self.answer: tuple[int, list[tuple[bytes, bytes]], bytes] = (0, [], b"")
        http = httpx2.Client(transport=httpx2.MockTransport(self._http))
        self.openai = openai.OpenAI(api_key="k", base_url="http://h/v1", max_retries=0, http_client=http)
        self.anthropic = anthropic.Anthropic(api_key="k", base_url="http://h", max_retries=0, http_client=http)
        self.boto: Any = boto3.client(
            "bedrock-runtime",
            endpoint_url="http://h",
            region_name="us-east-1",
            aws_access_key_id="AKID",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
        )
        self.boto.meta.events.register("before-send", self._boto)

    def _http(self, _: httpx2.Request) -> httpx2.Response:
        status, headers, content = self.answer
        return httpx2.Response(status, headers=headers, content=content)

    def _boto(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        status, headers, content = self.answer
        return AWSResponse(
            request.url, status, {name.decode(): value.decode() for name, value in headers}, Body(content)
        )

    def raised(self, format_: WireFormat, problem: Problem, *, stream: bool = False) -> Raised:
        """Return what a client of ``format_`` is told of ``problem``: exception, status, type, code and message."""
        error = ApiError(problem.status, problem.message, problem.code, "req-1", problem.type)
        if stream:
            head = [(b"content-type", format_.stream_type), (b"request-id", b"req-1")]
            self.answer = 200, head, format_.encode_stream_error(error)
        else:
            response = format_.encode_error(error)
            self.answer = response.status, response.headers, response.body
        try:
            self._ask(format_.name, stream)
        except openai.APIError as caught:
            status = caught.status_code if isinstance(caught, openai.APIStatusError) else 0
            said = str(caught.body["message"]) if isinstance(caught.body, dict) else caught.message
            return (type(caught), status, caught.type or "", caught.code or "", said)
        except anthropic.APIStatusError as caught:
            return (type(caught), caught.status_code, caught.type or "", "", caught.api_message or "")
        except EventStreamError as caught:
            told = caught.response["Error"]
            return (type(caught), 0, told["Code"], "", told["Message"])
        except ClientError as caught:
            told = caught.response["Error"]
            status = caught.response["ResponseMetadata"]["HTTPStatusCode"]
            return (type(caught), status, told["Code"], "", told["Message"])
        raise AssertionError("nothing was raised")

    def _ask(self, name: str, stream: bool) -> None:
        answer: Any
        match name:
            case "openai-chat":
                answer = self.openai.chat.completions.create(model="m", messages=[], stream=stream)
            case "openai-responses":
                answer = self.openai.responses.create(model="m", input="i", stream=stream)
            case "openai-completions":
                answer = self.openai.completions.create(model="m", prompt="p", stream=stream)
            case "anthropic-messages":
                answer = self.anthropic.messages.create(
                    model="m", max_tokens=1, messages=[{"role": "user", "content": "c"}], stream=stream
                )
            case "bedrock-invoke" if stream:
                answer = self.boto.invoke_model_with_response_stream(modelId="m", body=b"{}")["body"]
            case "bedrock-invoke":
                answer = self.boto.invoke_model(modelId="m", body=b"{}")
            case _ if stream:
                answer = self.boto.converse_stream(modelId="m", messages=[])["stream"]
            case _:
                answer = self.boto.converse(modelId="m", messages=[])
        list(answer)


@pytest.fixture(scope="session")
def sdks() -> Sdks:
    return Sdks()


@pytest.fixture(scope="session")
def raised(sdks: Sdks) -> Callable[..., Raised]:
    return sdks.raised


@pytest.fixture(scope="session")
def aws(sdks: Sdks) -> Callable[[str], type[Exception]]:
    """Return boto3's exception of a name."""
    return lambda name: getattr(sdks.boto.exceptions, name)
