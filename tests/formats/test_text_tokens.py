"""The estimate of a text's tokens against real tokenizers.

``token_samples.json`` has texts of 15 kinds, and how many tokens each has: for Claude, before and from Opus 4.7 on, as
``ctok`` 1.3.0 counts, without the frame of a message (it reproduces Anthropic's ``count_tokens``, and needs Python
3.12); for others in ``o200k_base``, as ``bpe-openai`` 0.1.4 counts. None of the texts was used to find the weights.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.text_tokens import Tokenizer, text_tokens, tokenizer_of

SAMPLES = json.loads((Path(__file__).parent / "token_samples.json").read_text(encoding="utf-8"))
COUNTED = {Tokenizer.CLAUDE_4_7: "claude_4_7", Tokenizer.CLAUDE: "claude", Tokenizer.OTHER: "other"}
TEXTS = st.text(st.characters(codec=None), max_size=60) | st.text(" \n\taA0.,é中", max_size=60)


def error(kind: str, tokenizer: Tokenizer) -> float:
    sample = SAMPLES[kind]
    tokens: int = sample[COUNTED[tokenizer]]
    return text_tokens(sample["text"], tokenizer) / tokens - 1


@pytest.mark.parametrize("tokenizer", Tokenizer)
@pytest.mark.parametrize("kind", SAMPLES)
def test_it_is_near_the_truth_and_rather_above(kind: str, tokenizer: Tokenizer) -> None:
    assert -0.15 <= error(kind, tokenizer) <= 0.3


@pytest.mark.parametrize("tokenizer", Tokenizer)
def test_on_the_whole_it_is_a_little_above(tokenizer: Tokenizer) -> None:
    assert 0.03 <= mean(error(kind, tokenizer) for kind in SAMPLES) <= 0.12


@pytest.mark.parametrize("tokenizer", Tokenizer)
def test_it_is_told_by_bytes_and_so_grows_with_a_text(tokenizer: Tokenizer) -> None:
    text = "".join(sample["text"] for sample in SAMPLES.values())
    assert text_tokens("", tokenizer) == 0
    assert text_tokens(text * 20, tokenizer) == pytest.approx(20 * text_tokens(text, tokenizer), rel=0.01)


@given(TEXTS, TEXTS, st.sampled_from(Tokenizer))
def test_more_text_never_has_fewer_tokens(text: str, more: str, tokenizer: Tokenizer) -> None:
    assert text_tokens(text, tokenizer) <= text_tokens(text + more, tokenizer)


@pytest.mark.parametrize(
    ("model", "tokenizer"),
    [
        ("claude-opus-5-5", Tokenizer.CLAUDE_4_7),
        ("claude-sonnet-5", Tokenizer.CLAUDE_4_7),
        ("claude-opus-4-7", Tokenizer.CLAUDE_4_7),
        ("global.anthropic.claude-opus-4-8", Tokenizer.CLAUDE_4_7),
        ("anthropic/claude-opus-4.7", Tokenizer.CLAUDE_4_7),
        ("claude-next", Tokenizer.CLAUDE_4_7),
        ("claude-opus-4-6", Tokenizer.CLAUDE),
        ("claude-opus-4-20250514", Tokenizer.CLAUDE),
        ("claude-haiku-4-5@20251001", Tokenizer.CLAUDE),
        ("us.anthropic.claude-3-5-sonnet-20241022-v2:0", Tokenizer.CLAUDE),
        ("anthropic.claude-v2:1", Tokenizer.CLAUDE),
        ("anthropic.claude-instant-v1", Tokenizer.CLAUDE),
        ("Claude-3.7-Sonnet", Tokenizer.CLAUDE),
        ("gpt-5.2", Tokenizer.OTHER),
        ("", Tokenizer.OTHER),
    ],
)
def test_the_tokenizer_follows_from_the_name(model: str, tokenizer: Tokenizer) -> None:
    assert tokenizer_of(model) is tokenizer
