from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydrallm.config import schema, values
from hydrallm.config.check import check
from hydrallm.errors import ConfigError

PATH = Path("config.toml")

# Keys that are known, in the right places and in wrong ones, with values from sensible to absurd.
NAMES = sorted(
    {name for table in schema.TABLES.values() for name in schema.keys(table)}
    | set(schema.TABLES)
    | set(values.FACTS.members)
)
TEXTS = st.sampled_from(
    [
        *("", "0", "1s", "-1s", "100MB", "openai", "bedrock", "https://e.example", "http://[::1", "a\0b"),
        *("$SET", "${UNSET}", "chat", "invoke", "high", "2023-06-01", "bedrock-2023-05-31"),
    ]
)
SCALARS: st.SearchStrategy[object] = (
    TEXTS
    | st.text(max_size=8)
    | st.integers()
    | st.integers(-2, 2)
    | st.floats()
    | st.booleans()
    | st.datetimes()
    | st.dates()
    | st.times()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


def table(form: str) -> st.SearchStrategy[dict[str, object]]:
    known = sorted(schema.keys(schema.TABLES[form]))
    return st.dictionaries(st.sampled_from(known) | st.text(max_size=3), VALUES, max_size=8)


DOCUMENTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=2) | st.fixed_dictionaries(
    {},
    optional={
        "server": table("server") | VALUES,
        "log": table("log") | VALUES,
        "retry": table("retry") | VALUES,
        "endpoints": st.dictionaries(st.sampled_from(["openai", "e", ""]), table("endpoints"), max_size=3) | VALUES,
        "models": st.lists(table("models"), max_size=3) | VALUES,
        "chains": st.dictionaries(st.sampled_from(["default", "only", "c", ""]), table("chains"), max_size=3) | VALUES,
    },
)


@settings(max_examples=500)
@given(DOCUMENTS, st.dictionaries(st.sampled_from(["SET", "AWS_ACCESS_KEY_ID", "AWS_REGION"]), st.text(max_size=5)))
def test_any_document_gives_settings_or_problems(document: dict[str, Any], environ: dict[str, str]) -> None:
    try:
        checked = check(document, PATH, environ)
    except ConfigError as caught:
        checked, problems = None, [str(problem) for problem in caught.problems]
    else:
        problems = []
    assert (checked is None) == bool(problems)
    assert all(problem.startswith("config.toml: ") for problem in problems)
    assert checked is None or checked.models


WHOLE = """
[server]
host = "127.0.0.1"
[endpoints.openai]
url = "https://e.example/v1"
api_key = "key"
headers = { X-A = "1" }
type = "anthropic"
anthropic_version = "2023-06-01"
anthropic_beta = ["files-api-2025-04-14"]
[endpoints.spare]
url = "https://s.example"
[[models]]
endpoint = "openai"
model = "m"
attempts = 2
[[models]]
endpoint = "openai"
model = "n"
id = "fast"
timeout = "1s"
type = "openai"
api = "responses"
facts = { max_output = 1000, images = false, efforts = ["low"], chat_tools = "quiet" }
[chains.small]
models = ["fast", "openai/m"]
match = ["*mini*"]
strict = true
"""
WRONG: list[object] = ["\0", -1, True, 1.5, [], {}, datetime.date(2026, 1, 1), ["x"], {"x": {}}, "$UNSET"]


def places(value: object, *keys: str | int) -> list[tuple[str | int, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in children for place in ((*keys, key), *places(item, *keys, key))]


@pytest.mark.parametrize("place", places(tomllib.loads(WHOLE)))
def test_one_wrong_value_anywhere_is_reported_where_it_is(place: tuple[str | int, ...]) -> None:
    """Each value of a good config in turn becomes each of some wrong ones: every problem is at or below its place."""
    path = ""
    for key in place:
        path += f"[{key + 1}]" if isinstance(key, int) else f".{key}" if path else key
    for wrong in WRONG:
        document = tomllib.loads(WHOLE)
        target: Any = document
        for key in place[:-1]:
            target = target[key]
        target[place[-1]] = wrong
        try:
            check(document, PATH, {})
        except ConfigError as error:
            found = [getattr(problem, "key", "") for problem in error.problems]
            lost: bool = place[0] == "endpoints" and len(place) <= 2  # then the models that name it are wrong too
            assert any(key.startswith(path) for key in found) or (lost and wrong == {}), (wrong, found)
            assert lost or all(key.startswith(path) for key in found), (wrong, found)


def test_all_problems_are_reported_together() -> None:
    document = tomllib.loads(
        WHOLE.replace('"127.0.0.1"', '"1:2"')
        .replace('"1s"', '"1"')
        .replace("attempts", "attemps")
        .replace("/v1", "?x=1")
    )
    with pytest.raises(ConfigError) as caught:
        check(document, PATH, {})
    assert [getattr(problem, "key", "") for problem in caught.value.problems] == [
        "server.host",
        "endpoints.openai.url",
        "models[1].attemps",
        "models[2].timeout",
    ]


@pytest.mark.parametrize(("name", "home"), [("~/ca.pem", "HOME"), ("~\\ca.pem", "USERPROFILE"), ("ca.pem", "OTHER")])
def test_a_ca_file_is_found_from_home_or_the_config(tmp_path: Path, name: str, home: str) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    document = tomllib.loads(WHOLE)
    document["endpoints"]["openai"]["ca_file"] = name
    checked = check(document, tmp_path / "config.toml", {home: str(tmp_path)})
    assert checked.endpoints["openai"].ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("::1", False),
        ("localhost", False),
        ("llm.localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("192.168.1.2", True),
        ("llm.example.com", True),
    ],
)
def test_an_address_that_others_reach_is_warned_of(host: str, warned: bool) -> None:
    document = tomllib.loads(WHOLE)
    document["server"]["host"] = host
    warnings = check(document, PATH, {}).warnings
    assert [warning.key for warning in warnings] == ["server.host"] * warned
    assert all("403" in warning.message and "allow_remote" in warning.message for warning in warnings)


def test_secrets_are_masked_in_the_repr() -> None:
    shown = repr(check(tomllib.loads(WHOLE.replace('"key"', '"hunter2"')), PATH, {}))
    assert "hunter2" not in shown
    assert "ApiKey(key=***)" in shown
