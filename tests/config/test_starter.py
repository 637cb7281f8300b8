from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hydrallm.config import starter
from hydrallm.config.load import load
from hydrallm.endpoints.base import AwsKeys

if TYPE_CHECKING:
    from pathlib import Path

AWS = {"AWS_ACCESS_KEY_ID": "AKIAhunter2", "AWS_SECRET_ACCESS_KEY": "hunter2"}
KEYS = dict.fromkeys(("OPENAI_API_KEY", "ZAI_API_KEY", "OPENROUTER_API_KEY", "ANTHROPIC_API_KEY"), "hunter2")


@pytest.mark.parametrize(
    ("environ", "endpoints"),
    [
        ({"OPENAI_API_KEY": "hunter2"}, ["openai"]),
        ({"ANTHROPIC_API_KEY": "hunter2"}, ["anthropic"]),
        ({"ZAI_API_KEY": "hunter2"}, ["zai", "zai-anthropic"]),
        (AWS, ["bedrock"]),
        ({"AWS_BEARER_TOKEN_BEDROCK": "hunter2"}, ["bedrock"]),
        (AWS | {"AWS_BEARER_TOKEN_BEDROCK": "hunter2"}, ["bedrock"]),
        (KEYS | AWS, ["openai", "zai", "openrouter", "anthropic", "zai-anthropic", "bedrock"]),
    ],
)
def test_a_config_of_the_keys_that_are_there(environ: dict[str, str], endpoints: list[str], tmp_path: Path) -> None:
    content = starter.compose(environ)
    assert content is not None
    assert "hunter2" not in content
    path = tmp_path / "config.toml"
    path.write_text(content)
    settings = load(path, environ)
    assert list(settings.endpoints) == endpoints
    assert list(dict.fromkeys(model.endpoint for model in settings.models)) == endpoints
    assert settings.warnings == ()
    assert {model.candidate.clocks.total for model in settings.models} == {300.0}


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": ""}, {"AWS_ACCESS_KEY_ID": "half"}, {"OTHER_KEY": "x"}])
def test_nothing_to_compose(environ: dict[str, str]) -> None:
    assert starter.compose(environ) is None


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({}, "us-east-1"),
        ({"AWS_REGION": "eu-central-1", "AWS_DEFAULT_REGION": "us-west-2"}, "eu-central-1"),
        ({"AWS_DEFAULT_REGION": "us-west-2"}, "us-west-2"),
        ({"AWS_REGION": 'x"\nurl = "http://evil.example'}, "us-east-1"),
    ],
)
def test_the_region_of_bedrock(variables: dict[str, str], region: str, tmp_path: Path) -> None:
    content = starter.compose(AWS | variables)
    assert content is not None
    path = tmp_path / "config.toml"
    path.write_text(content)
    endpoint = load(path, AWS | {"AWS_SESSION_TOKEN": "token"}).endpoints["bedrock"].endpoint
    assert endpoint.url.host == f"bedrock-runtime.{region}.amazonaws.com"
    assert isinstance(endpoint.credential, AwsKeys)
    assert endpoint.credential.region == region
    assert endpoint.credential.session_token is not None
