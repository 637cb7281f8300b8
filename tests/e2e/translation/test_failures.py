"""A model's error as the client's SDK raises it, whatever the API of either. What breaks off never looks complete."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pytest
from botocore.exceptions import ClientError, EventStreamError
from tests.e2e.translation.conftest import REQUEST_IDS, formats_apart, spoken
from tests.e2e.translation.scenes import FAILURES, FORMATS, SCENES
from tests.e2e.translation.sdks import Listener

from hydrallm.faults.script import Cut, Fail, Malformed, Stall, StreamError, numbered

if TYPE_CHECKING:
    from tests.e2e.translation.conftest import Stage

    from hydrallm.faults.script import Cause, Place, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = numbered(8)
MESSAGE = "the provider's own words, by which a person knows it"
APART = formats_apart()
IN_SUITE = {("chat", "messages"), ("messages", "chat"), ("converse", "responses")}

OPENAI: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    429: openai.RateLimitError,
}
ANTHROPIC: dict[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    429: anthropic.RateLimitError,
}
RAISED = (openai.OpenAIError, anthropic.AnthropicError, ClientError)


def pairs(test: Any) -> Any:  # noqa: ANN401 - a decorator
    """Run a test for each client and each model of another API; those not in the suite have the marker ``matrix``."""
    marked = [pytest.param(*pair, marks=[] if pair in IN_SUITE else [pytest.mark.matrix]) for pair in APART]
    return pytest.mark.parametrize(("client", "model"), marked)(test)


def check_raised(error: BaseException, client: str, status: int, name: str) -> None:
    """Check that an error is the one that the client's SDK raises for a status and a name."""
    match error:
        case ClientError():
            assert error.response["Error"]["Code"] == name
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == status
        case openai.APIStatusError():
            assert error.status_code == status
            assert name in {error.code, error.type}
            assert isinstance(error, OPENAI.get(status, openai.InternalServerError))
        case anthropic.APIStatusError():
            assert error.status_code == status
            assert isinstance(error, ANTHROPIC.get(status, anthropic.APIStatusError))
            assert isinstance(error, anthropic.InternalServerError) == (status >= 500)
            if client == "messages":  # AnthropicBedrock goes by the status alone
                assert error.type == name
        case _:
            pytest.fail(f"not an error with a status: {error!r}")


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
@pytest.mark.parametrize("cause", FAILURES)
@pairs
async def test_an_error(client: str, model: str, cause: Cause, streamed: bool, stage: Stage) -> None:
    ours = cause in {"quota", "auth"}  # what is said about our key is not for the client
    stage.fail(Fail(cause=cause, headers={"retry-after": "7", REQUEST_IDS[model]: "upstream-1"}))
    with pytest.raises(RAISED) as caught:
        await stage.ask(client, f"to-{model}", SCENES["text"].bodies[client], streamed=streamed)
    failure = FAILURES[cause]
    check_raised(caught.value, client, *failure.said(client))
    assert failure.words.get(client, "") in str(caught.value)
    assert [spoken(received) for received in stage.provider.received] == [model]
    headers = headers_of(caught.value)
    assert (headers.get(REQUEST_IDS[client]) == "upstream-1") is not ours
    assert headers["retry-after"] == "7"


@pairs
async def test_an_error_keeps_its_message(client: str, model: str, stage: Stage) -> None:
    stage.fail(Fail(cause="client_error", message=MESSAGE))
    with pytest.raises(RAISED, match=MESSAGE):
        await stage.ask(client, f"to-{model}", SCENES["text"].bodies[client])


def headers_of(error: BaseException) -> dict[str, str]:
    """Return the headers of an error's response."""
    if isinstance(error, ClientError):
        headers: dict[str, str] = error.response["ResponseMetadata"]["HTTPHeaders"]
        return headers
    assert isinstance(error, openai.APIStatusError | anthropic.APIStatusError)
    return dict(error.response.headers)


@pytest.mark.parametrize("events", [0, "preamble"], ids=["first event", "before content"])
@pytest.mark.parametrize("cause", ["overloaded", "rate_limited", "server", "context_length"])
@pairs
async def test_an_error_in_a_stream_before_its_content_is_one_with_a_status(
    client: str, model: str, cause: Cause, events: Place, stage: Stage
) -> None:
    stage.fail(StreamError(cause=cause, events=events))
    with pytest.raises(RAISED) as caught:
        await stage.ask(client, f"to-{model}", SCENES["text"].bodies[client], streamed=True)
    check_raised(caught.value, client, *FAILURES[cause].said(client))


BREAKS: dict[str, Reply] = {
    "overloaded": StreamError(cause="overloaded", events="content", text=TEXT, pause=0.005),
    "an error at its end": StreamError(cause="server", events="closing", text=TEXT, pause=0.005),
    "cut": Cut(at="after_events", events="content", text=TEXT, pause=0.005),
    "cut inside an event": Cut(at="inside_event", events="content", text=TEXT, pause=0.005),
    "a clean end without the last event": Cut(at="after_events", events="closing", how="clean", text=TEXT, pause=0.005),
    "what is not JSON": Malformed(events="content", count=2, text=TEXT, pause=0.005),
}


@pytest.mark.parametrize("why", BREAKS)
@pairs
async def test_what_breaks_off_is_raised_and_never_complete(client: str, model: str, why: str, stage: Stage) -> None:
    stage.fail(BREAKS[why])
    listener = Listener()
    with pytest.raises(RAISED) as caught:
        await asyncio.to_thread(listener.listen, stage.sdks, client, f"to-{model}")
    assert listener.text
    assert TEXT.startswith(listener.text)
    assert not listener.ended
    if client == "converse":
        assert isinstance(caught.value, EventStreamError)


@pytest.mark.parametrize(("client", "model"), sorted(IN_SUITE))
async def test_a_stream_is_passed_on_as_it_comes(client: str, model: str, stage: Stage) -> None:
    stage.fail(Stall(events="content", seconds=0.5, text=TEXT))
    begun, loop = asyncio.Event(), asyncio.get_running_loop()
    listener = Listener(lambda: loop.call_soon_threadsafe(begun.set))
    task = asyncio.create_task(asyncio.to_thread(listener.listen, stage.sdks, client, f"to-{model}"))
    await begun.wait()
    assert stage.provider.in_flight == 1, "the first words have waited for the last"
    await task
    assert (listener.text, listener.ended) == (TEXT, True)


async def test_no_format_is_missing() -> None:
    assert {client for client, _ in APART} == {model for _, model in APART} == set(FORMATS)
