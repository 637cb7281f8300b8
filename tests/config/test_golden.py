"""Golden files: a config, and beside it the settings it gives or the errors it gets.

``NAME.toml`` is loaded in the environment that its first line states (``# env: NAME=value ...``, percent-encoded).
``NAME.txt`` holds what must come of it: the settings as JSON, secrets masked, or one problem a line. What should change
there is changed by hand, with the config in view. Of the facts of a model only those that the config tells are there.
"""

from __future__ import annotations

import enum
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
import pytest

from hydrallm.config.facts import lookup
from hydrallm.config.load import load
from hydrallm.config.settings import ModelSettings
from hydrallm.endpoints.base import Credential
from hydrallm.errors import ConfigError
from hydrallm.policy.kinds import Next
from hydrallm.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[1] / "golden" / "config"
CASES = sorted(path.stem for path in GOLDEN.glob("*.toml"))


def environment(config: Path) -> dict[str, str]:
    first = config.read_text("utf-8-sig").partition("\n")[0].strip()
    if not first.startswith("# env:"):
        return {}
    pairs = (word.split("=", 1) for word in first.removeprefix("# env:").split())
    return {name: unquote(value) for name, value in pairs}


def plain(value: object) -> object:
    """Return ``value`` as JSON has it; a credential says of which kind it is."""
    if isinstance(value, msgspec.Struct):
        fields = {name: plain(getattr(value, name)) for name in value.__struct_fields__}
        if isinstance(value, ModelSettings):
            fields |= told(value)
        return {type(value).__name__: fields} if isinstance(value, Credential) else fields
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return plain_leaf(value)


def told(model: ModelSettings) -> dict[str, object]:
    """Return what the settings know otherwise than the shipped data."""
    shipped = lookup(model.model)
    fields = {name: plain(getattr(model.facts, name)) for name in model.facts.__struct_fields__}
    facts = {name: value for name, value in fields.items() if value != plain(getattr(shipped.facts, name))}
    return {"facts": facts, "context": None if model.context == shipped.context else model.context}


def plain_leaf(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, Path):
        return value.name
    if isinstance(value, Next):
        return value.name.lower()
    return str(value) if isinstance(value, Secret | enum.Enum) else value


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """Copy a golden config to where its mode is known: that of a checkout is the umask's."""

    def copy(name: str) -> Path:
        config = Path(shutil.copyfile(GOLDEN / f"{name}.toml", tmp_path / f"{name}.toml"))
        config.chmod(0o600)
        return config

    return copy


def outcome(config: Path) -> str:
    try:
        settings = load(config, environment(config))
    except ConfigError as error:
        text = "\n".join(str(problem) for problem in error.problems)
    else:
        text = json.dumps(plain(settings), indent=2, ensure_ascii=False)
    return text.replace(f"{config.parent}{os.sep}", "") + "\n"


@pytest.mark.parametrize("name", CASES)
def test_config_gives_what_stands_beside_it(name: str, copied: Callable[[str], Path]) -> None:
    assert outcome(copied(name)) == (GOLDEN / f"{name}.txt").read_text("utf-8")


def test_there_are_enough_cases_and_none_is_orphaned() -> None:
    assert sum(name.startswith("bad-") for name in CASES) >= 40
    assert sum(name.startswith("good-") for name in CASES) >= 15
    assert sorted(path.stem for path in GOLDEN.glob("*.txt")) == CASES


@pytest.mark.parametrize("name", CASES)
def test_the_name_says_which_way_it_goes(name: str, copied: Callable[[str], Path]) -> None:
    config = copied(name)
    if name.startswith("good-"):
        assert load(config, environment(config)).models
        return
    with pytest.raises(ConfigError) as caught:
        load(config, environment(config))
    assert caught.value.problems
    assert all(str(problem).startswith(f"{config}:") for problem in caught.value.problems)


@pytest.mark.parametrize("name", CASES)
def test_a_password_is_never_repeated(name: str, copied: Callable[[str], Path]) -> None:
    """The bad cases put ``hunter2`` wherever a password or a key may stand by mistake."""
    assert "hunter2" not in outcome(copied(name))
