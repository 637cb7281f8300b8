from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from hydrallm.app import DIALECTS
from hydrallm.endpoints.anthropic import Anthropic
from hydrallm.endpoints.base import BaseURL, Endpoint
from hydrallm.endpoints.openai import OpenAI
from hydrallm.exchange.chain import Model
from hydrallm.exchange.dialect import Dialects, Found, Speech
from hydrallm.exchange.health import Share, Witness, joint_report, model_health, report
from hydrallm.formats.canonical import Target
from hydrallm.formats.facts import Facts
from hydrallm.http.client import Client
from hydrallm.http.dial import Route
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.kinds import RULES, Kind
from hydrallm.policy.plan import Candidate, Clocks

if TYPE_CHECKING:
    from hydrallm.endpoints.base import Api

URL = BaseURL("http", "127.0.0.1", 9, b"", b"127.0.0.1:9")
CANDIDATE = Candidate(1, 0.0, Clocks(1.0, 1.0, 1.0, 1.0))


def model(endpoint: str, name: str, api: Api, identity: str = "") -> Model:
    client = Client(Route("127.0.0.1", 9, b"127.0.0.1:9", None, None))
    speech = Speech(Dialects(DIALECTS), api.api_type, name, "", Found(lambda: 0.0))
    target = Target(name, Facts())
    return Model(target, Endpoint(endpoint, URL), api, speech, client, CANDIDATE, Breaker(), identity=identity)


@pytest.fixture
async def models() -> list[Model]:
    return [model("one", "gpt-5.5", OpenAI()), model("two", "claude-sonnet-5-5", Anthropic(), "small")]


def told(models: list[Model], at: float) -> dict[str, Any]:
    """Return the report as a reader of its JSON sees it."""
    read = json.loads(msgspec.json.encode(report("1.2.3", "127.0.0.1:8080", models, at)))
    assert isinstance(read, dict)
    return read


def fail(one: Model, kind: Kind, at: float, times: int = 1, *, probe: bool = False) -> None:
    for _ in range(times):
        one.breaker.failed(kind, RULES[kind], at, probe=probe, began=at)


async def test_all_is_well(models: list[Model]) -> None:
    assert told(models, 50.0) == {
        "status": "ok",
        "version": "1.2.3",
        "listener": "127.0.0.1:8080",
        "models": [
            {
                "id": "one/gpt-5.5",
                "endpoint": "one",
                "model": "gpt-5.5",
                "type": "openai",
                "state": "closed",
                "cause": None,
                "retry_in": 0.0,
            },
            {
                "id": "small",
                "endpoint": "two",
                "model": "claude-sonnet-5-5",
                "type": "anthropic",
                "state": "closed",
                "cause": None,
                "retry_in": 0.0,
            },
        ],
    }


async def test_one_failure_is_no_state(models: list[Model]) -> None:
    fail(models[0], Kind.SERVER, 50.0)
    now = told(models, 50.0)
    assert now["status"] == "ok"
    assert (now["models"][0]["state"], now["models"][0]["cause"]) == ("closed", None)


async def test_a_model_goes_from_open_to_half_open_to_closed(models: list[Model]) -> None:
    seen = []

    def look(at: float) -> None:
        now = told(models, at)
        one = now["models"][0]
        seen.append((now["status"], one["state"], one["cause"], one["retry_in"]))
        assert now["models"][1]["state"] == "closed"

    fail(models[0], Kind.OVERLOADED, 50.0, times=5)
    look(50.0)
    look(52.56)
    look(55.0)
    look(70.0)
    models[0].breaker.begin(70.0)
    look(70.0)
    models[0].breaker.passed(71.0, began=70.0)
    look(71.0)
    assert seen == [
        ("degraded", "open", "overloaded", 5.0),
        ("degraded", "open", "overloaded", 2.4),
        ("degraded", "open", "overloaded", 0.0),
        ("degraded", "open", "overloaded", 0.0),
        ("degraded", "half_open", "overloaded", 0.0),
        ("ok", "closed", None, 0.0),
    ]


