"""Which chain a name means. A chain is a word here."""

from __future__ import annotations

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.policy.selection import LONGEST, Selection

NAMED = {"default": "DEFAULT", "small": "SMALL", "Big One": "BIG", "claude-x": "X"}
PATTERNS = [
    ("*haiku*", "SMALL"),
    ("gpt-4o-mini", "SMALL"),
    ("claude-*", "BIG"),
    ("*[[]1m]", "LONG"),
    ("gpt-?", "BIG"),
    ("*mini*", "OTHER"),
]
PINS = {"fast": "ONLY-FAST", "openai/gpt-5.5": "ONLY-GPT", "small": "ONLY-SMALL"}


@pytest.fixture
def selection() -> Selection[str]:
    return Selection("DEFAULT", NAMED, PATTERNS, PINS)


@pytest.mark.parametrize(
    ("name", "chain"),
    [
        # no name, and those that mean nothing
        ("", "DEFAULT"),
        ("default", "DEFAULT"),
        ("any", "DEFAULT"),
        ("smal", "DEFAULT"),
        ("smaller", "DEFAULT"),
        ("a-small", "DEFAULT"),
        # names, to the letter
        ("small", "SMALL"),
        ("Big One", "BIG"),
        ("SMALL", "DEFAULT"),
        # patterns, the first in their order; all of the name
        ("claude-haiku-4-5", "SMALL"),
        ("CLAUDE-HAIKU-4-5", "SMALL"),
        ("us.anthropic.claude-haiku-4-5-v1:0", "SMALL"),
        ("arn:aws:bedrock:eu-central-1:1:inference-profile/eu.haiku", "SMALL"),
        ("claude-opus-4-8", "BIG"),
        ("anthropic.claude-opus-4-8", "DEFAULT"),
        ("gpt-4o-mini", "SMALL"),
        ("gpt-4o-mini-2024", "OTHER"),
        ("gpt-5", "BIG"),
        ("gpt-55", "DEFAULT"),
        ("sonnet[1M]", "LONG"),
        ("two\nlines haiku", "SMALL"),
        # a name goes before a pattern
        ("claude-x", "X"),
        # pins: that model or nothing
        ("only/fast", "ONLY-FAST"),
        ("only/openai/gpt-5.5", "ONLY-GPT"),
        ("only/small", "ONLY-SMALL"),
        ("only/Fast", None),
        ("only/haiku", None),
        ("only/", None),
        ("only", "DEFAULT"),
        ("Only/fast", "DEFAULT"),
        ("fast", "DEFAULT"),
    ],
)
def test_what_a_name_means(name: str, chain: str | None, selection: Selection[str]) -> None:
    assert selection.select(name) == chain


def test_where_there_is_one_chain_it_is_every_names_but_for_pins() -> None:
    alone = Selection("DEFAULT", {"default": "DEFAULT"}, [], PINS)
    assert {alone.select(name) for name in ("", "default", "small", "claude-haiku", "only")} == {"DEFAULT"}
    assert alone.select("only/fast") == "ONLY-FAST"
    assert alone.select("only/slow") is None


def test_the_default_chain_can_have_a_pattern() -> None:
    one = Selection("DEFAULT", {"default": "DEFAULT", "rest": "REST"}, [("gpt-*", "DEFAULT"), ("*", "REST")], {})
    assert [one.select(name) for name in ("gpt-5", "claude", "", "default")] == ["DEFAULT", "REST", "REST", "DEFAULT"]


WORDS = st.text("abAB-*?[]/.\n", max_size=6)


@given(
    st.dictionaries(WORDS.filter(lambda name: not name.startswith("only/")), st.integers(0, 4), max_size=4),
    st.lists(st.tuples(WORDS, st.integers(5, 9)), max_size=5),
    st.dictionaries(WORDS, st.integers(10, 14), max_size=3),
    WORDS | WORDS.map("only/".__add__),
)
def test_every_name_means_one_chain_and_the_order_decides(
    named: dict[str, int], patterns: list[tuple[str, int]], pins: dict[str, int], name: str
) -> None:
    """The oracle is the rules in their order, by the standard library's own fnmatch."""
    default = -1
    selected = Selection(default, {"default": default, **named}, patterns, pins).select(name)
    matching = [chain for pattern, chain in patterns if fnmatch.fnmatchcase(name.lower(), pattern.lower())]
    if name.startswith("only/"):
        expected = pins.get(name.removeprefix("only/"))
    elif name in named:
        expected = named[name]
    else:
        expected = matching[0] if matching else default
    assert selected == expected


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*b", "[!b]*[!b]*[!b]*b", "*?*?*?*?*b"])
def test_a_name_from_the_network_cannot_take_long(pattern: str) -> None:
    selection = Selection("DEFAULT", {"default": "DEFAULT"}, [(pattern, "OTHER")], {})
    began = time.perf_counter()
    assert selection.select("a" * LONGEST) == "DEFAULT"
    assert selection.select("a" * 10_000_000) == "DEFAULT"
    assert time.perf_counter() - began < 1.0


def test_a_name_longer_than_any_models_matches_no_pattern(selection: Selection[str]) -> None:
    assert selection.select("haiku".ljust(LONGEST, "x")) == "SMALL"
    assert selection.select("haiku".ljust(LONGEST + 1, "x")) == "DEFAULT"
