"""The composition root: settings in, a running gateway out. The one module that knows everybody.

The explicit lists of what there is stand here: a new wire format is its file and a line in ``DIALECTS``, a new API type
its file and a line in ``APIS``.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import os
import random
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from hydrallm.credentials import aws_chain
from hydrallm.credentials.refresh import RefreshedKeys, Supply
from hydrallm.endpoints.anthropic import Anthropic
from hydrallm.endpoints.base import ApiKey, AwsChain, AwsKeys
from hydrallm.endpoints.bedrock import Bedrock
from hydrallm.endpoints.openai import OpenAI
from hydrallm.errors import CredentialError, StartError
from hydrallm.exchange.access import Access
from hydrallm.exchange.chain import Model
from hydrallm.exchange.chains import Chains
from hydrallm.exchange.dialect import Dialects, Found, Speech
from hydrallm.exchange.gateway import Gateway, Sources
from hydrallm.exchange.health import Share, model_health
from hydrallm.exchange.paths import Paths
from hydrallm.formats.anthropic_messages import AnthropicMessages
from hydrallm.formats.anthropic_messages_codec import AnthropicMessagesCodec
from hydrallm.formats.base import ApiType
from hydrallm.formats.bedrock_converse import BedrockConverse
from hydrallm.formats.bedrock_converse_codec import BedrockConverseCodec
from hydrallm.formats.bedrock_invoke import BedrockInvoke
from hydrallm.formats.bedrock_invoke_codec import BedrockInvokeCodec
from hydrallm.formats.canonical import Target
from hydrallm.formats.openai_chat import OpenAIChat
from hydrallm.formats.openai_chat_codec import OpenAIChatCodec
from hydrallm.formats.openai_completions import OpenAICompletions
from hydrallm.formats.openai_responses import OpenAIResponses
from hydrallm.formats.openai_responses_codec import OpenAIResponsesCodec
from hydrallm.http import capacity
from hydrallm.http.buffered import Buffered
from hydrallm.http.client import Client
from hydrallm.http.dial import Route, tls_context
from hydrallm.http.limits import Limits
from hydrallm.http.proxy import find_proxy
from hydrallm.http.server import Server
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.kinds import RULES
from hydrallm.policy.overrides import overridden
from hydrallm.policy.plan import Plan
from hydrallm.secret import Secret
from hydrallm.telemetry.log import LEVELS, Log
from hydrallm.telemetry.masking import Mask
from hydrallm.telemetry.records import CredentialChange, ModelChange

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from hydrallm.config.settings import EndpointSettings, ModelSettings, ServerSettings, Settings
    from hydrallm.endpoints.base import Api
    from hydrallm.exchange.health import Witness
    from hydrallm.formats.base import WireFormat
    from hydrallm.formats.codec import Codec
    from hydrallm.telemetry.records import Sink
    from hydrallm.telemetry.writer import Stream

_CHAT = OpenAIChat()
_MESSAGES = AnthropicMessages()
_CONVERSE = BedrockConverse()

DIALECTS: tuple[tuple[WireFormat, Codec | None], ...] = (
    (_CHAT, OpenAIChatCodec()),
    (OpenAIResponses(), OpenAIResponsesCodec()),
    (_MESSAGES, AnthropicMessagesCodec()),
    (BedrockInvoke(), BedrockInvokeCodec()),
    (_CONVERSE, BedrockConverseCodec()),
    (OpenAICompletions(), None),
)
"""Each wire format, and what translates it."""

FORMATS: tuple[WireFormat, ...] = tuple([wire_format for wire_format, _ in DIALECTS])

ERROR_FORMATS: dict[ApiType, WireFormat] = {
    ApiType.OPENAI: _CHAT,
    ApiType.ANTHROPIC: _MESSAGES,
    ApiType.BEDROCK: _CONVERSE,
}

APIS: dict[ApiType, Api] = {api.api_type: api for api in (OpenAI(), Anthropic(), Bedrock())}

_SECRET_NAME = re.compile(rb"auth|cookie|key|secret|sig|token", re.IGNORECASE)

DRAIN = 30.0
"""Seconds that running exchanges are given when the gateway is asked to stop."""


def make_log(settings: Settings, stream: Stream, level: str | None = None, *, worker: int = 0) -> Log:
    """Return the log that ``settings`` ask for.

    Args:
        settings: the config.
        stream: where it is written.
        level: instead of the config's, if given.
        worker: the number of this worker, where there are several.
    """
    log = settings.log
    return Log(
        stream,
        LEVELS[level or log.level],
        log.format,
        Mask(_secrets(settings)),
        wants_bodies=log.include_error_body,
        worker=worker,
    )


class App:
    """A gateway built from settings. Make it inside a running event loop.

    Args:
        settings: the config.
        sink: told of every exchange.
        environ: the environment, for the proxy variables.
        mask: takes secrets out; the log's, so that it learns what is refreshed. None for one of its own.

    Raises:
        StartError: a certificate file or a proxy cannot be used.
    """

    def __init__(self, settings: Settings, sink: Sink, environ: Mapping[str, str], mask: Mask | None = None) -> None:
        self._settings = settings
        mask = mask or Mask(_secrets(settings))
        self._keys: list[RefreshedKeys] = []
        supplies = self._supplies(sink, mask)
        server = settings.server
        limits = _limits(server)
        buffered = Buffered(limits.max_buffered)
        contexts: dict[Path | None, ssl.SSLContext] = {}
        self._clients = {
            name: Client(
                _route(endpoint, environ, contexts),
                max_connections=endpoint.max_connections,
                queue_timeout=endpoint.queue_timeout,
                buffered=buffered,
            )
            for name, endpoint in settings.endpoints.items()
        }
        self._dialects = Dialects(DIALECTS)
        self._gateway = Gateway(
            chains=self._chains(sink, supplies),
            access=Access(
                server.client_keys,
                allow_remote=server.allow_remote,
                hosts=(*server.allowed_hosts, server.host),
                origins=server.allowed_origins,
            ),
            paths=Paths(FORMATS, ERROR_FORMATS),
            dialects=self._dialects,
            sink=sink,
            mask=mask,
            sources=Sources(_utc, random.random, _identities()),
            max_exchanges=server.max_exchanges,
        )
        self._began = self._gateway.loop.time()
        self._server = Server(self._gateway, self._gateway.refuse, self._gateway.on_fault, limits, buffered)
        self._server.on_exhausted = self._gateway.on_exhausted

    def _supplies(self, sink: Sink, mask: Mask) -> dict[str, Supply]:
        """Return what gives each endpoint the keys of AWS's standard chain; those of one profile are the same."""
        endpoints = self._settings.endpoints
        used = {model.endpoint: endpoints[model.endpoint].endpoint for model in self._settings.models}
        by_profile: dict[str | None, dict[str, AwsChain]] = {}
        for name, endpoint in used.items():
            if isinstance(endpoint.credential, AwsChain):
                by_profile.setdefault(endpoint.credential.profile, {})[name] = endpoint.credential
        supplies: dict[str, Supply] = {}
        for profile, chains in by_profile.items():
            region = next((chain.region for chain in chains.values() if chain.region), None)
            fetch = functools.partial(aws_chain.resolve, profile, region)
            keys = RefreshedKeys("aws-credentials", fetch, _utc, _key_teller(sink, mask, tuple(chains)))
            self._keys.append(keys)
            supplies |= {name: Supply(used[name], chain, keys) for name, chain in chains.items()}
        return supplies

    def _chains(self, sink: Sink, supplies: Mapping[str, Supply]) -> Chains:
        retry = self._settings.retry
        template = Plan(
            candidates=(),
            max_cycles=retry.max_cycles,
            deadline=retry.deadline,
            max_wait=retry.max_wait,
            exponential_backoff=retry.exponential_backoff,
            rules=overridden(RULES, retry.on),
            hold_limit=retry.hold_limit,
        )
        now = asyncio.get_running_loop().time
        found = {name: Found(now) for name in self._settings.endpoints}
        models = [self._model(model, found[model.endpoint], sink, supplies) for model in self._settings.models]
        return Chains(models, self._settings.chains, template, remembers=retry.breaker)

    def _model(self, model: ModelSettings, found: Found, sink: Sink, supplies: Mapping[str, Supply]) -> Model:
        endpoint = self._settings.endpoints[model.endpoint]
        return Model(
            Target(model.model, model.facts, endpoint.version, endpoint.betas),
            endpoint.endpoint,
            APIS[model.type],
            Speech(self._dialects, model.type, model.model, model.api, found),
            self._clients[model.endpoint],
            model.candidate,
            Breaker(_teller(sink, model)),
            supplies.get(model.endpoint),
            model.id,
        )

    async def listen(self, sockets: Sequence[socket.socket] = ()) -> list[tuple[str, int]]:
        """Open the listener and return the addresses it is bound to.

        Args:
            sockets: those to accept from, if they are there already.

        Raises:
            StartError: the address cannot be bound.
        """
        server = self._settings.server
        accepting = self._server.accept(sockets) if sockets else self._server.listen(server.host, server.port)
        addresses = await accepting
        self._gateway.listener = ", ".join([shown(host, port) for host, port in addresses])
        for keys in self._keys:
            keys.start()
        return addresses

    def share(self) -> Share:
        """Return how this process and its models fare."""
        gateway = self._gateway
        now = gateway.loop.time()
        return Share(
            now - self._began,
            gateway.exchanges,
            len(self._server.connections),
            model_health(gateway.chains.models, now),
        )

    def ask(self, witnesses: Callable[[], Awaitable[Sequence[Witness]]]) -> None:
        """Tell how others fare as well: all processes of this listener, which ``witnesses`` asks."""
        self._gateway.witnesses = witnesses

    async def drain(self, grace: float = DRAIN) -> int:
        """Stop accepting, let running exchanges end, and close; return how many connections had to be dropped."""
        dropped = await self._server.drain(grace)
        await self.stop()
        return dropped

    async def stop(self) -> None:
        """Drop everything at once."""
        await self._server.stop()
        for client in self._clients.values():
            client.close()
        for keys in self._keys:
            keys.close()


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop: uvloop's where there is one, else the standard library's."""
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _teller(sink: Sink, model: ModelSettings) -> Callable[[Breaker], None]:
    """Return what tells ``sink`` that the breaker of ``model`` has changed."""
    now = asyncio.get_running_loop().time

    def tell(breaker: Breaker) -> None:
        left = max(0.0, breaker.until - now())
        sink.model_changed(ModelChange(model.endpoint, model.model, breaker.state, breaker.cause, left))

    return tell


def _key_teller(
    sink: Sink, mask: Mask, endpoints: tuple[str, ...]
) -> Callable[[aws_chain.Resolved | CredentialError, aws_chain.Resolved | None], None]:
    """Return what tells ``sink`` of new keys for ``endpoints``, after it has told ``mask``."""

    def tell(news: aws_chain.Resolved | CredentialError, used: aws_chain.Resolved | None) -> None:
        failure = str(news) if isinstance(news, CredentialError) else ""
        if used is not None and not failure:
            token = used.pair.session_token
            mask.learn(endpoints[0], [used.pair.secret_access_key, *([] if token is None else [token])])
        left = None if used is None or used.expires is None else (used.expires - _utc()).total_seconds()
        sink.credential_changed(CredentialChange(endpoints, failure, "" if used is None else used.source, left))

    return tell


def _limits(server: ServerSettings) -> Limits:
    """Return what clients may make the server hold or wait for, as far as this machine goes."""
    workers = server.workers if server.workers != "auto" else os.cpu_count() or 1
    files, memory = capacity.open_files(), capacity.memory() // workers
    return Limits(
        max_body=server.max_body,
        head_timeout=min(10.0, server.read_timeout),
        body_timeout=min(30.0, server.read_timeout),
        write_timeout=server.write_timeout,
        max_connections=capacity.connections(server.max_connections, files, memory),
        spare_connections=capacity.spare_files(files) // 2,
        max_buffered=server.max_buffered or max(server.max_body, memory // 4),
    )


def _route(
    settings: EndpointSettings, environ: Mapping[str, str], contexts: dict[Path | None, ssl.SSLContext]
) -> Route:
    url = settings.endpoint.url
    tls = None
    if url.scheme == "https":
        if settings.ca_file not in contexts:
            contexts[settings.ca_file] = _tls(settings)
        tls = contexts[settings.ca_file]
    try:
        proxy = find_proxy(settings.proxy, url.scheme, url.host, url.port, environ)
    except StartError as error:
        raise StartError(f"endpoints.{settings.endpoint.name}: {error}") from error
    return Route(url.host, url.port, url.authority, tls, proxy)


def _tls(settings: EndpointSettings) -> ssl.SSLContext:
    try:
        return tls_context(settings.ca_file)
    except OSError as error:
        key = f"endpoints.{settings.endpoint.name}.ca_file"
        raise StartError(f"{key}: {settings.ca_file} cannot be used: {error}") from error


def _secrets(settings: Settings) -> Iterator[Secret]:
    """Yield every secret of a config, for the mask: keys, and what by its name or place may well be one."""
    yield from settings.server.client_keys
    for endpoint in settings.endpoints.values():
        named = [*endpoint.endpoint.headers, *parse_qsl(endpoint.endpoint.query)]
        yield from [Secret(value.decode("latin-1")) for name, value in named if _SECRET_NAME.search(name)]
        if (password := urlsplit(endpoint.proxy).password) is not None:
            yield Secret(unquote(password))
        match endpoint.endpoint.credential:
            case ApiKey(key=key):
                yield key
            case AwsKeys(secret_access_key=secret, session_token=token):
                yield secret
                if token is not None:
                    yield token
            case _:
                pass


def shown(host: str, port: int) -> str:
    """Return an address as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _utc() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _identities() -> Callable[[], str]:
    """Return a source of ids: milliseconds and 40 random bits in hexadecimal, so that they sort by time."""

    def identity() -> str:
        return f"{time.time_ns() // 1_000_000:011x}{random.getrandbits(40):010x}"

    return identity
