"""Which commit this is.

A wheel carries its commit in ``_build.json``, written by the build (``hatch_build.py``). A checkout carries nothing,
since its commit changes under an editable install: there git is asked. Anything else does not know, and says so.
"""

from __future__ import annotations

import importlib.resources
import json
import subprocess
from pathlib import Path

_GIT_PATIENCE = 2.0  # seconds; `hydrallm version` should answer even where git hangs on a dead network drive


def commit() -> str | None:
    """Return the commit this package was built from, or None where nobody knows.

    Returns:
        Twelve or more hexadecimal digits, with ``-dirty`` behind them if files differed from that commit.
    """
    return _recorded() or _asked(Path(__file__).parents[2])


def _recorded() -> str | None:
    """Return what the build wrote down."""
    try:
        record = json.loads(importlib.resources.files("hydrallm").joinpath("_build.json").read_bytes())
    except (OSError, ValueError):
        return None
    found = record.get("commit") if isinstance(record, dict) else None
    return found if isinstance(found, str) and found else None


def _asked(root: Path) -> str | None:
    """Return what git says of the checkout at ``root``, if it is one."""
    if not (root / ".git").exists():  # an installed copy: git would name whatever repository lies around it
        return None
    command = ["git", "--no-optional-locks", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        answer = subprocess.run(
            [*command, "--exclude=*"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return answer.stdout.strip() or None