async def test_a_model_that_cools_says_until_when(models: list[Model]) -> None:
    fail(models[1], Kind.RATE_LIMITED, 50.0)
    models[1].breaker.cool(80.0, Kind.RATE_LIMITED)
    assert told(models, 60.0)["status"] == "degraded"
    one = told(models, 60.0)["models"][1]
    assert (one["state"], one["cause"], one["retry_in"]) == ("cooling", "rate_limited", 20.0)
    assert told(models, 80.0)["status"] == "ok"


async def test_an_open_model_that_cools_for_longer_is_asked_when_it_has_cooled(models: list[Model]) -> None:
    fail(models[0], Kind.RATE_LIMITED, 50.0, times=5)
    models[0].breaker.cool(80.0, Kind.RATE_LIMITED)
    one = told(models, 60.0)["models"][0]
    assert (one["state"], one["cause"], one["retry_in"]) == ("open", "rate_limited", 20.0)


def witness(number: int, models: list[Model] | None, at: float, state: str = "ready") -> Witness:
    share = None if models is None else Share(1.26, 7, 3, model_health(models, at))
    return Witness(number, 0 if state == "dead" else 100 + number, state, share)


def jointly(*witnesses: Witness) -> dict[str, Any]:
    read = json.loads(msgspec.json.encode(joint_report("1.2.3", "127.0.0.1:8080", witnesses)))
    assert isinstance(read, dict)
    return read


@pytest.fixture
async def others() -> list[Model]:
    return [model("one", "gpt-5.5", OpenAI()), model("two", "claude-sonnet-5-5", Anthropic(), "small")]


async def test_of_several_processes_the_worst_is_told_and_how_many_know_what(
    models: list[Model], others: list[Model]
) -> None:
    fail(models[0], Kind.OVERLOADED, 50.0, times=5)
    others[0].breaker.cool(90.0, Kind.RATE_LIMITED)
    now = jointly(witness(1, others, 51.0), witness(2, models, 51.0), witness(3, others, 51.0))
    assert now["status"] == "degraded"
    assert now["models"][0] == {
        "id": "one/gpt-5.5",
        "endpoint": "one",
        "model": "gpt-5.5",
        "type": "openai",
        "state": "open",
        "cause": "overloaded",
        "retry_in": 4.0,
        "states": {"cooling": 2, "open": 1},
    }
    assert (now["models"][1]["state"], now["models"][1]["states"]) == ("closed", {"closed": 3})


async def test_of_two_that_are_as_bad_the_one_that_lasts_longer_is_told(
    models: list[Model], others: list[Model]
) -> None:
    fail(models[0], Kind.OVERLOADED, 50.0, times=5)
    fail(others[0], Kind.SERVER, 52.0, times=5)
    told = jointly(witness(1, models, 53.0), witness(2, others, 53.0))["models"][0]
    assert (told["cause"], told["retry_in"]) == ("server", 4.0)


async def test_a_gateway_is_down_only_if_no_process_has_a_model_left(models: list[Model], others: list[Model]) -> None:
    for one in models:
        fail(one, Kind.OVERLOADED, 50.0, times=5)
    assert jointly(witness(1, models, 51.0), witness(2, others, 51.0))["status"] == "degraded"
    assert jointly(witness(1, models, 51.0), witness(2, None, 51.0, "dead"))["status"] == "down"
    assert jointly(witness(1, others, 51.0), witness(2, others, 51.0))["status"] == "ok"


async def test_processes_that_tell_nothing_are_told_of(models: list[Model]) -> None:
    now = jointly(witness(1, models, 50.0), witness(2, None, 50.0, "silent"), witness(3, None, 50.0, "dead"))
    assert now["status"] == "degraded"
    assert now["workers"] == [
        {"worker": 1, "pid": 101, "state": "ready", "uptime": 1.3, "exchanges": 7, "connections": 3},
        {"worker": 2, "pid": 102, "state": "silent"},
        {"worker": 3, "pid": None, "state": "dead"},
    ]
