from __future__ import annotations

import tomllib
import typing
from pathlib import Path

import msgspec
import pytest
from anthropic.types import ModelParam
from openai.types import ChatModel

from hydrallm.config import catalog, facts, starter
from hydrallm.formats.facts import Facts

# Names that say nothing of the model behind them, so that only the config can tell.
UNKNOWN = {
    "model": "llama-server serves the one that it was started with",
    "openrouter/auto": "the router chooses",
    "qwen3": "what a local server runs: context, eyes and template are its own",
    "Qwen/Qwen3-8B": "the same",
    "YOUR-DEPLOYMENT": "a placeholder",
}
EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
FILE = Path(facts.__file__).parent / "data" / "models.toml"


def shipped() -> set[str]:
    """Return the names of the models that a config of ours names."""
    configs = [catalog.text(name) for name in (*catalog.names(), catalog.TEMPLATE)]
    named = {model["model"] for text in configs for model in tomllib.loads(text)["models"]}
    return named | {name for provider in starter.PROVIDERS for name, _ in provider.models}


# ---- the data


def test_every_row_says_what_it_is_of_and_since_when() -> None:
    data = facts.catalogue()
    for row in (*data.models, *data.places):
        assert row.match
        assert row.told
        assert all(address.startswith("https://") for address in row.source), row.match
        assert row.source, row.match
        assert row.checked.year >= 2026


def test_patterns_are_what_a_name_comes_down_to() -> None:
    for row in facts.catalogue().models:
        for pattern in row.match:
            assert facts.plain(pattern) == pattern or "[" in pattern


def test_no_row_is_hidden_by_one_before_it() -> None:
    """A pattern without a wildcard, at least, leads to the row it stands in."""
    rows = facts.catalogue().models
    for row in rows:
        for name in row.match:
            if not set(name) & set("*?["):
                assert next(other for other in rows if other.fits(name)) is row, name


@pytest.mark.parametrize("row", facts.catalogue().models, ids=lambda row: row.match[0])
def test_the_figures_go_together(row: facts.Row) -> None:
    told = msgspec.convert(row.told, facts.Told)
    limits = [told.default_output, told.max_output, told.context]
    known = [limit for limit in limits if limit is not None]
    assert known == sorted(known)
    assert known[0] > 1024  # room for the least thought that Claude takes, and an answer
    assert list(told.efforts) == [effort for effort in EFFORTS if effort in told.efforts]
    assert not (told.thinks_always and "none" in told.efforts)
    assert told.forced_tool or not told.forced_tool_thinking
    assert told.chat_tools != "quiet" or "none" in told.efforts


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('colour = "blue"', "unknown field `colour`"),
        ('max_output = "many"', r"Expected `int \| null`, got `str`"),
        ("told = {}", "unknown field `told`"),
        ("images = 1", "Expected `bool`, got `int`"),
        ("efforts = [1]", "Expected `str`, got `int`"),
        ("[[extra]]", "unknown field `extra`"),
        ('[[places]]\nmatch = ["*"]\nchecked = 2026-11-22', "missing required field `source`"),
    ],
)
def test_what_is_wrong_in_the_file_is_found(line: str, complaint: str) -> None:
    sound = 'places = []\n[[models]]\nmatch = ["a"]\nsource = ["https://a.example"]\nchecked = 2026-11-22\n'
    assert facts.read(sound).models[0].fits("a")
    if line.startswith("[[places]]"):
        sound = sound.removeprefix("places = []\n")
    with pytest.raises(msgspec.ValidationError, match=complaint):
        facts.read(f"{sound}{line}\n")


def test_a_row_needs_a_match() -> None:
    with pytest.raises(msgspec.ValidationError, match="missing required field `match`"):
        facts.read("places = []\n[[models]]\nsource = []\nchecked = 2026-11-22\n")


def test_the_file_explains_every_key_that_is_no_fact() -> None:
    head = FILE.read_text("utf-8").partition("[[models]]")[0]
    for key in ("match", "source", "checked", "context", "default_output"):
        assert f"# {key}" in head.replace("#   ", "# ")


# ---- names


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5"),
        ("global.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("anthropic.claude-3-sonnet-20240229-v1:0:28k", "claude-3-sonnet"),
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku"),
        ("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-5", "claude-opus-5"),
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-3.7-sonnet:thinking", "claude-3-7-sonnet"),
        ("Claude-Opus-5-5[1m]", "claude-opus-5-5"),
        ("claude-3-5-sonnet-latest", "claude-3-5-sonnet"),
        ("openai/gpt-5.5", "gpt-5.5"),
        ("gpt-5-2025-08-07", "gpt-5"),
        ("gpt-5.4-mini-2026-03-17", "gpt-5.4-mini"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss-120b-1"),
        ("us.amazon.nova-2-lite-v1:0", "nova-2-lite"),
        ("us.meta.llama3-3-70b-instruct-v1:0", "llama3-3-70b-instruct"),
        ("deepseek.v3-v1:0", "deepseek.v3"),
        ("Qwen/Qwen3-8B", "qwen3-8b"),
        ("qwen3:8b", "qwen3"),
        ("", ""),
        ("/", ""),
        (":", ""),
    ],
)
def test_names_are_seen_through(name: str, plain: str) -> None:
    assert facts.plain(name) == plain


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_model_of_a_config_of_ours_is_known_or_cannot_be(name: str) -> None:
    assert facts.lookup(name).known is (name not in UNKNOWN)


