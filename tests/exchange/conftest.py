"""A gateway inside the test: a real one on a loopback socket, in front of simulated providers in the same loop.

What it tells its sink is kept, so that a test can look at the record of every exchange.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import pytest
from msgspec.structs import replace

from hydrallm.app import App
from hydrallm.config.check import check
from hydrallm.faults.provider import Provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from hydrallm.exchange.chain import Model
    from hydrallm.message import Request
    from hydrallm.telemetry.records import AttemptRecord, CredentialChange, ExchangeRecord, ModelChange, Shed

BODY = b'{"model": "client-model", "messages": [{"role": "user", "content": "hi"}]}'


class Journal:
    """A sink that keeps all it is told."""

    wants_bodies = True
    wants_requests = False

    def __init__(self) -> None:
        self.exchanges: list[ExchangeRecord] = []
        self.failed: list[AttemptRecord] = []
        self.faults: list[str] = []
        self.changes: list[ModelChange] = []
        self.credentials: list[CredentialChange] = []
        self.sheds: list[Shed] = []
        self._news = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def attempt_begun(self, exchange: ExchangeRecord, attempt: AttemptRecord, request: Request) -> None:
        raise AssertionError("not wanted")

    def attempt_failed(self, exchange: ExchangeRecord, attempt: AttemptRecord) -> None:
        self.failed.append(attempt)
        self._tell_soon()

    def exchange_ended(self, exchange: ExchangeRecord) -> None:
        self.exchanges.append(exchange)
        self._tell_soon()

    def model_changed(self, change: ModelChange) -> None:
        self.changes.append(change)

    def credential_changed(self, change: CredentialChange) -> None:
        self.credentials.append(change)

    def shed(self, shed: Shed) -> None:
        self.sheds.append(shed)

    def fault(self, text: str) -> None:
        self.faults.append(text)

    async def ended(self, count: int = 1) -> ExchangeRecord:
        """Wait until ``count`` exchanges have ended in all, and return the last of those."""
        await self._until(lambda: len(self.exchanges) >= count)
        return self.exchanges[count - 1]

    async def generations(self, count: int) -> list[ExchangeRecord]:
        """Wait until ``count`` generations have ended in all, and return their records."""

        def ended() -> list[ExchangeRecord]:
            return [exchange for exchange in self.exchanges if exchange.wire_format]

        await self._until(lambda: len(ended()) >= count)
        return ended()

    async def first_failure(self) -> AttemptRecord:
        """Wait until an attempt has failed, and return the first."""
        await self._until(lambda: bool(self.failed))
        return self.failed[0]

    def _tell_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _until(self, true: Callable[[], bool]) -> None:
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(true), 10)


@pytest.fixture
def journal() -> Journal:
    """A sink that keeps all it is told."""
    return Journal()


class Reply(NamedTuple):
    """A response as it came over the wire; ``complete`` is whether its framing says that it ended."""

    status: int
    headers: dict[str, str]
    body: bytes
    complete: bool

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever it is
        return json.loads(self.body)


class Client:
    """A plain HTTP/1.1 client on one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Self:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    def send(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> None:
        fields = {"Host": "127.0.0.1"} | headers
        if body is not None:
            fields |= {"Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b""))

    async def head(self) -> tuple[int, dict[str, str]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value.strip() for name, _, value in fields}

    async def chunk(self) -> bytes:
        """Return the next chunk; empty for the last."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def reply(self, method: str = "POST") -> Reply:
        status, headers = await self.head()
        if method == "HEAD" or status in {204, 304}:
            return Reply(status, headers, b"", complete=True)
        return await self.rest(status, headers)

    async def rest(self, status: int, headers: dict[str, str]) -> Reply:
        """Return the reply whose head has been read."""
        body = bytearray()
        try:
            if "content-length" in headers:
                body += await self.reader.readexactly(int(headers["content-length"]))
            else:
                while data := await self.chunk():
                    body += data
        except asyncio.IncompleteReadError as error:
            return Reply(status, headers, bytes(body) + error.partial, complete=False)
        except ConnectionResetError:
            return Reply(status, headers, bytes(body), complete=False)
        return Reply(status, headers, bytes(body), complete=True)

    async def ask(
        self,
        body: bytes | None = BODY,
        target: str = "/v1/chat/completions",
        method: str = "POST",
        headers: dict[str, str] | None = None,
    ) -> Reply:
        self.send(method, target, body, headers or {})
        return await asyncio.wait_for(self.reply(method), 20)


Connect = Callable[[int], Awaitable[Client]]


@pytest.fixture
def connect() -> Connect:
    """Opens a connection to a port."""
    return Client.connect


class Gateway:
    """A running gateway.

    Attributes:
        journal: what it told its sink.
        client: a connection to it.
    """

    def __init__(self, app: App, port: int, journal: Journal, client: Client) -> None:
        self.app, self.port, self.journal, self.client = app, port, journal, client

    async def ask(self, *args: Any, **kwargs: Any) -> Reply:  # noqa: ANN401 - as Client.ask
        """Ask once, on a connection of its own."""
        client = await Client.connect(self.port)
        try:
            return await client.ask(*args, **kwargs)
        finally:
            await client.close()

    @property
    def models(self) -> tuple[Model, ...]:
        """The models of the chain, so that a test can age their breakers."""
        return self.app._gateway.chains.models  # noqa: SLF001 - no one else needs to see them

    async def health(self) -> Any:  # noqa: ANN401 - JSON
        return (await self.ask(None, "/_hydra/health", "GET")).json

    async def has_seen_all(self) -> None:
        """Wait until the gateway has read whatever was sent to it by now: it serves this request after that."""
        for _ in range(3):
            await self.health()


Serve = Callable[..., Awaitable[Gateway]]

MODELS = ("api", "attempts", "facts", "id", "interval", "timeout", "type")  # what is said at the model's entry
RETRY = {"default_interval": "1ms", "max_cycles": 1, "default_timeout": "10s", "connect_timeout": "2s"}


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts gateways from configs; at the end no connection may be left open, on either side."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            *models: Provider | dict[str, Any],
            server: dict[str, Any] | None = None,
            chains: dict[str, Any] | None = None,
            **retry: object,
        ) -> Gateway:
            """Start a gateway with a chain of ``models``: what an endpoint and its model's entry say, in one table."""
            document: dict[str, Any] = {
                "server": {"host": "127.0.0.1"} | (server or {}),
                "retry": RETRY | retry,
                "endpoints": {},
                "models": [],
                "chains": chains or {},
            }
            for number, model in enumerate(models, start=1):
                entry = model if isinstance(model, dict) else {"url": model.url}
                name = f"e{number}"
                own = {key: entry[key] for key in MODELS if key in entry}
                document["models"].append({"endpoint": name, "model": entry.get("model", f"m{number}")} | own)
                document["endpoints"][name] = {
                    key: value for key, value in entry.items() if key not in own and key != "model"
                }
            settings = check(document, Path("test.toml"), {})
            any_port = replace(settings.server, port=0)  # in a config, 0 stands for the default
            journal = Journal()
            app = App(replace(settings, server=any_port), journal, {})
            ((_, port),) = await app.listen()
            client = await Client.connect(port)
            stack.push_async_callback(app.drain, 5)
            stack.push_async_callback(client.close)
            return Gateway(app, port, journal, client)

        yield start


Provide = Callable[..., Awaitable[Provider]]


@pytest.fixture
async def provide() -> AsyncIterator[Provide]:
    """Starts simulated providers; none may have seen anything that is not HTTP."""
    async with contextlib.AsyncExitStack() as stack:
        strict: list[Provider] = []

        async def start(script: Any = None, *, whole_requests: bool = True) -> Provider:  # noqa: ANN401 - a Script
            provider = await stack.enter_async_context(Provider(script))
            if whole_requests:
                strict.append(provider)
            return provider

        yield start
        assert [provider.rejected for provider in strict] == [[] for _ in strict]
