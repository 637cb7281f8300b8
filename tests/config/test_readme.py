"""Every TOML example of the original's README loads, and gives what the README says.

Where an example is a fragment, what it leaves out is added: the endpoint of its models, or a model.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hydrallm.config.load import load
from hydrallm.endpoints.base import ApiKey, AwsKeys
from hydrallm.formats.base import ApiType

if TYPE_CHECKING:
    from hydrallm.config.settings import Settings

README = (Path(__file__).parents[1] / "golden" / "seed-readme.md").read_text("utf-8")
EXAMPLES = re.findall(r"```toml\n(.*?)```", README, flags=re.DOTALL)
MINIMAL, FALLBACK, OPENAI, ANTHROPIC, BEDROCK, FULL = range(6)

ENVIRON = {
    "OPENAI_API_KEY": "sk-openai",
    "ANTHROPIC_API_KEY": "sk-ant",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "secret",
}
AZURE = '[endpoints.azure]\nurl = "https://r.openai.azure.com/openai/v1"\n'
A_MODEL = '[[models]]\nendpoint = "openai"\nmodel = "gpt-4o"\n'


@pytest.fixture
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Load the example whose number is the parameter, completed with the text beside it."""
    number, rest = request.param
    path = tmp_path / "config.toml"
    path.write_text(f"{EXAMPLES[number]}\n{rest}", "utf-8")
    path.chmod(0o600)
    return load(path, ENVIRON)


def example(number: int, rest: str = "") -> pytest.MarkDecorator:
    return pytest.mark.parametrize("settings", [(number, rest)], indirect=True)


def test_there_are_as_many_examples_as_tests_here() -> None:
    assert len(EXAMPLES) == len(range(MINIMAL, FULL + 1))


@example(MINIMAL)
def test_minimal(settings: Settings) -> None:
    (model,) = settings.models
    assert (model.endpoint, model.type, model.model) == ("openai", ApiType.OPENAI, "gpt-4o")
    assert model.candidate.attempts == 3
    endpoint = settings.endpoints["openai"].endpoint
    assert (endpoint.url.scheme, endpoint.url.authority, endpoint.url.path) == ("https", b"api.openai.com", b"/v1")
    assert isinstance(endpoint.credential, ApiKey)
    assert endpoint.credential.key.reveal() == "sk-openai"
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8080)
    assert settings.warnings == ()


@example(FALLBACK, f'[endpoints.openai]\nurl = "https://api.openai.com/v1"\n{AZURE}')
def test_model_fallback(settings: Settings) -> None:
    assert [(model.endpoint, model.model, model.candidate.attempts) for model in settings.models] == [
        ("openai", "gpt-4o", 3),
        ("azure", "gpt-4o", 2),
    ]
    assert {model.type for model in settings.models} == {ApiType.OPENAI}


@example(OPENAI, A_MODEL)
def test_api_type_openai_is_the_default(settings: Settings) -> None:
    assert settings.models[0].type is ApiType.OPENAI


@example(ANTHROPIC)
def test_api_type_anthropic(settings: Settings) -> None:
    (model,) = settings.models
    assert (model.type, model.model) == (ApiType.ANTHROPIC, "claude-3-5-sonnet-20241022")
    endpoint = settings.endpoints["anthropic"].endpoint
    assert (endpoint.url.authority, endpoint.url.path) == (b"api.anthropic.com", b"/v1")
    assert isinstance(endpoint.credential, ApiKey)


@example(BEDROCK)
def test_api_type_bedrock(settings: Settings) -> None:
    (model,) = settings.models
    assert (model.type, model.model) == (ApiType.BEDROCK, "anthropic.claude-3-sonnet-20240229-v1:0")
    credential = settings.endpoints["bedrock"].endpoint.credential
    assert isinstance(credential, AwsKeys)
    assert (credential.access_key_id, credential.secret_access_key.reveal()) == ("AKIA", "secret")
    assert credential.region == "us-east-1"
    assert credential.session_token is None  # the variable is unset, and nothing literal takes its place


@example(FULL, '[endpoints.openai]\nurl = "https://api.openai.com/v1"')
def test_full_options(settings: Settings) -> None:
    server, log, retry = settings.server, settings.log, settings.retry
    assert (server.host, server.port, server.read_timeout, server.write_timeout) == ("127.0.0.1", 8080, 60.0, 600.0)
    assert (log.level, log.include_error_body) == ("info", False)
    assert (retry.max_cycles, retry.exponential_backoff) == (10, False)
    (model,) = settings.models
    assert (model.candidate.attempts, model.candidate.interval, model.candidate.clocks.total) == (3, 0.2, 30.0)


@example(FALLBACK, f'[endpoints.openai]\nurl = "https://api.openai.com/v1"\n{AZURE}')
def test_the_options_shown_in_full_are_the_defaults(settings: Settings) -> None:
    full = EXAMPLES[FULL]
    assert f'host = "{settings.server.host}"\nport = {settings.server.port}\n' in full
    assert (settings.server.read_timeout, settings.server.write_timeout) == (60.0, 600.0)
    assert (settings.log.level, settings.log.include_error_body) == ("info", False)
    assert (settings.retry.max_cycles, settings.retry.exponential_backoff) == (10, False)
    assert [model.candidate.clocks.total for model in settings.models] == [30.0, 30.0]
    assert [model.candidate.interval for model in settings.models] == [0.1, 0.1]
