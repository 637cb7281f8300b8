"""How many tokens a request has: told by the model's API where it can, and estimated, with a mark, where it cannot."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.validate import ParamValidator
from tests.e2e.test_signature import recomputed
from tests.e2e.translation.conftest import AWS, MODELS
from tests.e2e.translation.scenes import SCENES
from tests.formats.translation.conftest import SERVICE, params

from hydrallm.faults.script import Fail

if TYPE_CHECKING:
    from tests.e2e.translation.conftest import Stage

    from hydrallm.faults.provider import Received
    from hydrallm.faults.script import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNT = SERVICE.operation_model("CountTokens")
ANSWERS = {
    "/v1/messages/count_tokens": {"input_tokens": 42},
    "/v1/responses/input_tokens": {"object": "response.input_tokens", "input_tokens": 42},
    "/count-tokens": {"inputTokens": 42},
}
"""By how the paths end with which the APIs are asked."""


def told(received: Received) -> Reply:
    """Return what a provider that counts answers."""
    found = [answer for end, answer in ANSWERS.items() if received.path.endswith(end)]
    return Fail(status=200, body=json.dumps(found[0])) if found else Fail(status=404)


def count(stage: Stage, model: str) -> tuple[int, bool]:
    """Return what Anthropic's SDK is told, and whether that is an estimate."""
    body: dict[str, Any] = {name: SCENES["two tools"].bodies["messages"][name] for name in ("messages", "tools")}
    raw = stage.sdks.anthropic.messages.with_raw_response.count_tokens(model=model, **body)
    return raw.parse().input_tokens, raw.headers.get("x-hydrallm-estimated") == "true"


@pytest.mark.parametrize("model", ["messages", "invoke", "converse", "responses"])
async def test_a_model_that_can_count_is_asked(model: str, stage: Stage) -> None:
    stage.provider.play(told)
    assert await asyncio.to_thread(count, stage, f"to-{model}") == (42, False)
    (received,) = stage.provider.received
    if model in AWS:
        recomputed(received, stage.provider.url)
        said = {"modelId": MODELS[model][1], **params(COUNT.input_shape, json.loads(received.body))}
        report = ParamValidator().validate(said, COUNT.input_shape)
        assert not report.has_errors(), report.generate_report()
    else:
        assert json.loads(received.body)["model"] == MODELS[model][1]


async def test_chat_has_no_such_question(stage: Stage) -> None:
    stage.provider.play(told)
    tokens, estimated = await asyncio.to_thread(count, stage, "to-chat")
    assert (50 < tokens < 1500, estimated) == (True, True)
    assert stage.provider.received == []


async def test_what_nobody_tells_is_estimated(stage: Stage) -> None:
    found = []
    for reply in (Fail(status=503), Fail(status=200, body="{}"), Fail(status=404), Fail(status=503)):
        stage.fail(reply)
        tokens, estimated = await asyncio.to_thread(count, stage, "only/keyless-anthropic")
        assert (50 < tokens < 1500, estimated) == (True, True)
        found.append(len(stage.provider.received))
    assert found == [1, 1, 1, 0], "what has no such path is not asked again"


async def test_the_next_model_counts_where_the_first_cannot(stage: Stage) -> None:
    stage.provider.play(told)
    assert await asyncio.to_thread(count, stage, "to-openai-first") == (42, False)
