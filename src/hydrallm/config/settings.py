"""The internal model of a config: everything resolved, checked and defaulted, whatever form the file had.

Durations are seconds, sizes are bytes, secrets are :class:`~hydrallm.secret.Secret`. The rest of the package sees
nothing of a config but this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from hydrallm.endpoints.base import Endpoint
from hydrallm.formats.base import ApiType
from hydrallm.formats.facts import Facts
from hydrallm.policy.kinds import Kind, Next
from hydrallm.policy.plan import Candidate
from hydrallm.secret import Secret


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong or doubtful in a config.

    Attributes:
        file: the config file, as it was named.
        key: the key path, such as ``models[2].endpoint``; empty when the whole file is meant.
        message: what is wrong, and what to write instead.
        line: 1-based, where it is known.
        column: 1-based, where it is known.
    """

    file: str
    key: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}:{self.column or 1}"
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ServerSettings(msgspec.Struct, frozen=True):
    """``[server]``: the one listener of the simple form.

    Attributes:
        workers: how many processes serve; ``auto``: one for each CPU.
        max_connections: clients that may be connected, to each process; None: what open files and memory allow.
        max_exchanges: requests that may be answered at a time, likewise; None: as many as there are clients.
        max_buffered: bytes that may be held of requests and answers, likewise; None: what memory allows.
    """

    host: str
    port: int
    workers: int | Literal["auto"]
    read_timeout: float
    write_timeout: float
    client_keys: tuple[Secret, ...]
    allow_remote: bool
    allowed_hosts: tuple[str, ...]
    allowed_origins: tuple[str, ...]
    max_body: int
    max_connections: int | None
    max_exchanges: int | None
    max_buffered: int | None


class LogSettings(msgspec.Struct, frozen=True):
    """``[log]``."""

    level: Literal["debug", "info", "warn", "error"]
    include_error_body: bool
    format: Literal["auto", "console", "json"]


class RetrySettings(msgspec.Struct, frozen=True):
    """``[retry]``, as far as it concerns a whole chain; what concerns one model is in its candidate.

    Attributes:
        max_cycles: how often the whole list of models is walked.
        deadline: seconds from a request to the start of its answer.
        max_wait: the longest Retry-After, in seconds, to wait for while another model is left.
        exponential_backoff: whether the interval doubles from try to try.
        hold_limit: seconds for which the beginning of a stream is held back before the client gets its status, and
            comments to wait by.
        breaker: whether what one exchange meets is remembered for the others.
        on: where some kinds of failure lead to, in place of where the policy's table says.
    """

    max_cycles: int
    deadline: float
    max_wait: float
    exponential_backoff: bool
    hold_limit: float
    breaker: bool
    on: Mapping[Kind, Next]


class EndpointSettings(msgspec.Struct, frozen=True):
    """``[endpoints.X]``: the endpoint itself, and how a connection to it is made.

    Attributes:
        endpoint: address and credentials.
        proxy: ``env`` (HTTP_PROXY and friends), ``none``, or a proxy's URL.
        ca_file: a PEM file of certificate authorities to trust instead of the system's.
        version: of Anthropic's API, for the requests that are composed here; empty for the format's own default.
        betas: of Anthropic's, likewise.
        max_connections: how many may be in use at a time; None for as many as are wanted.
        queue_timeout: seconds for which a request waits for one of them; None: its time to connect.
    """

    endpoint: Endpoint
    proxy: str
    ca_file: Path | None
    version: str = ""
    betas: tuple[str, ...] = ()
    max_connections: int | None = None
    queue_timeout: float | None = None


class ModelSettings(msgspec.Struct, frozen=True):
    """One ``[[models]]`` entry.

    Attributes:
        id: what it is known as: its ``id``, or ``endpoint/model``, which several may be.
        api: which of its type's wire formats it is asked in: ``chat``, ``responses``, ``converse`` or ``invoke``; empty
            where the request decides.
        facts: what is known of the model.
        context: tokens of its context window, answer included; None if it is not known.
    """

    id: str
    endpoint: str
    type: ApiType
    model: str
    candidate: Candidate
    api: Literal["", "chat", "responses", "converse", "invoke"] = ""
    facts: Facts = Facts()
    context: int | None = None


class ChainSettings(msgspec.Struct, frozen=True):
    """``[chains.NAME]``.

    Attributes:
        name: the NAME.
        models: places in :attr:`Settings.models`, from 0; in the order in which they are tried.
        match: patterns of the names that mean this chain.
        strict: whether a model that cannot be told all of a request is skipped.
    """

    name: str
    models: tuple[int, ...]
    match: tuple[str, ...]
    strict: bool = False


class Settings(msgspec.Struct, frozen=True):
    """A whole config.

    Attributes:
        path: the file it came from.
        models: all of them, which is the default chain where ``chains`` has none of that name.
        chains: in the order of the file.
        warnings: doubtful, but usable.
    """

    path: Path
    server: ServerSettings
    log: LogSettings
    retry: RetrySettings
    endpoints: dict[str, EndpointSettings]
    models: tuple[ModelSettings, ...]
    chains: tuple[ChainSettings, ...]
    warnings: tuple[Problem, ...]
