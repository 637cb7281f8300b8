"""Which of the ``[[models]]`` a chain means, and what is wrong or doubtful in the chains and ids of a file.

A model is known by its ``id``, or else as ``endpoint/model``. The latter also stands for a model that has an id, as
long as no other one is known by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hydrallm.config.findings import entry, join
from hydrallm.config.schema import ChainTable, WholeChainTable, keys
from hydrallm.config.settings import ChainSettings
from hydrallm.config.spelling import did_you_mean
from hydrallm.policy.selection import DEFAULT, ONLY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hydrallm.config.findings import Findings
    from hydrallm.config.schema import ModelTable

_EMPTY = "is empty; name one or more of the [[models]], by id or as endpoint/model"
_UNREACHED = "no chain has this model, so it is only asked where a client names {}"


def check_name(name: str, at: str, findings: Findings) -> None:
    """Record what is wrong with the name of the chain at ``at``."""
    if not name or not name.isprintable():
        findings.problem(at, "a chain's name must be one or more printable characters")
    elif name == ONLY.rstrip("/") or name.startswith(ONLY):
        findings.problem(
            at, f'a chain cannot be called so: clients write "{ONLY}ID" to pin a model; choose another name'
        )


def form(name: str, table: Mapping[str, object]) -> type[WholeChainTable]:
    """Return what the chain called ``name`` is to be read as.

    The default chain is all models, so to say that it is strict it need not name them.
    """
    whole = name == DEFAULT and "strict" in table and set(table) <= set(keys(WholeChainTable))
    return WholeChainTable if whole else ChainTable


def known_as(model: ModelTable) -> str:
    """Return the name by which a model is known."""
    return model.id or f"{model.endpoint}/{model.model}"


def check_ids(models: Sequence[ModelTable], findings: Findings) -> None:
    """Record the ids that mean more than one model."""
    owners: dict[str, int] = {}
    plain = {known_as(model): index for index, model in reversed(list(enumerate(models))) if model.id is None}
    for index, model in enumerate(models):
        if model.id is None:
            continue
        owner = owners.setdefault(model.id, index)
        at = join(entry("models", index), "id")
        if owner != index:
            findings.problem(at, f'"{model.id}" is the id of {entry("models", owner)}, too; choose another one')
        elif model.id in plain:
            findings.problem(
                at, f'"{model.id}" is what {entry("models", plain[model.id])} is known as; choose another one'
            )


def resolve(
    chains: Mapping[str, WholeChainTable],
    models: Sequence[ModelTable],
    broken: set[str],
    findings: Findings,
) -> tuple[ChainSettings, ...]:
    """Return the chains with their models found; what is wrong with them is recorded.

    Args:
        chains: by name, in the order of the file.
        models: the file's.
        broken: the key paths of chains and models with a problem, of which no conclusion is drawn.
        findings: where problems go.
    """
    names = None if _any_is_broken(models, broken) else _names(models)
    patterns: dict[str, str] = {}
    resolved = []
    for name, chain in chains.items():
        at = join("chains", name)
        _check_patterns(name, chain, at, patterns, findings)
        if not isinstance(chain, ChainTable):
            members = tuple(range(len(models)))
        else:
            if not chain.models and at not in broken:
                findings.problem(join(at, "models"), _EMPTY)
            members = () if names is None else _members(chain, names, join(at, "models"), findings)
        resolved.append(ChainSettings(name=name, models=members, match=chain.match, strict=chain.strict))
    return tuple(resolved)


def warn(chains: Sequence[ChainSettings], models: Sequence[ModelTable], findings: Findings) -> None:
    """Record what is doubtful in chains without a problem.

    Args:
        chains: resolved.
        models: the file's.
        findings: where warnings go.
    """
    if all(chain.name != DEFAULT for chain in chains):
        return  # the default chain is all of them
    reached = {place for chain in chains for place in chain.models}
    for index, model in enumerate(models):
        if index not in reached:
            findings.warning(entry("models", index), _UNREACHED.format(f'"{ONLY}{known_as(model)}"'))


def _any_is_broken(models: Sequence[ModelTable], broken: set[str]) -> bool:
    return not models or any(entry("models", index) in broken for index in range(len(models)))


def _names(models: Sequence[ModelTable]) -> dict[str, list[int]]:
    """Return which models each name stands for: one, unless models without an id are alike."""
    names: dict[str, list[int]] = {}
    for index, model in enumerate(models):
        names.setdefault(known_as(model), []).append(index)
    others: dict[str, list[int]] = {}
    for index, model in enumerate(models):
        others.setdefault(f"{model.endpoint}/{model.model}", []).append(index)
    return others | names


def _members(chain: ChainTable, names: Mapping[str, list[int]], at: str, findings: Findings) -> tuple[int, ...]:
    members: list[int] = []
    for place, name in enumerate(chain.models):
        found = names.get(name, [])
        if not found:
            hint = did_you_mean(name, names) or "; write the id of one of the [[models]], or its endpoint/model"
            findings.problem(entry(at, place), f'there is no model "{name}"{hint}')
        elif len(found) > 1:
            alike = " and ".join(entry("models", index) for index in found)
            findings.problem(entry(at, place), f'"{name}" may be {alike}; give each of them an id')
        elif found[0] in members:
            findings.problem(entry(at, place), f'"{name}" is there twice; its attempts say how often it is tried')
        else:
            members += found
    return tuple(members)


def _check_patterns(name: str, chain: WholeChainTable, at: str, owners: dict[str, str], findings: Findings) -> None:
    for place, pattern in enumerate(chain.match):
        owner = owners.setdefault(pattern.lower(), name)
        if owner != name:
            message = f'"{pattern}" is a pattern of [{join("chains", owner)}], which comes first; remove one of them'
            findings.problem(entry(join(at, "match"), place), message)
