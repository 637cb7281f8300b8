"""The lists, read by the official SDKs' own types."""

from __future__ import annotations

from urllib.parse import urlencode

import anthropic.types
import msgspec
import openai.types
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.errors import RequestError
from hydrallm.formats.model_list import Entry, anthropic_model, anthropic_page, openai_list, openai_model

ENTRIES = [Entry("default", "default", "hydrallm"), Entry("only/a b/\u2603", "a b/\u2603", "a b")]
MANY = [Entry(f"m{number}", f"M {number}", "o") for number in range(50)]


def test_openais_sdk_reads_the_list() -> None:
    told = msgspec.json.decode(msgspec.json.encode(openai_list(ENTRIES)))
    assert told["object"] == "list"
    models = [openai.types.Model.model_validate(model, strict=True) for model in told["data"]]
    assert [(model.id, model.owned_by, model.created) for model in models] == [
        ("default", "hydrallm", 0),
        ("only/a b/\u2603", "a b", 0),
    ]
    assert openai_model(ENTRIES[1]) == told["data"][1]


def test_anthropics_sdk_reads_the_list() -> None:
    told = msgspec.json.decode(msgspec.json.encode(anthropic_page(ENTRIES, b"")))
    models = [anthropic.types.ModelInfo.model_validate(model) for model in told.pop("data")]
    assert [(model.id, model.display_name, model.type) for model in models] == [
        ("default", "default", "model"),
        ("only/a b/\u2603", "a b/\u2603", "model"),
    ]
    assert {model.created_at.timestamp() for model in models} == {0.0}
    assert told == {"has_more": False, "first_id": "default", "last_id": "only/a b/\u2603"}
    assert anthropic.types.ModelInfo.model_validate(anthropic_model(ENTRIES[0])) == models[0]


def test_an_empty_page() -> None:
    nothing = {"data": [], "has_more": False, "first_id": None, "last_id": None}
    assert anthropic_page(MANY, b"after_id=m49") == nothing
    assert anthropic_page(MANY, b"before_id=m0") == nothing


@pytest.mark.parametrize(
    ("query", "first", "last", "more"),
    [
        ("", 0, 19, True),
        ("limit=1000", 0, 49, False),
        ("limit=50", 0, 49, False),
        ("limit=49", 0, 48, True),
        ("limit=5&after_id=m44", 45, 49, False),
        ("limit=5&after_id=m43", 44, 48, True),
        ("limit=5&before_id=m5", 0, 4, False),
        ("limit=5&before_id=m6", 1, 5, True),
        ("limit=5&after_id=m10&before_id=m30", 11, 15, True),
        ("limit=5&after_id=m10&before_id=m14", 11, 13, False),
        ("limit=&after_id=", 0, 19, True),
        ("limit=1&limit=3&beta=true", 0, 2, True),
    ],
)
def test_pages(query: str, first: int, last: int, more: bool) -> None:
    page = anthropic_page(MANY, query.encode())
    assert page["data"] == [anthropic_model(entry) for entry in MANY[first : last + 1]]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (f"m{first}", f"m{last}", more)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        *[
            (urlencode({"limit": limit}), "limit must be a number from 1 to 1000")
            for limit in ("0", "1001", "-1", "ten", "1.5", "\u0661", "9" * 5000, " 5")
        ],
        ("after_id=m50", "after_id is not the id"),
        ("before_id=x&after_id=m1", "before_id is not the id"),
    ],
)
def test_a_page_that_cannot_be_is_the_clients_mistake(query: str, words: str) -> None:
    with pytest.raises(RequestError, match=words) as caught:
        anthropic_page(MANY, query.encode())
    assert caught.value.status == 400


@given(st.integers(0, 30), st.integers(1, 12))
def test_page_by_page_one_comes_by_every_entry_once_in_both_directions(count: int, limit: int) -> None:
    entries = MANY[:count]
    forwards: list[object] = []
    query = f"limit={limit}"
    more = True
    while more:
        page = anthropic_page(entries, query.encode())
        forwards += page["data"]  # type: ignore[arg-type]
        query, more = f"limit={limit}&after_id={page['last_id']}", bool(page["has_more"])
    assert forwards == [anthropic_model(entry) for entry in entries]
    if not entries:
        return
    backwards: list[object] = [forwards[-1]]
    query, more = f"limit={limit}&before_id={entries[-1].id}", True
    while more:
        page = anthropic_page(entries, query.encode())
        backwards = page["data"] + backwards  # type: ignore[operator]
        query, more = f"limit={limit}&before_id={page['first_id']}", bool(page["has_more"])
    assert backwards == forwards


@given(st.binary(max_size=40))
def test_any_query_is_answered_or_refused(query: bytes) -> None:
    try:
        status = 200 if anthropic_page(MANY, query) else 500
    except RequestError as error:
        status = error.status
    assert status in {200, 400}
