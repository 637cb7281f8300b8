"""The list of models: which paths it has, in whose words it is told, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from tests.exchange.conftest import Gateway, Provide, Serve

IDS = ["default", "small", "only/e1/m1", "only/haiku", "only/e3/a/b \u2603?"]
ANTHROPIC = {"anthropic-version": "2026-10-21"}


@pytest.fixture
async def gateway(provide: Provide, serve: Serve) -> Gateway:
    """Its upstream would say something to any request; what comes must not be that."""
    upstream = await provide()
    url = {"url": upstream.url}
    return await serve(
        url,
        url | {"id": "haiku"},
        url | {"model": "a/b \u2603?"},
        chains={"small": {"models": ["haiku"], "match": ["*haiku*"]}},
    )


async def ask(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> Any:  # noqa: ANN401
    reply = await gateway.client.ask(None, path, method, headers=headers)
    assert "x-hydrallm-endpoint" not in reply.headers, "an upstream was asked"
    return reply


@pytest.mark.parametrize(
    "path", ["/v1/models", "/models", "/v1/models/", "/v4/models", "/v1/models?x=%20", "/v1//models"]
)
async def test_the_list(path: str, gateway: Gateway) -> None:
    reply = await ask(gateway, path)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert [model["id"] for model in reply.json["data"]] == IDS
    assert [model["owned_by"] for model in reply.json["data"]] == ["hydrallm", "hydrallm", "e1", "e2", "e3"]
    record = await gateway.journal.ended()
    assert reply.headers["x-hydrallm-request-id"] == record.id
    assert (record.outcome, record.status, record.attempts) == ("answered", 200, [])


async def test_anthropics_list(gateway: Gateway) -> None:
    reply = await ask(gateway, "/v1/models?limit=2&after_id=small", **ANTHROPIC)
    assert reply.json == {
        "data": [
            {
                "type": "model",
                "id": "only/e1/m1",
                "display_name": "e1/m1",
                "created_at": "1970-01-01T00:00:00Z",
                "lifecycle": "active",
            },
            {
                "type": "model",
                "id": "only/haiku",
                "display_name": "e2/m2",
                "created_at": "1970-01-01T00:00:00Z",
                "lifecycle": "active",
            },
        ],
        "has_more": True,
        "first_id": "only/e1/m1",
        "last_id": "only/haiku",
    }


@pytest.mark.parametrize("prefix", ["/v1/models/", "/models/"])
@pytest.mark.parametrize("headers", [{}, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("safe", ["", "/"], ids=["slashes-encoded", "slashes-as-they-are"])
async def test_each_model_has_a_path(
    name: str, safe: str, headers: dict[str, str], prefix: str, gateway: Gateway
) -> None:
    reply = await ask(gateway, prefix + quote(name, safe=safe), **headers)
    assert (reply.status, reply.json["id"]) == (200, name)
    assert reply.json == next(
        model for model in (await ask(gateway, "/v1/models", **headers)).json["data"] if model["id"] == name
    )


async def test_a_slash_at_the_end_is_nothing(gateway: Gateway) -> None:
    assert (await ask(gateway, "/v1/models/small/")).json["id"] == "small"


async def test_an_alias_is_told_what_it_is_an_alias_of(gateway: Gateway) -> None:
    assert (await ask(gateway, "/v1/models/only/e2/m2")).json["id"] == "only/haiku"


@pytest.mark.parametrize("name", ["gpt-4o", "haiku", "claude-haiku", "only", "only/", "only/x", "%F0%9F"])
async def test_what_is_not_listed_is_not_found(name: str, gateway: Gateway) -> None:
    reply = await ask(gateway, f"/v1/models/{name}")
    assert (reply.status, reply.json["error"]["code"]) == (404, "not_found")
    assert f"there are {', '.join(IDS)}" in reply.json["error"]["message"]
    reply = await ask(gateway, f"/v1/models/{name}", **ANTHROPIC)
    assert (reply.status, reply.json["error"]["type"]) == (404, "not_found_error")


async def test_an_impossible_page_is_400_in_the_clients_words(gateway: Gateway) -> None:
    reply = await ask(gateway, "/v1/models?limit=0", **ANTHROPIC)
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")
    assert (await ask(gateway, "/v1/models?limit=0")).status == 200  # OpenAI's has no pages


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/small", "/v1/models/nothing"])
async def test_head_is_get_without_the_body(path: str, gateway: Gateway) -> None:
    get, head = await ask(gateway, path), await ask(gateway, path, "HEAD")
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if get.status == 200:
        assert int(head.headers["content-length"]) == len(get.body)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v1/models/small"),
        ("POST", "/v1/models"),
        ("GET", "/v1beta/models"),
        ("GET", "/v1/modelsx"),
        ("GET", "/v1/models-x/small"),
        ("GET", "/x/models"),
    ],
)
async def test_all_else_is_relayed(method: str, path: str, gateway: Gateway) -> None:
    reply = await gateway.client.ask(None, path, method)
    assert reply.headers["x-hydrallm-endpoint"] == "e1"


async def test_without_chains_there_are_the_default_one_and_the_models(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(), await provide())
    assert [model["id"] for model in (await ask(gateway, "/v1/models")).json["data"]] == [
        "default",
        "only/e1/m1",
        "only/e2/m2",
    ]


async def test_what_is_listed_works_as_a_model(gateway: Gateway) -> None:
    for model in (await ask(gateway, "/v1/models")).json["data"]:
        reply = await gateway.client.ask(b'{"model": "%b"}' % model["id"].encode())
        assert reply.status == 200
        if model["owned_by"] != "hydrallm":
            assert reply.headers["x-hydrallm-endpoint"] == model["owned_by"]


async def test_a_client_has_to_show_its_key(provide: Provide, serve: Serve) -> None:
    gateway = await serve(await provide(), server={"client_keys": ["the-key"]})
    for path in ("/v1/models", "/v1/models/default"):
        assert (await ask(gateway, path)).status == 401
        assert (await ask(gateway, path, Authorization="Bearer the-key")).status == 200
