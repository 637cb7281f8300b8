"""Sampling, stops, and what only other formats know."""

from __future__ import annotations

import msgspec
import pytest
from tests.formats.anthropic_messages.samples import (
    NEW,
    OLD,
    STRICT,
    USER,
    Body,
    asked,
    composed,
)

from hydrallm.formats.canonical import (
    JsonOutput,
    Message,
    Reasoning,
    Text,
)
from hydrallm.formats.facts import Facts


def test_temperature_is_cut_to_the_scale(body: Body) -> None:
    assert body(asked(temperature=1.7, temperature_max=2.0))["temperature"] == 1
    assert body(asked(temperature=-1.0))["temperature"] == 0


@pytest.mark.parametrize(("facts", "version"), [(NEW, ""), (Facts(), STRICT), (Facts(), "bedrock-" + STRICT)])
def test_where_there_is_no_sampling(body: Body, facts: Facts, version: str) -> None:
    request = asked(temperature=0.3, top_p=0.4, top_k=5)
    assert not {"temperature", "top_p", "top_k"} & body(request, facts, version).keys()
    assert composed(request, facts, version).dropped == ("temperature", "top_p", "top_k")
    assert composed(asked(temperature=1.0, top_p=1.0), facts, version).dropped == ()


def test_one_of_temperature_and_top_p(body: Body) -> None:
    request = asked(temperature=0.3, top_p=0.4, top_k=5)
    sent = body(request)
    assert (sent["temperature"], sent.get("top_p"), sent["top_k"]) == (0.3, None, 5)
    assert composed(request).dropped == ("top_p",)
    assert body(asked(top_p=0.4))["top_p"] == 0.4


def test_sampling_of_a_model_that_thinks(body: Body) -> None:
    request = asked(temperature=0.3, top_p=0.97, top_k=5, reasoning=Reasoning(effort="high"))
    assert body(request, OLD)["top_p"] == 0.97
    assert composed(request, OLD).dropped == ("temperature", "top_k")
    assert "top_p" in composed(msgspec.structs.replace(request, top_p=0.5), OLD).dropped


def test_stops_have_words(body: Body) -> None:
    request = asked(stop=("END", " \n"))
    assert body(request)["stop_sequences"] == ["END"]
    assert composed(request).dropped == ("stop",)


def test_what_only_others_know_is_dropped_and_said(body: Body) -> None:
    request = asked(
        Message(USER, (Text("hi"),), name="bob"),
        seed=1,
        frequency_penalty=0.5,
        presence_penalty=0.0,
        verbosity="low",
        metadata={"a": "b"},
        cache_key="k",
        tier="flex",
        output=JsonOutput(),
        extra={"logit_bias": msgspec.Raw(b"{}")},
    )
    body(request)
    assert set(composed(request).dropped) == {
        "seed", "frequency_penalty", "verbosity", "metadata", "cache_key", "name", "logit_bias", "output", "tier",
    }  # fmt: skip
