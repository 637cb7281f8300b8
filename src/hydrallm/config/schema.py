"""The form of the config file: every table, every key, its kind, its default and what it is for.

Each key is a field annotated with its :class:`Key`, which is all there is to know about it: the reader, the template's
test and the reference in ``docs/configuration.md`` go by it. A default stands here as it would stand in the file.

The fields hold what was read: seconds, bytes, secrets. A field that may be None was not set and has no default of its
own: a clock then is the endpoint's or that of ``[retry]``, the nearest wins.
"""

from __future__ import annotations

import functools
import typing
from typing import Annotated, Any, Literal

import msgspec

from hydrallm.config import values
from hydrallm.config.values import Kind
from hydrallm.endpoints.base import BaseURL
from hydrallm.formats.base import ApiType
from hydrallm.policy.kinds import Kind as Failure
from hydrallm.policy.kinds import Next
from hydrallm.secret import Secret


class Key(msgspec.Struct, frozen=True):
    """One key of a table.

    Attributes:
        kind: what values it takes.
        default: the value it has when it is not written; None if there is none.
        help: one line.
        required: whether it must be written.
        may_be_unset: whether a reference to an unset variable counts as the key not being written.
    """

    kind: Kind
    default: str | int | bool | None
    help: str
    required: bool = False
    may_be_unset: bool = False


class ServerTable(msgspec.Struct, frozen=True):
    """``[server]``: where clients connect, and who may."""

    host: Annotated[
        str,
        Key(values.HOST, "127.0.0.1", "Address to listen on; `0.0.0.0`: all of IPv4, `::`: all of IPv6."),
    ]
    port: Annotated[int, Key(values.PORT, 8080, "Port to listen on.")]
    workers: Annotated[
        int | Literal["auto"],
        Key(values.WORKERS, 1, 'Processes that serve; `"auto"`: one for each CPU that may be used.'),
    ]
    read_timeout: Annotated[float, Key(values.DURATION, "60s", "Patience with a slow request; see below.")]
    write_timeout: Annotated[float, Key(values.DURATION, "10m", "Longest time that a client may not read its answer.")]
    client_keys: Annotated[
        tuple[Secret, ...],
        Key(values.SECRETS, None, "Keys of which clients must show one (Bearer, `x-api-key` or `api-key`)."),
    ]
    allow_remote: Annotated[bool, Key(values.FLAG, False, "Serve other machines even without `client_keys`.")]
    allowed_hosts: Annotated[
        tuple[str, ...], Key(values.HOSTS, None, "Further host names by which clients may call this server.")
    ]
    allowed_origins: Annotated[
        tuple[str, ...], Key(values.ORIGINS, None, "Origins of web pages that may call this server.")
    ]
    max_body: Annotated[int, Key(values.SIZE, "100MB", "Largest request body; larger ones get 413.")]
    max_connections: Annotated[
        int | None, Key(values.COUNT, None, "Most clients connected at a time; more get 503. See below.")
    ]
    max_exchanges: Annotated[
        int | None,
        Key(values.COUNT, None, "Most requests answered at a time; more get 503. None: no limit of its own."),
    ]
    max_buffered: Annotated[
        int | None,
        Key(values.SIZE, None, "Most memory for requests and answers that are held; what does not fit gets 503."),
    ]


class LogTable(msgspec.Struct, frozen=True):
    """``[log]``: what is written to standard error."""

    level: Annotated[str, Key(values.LOG_LEVEL, "info", "`debug`, `info`, `warn` or `error`.")]
    include_error_body: Annotated[bool, Key(values.FLAG, False, "Log up to 4 KB of the body of an upstream's error.")]
    format: Annotated[
        str, Key(values.LOG_FORMAT, "auto", "`console`, `json`, or `auto`: console on a terminal, else JSON.")
    ]


