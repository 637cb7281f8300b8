"""A client's key is for its own provider: never is it shown to one of another API type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.translation.scenes import FORMATS, SCENES
from tests.e2e.translation.sdks import SECRETS
from tests.formats.translation.test_answers import expected

if TYPE_CHECKING:
    from tests.e2e.translation.conftest import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

OF_TYPE = {"chat": "openai", "responses": "openai", "messages": "anthropic", "invoke": "bedrock", "converse": "bedrock"}
CREDENTIALS = {"authorization", "x-api-key", "api-key", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256"}

OWN = {
    "openai": ("authorization", "Bearer openai-key"),
    "anthropic": ("x-api-key", "anthropic-key"),
    "bedrock": ("authorization", "AWS4-HMAC-SHA256 Credential=AKIDUPSTREAM/"),
}
"""The header by which each endpoint of the config shows its key, and what it begins with."""


@pytest.mark.parametrize("api_type", ["openai", "anthropic"])
@pytest.mark.parametrize("client", FORMATS)
async def test_an_endpoint_without_a_key_sees_that_of_its_own_clients_only(
    client: str, api_type: str, stage: Stage
) -> None:
    stage.play("text")
    heard = await stage.ask(client, f"only/keyless-{api_type}", SCENES["text"].bodies[client])
    assert heard.view == expected("text", client)
    (received,) = stage.provider.received
    shown = {name.decode(): value.decode() for name, value in received.headers if name.decode() in CREDENTIALS}
    if OF_TYPE[client] == api_type:
        assert list(shown.values()) in (["client-key"], ["Bearer client-key"])
    else:
        assert shown == {}
        assert not [secret for secret in SECRETS if secret in repr(received.headers)]


@pytest.mark.parametrize("model", FORMATS)
async def test_an_endpoint_s_own_key_takes_the_place_of_the_client_s(model: str, stage: Stage) -> None:
    stage.play("text")
    await stage.ask("chat", f"to-{model}", SCENES["text"].bodies["chat"])
    (received,) = stage.provider.received
    name, value = OWN[OF_TYPE[model]]
    headers = {name.decode(): value.decode() for name, value in received.headers}
    assert headers[name].startswith(value)
    assert not [secret for secret in SECRETS if secret in repr(received.headers)]
