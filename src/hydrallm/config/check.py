"""From a document to :class:`~hydrallm.config.settings.Settings`, or to the list of everything that is wrong with it.

Two steps. First each table is read by itself (:mod:`hydrallm.config.reader`); then what concerns several of them is
checked: endpoints that models name, models that chains name, API types, credentials, who may connect. Nothing stops at
the first problem. Only a document without any is assembled.
"""

from __future__ import annotations

import ipaddress
import stat
from typing import TYPE_CHECKING, Any

import msgspec

from hydrallm.config import api, chains, schema
from hydrallm.config.api import model_type
from hydrallm.config.assembly import assemble, located
from hydrallm.config.findings import Findings, entry, join
from hydrallm.config.reader import Reader, Table, Unset, type_name
from hydrallm.config.schema import EndpointTable, File, LogTable, ModelTable, RetryTable, ServerTable
from hydrallm.config.spelling import did_you_mean
from hydrallm.credentials import aws_chain
from hydrallm.credentials.choice import Choice, Stated, choose
from hydrallm.endpoints.base import ClientCredential
from hydrallm.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hydrallm.config.settings import Settings
    from hydrallm.formats.base import ApiType

_LATER_FORM = {
    "providers": "the form with [providers] and [[listeners]] is not known yet; write [endpoints.NAME] instead",
    "listeners": "the form with [providers] and [[listeners]] is not known yet; write [server] instead",
}

_SET_IT = "; set it before you start hydrallm, or write the value here"
_CLOSED = (
    "{} is open to other machines, but clients need no key: whoever is not on this machine gets 403; "
    "set server.client_keys, or allow_remote = true to serve everybody"
)
_OPEN = "everybody who reaches {} can use your API keys; set server.client_keys"
_UNREADABLE = "is less than server.max_body, {} bytes, so a body of that size would always be refused; raise it"
_UNQUEUED = "has no effect without max_connections: nobody waits for a connection"
_SWALLOWED = (
    "no api_key, and the clients' credentials are for this server (server.client_keys): requests will carry no key; "
    'set api_key, or "-" if none is needed'
)


def check(
    document: Mapping[str, object], path: Path, environ: Mapping[str, str], *, mode: int | None = None
) -> Settings:
    """Return the settings that ``document`` describes.

    Args:
        document: the file as parsed TOML.
        path: the file, for messages and for paths relative to it.
        environ: the environment.
        mode: the file's permission bits, if they mean anything here (POSIX).

    Raises:
        ConfigError: it cannot be used; carries every problem found.
    """
    findings = Findings(str(path))
    reader = Reader(findings, environ)
    reading = _read(document, reader)
    file = reading.file
    for missing in reader.unset:
        findings.problem(missing.key, _unset_message(missing, environ) + _SET_IT)

    types = _types_by_endpoint(reading, findings)
    _check_apis(reading, types, findings)
    chains.check_ids(file.models, findings)
    resolved = chains.resolve(file.chains, file.models, reading.broken, findings)
    credentials = {}
    for name, table in file.endpoints.items():
        at = join("endpoints", name)
        if reading.unset[name]:
            _report_unset(reading.unset[name], environ, findings, used=name in types)
        elif at not in reading.broken:
            _check_authorities(table, at, path, environ, findings)
            credentials[name] = _choose(table, types.get(name, set()), at, environ, findings)
    server = file.server
    if server.max_buffered is not None and server.max_buffered < server.max_body and "server" not in reading.broken:
        findings.problem("server.max_buffered", _UNREADABLE.format(server.max_body))
    if not findings.problems:
        chains.warn(resolved, file.models, findings)
    _warn(file, credentials, types, findings)
    if mode is not None and mode & (stat.S_IRGRP | stat.S_IROTH) and reader.literal_secrets:
        held = ", ".join(reader.literal_secrets)
        findings.warning("", f"others on this machine can read it, and it holds {held}; run: chmod 600 {path}")
    if findings.problems:
        raise ConfigError(findings.problems)
    chosen = {name: choice.credential for name, choice in credentials.items()}
    return assemble(file, chosen, resolved, path, environ, findings.warnings)


