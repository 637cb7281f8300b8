"""What the benchmark installs is pinned like the rest."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "bench" / "requirements"


@pytest.mark.parametrize("name", ["baseline", "peers"])
def test_what_pip_installs_is_pinned_with_hashes(name: str) -> None:
    text = (FOLDER / f"{name}.txt").read_text("utf-8").replace("\\\n", " ")
    entries = [line for line in text.splitlines() if line and not line.startswith("#")]
    for entry in entries:
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+( ; [^#]+?)?( +--hash=sha256:[0-9a-f]{64})+", entry), entry
    asked = [
        line.partition("[")[0] for line in (FOLDER / f"{name}.in").read_text("utf-8").splitlines() if line[0] != "#"
    ]
    assert all(any(re.match(rf"{each}(\[[^\]]+\])?==", entry) for entry in entries) for each in asked)


def test_what_npm_installs_has_hashes_and_no_address() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))
    installed = {name: entry for name, entry in lock["packages"].items() if name}
    assert installed["node_modules/@portkey-ai/gateway"]["version"] == "1.15.2"
    assert all(entry["integrity"].startswith("sha512-") for entry in installed.values())
    assert not any("resolved" in entry for entry in installed.values())