def test_nothing_is_listed_as_unknown_that_no_config_names() -> None:
    assert set(UNKNOWN) <= shipped()


def sdk_names(union: object) -> list[str]:
    """Return the names in a union of the SDKs of literals and str."""
    found: list[str] = []
    for member in typing.get_args(union):
        found += [member] if isinstance(member, str) else sdk_names(member)
    return found


@pytest.mark.parametrize("name", sdk_names(ModelParam))
def test_every_model_of_the_anthropic_sdk_has_a_row_of_its_own(name: str) -> None:
    known = facts.lookup(name)
    assert known.known
    assert known.context is not None  # the rows for what is to come have none
    assert known.facts.adaptive or known.facts.budget


@pytest.mark.parametrize("name", sdk_names(ChatModel))
def test_every_chat_model_of_the_openai_sdk_takes_its_own_marks_or_none(name: str) -> None:
    """Of those that are gone or do speech nothing is known; none of them takes another maker's cache marks."""
    known = facts.lookup(name)
    gone = ("audio", "search", "preview", "-instruct", "-16k", "-32k", "o1-mini", "codex-mini", "gpt-5.1-mini")
    numbered = name.endswith(("0301", "0314", "0613", "1106", "0125"))
    assert known.known or numbered or any(part in name for part in gone)
    assert known.facts.cache is not known.known
    assert known.facts.breakpoints is name.startswith(("gpt-5.6", "gpt-6"))


# ---- looking up


def test_a_model_that_nobody_knows_has_the_defaults() -> None:
    assert facts.lookup("my-own-model") == facts.Model(Facts())


def test_the_first_row_wins() -> None:
    assert facts.lookup("gpt-5.5").context == 1_050_000
    later = facts.lookup("gpt-5.7")  # the row for what is to come
    assert later.known
    assert later.context is None


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        # wire-formats' three generations of thinking
        ("claude-sonnet-4-5", {"budget": True, "adaptive": False, "prefill": True, "sampling": True}),
        ("claude-opus-4-6", {"budget": True, "adaptive": True, "prefill": False, "sampling": True}),
        ("claude-opus-4-7", {"budget": False, "adaptive": True, "prefill": False, "sampling": False}),
        ("claude-opus-5", {"thinks_always": False, "forced_tool": True, "forced_tool_thinking": False}),
        ("claude-opus-5-5", {"thinks_always": True, "forced_tool": False}),
        ("claude-fable-5", {"thinks_always": True, "forced_tool": True, "forced_tool_thinking": True}),
        ("gpt-5", {"efforts": ("minimal", "low", "medium", "high"), "thinks_always": True}),
        ("gpt-5.1", {"efforts": ("none", "low", "medium", "high"), "thinks_always": False}),
        ("gpt-4o", {"efforts": (), "sampling": True, "breakpoints": False}),
        ("glm-5", {"forced_tool": False, "images": False, "thoughts_back": True}),
        ("deepseek-v4-pro", {"thoughts_back": True, "images": False}),
        ("us.amazon.nova-micro-v1:0", {"images": False, "documents": False, "cache": True}),
    ],
)
def test_facts_that_decide_what_is_legal(name: str, wanted: dict[str, object]) -> None:
    known = facts.lookup(name).facts
    assert {field: getattr(known, field) for field in wanted} == wanted


def test_what_is_otherwise_at_one_host() -> None:
    own, bedrock = facts.lookup("claude-sonnet-5-5"), facts.lookup("global.anthropic.claude-sonnet-5-5")
    assert (own.facts.json_output, own.facts.system_turns) == (True, True)
    assert (bedrock.facts.json_output, bedrock.facts.system_turns) == (False, False)
    assert msgspec.structs.replace(bedrock.facts, json_output=True, system_turns=True) == own.facts
    assert facts.lookup("anthropic/claude-sonnet-5.5") == own  # a router's prefix is no host of its own


def test_the_config_has_the_last_word() -> None:
    name = "global.anthropic.claude-sonnet-5-5"
    known = facts.lookup(name, {"json_output": True, "context": 200_000, "efforts": ["low"]})
    usual = facts.lookup(name)
    assert known.context == 200_000
    assert known.facts == msgspec.structs.replace(usual.facts, json_output=True, efforts=("low",))
    assert facts.lookup(name) == usual  # what was overridden stays in the data
    assert facts.lookup("my-own-model", {"images": False}).facts == Facts(images=False)


@pytest.mark.parametrize(
    ("overrides", "complaint"),
    [
        ({"colour": "blue"}, "colour"),
        ({"match": ["*"]}, "match"),
        ({"max_output": "many"}, "max_output"),
        ({"efforts": "low"}, "efforts"),
    ],
)
def test_an_override_that_is_no_fact(overrides: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        facts.lookup("gpt-5.5", overrides)
