from __future__ import annotations

from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hydrallm.app import APIS, DIALECTS
from hydrallm.endpoints.base import BaseURL, Endpoint
from hydrallm.exchange.chain import Chain, Model
from hydrallm.exchange.dialect import Dialects, Found, Speech
from hydrallm.formats.base import ApiType
from hydrallm.formats.canonical import Target
from hydrallm.formats.facts import Facts
from hydrallm.http.client import Client
from hydrallm.http.dial import Route
from hydrallm.policy.breaker import Breaker
from hydrallm.policy.kinds import RULES, UNSAFE_RULES
from hydrallm.policy.plan import Candidate, Clocks, Plan

URL = BaseURL("http", "127.0.0.1", 9, b"", b"127.0.0.1:9")
TEMPLATE = Plan((), max_cycles=7, deadline=99.0, max_wait=3.0, exponential_backoff=True, hold_limit=9.0)


def candidate(attempts: int) -> Candidate:
    return Candidate(attempts, 0.5, Clocks(5.0, 30.0, 120.0, 60.0))


async def model(name: str, api_type: ApiType, attempts: int = 1) -> Model:
    client = Client(Route("127.0.0.1", 9, b"127.0.0.1:9"))
    speech = Speech(Dialects(DIALECTS), api_type, name, "", Found(lambda: 0.0))
    target = Target(name, Facts())
    return Model(target, Endpoint("e", URL), APIS[api_type], speech, client, candidate(attempts), Breaker())


async def test_a_lane_has_the_models_of_one_type_in_the_order_of_the_chain() -> None:
    models = [
        await model("a", ApiType.OPENAI, 1),
        await model("b", ApiType.ANTHROPIC, 2),
        await model("c", ApiType.OPENAI, 3),
    ]
    chain = Chain(models, TEMPLATE)
    lane = chain.lane(ApiType.OPENAI)
    assert lane is not None
    assert [one.name for one in lane.models] == ["a", "c"]
    assert lane.plan == replace(TEMPLATE, candidates=(candidate(1), candidate(3)))
    assert lane.breakers == (models[0].breaker, models[2].breaker)
    assert chain.lane(ApiType.BEDROCK) is None
    assert [one.name for one in chain.whole.models] == ["a", "b", "c"]


async def test_a_chain_of_one_type_is_one_lane_for_all() -> None:
    chain = Chain([await model("a", ApiType.ANTHROPIC)], TEMPLATE)
    lanes = [chain.lane(api_type) for api_type in ApiType]
    assert lanes[0] is not None
    assert lanes == [lanes[0]] * 3


async def test_the_first_lane_is_the_first_models() -> None:
    chain = Chain([await model("a", ApiType.ANTHROPIC), await model("b", ApiType.OPENAI)], TEMPLATE)
    assert chain.first is chain.lane(ApiType.ANTHROPIC)


async def test_a_relay_goes_to_the_first_model_as_often_as_a_generation_would() -> None:
    lane = Chain([await model("a", ApiType.OPENAI, 3), await model("b", ApiType.OPENAI)], TEMPLATE).lane(ApiType.OPENAI)
    assert lane is not None
    assert lane.unsafe == replace(lane.plan, rules=UNSAFE_RULES)
    for plan, rules in ((lane.safe_relay, RULES), (lane.unsafe_relay, UNSAFE_RULES)):
        assert plan == replace(TEMPLATE, candidates=(candidate(3),), rules=rules)


@given(st.text())
async def test_any_name_can_be_told_in_a_header(name: str) -> None:
    utf8 = name.encode("utf-8", "ignore").decode()
    headers = dict((await model(utf8, ApiType.OPENAI)).headers)
    value = headers[b"x-hydrallm-model"]
    assert all(0x21 <= byte <= 0x7E for byte in value)
    if "%" not in utf8:
        assert unquote(value.decode()) == utf8