class RetryTable(msgspec.Struct, frozen=True):
    """``[retry]``: how often, how long and how fast is tried."""

    max_cycles: Annotated[int, Key(values.COUNT, 10, "How often the whole list of models is walked.")]
    default_timeout: Annotated[float, Key(values.DURATION, "30s", "Longest non-streaming attempt, as a whole.")]
    default_interval: Annotated[float, Key(values.DURATION, "100ms", "Wait between two attempts.")]
    exponential_backoff: Annotated[
        bool, Key(values.FLAG, False, "Double the interval from attempt to attempt, with jitter and a cap.")
    ]
    deadline: Annotated[
        float,
        Key(
            values.DURATION,
            "10m",
            "Longest time from a request to the start of its answer, all attempts and waits included.",
        ),
    ]
    max_wait: Annotated[
        float, Key(values.DURATION, "5s", "Longest `Retry-After` to wait for while another model is left.")
    ]
    connect_timeout: Annotated[float, Key(values.DURATION, "5s", "Longest time to connect, TLS included.")]
    first_token_timeout: Annotated[
        float, Key(values.DURATION, "2m", "Longest time until the first content of a streaming attempt.")
    ]
    idle_timeout: Annotated[float, Key(values.DURATION, "60s", "Longest silence inside an answer after that.")]
    hold_limit: Annotated[
        float,
        Key(
            values.DURATION, "30s", "Longest hold of a stream's beginning; then its client is sent comments to wait by."
        ),
    ]
    breaker: Annotated[
        bool, Key(values.FLAG, True, "Skip a model that other requests found failing, while another is left.")
    ]
    on: Annotated[
        dict[Failure, Next],
        Key(values.OVERRIDES, None, "What a kind of failure leads to: `same`, `next` or `return`."),
    ]


class Clocks(msgspec.Struct, frozen=True):
    """The clocks that an endpoint or a model may have of its own."""

    timeout: Annotated[float | None, Key(values.DURATION, None, "As `retry.default_timeout`.")]
    interval: Annotated[float | None, Key(values.DURATION, None, "As `retry.default_interval`.")]
    connect_timeout: Annotated[float | None, Key(values.DURATION, None, "As `retry.connect_timeout`.")]
    first_token_timeout: Annotated[float | None, Key(values.DURATION, None, "As `retry.first_token_timeout`.")]
    idle_timeout: Annotated[float | None, Key(values.DURATION, None, "As `retry.idle_timeout`.")]


class EndpointTable(Clocks, frozen=True):
    """``[endpoints.NAME]``: where a provider is, and how it knows you."""

    url: Annotated[BaseURL, Key(values.URL, None, "Base URL, such as `https://api.openai.com/v1`.", required=True)]
    api_key: Annotated[
        Secret | None,
        Key(values.SECRET, None, 'Key to show. None: the client\'s own credentials pass. `"-"`: they are removed.'),
    ]
    strip_version_prefix: Annotated[
        bool, Key(values.FLAG, False, "Drop a leading `v1` (or `v2`, ...) from the client's path.")
    ]
    type: Annotated[
        ApiType | None, Key(values.API_TYPE, None, "`type` of the models here that have none of their own.")
    ]
    api: Annotated[str | None, Key(values.API, None, "`api` of the models here that have none of their own.")]
    anthropic_version: Annotated[
        str | None, Key(values.VERSION, None, "Version of Anthropic's API for translated requests; see below.")
    ]
    anthropic_beta: Annotated[
        tuple[str, ...], Key(values.BETAS, None, "Beta features of Anthropic's to ask for in translated requests.")
    ]
    aws_region: Annotated[
        str | None,
        Key(values.REGION, None, "Region to sign for; else the URL's, else `AWS_REGION` or `AWS_DEFAULT_REGION`."),
    ]
    aws_access_key_id: Annotated[Secret | None, Key(values.SECRET, None, "AWS key to sign with, for `bedrock`.")]
    aws_secret_access_key: Annotated[Secret | None, Key(values.SECRET, None, "The secret that belongs to it.")]
    aws_session_token: Annotated[
        Secret | None,
        Key(values.SECRET, None, "Token of temporary AWS keys; left out if its variable is unset.", may_be_unset=True),
    ]
    aws_profile: Annotated[
        str | None, Key(values.TEXT, None, "Profile of the AWS files whose keys to sign with; needs `hydrallm[aws]`.")
    ]
    headers: Annotated[
        dict[bytes, bytes], Key(values.HEADERS, None, "Headers added to each request, in place of the client's.")
    ]
    query: Annotated[dict[str, str], Key(values.QUERY, None, "Query parameters added to each request.")]
    proxy: Annotated[str, Key(values.PROXY, "env", '`"env"` (`HTTPS_PROXY` and friends), `"none"`, or a proxy\'s URL.')]
    ca_file: Annotated[
        str | None, Key(values.FILE, None, "PEM file of the authorities to trust instead of the system's.")
    ]
    max_connections: Annotated[
        int | None,
        Key(values.COUNT, None, "Most connections to it in use at a time; further requests wait their turn."),
    ]
    queue_timeout: Annotated[
        float | None, Key(values.DURATION, None, "Longest wait for such a turn; else as `connect_timeout`.")
    ]


