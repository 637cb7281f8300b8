"""A config composed from the keys that are in the environment.

It refers to the variables and never holds their values. The providers come in the order of the table below. Their API
types may differ: what a client asks is translated for a model that is asked in another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from hydrallm.credentials import aws
from hydrallm.credentials.environment import lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_REGION = "us-east-1"


class Provider(msgspec.Struct, frozen=True):
    """A provider that can be set up from the environment alone.

    Attributes:
        name: the name of its endpoint.
        variables: the variables that must all be set.
        keys: the keys of its ``[endpoints.NAME]``, in TOML; ``{region}`` is the AWS region.
        type: the API type of its models.
        models: their names, and how often each is tried.
    """

    name: str
    variables: tuple[str, ...]
    keys: tuple[str, ...]
    type: str
    models: tuple[tuple[str, int], ...]


_BEDROCK_URL = 'url = "https://bedrock-runtime.{region}.amazonaws.com"'
_BEDROCK_MODELS = (("global.anthropic.claude-sonnet-5-5", 2),)

PROVIDERS = (
    Provider(
        "openai",
        ("OPENAI_API_KEY",),
        ('url = "https://api.openai.com/v1"', 'api_key = "$OPENAI_API_KEY"'),
        "openai",
        (("gpt-5.5", 3), ("gpt-5.4-mini", 2)),
    ),
    Provider(
        "zai",
        ("ZAI_API_KEY",),
        (
            'url = "https://api.z.ai/api/coding/paas/v4"',
            'api_key = "$ZAI_API_KEY"',
            "strip_version_prefix = true",
        ),
        "openai",
        (("glm-5", 3), ("glm-4.7", 2)),
    ),
    Provider(
        "openrouter",
        ("OPENROUTER_API_KEY",),
        ('url = "https://openrouter.ai/api/v1"', 'api_key = "$OPENROUTER_API_KEY"'),
        "openai",
        (("openrouter/auto", 2),),
    ),
    Provider(
        "anthropic",
        ("ANTHROPIC_API_KEY",),
        ('url = "https://api.anthropic.com/v1"', 'api_key = "$ANTHROPIC_API_KEY"'),
        "anthropic",
        (("claude-sonnet-5-5", 3), ("claude-haiku-5-5", 2)),
    ),
    Provider(
        "zai-anthropic",
        ("ZAI_API_KEY",),
        ('url = "https://api.z.ai/api/anthropic"', 'api_key = "$ZAI_API_KEY"'),
        "anthropic",
        (("glm-5", 3), ("glm-4.7", 2)),
    ),
    Provider(
        "bedrock",
        (aws.ACCESS_KEY_ID, aws.SECRET_ACCESS_KEY),
        (
            _BEDROCK_URL,
            'aws_region = "{region}"',
            f'aws_access_key_id = "${aws.ACCESS_KEY_ID}"',
            f'aws_secret_access_key = "${aws.SECRET_ACCESS_KEY}"',
            f'aws_session_token = "${aws.SESSION_TOKEN}"  # may be unset',
        ),
        "bedrock",
        _BEDROCK_MODELS,
    ),
    Provider(
        "bedrock",
        (aws.BEARER_TOKEN,),
        (_BEDROCK_URL, f'api_key = "${aws.BEARER_TOKEN}"'),
        "bedrock",
        _BEDROCK_MODELS,
    ),
)


_RETRY = """\
[retry]
default_timeout = "5m"      # of one non-streaming attempt; half of the deadline, so that another may follow
exponential_backoff = true  # or all attempts are over in seconds, and an outage is not"""


def compose(environ: Mapping[str, str]) -> str | None:
    """Return a config with every provider whose key is in ``environ``, or None if there is none."""
    found: dict[str, Provider] = {}
    for provider in PROVIDERS:
        if all(lookup(name, environ) for name in provider.variables):
            found.setdefault(provider.name, provider)  # AWS keys come before a Bedrock API key
    if not found:
        return None
    region = aws.region(environ) or DEFAULT_REGION
    variables = dict.fromkeys(name for provider in found.values() for name in provider.variables)
    parts = [
        f"# Composed by `hydrallm init` from {', '.join(variables)}",
        _RETRY,
    ]
    parts += [_endpoint(provider, region) for provider in found.values()]
    parts.append("# Tried in this order, whichever API the client speaks.")
    parts += [_model(provider, *model) for provider in found.values() for model in provider.models]
    return "\n\n".join(parts) + "\n"


def _endpoint(provider: Provider, region: str) -> str:
    keys = "\n".join(provider.keys).replace("{region}", region)
    return f"[endpoints.{provider.name}]\n{keys}"


def _model(provider: Provider, name: str, attempts: int) -> str:
    return (
        f'[[models]]\nendpoint = "{provider.name}"\ntype = "{provider.type}"\nmodel = "{name}"\nattempts = {attempts}'
    )
