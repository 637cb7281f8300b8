"""In which API a model is asked: its type and, where a type has two wire formats, which one of them.

What is said of a model wins over what is said of its endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from hydrallm.config.findings import entry, join
from hydrallm.formats.base import ApiType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hydrallm.config.findings import Findings
    from hydrallm.config.schema import EndpointTable, ModelTable

Api: TypeAlias = Literal["", "chat", "responses", "converse", "invoke"]

APIS: dict[ApiType, tuple[Api, ...]] = {
    ApiType.OPENAI: ("chat", "responses"),
    ApiType.ANTHROPIC: (),
    ApiType.BEDROCK: ("converse", "invoke"),
}
"""What ``api`` may be for each type."""

_OF_BEDROCK = "bedrock-"  # what the versions of Bedrock's form begin with: `bedrock-2023-05-31`
_BEDROCKS_VERSION = '"{}" is a version for bedrock; write one for type anthropic, such as "2023-06-01"'
_NO_EFFECT = "has no effect: the models of this endpoint are all of type openai"


def model_type(model: ModelTable, endpoint: EndpointTable) -> ApiType:
    """Return the API type of a model: its own, else its endpoint's, else ``openai``."""
    return model.type or endpoint.type or ApiType.OPENAI


def chosen(model: ModelTable, endpoint: EndpointTable) -> Api:
    """Return the ``api`` of a model: its own, else its endpoint's if its type has that, else none."""
    return next((api for api in APIS[model_type(model, endpoint)] if api == (model.api or endpoint.api)), "")


def check_model(model: ModelTable, endpoint: EndpointTable, index: int, findings: Findings) -> None:
    """Record an ``api`` of the model at ``index`` that its type does not have."""
    _check(model.api, {model_type(model, endpoint)}, entry("models", index), findings)


def check_endpoint(table: EndpointTable, types: set[ApiType], at: str, findings: Findings) -> None:
    """Record what does not go with the types of an endpoint.

    Args:
        table: the endpoint.
        types: those of its models; empty if they are not known.
        at: its key path.
        findings: where problems and warnings go.
    """
    _check(table.api, {table.type} if table.type else types, at, findings)
    version = table.anthropic_version or ""
    if ApiType.ANTHROPIC in types and version.startswith(_OF_BEDROCK):
        findings.problem(join(at, "anthropic_version"), _BEDROCKS_VERSION.format(version))
    if types == {ApiType.OPENAI}:
        for key, value in (("anthropic_version", version), ("anthropic_beta", table.anthropic_beta)):
            if value:
                findings.warning(join(at, key), _NO_EFFECT)


def _check(api: str | None, types: set[ApiType], at: str, findings: Findings) -> None:
    if api and types and all(api not in APIS[kind] for kind in types):
        owner = next(kind for kind, apis in APIS.items() if api in apis)
        offers = ", ".join(f"type {kind} has {_listed(APIS[kind])}" for kind in sorted(types))
        remedy = "" if any(APIS[kind] for kind in types) else "; remove it"
        findings.problem(join(at, "api"), f'"{api}" is for type {owner}; {offers}{remedy}')


def _listed(apis: Iterable[Api]) -> str:
    return " and ".join(f'"{api}"' for api in apis) or "none"
