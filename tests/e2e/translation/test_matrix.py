"""Every client, every model's API, plain and streamed, every scene: what the client's SDK hears is what was said.

A *cell* is one question of one SDK to a model of one API. What its answer must be is said by tables: of the tests of
the formats (what each scene means, in which words an API says that it stopped, what is dropped), and of ``scenes.py``
(what cannot be served, and why). Some cells are in the suite; all others have the marker ``matrix``: ``make matrix``.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pydantic
import pytest
from botocore.exceptions import ClientError
from tests.e2e.test_signature import recomputed
from tests.e2e.translation.conftest import AWS, MODELS, REQUEST_IDS, spoken, streaming
from tests.e2e.translation.scenes import FORMATS, OPENAI, SCENES, TURN, left_out, unserved
from tests.e2e.translation.sdks import SECRETS
from tests.formats.translation.conftest import check_request
from tests.formats.translation.requests.conftest import told
from tests.formats.translation.requests.test_requests import MEANT, meant
from tests.formats.translation.test_answers import expected

if TYPE_CHECKING:
    from tests.e2e.translation.conftest import Stage

    from hydrallm.faults.provider import Received

pytestmark = pytest.mark.asyncio(loop_scope="session")

Cell = tuple[str, str, str]

CELLS: list[Cell] = [(scene, client, model) for scene in SCENES for client in SCENES[scene].bodies for model in FORMATS]
IN_SUITE = {
    *((scene, client, model) for scene in ("two tools", "thinking and a tool") for client, model in (
        ("chat", "messages"), ("responses", "converse"), ("messages", "chat"), ("invoke", "responses"),
        ("converse", "invoke"), ("messages", "messages"),
    )),
    ("sampling", "chat", "messages"),
    ("image", "messages", "converse"),
    ("structured output", "converse", "responses"),
    ("structured output", "chat", "messages"),
    ("structured output", "messages", "chat"),
    ("cached usage", "chat", "converse"),
    ("refusal", "responses", "invoke"),
    ("five stops", "messages", "chat"),
    ("image of the web", "chat", "converse"),
    ("two answers", "chat", "messages"),
}  # fmt: skip
"""One way through every reader, writer and composer at least."""

REFUSED = (openai.BadRequestError, anthropic.BadRequestError, ClientError)
OF_THE_CLIENTS_API = ("x-stainless-", "anthropic-", "openai-", "amz-sdk-", "x-amzn-", "x-api-key")


def cells(chosen: list[Cell]) -> pytest.MarkDecorator:
    """Run a test for some cells; those that are not in the suite have the marker ``matrix``."""
    marked = [
        pytest.param(*cell, marks=[] if cell in IN_SUITE else [pytest.mark.matrix], id="-".join(cell))
        for cell in chosen
    ]
    return pytest.mark.parametrize(("scene", "client", "model"), marked)


STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])


def check_asked(received: Received, cell: Cell, url: str, *, streamed: bool) -> None:
    """Check what has arrived at the provider: that it is legal there, and asks what the client has asked."""
    scene, client, model = cell
    assert (spoken(received), streaming(received)) == (model, streamed)
    sent = json.loads(received.body)
    names = {name.decode(): value.decode() for name, value in received.headers}
    if client == model:
        assert sent.get("model", MODELS[model][1]) == MODELS[model][1]
    else:
        sent = check_request(model, received.body)
        foreign = [name for name in names if name.startswith(OF_THE_CLIENTS_API)]
        assert set(foreign) == ({"anthropic-version", "x-api-key"} if model == "messages" else set())
    if scene in MEANT:
        assert told(model, sent) == (told(client, SCENES[scene].bodies[client]) if client == model else meant(cell))
    shown = repr((received.headers, received.target))
    assert not [secret for secret in SECRETS if secret in shown]
    if model in AWS:
        recomputed(received, url)


@STREAMED
@cells([cell for cell in CELLS if not unserved(*cell)])
async def test_a_cell(scene: str, client: str, model: str, streamed: bool, stage: Stage) -> None:
    answer = SCENES[scene].answer
    stage.play(answer)
    heard = await stage.ask(client, f"to-{model}", SCENES[scene].bodies[client], streamed=streamed)
    assert heard.view == expected(answer, client)
    (received,) = stage.provider.received
    check_asked(received, (scene, client, model), stage.provider.url, streamed=streamed)
    dropped = heard.headers.get("x-hydrallm-dropped")
    assert set(dropped.split(", ") if dropped else ()) == left_out(scene, client, model)
    assert heard.headers["x-hydrallm-model"] == MODELS[model][1]
    assert heard.headers[REQUEST_IDS[client]] == "upstream-1"


@STREAMED
@cells([cell for cell in CELLS if cell[1] == "invoke" and not unserved(*cell)])
async def test_a_cell_with_boto3_s_invoke_model(
    scene: str, client: str, model: str, streamed: bool, stage: Stage
) -> None:
    answer = SCENES[scene].answer
    stage.play(answer)
    body = SCENES[scene].bodies[client]
    heard = await stage.ask("invoke by boto3", f"to-{model}", body, streamed=streamed)
    assert heard.view == expected(answer, client)
    (received,) = stage.provider.received
    check_asked(received, (scene, client, model), stage.provider.url, streamed=streamed)


@STREAMED
@cells([cell for cell in CELLS if unserved(*cell)])
async def test_what_cannot_be_served_is_refused_with_the_reason(
    scene: str, client: str, model: str, streamed: bool, stage: Stage
) -> None:
    stage.play(SCENES[scene].answer)
    with pytest.raises(REFUSED) as caught:
        await stage.ask(client, f"to-{model}", SCENES[scene].bodies[client], streamed=streamed)
    check_refused(caught.value, {model: unserved(scene, client, model)})
    assert stage.provider.received == []


@cells([cell for cell in CELLS if left_out(*cell) and not unserved(*cell)])
async def test_a_strict_chain_drops_nothing(scene: str, client: str, model: str, stage: Stage) -> None:
    stage.play(SCENES[scene].answer)
    with pytest.raises(REFUSED) as caught:
        await stage.ask(client, f"strictly-{model}", SCENES[scene].bodies[client])
    check_refused(caught.value, {model: ""})
    assert all(name in str(caught.value) for name in left_out(scene, client, model))
    assert stage.provider.received == []


def check_refused(error: BaseException, models: dict[str, str]) -> None:
    """Check that an error is a 400 that names each model and why it was not asked."""
    if isinstance(error, ClientError):
        assert error.response["Error"]["Code"] == "ValidationException"
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    for name, why in models.items():
        assert f"{'/'.join(MODELS[name])}: {why}" in str(error)


@pytest.mark.parametrize("client", ["messages", "invoke", "converse"])
async def test_the_next_model_serves_what_the_first_ones_cannot(client: str, stage: Stage) -> None:
    stage.play("text")
    heard = await stage.ask(client, "to-openai-first", SCENES["five stops"].bodies[client], streamed=True)
    assert heard.view == expected("text", client)
    assert [spoken(received) for received in stage.provider.received] == ["messages"]


@pytest.mark.parametrize("client", ["messages", "invoke", "converse"])
async def test_all_who_were_not_asked_are_listed(client: str, stage: Stage) -> None:
    stage.play("text")
    with pytest.raises(REFUSED) as caught:
        await stage.ask(client, "to-openai", SCENES["five stops"].bodies[client])
    check_refused(caught.value, {name: unserved("five stops", client, name) for name in OPENAI})
    assert stage.provider.received == []


class Place(pydantic.BaseModel):
    city: str


def parsed(client: str, model: str, stage: Stage) -> Any:  # noqa: ANN401 - what the SDK made of it
    """Return what an SDK's ``parse`` makes of an answer by a schema."""
    turn: list[Any] = list(TURN)
    sdk: Any = stage.sdks.bedrock if client == "invoke" else stage.sdks.anthropic
    match client:
        case "chat":
            completion = stage.sdks.openai.chat.completions.parse(model=model, messages=turn, response_format=Place)
            return completion.choices[0].message.parsed
        case "responses":
            return stage.sdks.openai.responses.parse(model=model, input="hi", text_format=Place).output_parsed
        case _:
            return sdk.messages.parse(model=model, max_tokens=99, messages=turn, output_format=Place).parsed_output


@cells([("structured output", client, model) for client in FORMATS if client != "converse" for model in FORMATS])
async def test_an_sdk_parses_an_answer_into_its_type(scene: str, client: str, model: str, stage: Stage) -> None:
    stage.play(scene)
    assert await asyncio.to_thread(parsed, client, f"to-{model}", stage) == Place(city="Oslo")
    (received,) = stage.provider.received
    schema = told(model, json.loads(received.body))["schema"]
    assert schema["properties"] == {"city": {"title": "City", "type": "string"}}
    assert schema["required"] == ["city"]
