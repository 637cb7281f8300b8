"""A gateway with a chain for each wire format, and one provider behind all of them that plays what it is told."""

from __future__ import annotations

import asyncio
import functools
import json
from typing import TYPE_CHECKING, Any

import pytest_asyncio
from tests.e2e.conftest import ACCESS_KEY, REGION, SECRET_KEY, SESSION_TOKEN, Gateway, launch
from tests.e2e.translation.scenes import FORMATS
from tests.e2e.translation.sdks import Heard, Sdks
from tests.formats.translation.test_answers import ANSWERS, STREAMS

from hydrallm.faults import wire
from hydrallm.faults.provider import Provider, Received
from hydrallm.faults.script import Raw, Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import pytest

ENDS = {
    "/chat/completions": "chat",
    "/responses": "responses",
    "/messages": "messages",
    "/invoke": "invoke",
    "/invoke-with-response-stream": "invoke",
    "/converse": "converse",
    "/converse-stream": "converse",
}
REQUEST_IDS = {
    "chat": "x-request-id",
    "responses": "x-request-id",
    "messages": "request-id",
    "invoke": "x-amzn-requestid",
    "converse": "x-amzn-requestid",
}
"""The header in which each API's SDK looks for a request's id."""
MODELS = {
    "chat": ("openai", "gpt-by-chat"),
    "responses": ("openai", "gpt-by-responses"),
    "messages": ("anthropic", "claude-sonnet-4-5"),
    "invoke": ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "converse": ("bedrock", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
}
"""Where the model of each chain is, and its name there, no two alike."""
AWS = {"invoke", "converse"}

CONFIG = f"""
[log]
format = "json"
[retry]
max_cycles = 1
breaker = false
[endpoints.openai]
url = "{{url}}/v1"
api_key = "openai-key"
[endpoints.anthropic]
url = "{{url}}"
type = "anthropic"
api_key = "anthropic-key"
[endpoints.bedrock]
url = "{{url}}"
type = "bedrock"
aws_region = "{REGION}"
aws_access_key_id = "{ACCESS_KEY}"
aws_secret_access_key = "{SECRET_KEY}"
aws_session_token = "{SESSION_TOKEN}"
"""
MODEL = """
[[models]]
id = "by-{name}"
endpoint = "{endpoint}"
model = "{model}"
{facts}
{api}
[chains.to-{name}]
models = ["by-{name}"]
[chains.strictly-{name}]
models = ["by-{name}"]
strict = true
"""
FACTS = {"openai": 'facts = { efforts = ["low", "medium", "high"], prefill = false }', "anthropic": "", "bedrock": ""}
OTHERS = """
[endpoints.keyless-openai]
url = "{url}/v1"
[endpoints.keyless-anthropic]
url = "{url}"
type = "anthropic"
[endpoints.without-responses-404]
url = "{url}/v1"
api_key = "openai-key"
[endpoints.without-responses-405]
url = "{url}/v1"
api_key = "openai-key"
[[models]]
id = "without-responses-404"
endpoint = "without-responses-404"
model = "gpt"
[[models]]
id = "without-responses-405"
endpoint = "without-responses-405"
model = "gpt"
[[models]]
id = "keyless-openai"
endpoint = "keyless-openai"
model = "gpt"
[[models]]
id = "keyless-anthropic"
endpoint = "keyless-anthropic"
model = "claude-sonnet-4-5"
[chains.to-openai-first]
models = ["by-chat", "by-responses", "by-messages"]
[chains.to-openai]
models = ["by-chat", "by-responses"]
"""


def config(url: str) -> str:
    """Return the gateway's config; the name that a client gives a model selects how that is asked."""
    models = (
        MODEL.format(
            name=name,
            endpoint=endpoint,
            model=model,
            facts=FACTS[endpoint],
            api="" if name == "messages" else f'api = "{name}"',
        )
        for name, (endpoint, model) in MODELS.items()
    )
    return CONFIG.format(url=url) + "".join(models) + OTHERS.format(url=url)


def spoken(received: Received) -> str:
    """Return the format of a request."""
    return next(name for end, name in ENDS.items() if received.path.endswith(end))


def streaming(received: Received) -> bool:
    """Return whether a request asks for a stream."""
    return received.path.endswith("stream") or bool(json.loads(received.body).get("stream"))


@functools.cache
def canned(scene: str, name: str, *, streamed: bool) -> Reply:
    """Return the answer of a scene in a format."""
    return whole(ANSWERS[scene][name], name, streamed=streamed)


def whole(answer: dict[str, Any], name: str, *, streamed: bool) -> Reply:
    """Return an answer as the API of a format sends it; a stream comes in chunks."""
    head = [(REQUEST_IDS[name].encode(), b"upstream-1")]
    if not streamed:
        body = json.dumps(answer).encode()
        head += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    else:
        kind = b"application/vnd.amazon.eventstream" if name in AWS else b"text/event-stream"
        head += [(b"content-type", kind), (b"transfer-encoding", b"chunked")]
        body = b"".join(map(wire.chunk, STREAMS[name](answer))) + wire.LAST_CHUNK
    return Raw(data=(wire.response_head(200, head) + body).decode("latin-1"), how=None)


class Stage:
    """The gateway, the provider behind it and the SDKs before it."""

    def __init__(self, gateway: Gateway, provider: Provider, sdks: Sdks) -> None:
        self.gateway, self.provider, self.sdks = gateway, provider, sdks

    async def ask(self, client: str, model: str, body: dict[str, Any], *, streamed: bool = False) -> Heard:
        """Let an SDK ask, and return what it hears; see :meth:`Sdks.ask`."""
        return await asyncio.to_thread(self.sdks.ask, client, model, body, streamed=streamed)

    def play(self, *scenes: str) -> None:
        """Let the provider give the answers of ``scenes``, one a request and each in the format of the request."""
        left: Iterator[str] = iter(scenes)
        self.provider.received.clear()
        self.provider.play(lambda received: canned(next(left), spoken(received), streamed=streaming(received)))

    def fail(self, reply: Reply) -> None:
        """Let the provider do ``reply`` from now on."""
        self.provider.received.clear()
        self.provider.play(reply)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with Provider() as provider:
        gateway = await launch(config(provider.url), tmp_path_factory.mktemp("translation"))
        with Sdks(gateway.url) as sdks:
            yield Stage(gateway, provider, sdks)
        await gateway.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(_stage: Stage) -> AsyncIterator[Stage]:
    """The gateway and its provider, which has not been asked anything yet."""
    _stage.provider.received.clear()
    yield _stage
    assert _stage.provider.rejected == [], "the gateway sent what is not HTTP"


def formats_apart() -> list[tuple[str, str]]:
    """Return all pairs of a client's format and another model's."""
    return [(client, model) for client in FORMATS for model in FORMATS if client != model]
