"""From the tables of TOML to the structs of :mod:`hydrallm.config.schema`, with every problem on the way recorded.

A wrong value is recorded and replaced by its default (or its kind's blank), so that one mistake is reported once and
hides no other. References to the environment are resolved here, before a value is parsed; an unset variable is kept
apart, because what it means depends on whether the endpoint it belongs to is used.
"""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from hydrallm.config import schema, values
from hydrallm.config.findings import Findings, entry, join
from hydrallm.config.spelling import CLOSE, VERY_CLOSE, did_you_mean
from hydrallm.credentials.environment import resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hydrallm.config.schema import Key
    from hydrallm.config.values import Kind

Table = TypeVar("Table", bound=msgspec.Struct)

_TYPE_NAMES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a float",
    list: "a list",
    dict: "a table",
    datetime.datetime: "a date and time",
    datetime.date: "a date",
    datetime.time: "a time",
}
_HEADERS = {
    "endpoints": "[endpoints.NAME]",
    "models": "[[models]]",
    "facts": "[models.facts]",
    "chains": "[chains.NAME]",
}
_LONGEST_SHOWN = 60  # characters of a value repeated in a message


class Unset(msgspec.Struct, frozen=True):
    """A key whose value is a reference to a variable that is unset or empty."""

    key: str
    variable: str


class _Absent(Exception):  # noqa: N818 - not an error: control flow between three methods here
    """The value stands for no value: take the default."""


def type_name(value: object) -> str:
    """Return what a value of TOML is called in a message."""
    return _TYPE_NAMES.get(type(value), "something else")


class Reader:
    """Reads the tables of one file.

    Attributes:
        findings: where problems go.
        literal_secrets: the key paths of secrets that stand in the file itself.
        unset: the references to variables that are not set.
    """

    def __init__(self, findings: Findings, environ: Mapping[str, str]) -> None:
        self.findings = findings
        self.literal_secrets: list[str] = []
        self.unset: list[Unset] = []
        self._environ = environ

    def table(self, form: type[Table], value: object, path: str) -> Table:
        """Read the table at ``path`` as a ``form``."""
        known = schema.keys(form)
        if not isinstance(value, dict):
            self.findings.problem(path, f"must be a table, not {type_name(value)}")
            return form(**{name: _default(key) for name, key in known.items()})
        read: dict[str, Any] = {}
        for name, item in value.items():
            if name in known:
                read[name] = self._key(known[name], item, join(path, name))
            else:
                self.findings.problem(join(path, name), f"unknown key{_hint(name, form)}")
        for name, key in known.items():
            if name not in read:
                read[name] = _default(key)
                if key.required:
                    self.findings.problem(join(path, name), f"is missing; it is required ({_plain(key.help)})")
        return form(**read)

    def _key(self, key: Key, value: object, path: str) -> object:
        try:
            return self._value(key.kind, value, path, may_be_unset=key.may_be_unset)
        except _Absent:
            if key.required and value == "":
                self.findings.problem(path, f"is empty; it is required ({_plain(key.help)})")
            return _default(key)

    def _value(self, kind: Kind, value: object, path: str, *, may_be_unset: bool = False) -> object:
        if kind.shape == "list":
            return self._list(kind, value, path)
        if kind.shape == "table":
            return self._table(kind, value, path)
        return self._single(kind, value, path, may_be_unset=may_be_unset)

    def _list(self, kind: Kind, value: object, path: str) -> tuple[object, ...]:
        if not isinstance(value, list):
            self.findings.problem(path, f'must be a list of strings, such as ["..."], not {type_name(value)}')
            return ()
        read = []
        for index, item in enumerate(value):
            at = entry(path, index)
            if item == "":
                self.findings.problem(at, "is empty; remove it")
                continue
            try:
                read.append(self._single(kind, item, at))
            except _Absent:
                continue
        return tuple(read)

    def _table(self, kind: Kind, value: object, path: str) -> dict[object, object]:
        if not isinstance(value, dict):
            self.findings.problem(path, f"must be a {kind.name}, such as {kind.example}, not {type_name(value)}")
            return {}
        read: dict[object, object] = {}
        for name, item in value.items():
            at = join(path, name)
            try:
                parsed = kind.parse_name(name)
            except ValueError as error:
                self.findings.problem(at, str(error))
                continue
            if parsed in read:
                self.findings.problem(at, "is there twice; names of headers are the same in small letters and capitals")
                continue
            try:
                member = kind.members.get(name)
                read[parsed] = self._value(member, item, at) if member else self._single(kind, item, at)
            except _Absent:
                continue
        return read

    def _single(self, kind: Kind, value: object, path: str, *, may_be_unset: bool = False) -> object:
        """Return what one value stands for, or raise :class:`_Absent`, the problem recorded if there is one."""
        variable = None
        if isinstance(value, str):
            resolved = resolve(value, self._environ)
            variable = resolved.variable
            if resolved.text is None:
                if variable is not None and not may_be_unset:
                    self.unset.append(Unset(path, variable))
                raise _Absent
            value = resolved.text if variable is None else _typed(resolved.text, kind)
            if variable is None and kind.secret and value not in {"", "-"}:
                self.literal_secrets.append(path)
        if type(value) not in kind.accepts:
            source = type_name(value) if variable is None else f"the text in ${variable}"
            self.findings.problem(path, f"must be {kind.expects}, not {source}")
            raise _Absent
        try:
            parsed = kind.parse(value)
        except ValueError as error:
            self.findings.problem(path, _message(kind, value, variable, str(error)))
            raise _Absent from None
        if parsed is None:
            raise _Absent
        return parsed


def _default(key: Key) -> object:
    if key.kind.shape == "list":
        return ()
    if key.kind.shape == "table":
        return {}
    return key.kind.blank if key.default is None and key.required else _parsed_default(key)


def _parsed_default(key: Key) -> object:
    return None if key.default is None else key.kind.parse(key.default)


def _typed(text: str, kind: Kind) -> object:
    """Return the text of a variable as the type that ``kind`` takes: a variable cannot hold anything but text."""
    if str in kind.accepts:
        return text
    if bool in kind.accepts:
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    return int(text) if text.strip().isascii() and text.strip().isdigit() and len(text) < _LONGEST_SHOWN else text


def _message(kind: Kind, value: object, variable: str | None, reason: str) -> str:
    if variable is not None:
        return f"${variable}: {reason}" if not kind.shown else f"the value of ${variable} {reason}"
    if not kind.shown:
        return reason
    return f"{_shown(value)} {reason}"


def _shown(value: object) -> str:
    if isinstance(value, str):
        cut = value if len(value) <= _LONGEST_SHOWN else f"{value[:_LONGEST_SHOWN]}..."
        return json.dumps(cut, ensure_ascii=False)
    if isinstance(value, int) and value.bit_length() > _LONGEST_SHOWN:
        return "the number"  # Python refuses to write out the longest ones
    return str(value)


def _hint(name: str, form: type[msgspec.Struct]) -> str:
    """Return what may have been meant by an unknown ``name`` in a table of ``form``."""
    homes = [table for table, other in schema.TABLES.items() if name in schema.keys(other)]
    if name in values.FACTS.members:
        homes.append("facts")
    # What is right in another place is more likely than what would be badly misspelt in this one.
    if near := did_you_mean(name, schema.keys(form), VERY_CLOSE if homes else CLOSE):
        return near
    return f"; it belongs in {' or '.join(_header(home) for home in homes)}" if homes else ""


def _header(table: str) -> str:
    return _HEADERS.get(table, f"[{table}]")


def _plain(help_: str) -> str:
    return help_.rstrip(".").replace("`", "")
