from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from hydrallm.config.check import check
from hydrallm.errors import ConfigError

FORM = """
[endpoints.e]
url = "https://e.example"
api_key = "-"
type = "{endpoint_type}"
api = "{endpoint_api}"
[[models]]
endpoint = "e"
model = "m"
type = "{type}"
api = "{api}"
"""


def asked_in(endpoint_type: str, endpoint_api: str, kind: str, api: str) -> str:
    """Return the API that a model is asked in; empty keys are as good as none."""
    text = FORM.format(endpoint_type=endpoint_type, endpoint_api=endpoint_api, type=kind, api=api)
    return check(tomllib.loads(text), Path("config.toml"), {}).models[0].api


@pytest.mark.parametrize(
    ("endpoint_type", "endpoint_api", "kind", "api", "wanted"),
    [
        ("", "", "", "", ""),
        ("", "chat", "", "", "chat"),
        ("", "", "", "responses", "responses"),
        ("", "chat", "", "responses", "responses"),
        ("openai", "responses", "openai", "chat", "chat"),
        ("anthropic", "", "", "", ""),
        ("bedrock", "converse", "", "", "converse"),
        ("bedrock", "converse", "", "invoke", "invoke"),
        ("", "converse", "bedrock", "", "converse"),
        ("bedrock", "invoke", "anthropic", "", ""),  # an endpoint's does not concern models of other types
        ("bedrock", "invoke", "openai", "", ""),
        ("bedrock", "invoke", "openai", "chat", "chat"),
    ],
)
def test_the_model_comes_before_its_endpoint(
    endpoint_type: str, endpoint_api: str, kind: str, api: str, wanted: str
) -> None:
    assert asked_in(endpoint_type, endpoint_api, kind, api) == wanted


@pytest.mark.parametrize(
    ("endpoint_type", "endpoint_api", "kind", "api", "key"),
    [
        ("", "", "", "converse", "models[1].api"),
        ("", "", "anthropic", "chat", "models[1].api"),
        ("bedrock", "", "", "responses", "models[1].api"),
        ("anthropic", "", "bedrock", "chat", "models[1].api"),
        ("", "invoke", "", "", "endpoints.e.api"),
        ("", "invoke", "anthropic", "", "endpoints.e.api"),
        ("anthropic", "invoke", "bedrock", "", "endpoints.e.api"),  # the endpoint's own type is what it is said for
        ("openai", "invoke", "", "chat", "endpoints.e.api"),
    ],
)
def test_an_api_that_its_type_does_not_have(
    endpoint_type: str, endpoint_api: str, kind: str, api: str, key: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        asked_in(endpoint_type, endpoint_api, kind, api)
    (problem,) = caught.value.problems
    assert str(problem).startswith(f"config.toml: {key}: ")
