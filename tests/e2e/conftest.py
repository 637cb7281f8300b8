"""A real ``hydrallm serve`` process between the test and simulated providers.

The providers run in the test's own event loop, so their clock is the test's clock. One gateway stands for the whole
session, with a chain of two models for each API type (``first`` then ``second``); its providers' scripts are changed
from test to test. What stops, restarts or fills a gateway starts one of its own with ``serve``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
import pytest_asyncio

from hydrallm.faults.provider import Provider
from hydrallm.faults.script import Answer, Fail

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ADDRESS = re.compile(r"listening on http://127\.0\.0\.1:(\d+)")
REGION = "eu-central-1"
ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "AKIDUPSTREAM", "upstream-secret", "upstream-token"
NO_AMBIENT = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_BEARER_TOKEN_BEDROCK",
              "AWS_REGION", "AWS_DEFAULT_REGION", "HYDRALLM_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY",
              "http_proxy", "https_proxy", "all_proxy"}  # fmt: skip


class Gateway:
    """A running ``hydrallm serve``.

    Attributes:
        port: where it listens on 127.0.0.1.
        lines: what it has written to standard error so far.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.port = 0
        self.lines: list[str] = []
        self._reader = asyncio.create_task(self._read())
        self._listens = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return "".join(self.lines)

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            line = raw.decode()
            self.lines.append(line)
            address = ADDRESS.search(line)
            if address and not self.port:
                self.port = int(address[1])
                self._listens.set()
        self._listens.set()

    async def ready(self) -> Self:
        await asyncio.wait_for(self._listens.wait(), 20)
        assert self.port, f"it ended instead of listening:\n{self.log}"
        return self

    def rss(self) -> int:
        """Return the resident set in bytes."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:  # noqa: PTH123 - no file
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), 40)
        await self._reader
        return code

    async def stop(self) -> None:
        if self.process.returncode is None:
            self.signal(signal.SIGTERM)
        try:
            code = await self.ended()
        except TimeoutError:
            self.process.kill()
            raise
        assert code == 0, self.log
        assert "Traceback" not in self.log, self.log


def toml(config: dict[str, Any]) -> str:
    """Return a config as TOML; tables two deep and arrays of tables are all it needs."""
    lines: list[str] = []
    for name, table in config.items():
        if isinstance(table, list):
            for entry in table:
                lines += [f"[[{name}]]", *_pairs(entry)]
        elif table and all(isinstance(value, dict) for value in table.values()):
            for inner, entry in table.items():
                lines += [f"[{name}.{inner}]", *_pairs(entry)]
        else:
            lines += [f"[{name}]", *_pairs(table)]
    return "\n".join(lines) + "\n"


def _pairs(table: dict[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


Serve = Callable[[dict[str, Any] | str], Awaitable[Gateway]]


async def launch(config: dict[str, Any] | str, folder: Path) -> Gateway:
    """Start a gateway with ``config``, a table or TOML as it stands, and wait until it listens."""
    path = folder / "config.toml"
    logged = {"log": {"format": "json", "level": "info"}}
    path.write_text(config if isinstance(config, str) else toml(logged | config))
    path.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hydrallm", "serve", "--config", str(path), "--port", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in NO_AMBIENT} | {"NO_PROXY": "*"},
    )
    return await Gateway(process).ready()


@pytest_asyncio.fixture(loop_scope="session")
async def serve(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Serve]:
    """Starts gateways for one test; at its end each must stop cleanly."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(config: dict[str, Any] | str) -> Gateway:
            gateway = await launch(config, tmp_path_factory.mktemp("gateway"))
            stack.push_async_callback(gateway.stop)
            return gateway

        yield start


Running = Callable[[dict[str, Any] | str], contextlib.AbstractAsyncContextManager[Gateway]]


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Running:
    """Starts a gateway that is stopped, cleanly, at the end of a block."""

    @contextlib.asynccontextmanager
    async def run(config: dict[str, Any] | str) -> AsyncIterator[Gateway]:
        gateway = await launch(config, tmp_path_factory.mktemp("gateway"))
        try:
            yield gateway
        finally:
            await gateway.stop()

    return run


