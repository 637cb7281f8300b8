"""From the checked tables of a file to the internal model: defaults inherited, the nearest clock chosen."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from hydrallm.config.api import chosen, model_type
from hydrallm.config.chains import known_as
from hydrallm.config.facts import lookup
from hydrallm.config.settings import (
    EndpointSettings,
    LogSettings,
    ModelSettings,
    Problem,
    RetrySettings,
    ServerSettings,
    Settings,
)
from hydrallm.endpoints.base import Credential, Endpoint
from hydrallm.policy.plan import Candidate, Clocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    from hydrallm.config.schema import EndpointTable, File, LogTable, ModelTable, RetryTable, ServerTable
    from hydrallm.config.settings import ChainSettings


def assemble(
    file: File,
    credentials: Mapping[str, Credential],
    chains: tuple[ChainSettings, ...],
    path: Path,
    environ: Mapping[str, str],
    warnings: Iterable[Problem],
) -> Settings:
    """Return the settings that ``file`` describes.

    Args:
        file: tables without a problem.
        credentials: the credential of each endpoint to keep; the others are left out.
        chains: resolved.
        path: the config file.
        environ: the environment, for ``~``.
        warnings: what was found doubtful.
    """
    return Settings(
        path=path,
        server=_server(file.server),
        log=_log(file.log),
        retry=RetrySettings(
            max_cycles=file.retry.max_cycles,
            deadline=file.retry.deadline,
            max_wait=file.retry.max_wait,
            exponential_backoff=file.retry.exponential_backoff,
            hold_limit=file.retry.hold_limit,
            breaker=file.retry.breaker,
            on=MappingProxyType(file.retry.on),
        ),
        endpoints={
            name: _endpoint(name, file.endpoints[name], credential, path, environ)
            for name, credential in credentials.items()
        },
        models=tuple(_model(model, file.endpoints[model.endpoint], file.retry) for model in file.models),
        chains=chains,
        warnings=tuple(warnings),
    )


def located(name: str, config: Path, environ: Mapping[str, str]) -> Path:
    """Return the file that the config calls ``name``, from the folder of the config; ``~/`` is the home folder."""
    home = environ.get("HOME") or environ.get("USERPROFILE")
    if home and name.startswith(("~/", "~\\")):
        return Path(home, name[2:])
    return config.parent / name


def _server(table: ServerTable) -> ServerSettings:
    return ServerSettings(
        host=table.host,
        port=table.port,
        workers=table.workers,
        read_timeout=table.read_timeout,
        write_timeout=table.write_timeout,
        client_keys=table.client_keys,
        allow_remote=table.allow_remote,
        allowed_hosts=table.allowed_hosts,
        allowed_origins=table.allowed_origins,
        max_body=table.max_body,
        max_connections=table.max_connections,
        max_exchanges=table.max_exchanges,
        max_buffered=table.max_buffered,
    )


def _log(table: LogTable) -> LogSettings:
    return LogSettings(
        # The reader let through nothing else.
        level=cast('Literal["debug", "info", "warn", "error"]', table.level),
        include_error_body=table.include_error_body,
        format=cast('Literal["auto", "console", "json"]', table.format),
    )


def _endpoint(
    name: str, table: EndpointTable, credential: Credential, path: Path, environ: Mapping[str, str]
) -> EndpointSettings:
    return EndpointSettings(
        endpoint=Endpoint(
            name=name,
            url=table.url,
            credential=credential,
            strip_version_prefix=table.strip_version_prefix,
            headers=tuple(table.headers.items()),
            query="&".join(f"{key}={value}" for key, value in table.query.items()).encode(),
        ),
        proxy=table.proxy,
        ca_file=None if table.ca_file is None else located(table.ca_file, path, environ),
        version=table.anthropic_version or "",
        betas=table.anthropic_beta,
        max_connections=table.max_connections,
        queue_timeout=table.queue_timeout,
    )


def _model(model: ModelTable, endpoint: EndpointTable, retry: RetryTable) -> ModelSettings:
    def nearest(clock: str, default: float) -> float:
        own, shared = getattr(model, clock), getattr(endpoint, clock)
        return cast("float", own if own is not None else shared if shared is not None else default)

    known = lookup(model.model, model.facts)
    return ModelSettings(
        id=known_as(model),
        endpoint=model.endpoint,
        type=model_type(model, endpoint),
        model=model.model,
        candidate=Candidate(
            attempts=model.attempts,
            interval=nearest("interval", retry.default_interval),
            clocks=Clocks(
                connect=nearest("connect_timeout", retry.connect_timeout),
                total=nearest("timeout", retry.default_timeout),
                first_token=nearest("first_token_timeout", retry.first_token_timeout),
                idle=nearest("idle_timeout", retry.idle_timeout),
            ),
        ),
        api=chosen(model, endpoint),
        facts=known.facts,
        context=known.context,
    )
