from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hydrallm.config import catalog, schema
from hydrallm.config.load import load
from hydrallm.endpoints.base import ApiKey
from hydrallm.formats.base import ApiType

if TYPE_CHECKING:
    from hydrallm.config.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = (
    "anthropic",
    "azure",
    "bedrock",
    "glm-5-coding-plan-anthropic",
    "glm-5-coding-plan-openai",
    "llama-cpp",
    "ollama",
    "openai",
    "openrouter",
    "vllm",
)


def loaded(content: str, folder: Path, *, environ: dict[str, str] | None = None) -> Settings:
    path = folder / "config.toml"
    path.write_text(content, "utf-8")
    variables = {name: f"value-of-{name}" for name in catalog.missing_variables(content, {})}
    return load(path, variables if environ is None else environ)


def test_the_showcases_are_all_there() -> None:
    assert catalog.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_showcases_of_the_repository_are_those_of_the_package(name: str) -> None:
    packaged = ROOT / "src/hydrallm/config/showcases" / f"{name}.toml"
    assert (ROOT / "showcases" / f"{name}.toml").read_bytes() == packaged.read_bytes() == catalog.text(name).encode()


def test_the_repository_has_no_other_showcases() -> None:
    assert sorted(path.stem for path in (ROOT / "showcases").iterdir()) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_showcase_loads_once_its_variables_are_set(name: str, tmp_path: Path) -> None:
    settings = loaded(catalog.text(name), tmp_path)
    remote = "glm" in name  # listens on 0.0.0.0, as the original's
    assert [warning.key for warning in settings.warnings] == ["server.host"] * remote
    assert {model.candidate.clocks.total for model in settings.models} == {600.0}


@pytest.mark.parametrize("name", NAMES)
def test_every_showcase_says_what_it_is_and_which_variables_it_needs(name: str) -> None:
    content = catalog.text(name)
    comment = "".join(line for line in content.splitlines()[:6] if line.startswith("#"))
    assert catalog.description(content)
    assert "\t" not in content
    for variable in catalog.missing_variables(content, {}):
        assert variable in comment


@pytest.mark.parametrize(
    ("form", "port", "urls", "strip"),
    [
        ("openai", 8101, ["https://api.z.ai/api/coding/paas/v4", "https://open.bigmodel.cn/api/coding/paas/v4"], True),
        ("anthropic", 8102, ["https://api.z.ai/api/anthropic", "https://open.bigmodel.cn/api/anthropic"], False),
    ],
)
def test_the_facts_of_the_original_showcases(
    form: str, port: int, urls: list[str], strip: bool, tmp_path: Path
) -> None:
    settings = loaded(catalog.text(f"glm-5-coding-plan-{form}"), tmp_path, environ={"ZAI_API_KEY": "zai"})
    assert (settings.server.host, settings.server.port) == ("0.0.0.0", port)
    assert settings.retry.max_cycles == 10
    endpoints = [entry.endpoint for entry in settings.endpoints.values()]
    assert [f"{e.url.scheme}://{e.url.host}{e.url.path.decode()}" for e in endpoints] == urls
    assert [e.strip_version_prefix for e in endpoints] == [strip, strip]
    assert [e.credential.key.reveal() for e in endpoints if isinstance(e.credential, ApiKey)] == ["zai", "zai"]
    world, china = settings.endpoints
    assert [(model.endpoint, model.model, model.candidate.attempts) for model in settings.models] == [
        (world, "glm-5", 5),
        (china, "glm-5", 2),
        (world, "glm-4.7", 2),
        (china, "glm-4.7", 2),
    ]
    assert {model.type for model in settings.models} == {ApiType(form)}
    assert {model.candidate.interval for model in settings.models} == {0.1}


def test_the_template_works_with_one_key(tmp_path: Path) -> None:
    settings = loaded(catalog.text(catalog.TEMPLATE), tmp_path, environ={"OPENAI_API_KEY": "sk"})
    assert settings.warnings == ()
    assert settings.models[0].candidate.clocks.total == 600.0


def test_the_template_shows_every_option_with_its_default(tmp_path: Path) -> None:
    """With every comment that is a setting uncommented it still loads, and nothing but the timeout is changed."""
    content = re.sub(r"^# (?=[a-z_]+ = |\[)", "", catalog.text(catalog.TEMPLATE), flags=re.MULTILINE)
    document = tomllib.loads(content)
    shown = {
        "server": document["server"],
        "log": document["log"],
        "retry": document["retry"],
        "endpoints": {key: 0 for table in document["endpoints"].values() for key in table},
        "models": {key: 0 for table in document["models"] for key in table},
        "chains": {key: 0 for table in document["chains"].values() for key in table},
    }
    for name, form in schema.TABLES.items():
        assert set(shown[name]) == set(schema.keys(form)), name
    for name in ("server", "log", "retry"):
        for key, definition in schema.keys(schema.TABLES[name]).items():
            usual: object = {"list": [], "table": {}}.get(definition.kind.shape, definition.default)
            if usual is None:
                usual = type(document[name][key])()  # zero is the default
            assert document[name][key] == ("10m" if key == "default_timeout" else usual), key
    assert loaded(content, tmp_path).models


def test_a_name_that_is_none() -> None:
    for name in ("gpt", "../template", "", "openai.toml"):
        with pytest.raises(KeyError):
            catalog.text(name)


def test_variables_that_may_be_unset_are_not_asked_for() -> None:
    bedrock = catalog.text("bedrock")
    assert catalog.missing_variables(bedrock, {}) == ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    assert catalog.missing_variables(bedrock, {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": ""}) == (
        "AWS_SECRET_ACCESS_KEY",
    )
    assert catalog.missing_variables('a = ["$X", { b = "${Y}" }, "$X"]', {}) == ("X", "Y")