class _Reading(msgspec.Struct, frozen=True):
    """The tables of a file, each read by itself.

    Attributes:
        file: the tables.
        unset: the references to unset variables in each endpoint.
        broken: the key paths of tables with a problem: no conclusion is drawn from those.
    """

    file: File
    unset: dict[str, list[Unset]]
    broken: set[str]


def _read(document: Mapping[str, object], reader: Reader) -> _Reading:
    findings = reader.findings
    for name in document:
        if name not in schema.TABLES:
            findings.problem(join("", name), _LATER_FORM.get(name) or f"unknown key{_root_hint(name)}")
    broken: set[str] = set()

    def read(form: type[Table], value: object, at: str) -> Table:
        before = len(findings.problems) + len(reader.unset)
        table = reader.table(form, value, at)
        if len(findings.problems) + len(reader.unset) > before:
            broken.add(at)
        return table

    server = read(ServerTable, document.get("server", {}), "server")
    log = read(LogTable, document.get("log", {}), "log")
    retry = read(RetryTable, document.get("retry", {}), "retry")
    endpoints: dict[str, EndpointTable] = {}
    unset: dict[str, list[Unset]] = {}
    for name, value in _endpoints(document.get("endpoints", {}), findings).items():
        before = len(reader.unset)
        endpoints[name] = read(EndpointTable, value, join("endpoints", name))
        unset[name] = reader.unset[before:]
        del reader.unset[before:]
    models = tuple(
        read(ModelTable, value, entry("models", index))
        for index, value in enumerate(_models(document.get("models"), findings))
    )
    named = _chains(document.get("chains", {}), findings)
    lists = {name: read(chains.form(name, value), value, join("chains", name)) for name, value in named.items()}
    file = File(server=server, log=log, retry=retry, endpoints=endpoints, models=models, chains=lists)
    return _Reading(file, unset, broken)


def _root_hint(name: str) -> str:
    if near := did_you_mean(name, schema.TABLES):
        return near
    homes = [f"[{table}]" for table in ("server", "log", "retry") if name in schema.keys(schema.TABLES[table])]
    return f"; it belongs in {' or '.join(homes)}" if homes else ""


def _endpoints(value: object, findings: Findings) -> dict[str, Any]:
    if not isinstance(value, dict):
        findings.problem(
            "endpoints", f"must be tables, one for each endpoint: [endpoints.NAME], not {type_name(value)}"
        )
        return {}
    for name, table in value.items():
        if not name or not name.isprintable():
            findings.problem(join("endpoints", name), "an endpoint's name must be one or more printable characters")
        elif not isinstance(table, dict):
            findings.problem(join("endpoints", name), "an endpoint needs a name: write its keys under [endpoints.NAME]")
    return {name: table for name, table in value.items() if isinstance(table, dict)}


def _chains(value: object, findings: Findings) -> dict[str, Any]:
    if not isinstance(value, dict):
        findings.problem("chains", f"must be tables, one for each chain: [chains.NAME], not {type_name(value)}")
        return {}
    for name, table in value.items():
        if isinstance(table, dict):
            chains.check_name(name, join("chains", name), findings)
        else:
            findings.problem(join("chains", name), "a chain needs a name: write its keys under [chains.NAME]")
    return {name: table for name, table in value.items() if isinstance(table, dict)}


def _models(value: object, findings: Findings) -> list[Any]:
    if isinstance(value, dict):
        findings.problem("models", "must be a list of tables: write each model under [[models]], in double brackets")
    elif value is not None and not isinstance(value, list):
        findings.problem("models", f"must be a list of tables: [[models]], not {type_name(value)}")
    elif not value:
        findings.problem("models", "there is no model; add one under [[models]]")
    return value if isinstance(value, list) else []


