"""Names that a format forbids become such as it allows, and can be changed back."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from hydrallm.formats.namespaces import joined, split
from hydrallm.formats.renaming import Renaming

ALLOWED = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def test_what_is_allowed_stays() -> None:
    renaming = Renaming("a-zA-Z0-9_-", 64)
    assert [renaming.of(name) for name in ("f", "a_b-C9", "x" * 64)] == ["f", "a_b-C9", "x" * 64]
    assert renaming.changed == {}


def test_something_is_left_of_a_name() -> None:
    assert Renaming("a-zA-Z0-9_-", 64).of("mcp.files/read").startswith("mcp_files_read_")


def test_a_name_in_a_namespace_is_both_as_long_as_nobody_else_has_that() -> None:
    renaming = Renaming("a-zA-Z0-9_-", 64)
    assert renaming.of(joined("mcp__files", "read")) == "mcp__files__read"
    assert renaming.of("mcp__files__read") != "mcp__files__read"
    assert renaming.of(joined("mcp__files", "read")) == "mcp__files__read"
    assert split(renaming.changed["mcp__files__read"]) == ("mcp__files", "read")
    long = renaming.of(joined("n" * 40, "f" * 40))
    assert (len(long), renaming.changed[long]) == (64, joined("n" * 40, "f" * 40))


@given(st.lists(st.text(max_size=80) | st.sampled_from(["a__b", "a\x1fb"]), max_size=5))
def test_names_become_allowed_and_stay_apart(names: list[str]) -> None:
    renaming = Renaming("a-zA-Z0-9_-", 64)
    changed = [renaming.of(name) for name in names]
    assert all(ALLOWED.fullmatch(name) for name in changed)
    assert [renaming.changed.get(name, name) for name in changed] == names
    assert [renaming.of(name) for name in names] == changed