class ModelTable(Clocks, frozen=True):
    """``[[models]]``: what is tried, in this order."""

    endpoint: Annotated[str, Key(values.TEXT, None, "Name of the endpoint that serves it.", required=True)]
    model: Annotated[str, Key(values.TEXT, None, "Name of the model at that endpoint.", required=True)]
    id: Annotated[
        str | None, Key(values.ID, None, "What chains and clients (`only/ID`) call it; else it is `endpoint/model`.")
    ]
    type: Annotated[
        ApiType | None,
        Key(values.API_TYPE, None, "`openai`, `anthropic` or `bedrock`; else the endpoint's, else `openai`."),
    ]
    api: Annotated[
        str | None,
        Key(values.API, None, "`chat` or `responses` (openai), `converse` or `invoke` (bedrock); see below."),
    ]
    attempts: Annotated[int, Key(values.COUNT, 1, "How often it is tried in one cycle.")]
    facts: Annotated[
        dict[str, Any], Key(values.FACTS, None, "What the model can do, in place of what HydraLLM knows of it.")
    ]


class WholeChainTable(msgspec.Struct, frozen=True):
    """``[chains.default]`` without ``models``: all of them."""

    match: Annotated[
        tuple[str, ...],
        Key(values.NAMES, None, 'What else clients may call it: patterns such as `"*haiku*"`; capitals do not count.'),
    ]
    strict: Annotated[bool, Key(values.FLAG, False, "Skip a model rather than drop what it cannot be told.")]


class ChainTable(WholeChainTable, frozen=True):
    """``[chains.NAME]``: the models for requests that name this chain."""

    models: Annotated[
        tuple[str, ...],
        Key(values.NAMES, None, "Which of the `[[models]]`, in this order: ids, or `endpoint/model`.", required=True),
    ]


TABLES: dict[str, type[msgspec.Struct]] = {
    "server": ServerTable,
    "log": LogTable,
    "retry": RetryTable,
    "endpoints": EndpointTable,
    "models": ModelTable,
    "chains": ChainTable,
}
"""The tables at the top of a file. ``endpoints`` and ``chains`` hold one for each name, ``models`` a list of them."""


class File(msgspec.Struct, frozen=True):
    """A whole config file."""

    server: ServerTable
    log: LogTable
    retry: RetryTable
    endpoints: dict[str, EndpointTable]
    models: tuple[ModelTable, ...]
    chains: dict[str, WholeChainTable]


@functools.cache
def keys(form: type[msgspec.Struct]) -> dict[str, Key]:
    """Return the keys of a table by name: its own first, then those it shares with others."""
    hints = typing.get_type_hints(form, include_extras=True)
    inherited = {name for base in form.__mro__[1:] for name in getattr(base, "__annotations__", {})}
    found = {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}
    return {name: found[name] for name in sorted(found, key=lambda name: name in inherited)}
