"""The configs that ship with the package: the showcases, and the template that ``hydrallm edit`` starts from.

The showcases are also in the folder ``showcases/`` at the top of the repository, where a plain download finds them; a
test holds the two together.
"""

from __future__ import annotations

import importlib.resources
import tomllib
from typing import TYPE_CHECKING

from hydrallm.config import schema
from hydrallm.credentials.environment import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

TEMPLATE = "template"


def names() -> tuple[str, ...]:
    """Return the names of the showcases, in alphabetical order."""
    files = (entry.name for entry in _folder().joinpath("showcases").iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in files if name.endswith(".toml")))


def text(name: str) -> str:
    """Return the showcase called ``name``, or the template.

    Raises:
        KeyError: there is none of that name.
    """
    if name == TEMPLATE:
        return _folder().joinpath("template.toml").read_text("utf-8")
    if name not in names():
        raise KeyError(name)
    return _folder().joinpath("showcases", f"{name}.toml").read_text("utf-8")


def description(content: str) -> str:
    """Return the first line of a config: a comment that says what it is."""
    return content.partition("\n")[0].lstrip("# ")


def missing_variables(content: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the environment variables that a config refers to, must have, and has not."""
    optional = {name for name, key in schema.keys(schema.EndpointTable).items() if key.may_be_unset}
    missing: dict[str, None] = {}
    for key, value in _strings("", tomllib.loads(content)):
        resolved = resolve(value, environ)
        if resolved.variable is not None and resolved.text is None and key not in optional:
            missing[resolved.variable] = None
    return tuple(missing)


def _folder() -> Traversable:
    return importlib.resources.files("hydrallm.config")


def _strings(key: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield each string inside ``value`` with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _strings(name, item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(key, item)
