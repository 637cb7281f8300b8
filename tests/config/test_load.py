from __future__ import annotations

import os
from pathlib import Path

import pytest

from hydrallm.config.load import load, parse
from hydrallm.errors import ConfigError, ConfigMissingError
from hydrallm.policy.kinds import Kind, Next
from hydrallm.policy.overrides import FIXED

MINIMAL = '[endpoints.e]\nurl = "https://e.example"\napi_key = "-"\n[[models]]\nendpoint = "e"\nmodel = "mödel"\n'
LITERAL_KEY = MINIMAL.replace('"-"', '"literal"')


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(MINIMAL, "utf-8")
    return path


def only_problem(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    (problem,) = caught.value.problems
    return str(problem).removeprefix(str(path))


@pytest.mark.parametrize(
    "content",
    [
        MINIMAL.encode(),
        MINIMAL.encode("utf-8-sig"),
        MINIMAL.replace("\n", "\r\n").encode("utf-8-sig"),
        MINIMAL.encode("utf-16"),  # what PowerShell's > writes
        MINIMAL.rstrip("\n").encode(),
    ],
)
def test_encodings_and_line_ends(config: Path, content: bytes) -> None:
    config.write_bytes(content)
    assert load(config, {}).models[0].model == "mödel"


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind not in FIXED])
@pytest.mark.parametrize("goes", Next)
def test_each_kind_of_failure_that_another_try_may_heal_may_lead_anywhere(config: Path, kind: Kind, goes: Next) -> None:
    config.write_text(f'{MINIMAL}[retry.on]\n{kind} = "{goes.name.lower()}"\n', "utf-8")
    assert load(config, {}).retry.on == {kind: goes}


def test_where_a_failure_leads_may_stand_in_the_environment(config: Path) -> None:
    config.write_text(f'{MINIMAL}[retry.on]\ncut = "$GOES"\nserver = ""\n', "utf-8")
    assert load(config, {"GOES": "Return"}).retry.on == {Kind.CUT: Next.RETURN}


def test_a_model_is_known_by_its_name_at_the_endpoint(config: Path) -> None:
    """Its id is the user's own word. The maker's documentation says that this model takes both forms of thinking."""
    name = "global.anthropic.claude-opus-4-6-v1"
    config.write_text(MINIMAL.replace("mödel", name) + 'id = "gpt-4o"\nfacts = { images = false }\n', "utf-8")
    facts = load(config, {}).models[0].facts
    assert (facts.budget, facts.adaptive, facts.images, facts.documents) == (True, True, False, True)


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path / "no" / "folder" / "none.toml"):
        with pytest.raises(ConfigMissingError) as caught:
            load(path, {})
        assert str(path) in str(caught.value)
        assert "hydrallm init" in str(caught.value)
        assert "hydrallm edit" in str(caught.value)


def test_a_file_where_a_folder_should_be(config: Path) -> None:
    with pytest.raises(ConfigMissingError):
        load(config / "config.toml", {})


def test_a_folder_is_no_config(tmp_path: Path) -> None:
    assert only_problem(tmp_path).startswith(": cannot be read: ")


def test_a_path_that_no_file_can_have() -> None:
    assert "cannot be read" in only_problem(Path("a\0b"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[server\nport = 1\n", ":1:8: is not valid TOML: "),
        (b'[server]\nport = 1\nhost = "\x01"\n', ":3:9: is not valid TOML: "),
        (b"[server]\nport = 1\nport = 2\n", ":3:"),
        (b"x = [1, 2\n", ": is not valid TOML: "),
        (b"# one\nname = '\xe4'\n", ":2:1: is not UTF-8"),
        (b"\xff\xfea", ":1:1: is not UTF-8"),
        (b"x = " + b"[" * 20_000 + b"]" * 20_000, ": is nested too deeply"),
        (b"x = " + b"9" * 5_000, ": contains a number that is too long"),
    ],
)
def test_what_is_no_toml(config: Path, content: bytes, problem: str) -> None:
    config.write_bytes(content)
    assert only_problem(config).startswith(problem)


def test_the_reason_does_not_repeat_the_position(config: Path) -> None:
    config.write_text("a = 1\nb = \n")
    assert "(at line" not in only_problem(config)


def test_parse_gives_the_document() -> None:
    assert parse(b'a.b = "c"', Path("x")) == {"a": {"b": "c"}}


@pytest.mark.parametrize("content", [MINIMAL, f"{MINIMAL}[server]\nhost = 'no host'\nport = 1\nmax_body = 5\n"])
def test_the_command_line_counts_instead_of_the_file(config: Path, content: str) -> None:
    config.write_text(content, "utf-8")
    server = load(config, {}, host="::1", port=9).server
    assert (server.host, server.port) == ("::1", 9)
    assert server.max_body == (5 if "max_body" in content else 100_000_000)


def test_the_command_line_is_checked_too(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"server\.host: \"a b\" is not a host"):
        load(config, {}, host="a b")
    config.write_text(f"server = 3\n{MINIMAL}", "utf-8")
    with pytest.raises(ConfigError, match="server: must be a table"):
        load(config, {}, host="::1")


@pytest.mark.platform("linux", "darwin")
@pytest.mark.parametrize(
    ("mode", "content", "warned"),
    [
        (0o600, LITERAL_KEY, False),
        (0o644, LITERAL_KEY, True),
        (0o640, LITERAL_KEY, True),
        (0o604, LITERAL_KEY, True),
        (0o644, MINIMAL, False),
        (0o644, MINIMAL.replace('"-"', '"$KEY"'), False),
    ],
)
def test_a_readable_file_with_keys_in_it(config: Path, mode: int, content: str, warned: bool) -> None:
    config.write_text(content, "utf-8")
    config.chmod(mode)
    warnings = [str(warning) for warning in load(config, {"KEY": "from the environment".replace(" ", "-")}).warnings]
    assert any("endpoints.e.api_key" in warning and f"chmod 600 {config}" in warning for warning in warnings) is warned
    assert len(warnings) == warned


@pytest.mark.platform("linux", "darwin")
def test_a_file_that_may_not_be_read(config: Path) -> None:
    config.chmod(0)
    if os.access(config, os.R_OK):  # root reads everything
        assert load(config, {}).models
    else:
        assert only_problem(config).startswith(": cannot be read: Permission denied")