class Standing:
    """The session's gateway and the two providers behind it."""

    def __init__(self, first: Provider, second: Provider, folders: pytest.TempPathFactory) -> None:
        self.first, self.second = first, second
        self.gateway: Gateway
        self._folders = folders

    async def start(self) -> None:
        self.gateway = await launch(chains(self.first.url, self.second.url), self._folders.mktemp("standing"))

    async def forget(self) -> None:
        """Let the gateway see its models answer, so that no failure of an earlier test speaks against them.

        Once a breaker has opened, or an upstream has asked for time, that takes too long: then it is a new gateway.
        """
        if not await self._forgives():
            await self.gateway.stop()
            await self.start()

    async def _forgives(self) -> bool:
        too_long = Fail(cause="context_length")  # leads to the second model, and does not count against the first
        async with await Client.connect(self.gateway.port) as client:
            client.send(b"", "/_hydra/health", "GET")
            if json.loads((await client.reply()).body)["status"] != "ok":
                return False
            for first, count in ((Answer(), 2), (too_long, 1)):
                self.first.play(first)
                self.second.play(Answer())
                for model, path in PATHS * count:
                    assert (await client.ask(b'{"model": "%b"}' % model, path)).status == 200
        return True


def by_type(models: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a chain for the models of each API type: OpenAI's is the default one, the others go by a model's name."""

    def chain(api_type: str, *match: str) -> dict[str, Any]:
        members = [f"{model['endpoint']}/{model['model']}" for model in models if model["type"] == api_type]
        return {"models": members, "match": [*match]}

    return {
        "default": chain("openai"),
        "anthropic": chain("anthropic", "claude*"),
        "bedrock": chain("bedrock", "anthropic.*", "arn:*"),
    }


PATHS = ((b"gpt", "/v1/chat/completions"), (b"claude", "/v1/messages"), (b"", "/model/anthropic.claude/converse"))


def chains(first: str, second: str) -> dict[str, Any]:
    """Return a config with a chain of two models, at two endpoints, for each API type: OpenAI's is the default one."""
    aws = {
        "aws_region": REGION,
        "aws_access_key_id": ACCESS_KEY,
        "aws_secret_access_key": SECRET_KEY,
        "aws_session_token": SESSION_TOKEN,
    }
    endpoints: dict[str, Any] = {}
    models = []
    for place, url in (("first", first), ("second", second)):
        endpoints |= {
            f"openai-{place}": {"url": f"{url}/v1", "api_key": f"key-{place}"},
            f"anthropic-{place}": {"url": url, "api_key": f"key-{place}"},
            f"bedrock-{place}": {"url": url, **aws},
        }
        models += [
            {"endpoint": f"openai-{place}", "type": "openai", "model": f"gpt-{place}"},
            {"endpoint": f"anthropic-{place}", "type": "anthropic", "model": f"claude-{place}"},
            {"endpoint": f"bedrock-{place}", "type": "bedrock", "model": f"anthropic.claude-{place}-v1:0"},
        ]
    retry = {"default_interval": "1ms", "max_cycles": 1, "default_timeout": "10s"}
    return {"endpoints": endpoints, "models": models, "retry": retry, "chains": by_type(models)}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def _standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standing]:
    async with Provider() as first, Provider() as second:
        standing = Standing(first, second, tmp_path_factory)
        await standing.start()
        yield standing
        await standing.gateway.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def standing(_standing: Standing) -> AsyncIterator[Standing]:
    """The session's gateway, its providers healthy and all of them without memory."""
    await _standing.forget()
    for provider in (_standing.first, _standing.second):
        provider.play(Answer())
        provider.received.clear()
    yield _standing
    for provider in (_standing.first, _standing.second):
        assert provider.rejected == [], "the gateway sent what is not HTTP"


class Reply(NamedTuple):
    """A response as it came over the wire; ``complete`` is whether its framing says that it ended."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool


class Client:
    """A small HTTP/1.1 client on one connection, for what the SDKs hide or are too slow for."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def send(self, body: bytes, path: str = "/v1/chat/completions", method: str = "POST", headers: str = "") -> None:
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    async def reply(self) -> Reply:
        status, headers = await self.head()
        body = bytearray()
        try:
            if "content-length" in headers:
                body += await self.reader.readexactly(int(headers["content-length"]))
            else:
                async for chunk in self.chunks():
                    body += chunk
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return Reply(status, headers, bytes(body), complete=False)
        return Reply(status, headers, bytes(body), complete=True)

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readexactly(2)

    async def ask(self, body: bytes, path: str = "/v1/chat/completions", headers: str = "") -> Reply:
        self.send(body, path, headers=headers)
        return await self.reply()


Connect = Callable[[int], Awaitable[Client]]


@pytest.fixture
def connect() -> Connect:
    """Opens a raw connection to a port."""
    return Client.connect
