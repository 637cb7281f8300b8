"""What is only found out by asking: the same model is asked once more, in other words, and the client never knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.e2e.translation.conftest import canned, spoken, streaming
from tests.e2e.translation.scenes import SCENES
from tests.formats.translation.test_answers import expected

from hydrallm.faults.script import Fail

if TYPE_CHECKING:
    from tests.e2e.translation.conftest import Stage

    from hydrallm.faults.provider import Received
    from hydrallm.faults.script import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
BAD_SEAL = "messages.1.content.0: Invalid `signature` in `thinking` block"
SEAL = b"c2ln"


@pytest.mark.parametrize("status", [404, 405])
async def test_an_endpoint_without_responses_is_asked_in_chat_from_then_on(status: int, stage: Stage) -> None:
    def reply(received: Received) -> Reply:
        if spoken(received) == "responses":
            return Fail(status=status, body='{"detail":"there is no such path"}')
        return canned("text", spoken(received), streamed=streaming(received))

    stage.provider.play(reply)
    for streamed in (False, True, False):
        heard = await stage.ask(
            "responses", f"only/without-responses-{status}", SCENES["text"].bodies["responses"], streamed=streamed
        )
        assert heard.view == expected("text", "responses")
    assert [spoken(received) for received in stage.provider.received] == ["responses", "chat", "chat", "chat"]


def refuses_seals(received: Received) -> Reply:
    """Return the reply of a model that knows no seal again."""
    if SEAL in received.body:
        return Fail(status=400, type="invalid_request_error", message=BAD_SEAL)
    return canned("text", spoken(received), streamed=streaming(received))


@STREAMED
@pytest.mark.parametrize(
    ("client", "model"),
    [("messages", "messages"), ("messages", "converse"), ("invoke", "messages"), ("converse", "converse")],
)
async def test_thoughts_that_are_refused_are_left_out(client: str, model: str, streamed: bool, stage: Stage) -> None:
    body: dict[str, Any] = SCENES["thoughts of before"].bodies[client]
    stage.provider.play(refuses_seals)
    heard = await stage.ask(client, f"to-{model}", body, streamed=streamed)
    assert heard.view == expected("text", client)
    first, second = stage.provider.received
    assert (spoken(first), spoken(second)) == (model, model)
    assert SEAL in first.body
    assert b"again" in second.body
