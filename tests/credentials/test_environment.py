from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hydrallm.credentials.environment import lookup, resolve, secret

ENVIRON = {"KEY": "value", "_k9": "other", "EMPTY": "", "NESTED": "$KEY"}


@pytest.mark.parametrize(
    ("text", "value", "variable"),
    [
        ("$KEY", "value", "KEY"),
        ("${KEY}", "value", "KEY"),
        ("$_k9", "other", "_k9"),
        ("$UNSET", None, "UNSET"),
        ("${UNSET}", None, "UNSET"),
        ("$EMPTY", None, "EMPTY"),
        ("$NESTED", "$KEY", "NESTED"),  # once, never again
    ],
)
def test_a_reference(text: str, value: str | None, variable: str) -> None:
    resolved = resolve(text, ENVIRON)
    assert (resolved.text, resolved.variable) == (value, variable)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KEY",
        "$",
        "${}",
        "$9",
        "$KEY-",
        "a$KEY",
        "$KEY ",
        " $KEY",
        "${KEY",
        "$KEY}",
        "$$KEY",
        "${KEY}x",
        "$KEY\n",
        "$KÉY",
    ],
)
def test_what_is_no_reference_is_itself(text: str) -> None:
    resolved = resolve(text, ENVIRON)
    assert (resolved.text, resolved.variable) == (text, None)


def test_lookup() -> None:
    assert [lookup(name, ENVIRON) for name in ("KEY", "EMPTY", "UNSET")] == ["value", None, None]


@given(st.text(max_size=10))
def test_a_secret_is_what_a_header_can_carry(text: str) -> None:
    if text and all("!" <= character <= "~" for character in text):
        assert secret(text).reveal() == text
    else:
        with pytest.raises(ValueError, match="the key contains"):
            secret(text)


def test_the_reason_does_not_show_the_secret() -> None:
    with pytest.raises(ValueError, match="key") as caught:
        secret("hunter 2")
    assert "hunter" not in str(caught.value)