def _types_by_endpoint(reading: _Reading, findings: Findings) -> dict[str, set[ApiType]]:
    """Return the API types of the models that use each endpoint; models that name an unknown one are problems."""
    endpoints = reading.file.endpoints
    types: dict[str, set[ApiType]] = {}
    for index, model in enumerate(reading.file.models):
        at = entry("models", index)
        if model.endpoint in endpoints:
            used = types.setdefault(model.endpoint, set())
            if at not in reading.broken:
                used.add(model_type(model, endpoints[model.endpoint]))
        elif model.endpoint:
            hint = did_you_mean(model.endpoint, endpoints) or f"; add [{join('endpoints', model.endpoint)}]"
            findings.problem(join(at, "endpoint"), f'there is no endpoint "{model.endpoint}"{hint}')
    return types


def _check_apis(reading: _Reading, types: Mapping[str, set[ApiType]], findings: Findings) -> None:
    endpoints = reading.file.endpoints
    unsure = set()  # endpoints some of whose models have a problem
    for index, model in enumerate(reading.file.models):
        if entry("models", index) in reading.broken:
            unsure.add(model.endpoint)
        elif model.endpoint in endpoints and join("endpoints", model.endpoint) not in reading.broken:
            api.check_model(model, endpoints[model.endpoint], index, findings)
    for name, table in endpoints.items():
        at = join("endpoints", name)
        if at not in reading.broken:
            api.check_endpoint(table, set() if name in unsure else types.get(name, set()), at, findings)


def _report_unset(unset: list[Unset], environ: Mapping[str, str], findings: Findings, *, used: bool) -> None:
    for missing in unset:
        message = _unset_message(missing, environ)
        if used:
            findings.problem(missing.key, message + _SET_IT)
        else:
            findings.warning(missing.key, f"{message}; no model uses this endpoint, so it is left out")


def _unset_message(unset: Unset, environ: Mapping[str, str]) -> str:
    state = "empty" if unset.variable in environ else "not set"
    return f"the environment variable {unset.variable} is {state}"


def _choose(
    table: EndpointTable, types: set[ApiType], at: str, environ: Mapping[str, str], findings: Findings
) -> Choice:
    stated = Stated(
        api_key=table.api_key,
        access_key_id=table.aws_access_key_id.reveal() if table.aws_access_key_id else None,
        secret_access_key=table.aws_secret_access_key,
        session_token=table.aws_session_token,
        region=table.aws_region,
        profile=table.aws_profile,
    )
    choice = choose(stated, types, table.url.host, environ, has_chain=aws_chain.installed())
    for remark in choice.problems:
        findings.problem(join(at, remark.key) if remark.key else at, remark.message)
    for remark in choice.warnings:
        findings.warning(join(at, remark.key) if remark.key else at, remark.message)
    return choice


def _check_authorities(
    table: EndpointTable, at: str, path: Path, environ: Mapping[str, str], findings: Findings
) -> None:
    if table.ca_file is None:
        return
    file = located(table.ca_file, path, environ)
    try:
        content = file.read_bytes()
    except OSError as error:
        findings.problem(join(at, "ca_file"), f"{file} cannot be read: {error.strerror or error}")
    else:
        if b"-----BEGIN CERTIFICATE-----" not in content:
            findings.problem(join(at, "ca_file"), f"{file} holds no certificate in PEM form")


def _warn(file: File, credentials: Mapping[str, Choice], types: Mapping[str, set[ApiType]], findings: Findings) -> None:
    for name, table in file.endpoints.items():
        if table.queue_timeout is not None and table.max_connections is None:
            findings.warning(join(join("endpoints", name), "queue_timeout"), _UNQUEUED)
    server = file.server
    if server.client_keys:
        for name in types:
            if name in credentials and credentials[name].credential == ClientCredential():
                findings.warning(join("endpoints", name), _SWALLOWED)
    elif not _is_loopback(server.host):
        findings.warning("server.host", (_OPEN if server.allow_remote else _CLOSED).format(server.host))


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
