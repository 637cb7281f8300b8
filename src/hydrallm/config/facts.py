"""What is known of models: which row of the shipped data a name finds, and what the config says otherwise.

The data is ``data/models.toml``. Theory of operation
=====================================================

The same model has many names: ``claude-sonnet-4-5-20250929`` at its maker,
``eu.anthropic.claude-sonnet-4-5-20250929-v1:0`` on Bedrock, where an ARN may be around it,
``claude-sonnet-4-5@20250929`` on Vertex, ``anthropic/claude-sonnet-4.5`` at a router. :func:`plain` sees through to
what these have in common, and the rows are held against that; the first that fits wins. Then come the rows of
``places``, for what is otherwise at one host of a model, and last the config's own.

A name that no row fits is served with the defaults of :class:`~hydrallm.formats.facts.Facts`, which are chosen so
that a request that is legal for most models is sent as it is. That is so for names that say nothing of the model (a
deployment on Azure, an inference profile of one's own, a router's ``auto``), for which the config can give the facts.

The fields of a row are those of Facts, so that a new fact needs no line here.
"""

from __future__ import annotations

import datetime
import functools
import importlib.resources
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from hydrallm.formats.facts import Facts

if TYPE_CHECKING:
    from collections.abc import Mapping

# `us.anthropic.` and the like: where it runs and who made it, on Bedrock. Not DeepSeek's, whose names would be empty.
_MAKER = re.compile(
    r"(?:[a-z]{2,6}(?:-gov)?\.)?(?:amazon|anthropic|google|meta|mistral|moonshot|moonshotai|openai|qwen|zai)\."
)
# Which build of a model it is: `@20250929`, `-20250929`, `-2026-03-17`, `-v1`, `-latest`, and Claude Code's `[1m]`.
_BUILD = re.compile(r"(?:[@-]\d{8}|-\d{4}-\d{2}-\d{2}|-v\d+|[@-]latest|@default|\[[^]]*\])+$")


_KEYS = ("match", "source", "checked")  # of a row; the others are facts


class Told(Facts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a row, or the config, may tell of a model.

    Attributes:
        context: tokens of the context window, answer included; None if it is not known.
    """

    context: int | None = None


class Row(msgspec.Struct, frozen=True):
    """A row of the data.

    Attributes:
        match: names, with ``*``, ``?`` and ``[...]`` as a shell has them.
        source: addresses of what says so.
        checked: when they were last read.
        told: the rest of the row: the fields of :class:`Told` that it has, by name.
    """

    match: tuple[str, ...]
    source: tuple[str, ...]
    checked: datetime.date
    told: dict[str, object] = {}

    def fits(self, name: str) -> bool:
        """Return whether the row is about a model of this name."""
        return any(fnmatchcase(name, pattern) for pattern in self.match)


class Catalogue(msgspec.Struct, frozen=True):
    """The data.

    Attributes:
        models: the first row that fits counts.
        places: all that fit count.
    """

    models: tuple[Row, ...]
    places: tuple[Row, ...]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    models: list[dict[str, object]]
    places: list[dict[str, object]]


class Model(msgspec.Struct, frozen=True):
    """What is known of a model.

    Attributes:
        facts: for the composers of requests.
        context: tokens of the context window, answer included; None if it is not known.
        known: whether a row fitted its name.
    """

    facts: Facts
    context: int | None = None
    known: bool = False


@functools.cache
def catalogue() -> Catalogue:
    """Return the shipped data."""
    return read(importlib.resources.files("hydrallm.config").joinpath("data", "models.toml").read_text("utf-8"))


def read(data: str) -> Catalogue:
    """Return the data in a text.

    Raises:
        msgspec.ValidationError: it lacks a key, has one that is none, or a value of another kind.
    """
    file = msgspec.toml.decode(data, type=_File)
    return Catalogue(tuple(map(_row, file.models)), tuple(map(_row, file.places)))


def _row(table: dict[str, object]) -> Row:
    told = {key: value for key, value in table.items() if key not in _KEYS}
    msgspec.convert(told, Told)  # to find what is wrong with it when it is read, not when a name leads to it
    return msgspec.convert({key: table[key] for key in _KEYS if key in table} | {"told": told}, Row)


def plain(name: str) -> str:
    """Return what is left of a model's name without the marks of where it is served and of its build, in small letters.

    Args:
        name: as an upstream knows the model.
    """
    name = name.lower().rpartition("/")[2]  # a router's `maker/`, or an ARN's `foundation-model/`
    name = name.partition(":")[0]  # Bedrock's `:0`, Ollama's `:8b`, a router's `:free`
    if maker := _MAKER.match(name):
        name = name[maker.end() :]
    if build := _BUILD.search(name):
        name = name[: build.start()]
    # Routers write Claude's version with a dot. With other makers a dash would make it a size or a date.
    return name.replace(".", "-") if name.startswith("claude-") else name


def lookup(name: str, overrides: Mapping[str, object] | None = None) -> Model:
    """Return what is known of a model.

    Args:
        name: as an upstream knows the model.
        overrides: what the config says of it, by the names of the fields of :class:`Told`.

    Raises:
        ValueError: an override is no fact, or has a value of another kind; the message says which.
    """
    data, seen = catalogue(), plain(name)
    row = next((row for row in data.models if row.fits(seen)), None)
    said = dict(row.told) if row else {}
    for place in data.places:
        if place.fits(name.lower()):
            said |= place.told
    told = msgspec.convert(said | dict(overrides or {}), Told)  # its ValidationError is a ValueError
    return Model(
        Facts(**{field: getattr(told, field) for field in Facts.__struct_fields__}), told.context, row is not None
    )
