from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.secret import Secret
from hydrallm.telemetry.masking import MASK, Mask

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = 'wJal"rXUt\\nFEMI/K7MDENG+bPx&RfiCY=EXAMPLE%KEY'

# What a config accepts as a secret: visible ASCII. Four characters are the least that is masked.
secrets = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=4, max_size=60).filter(
    lambda text: "*" not in text  # a mask beside an asterisk could make up one of those
)
texts = st.text(max_size=80)

WRITINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON in JSON in JSON": lambda text: json.dumps(json.dumps(json.dumps(text))),
    "JSON with its slashes escaped": lambda text: json.dumps(text).replace("/", "\\/"),
    "JSON that is safe in HTML": lambda text: re.sub(
        "[<>&'+]", lambda found: f"\\u{ord(found[0]):04X}", json.dumps(text)
    ),
    "percent-encoded": lambda text: quote(text, safe=""),
    "percent-encoded where it must be": quote,
    "percent-encoded in lower case": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote_plus(text, safe="")
    ),
    "Python's repr": repr,
    "Python's repr of bytes": lambda text: repr(text.encode()),
}


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("key", [KEY, "0123-plain_key.ABC", 'a"b\\', "\\\\\\\\", '""""', "a'b'c'd"])
def test_a_known_secret_is_masked_however_it_is_written(writing: str, key: str) -> None:
    written = WRITINGS[writing](key)
    masked = Mask([Secret(key)])(f"before {written} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    inner = masked.removeprefix("before ").removesuffix(" after")
    assert MASK in inner
    assert set(inner) <= set("*\"'b\\"), "more is left of it than quotes"


@given(texts, secrets, texts, st.sampled_from(sorted(WRITINGS)))
def test_a_secret_planted_anywhere_never_comes_out(before: str, key: str, after: str, writing: str) -> None:
    masked = Mask([Secret(key)])(WRITINGS[writing](before + key + after))
    for form in WRITINGS.values():
        assert form(key) not in masked


@given(st.lists(secrets, min_size=2, max_size=5, unique=True), texts)
def test_no_secret_hides_another(keys: list[str], between: str) -> None:
    masked = Mask([Secret(key) for key in keys])(between.join(keys))
    for key in keys:
        assert key not in masked


def test_a_secret_that_contains_another_leaves_no_rest() -> None:
    assert Mask([Secret("abcd1234"), Secret("abcd1234-and-more")])("abcd1234-and-more") == MASK


def test_without_secrets_nothing_known_is_masked_and_nothing_breaks() -> None:
    mask = Mask([])
    assert mask("GET /v1/models 200") == "GET /v1/models 200"
    assert mask("") == ""


@pytest.mark.parametrize("short", ["", "a", "abc"])
def test_what_is_too_short_to_be_a_secret_does_not_blank_the_log(short: str) -> None:
    assert Mask([Secret(short)])("abcabc aaa") == "abcabc aaa"


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-AbCdEf0123456789",
        "sk-ant-api03-AbCd_Ef01-23456789AA",
        "sk-or-v1-0123456789abcdef",
        "gsk_0123456789abcdef",
        "xai-0123456789abcdef",
        "hf_0123456789abcdef",
        "ghp_0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "ASIAIOSFODNN7EXAMPLE",
        "ABSKQmVkcm9ja0FQSUtleS1hYmNkZWZnaA==",
        "AIzaSyA0123456789abcdefghijklmnopqrstu",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123_-",
    ],
)
@pytest.mark.parametrize(
    "around", ["{}", "({})", '"{}"', "key={}&", "Incorrect API key provided: {}.", "x-api-key: {}"]
)
def test_what_looks_like_a_key_is_masked_though_nobody_knows_it(key: str, around: str) -> None:
    masked = Mask([])(around.format(key))
    assert key not in masked
    assert MASK in masked


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("Authorization: Bearer 0123456789abcdef", "Authorization: ***"),
        ("authorization: bearer   0123456789abcdef", "authorization: ***"),
        ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: ***"),
        (
            "AWS4-HMAC-SHA256 Credential=AKIDX/20261122/eu/bedrock/aws4_request, Signature=0123456789abcdef",
            "AWS4-HMAC-SHA256 Credential=***, Signature=***",
        ),
    ],
)
def test_credentials_in_headers_are_masked(header: str, left: str) -> None:
    assert Mask([])(header) == left


@pytest.mark.parametrize(
    "line",
    [
        "13:34:05 INFO  POST /v1/chat/completions 200 id=0194e3a1b2c3d4e5f6a7b endpoint=openai model=gpt-4o-2024-08-06",
        "anthropic.claude-3-sonnet-20240229-v1:0",
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/arn%3Aaws%3Abedrock",
        "task-force risk-free disk-based monkey-business",
        "the certificate is not valid for 'key.example'",
    ],
)
def test_what_is_no_key_stays(line: str) -> None:
    assert Mask([Secret(KEY)])(line) == line


def test_a_hostile_error_body_is_masked_in_time() -> None:
    hostile = "\\" * 200_000 + "%" * 200_000 + "bearer" + " " * 20_000
    assert Mask([Secret('"abc"def'), Secret("\\\\\\\\"), Secret("%%%%a")])(hostile)


def test_what_is_learnt_later_is_masked_too_and_what_was_before_it_for_one_more_generation() -> None:
    mask = Mask([Secret("the-lasting-one")])
    generations = [[Secret(f"secret/{number}"), Secret(f"token-{number}=")] for number in range(4)]
    for number, generation in enumerate(generations):
        assert mask(generation[0].reveal()) == generation[0].reveal(), "not known yet"
        mask.learn("aws", generation)
        for secret in (*generation, *generations[max(0, number - 1)]):
            assert mask(f"before {secret.reveal()} after") == f"before {MASK} after"
        assert mask("the-lasting-one") == MASK
    assert mask("secret/0") == "secret/0", "expired, and forgotten: the mask does not grow"
    mask.learn("other", [Secret("of another owner")])
    assert mask("secret/3 of another owner") == f"{MASK} {MASK}"
