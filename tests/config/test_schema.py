"""The reference in ``docs/configuration.md`` is held against the schema: every key, its kind, its default, its help."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec.structs import fields

from hydrallm.config import catalog, schema, values
from hydrallm.config.facts import Told
from hydrallm.config.load import load

if TYPE_CHECKING:
    from hydrallm.config.schema import Key

REFERENCE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text("utf-8")
FACTS = REFERENCE.partition("\n## `[models.facts]`\n")[2].partition("\n## ")[0]
HEADINGS = {
    "server": "## `[server]`",
    "log": "## `[log]`",
    "retry": "## `[retry]`",
    "endpoints": "## `[endpoints.NAME]`",
    "models": "## `[[models]]`",
    "chains": "## `[chains.NAME]`",
}


def shown_default(key: Key) -> str:
    if key.required:
        return "required"
    if key.kind.shape != "single":
        return "`[]`" if key.kind.shape == "list" else "`{}`"
    if key.default is None:
        return "–"
    return f"`{msgspec.json.encode(key.default).decode()}`"


def row(name: str, key: Key) -> str:
    return f"| `{name}` | {key.kind.name} | {shown_default(key)} | {key.help} |"


def toml(value: object) -> str:
    return "–" if value is None else f"`{msgspec.json.encode(value).decode()}`"


def section(table: str) -> str:
    return REFERENCE.partition(f"\n{HEADINGS[table]}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("table", schema.TABLES)
def test_the_reference_has_every_key_and_no_other(table: str) -> None:
    rows = re.findall(r"^\| `.*$", section(table), flags=re.MULTILINE)
    assert rows == [row(name, key) for name, key in schema.keys(schema.TABLES[table]).items()]


def test_the_reference_has_every_fact_and_no_other() -> None:
    rows = re.findall(r"^\| `(.*?)` \| (.*?) \| (.*?) \| (.*) \|$", FACTS, flags=re.MULTILINE)
    assert [(name, kind, default) for name, kind, default, _ in rows] == [
        (field.name, values.FACTS.members[field.name].name, toml(field.default)) for field in fields(Told)
    ]
    assert all(help_.endswith(".") and len(help_) > 1 for *_, help_ in rows)


@pytest.mark.parametrize("number", range(len(re.findall(r"```toml\n", REFERENCE))))
def test_every_example_of_the_reference_loads(number: int, tmp_path: Path) -> None:
    example = re.findall(r"```toml\n(.*?)```", REFERENCE, flags=re.DOTALL)[number]
    document = tomllib.loads(example)
    if "endpoints" not in document:
        names = {model["endpoint"] for model in document.get("models", [])} | {"any"}
        example += "".join(f'[endpoints.{name}]\nurl = "https://e.example"\napi_key = "-"\n' for name in sorted(names))
    if "models" not in document:
        name = next(iter(document.get("endpoints", {"any": 0})))
        example += f'[[models]]\nendpoint = "{name}"\nmodel = "m"\n'
    path = tmp_path / "config.toml"
    path.write_text(example, "utf-8")
    environ = dict.fromkeys(catalog.missing_variables(example, {}), "value")
    assert load(path, environ).models


def test_every_default_is_a_value_that_its_kind_takes() -> None:
    for form in schema.TABLES.values():
        for name, key in schema.keys(form).items():
            if key.default is not None:
                assert type(key.default) in key.kind.accepts, name
                assert key.kind.parse(key.default) is not None, name
            assert key.help.endswith("."), name


def test_every_field_of_a_table_is_a_key() -> None:
    for form in schema.TABLES.values():
        assert sorted(schema.keys(form)) == sorted(form.__struct_fields__)
