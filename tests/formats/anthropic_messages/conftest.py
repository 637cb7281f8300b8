"""The official SDK as the judge: of the requests that are composed, and of the answers and streams that are written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParams
from pydantic import BaseModel, TypeAdapter

from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.canonical import Request, Target
from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from anthropic.types import MessageParam

STRICT = "2026-10-21"
SAMPLING = {"temperature", "top_p", "top_k"}
PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
COUNT: TypeAdapter[Any] = TypeAdapter(MessageCountTokensParams)
TURN: list[MessageParam] = [{"role": "user", "content": "hi"}]


def through(value: object) -> object:
    """Return ``value`` with the SDK's lazy iterables walked through, so that they are checked."""
    if isinstance(value, BaseModel):  # the SDK takes its answers' blocks back, too
        value = value.model_dump(exclude_unset=True)
    if isinstance(value, dict):
        return {name: through(inner) for name, inner in value.items()}
    if isinstance(value, str | bytes | int | float | bool | None):
        return value
    return [through(inner) for inner in value]  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def counted() -> Callable[[bytes], dict[str, Any]]:
    """Returns the body that asks for a count of tokens, once the SDK's types have accepted it and all its members."""

    def checked(body: bytes) -> dict[str, Any]:
        sent: dict[str, Any] = json.loads(body)
        assert through(COUNT.validate_python(sent)) == sent
        return sent

    return checked


@pytest.fixture(scope="session")
def body() -> Callable[..., dict[str, Any]]:
    """Composes a request; the SDK's types must accept its body, and know all members of it.

    They are those of the newest version of the API, which has no sampling any more.
    """

    def composed(request: Request, facts: Facts | None = None, version: str = "") -> dict[str, Any]:
        made = AnthropicMessagesCodec().compose(request, Target("claude", facts or Facts(), version))
        sent: dict[str, Any] = json.loads(made.body)
        unknown = set() if version.endswith(STRICT) else SAMPLING
        assert through(PARAMS.validate_python(sent)) == {name: sent[name] for name in sent if name not in unknown}
        return sent

    return composed


class Transport:
    """Answers the SDK with what it is told to."""

    def __init__(self) -> None:
        self.body = b""
        self.type = ""

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": self.type}, content=self.body)


@pytest.fixture(scope="session")
def transport() -> Transport:
    return Transport()


@pytest.fixture(scope="session")
def client(transport: Transport) -> Iterator[anthropic.Anthropic]:
    http = httpx2.Client(transport=httpx2.MockTransport(transport))
    with anthropic.Anthropic(api_key="k", max_retries=0, base_url="http://127.0.0.1", http_client=http) as made:
        yield made


@pytest.fixture(scope="session")
def sdk_answer(transport: Transport, client: anthropic.Anthropic) -> Callable[[bytes], Message]:
    """Reads an answer with the SDK, and checks it too: the SDK itself constructs its types without a check."""

    def read(body: bytes) -> Message:
        transport.body, transport.type = body, "application/json"
        client.messages.create(model="m", max_tokens=9, messages=TURN)
        return Message.model_validate_json(body)

    return read


@pytest.fixture(scope="session")
def sdk_stream(transport: Transport, client: anthropic.Anthropic) -> Callable[[bytes], dict[str, Any]]:
    """Reads a stream with the SDK, and returns the message that it accumulates, checked."""

    def read(stream: bytes) -> dict[str, Any]:
        transport.body, transport.type = stream, "text/event-stream"
        with client.messages.stream(model="m", max_tokens=9, messages=TURN) as found:
            message = found.get_final_message().to_dict()
        return Message.model_validate(message).model_dump(exclude_none=True)

    return read
