"""The tables of ``docs/wire-formats.md`` are those of the matrix. ``make docs`` writes them anew."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from tests.e2e.translation.scenes import FAILURES, FORMATS, LEFT_OUT, NAMES, SCENES, UNSERVED, left_out, unserved

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

PAGE = Path(__file__).parents[3] / "docs" / "wire-formats.md"
BLOCK = re.compile(r"(<!-- (\w+): written by make docs -->\n).*?(<!-- end -->)", re.DOTALL)
REWRITE = os.environ.get("HYDRALLM_WRITE_DOCS") == "1"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *map(list, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def listed(formats: Iterable[str]) -> str:
    """Return the names of some formats, in the order of the page."""
    return ", ".join(NAMES[name] for name in sorted(formats, key=FORMATS.index))


def cell(scene: str, model: str) -> str:
    """Return how far the clients of other formats are served; where there are none, the model's own."""
    clients = [client for client in SCENES[scene].bodies if client != model]
    if not clients:
        return "yes"
    reasons = [unserved(scene, client, model) for client in clients]
    if all(reasons):
        return "no"
    partly = any(reasons) or any(left_out(scene, client, model) for client in clients)
    return "in part" if partly else "yes"


def cells() -> str:
    rows = ([SCENES[scene].what, *(cell(scene, model) for model in FORMATS)] for scene in SCENES)
    return table(["What is asked, or answered", *NAMES.values()], rows)


def skips() -> str:
    def clients(scene: str, said: tuple[str, ...], models: tuple[str, ...]) -> str:
        asking = [client for client in SCENES[scene].bodies if client in said and set(models) - {client}]
        return listed(asking)

    rows = (
        [SCENES[r.scene].what, clients(r.scene, r.clients, r.models), listed(r.models), f"`{quoted(r.reason)}`"]
        for r in UNSERVED
    )
    return table(["What is asked", "By clients of", "Not of models asked in", "The reason that is given"], rows)


def quoted(reason: str) -> str:
    """Return a reason without the marks that would end the code that it is shown as."""
    return reason.replace("`", "")


def drops() -> str:
    rows = (
        [
            SCENES[scene].what,
            listed(client for client in clients if client in SCENES[scene].bodies),
            listed(models),
            ", ".join(f"`{name}`" for name in sorted(names)),
        ]
        for scene, clients, models, names in LEFT_OUT
    )
    return table(["What is asked", "By clients of", "Of models asked in", "What is left out"], rows)


def failures() -> str:
    rows = (
        [
            failure.what,
            *(f"{status} `{name}`" for status, name in (failure.openai, failure.anthropic, failure.bedrock)),
        ]
        for failure in FAILURES.values()
    )
    return table(["What is wrong", "For OpenAI's SDK", "For Anthropic's", "For AWS's"], rows)


BLOCKS: dict[str, Callable[[], str]] = {"cells": cells, "skips": skips, "drops": drops, "failures": failures}


def test_the_tables_of_the_page_are_those_of_the_matrix() -> None:
    page = PAGE.read_text("utf-8")
    assert [block[2] for block in BLOCK.finditer(page)] == list(BLOCKS)
    fresh = BLOCK.sub(lambda block: f"{block[1]}{BLOCKS[block[2]]()}{block[3]}", page)
    if REWRITE:
        PAGE.write_text(fresh, "utf-8")
    else:
        assert page == fresh, "the page is stale: make docs"
