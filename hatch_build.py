"""Build hook: records the git commit in what is built.

A wheel gets ``hydrallm/_build.json``, which ``hydrallm version`` reads. The file is made in a temporary folder and
handed over by name, so nothing is written into the source tree. Without git, or in a copy that is no checkout, nothing
is recorded. An editable install records nothing either: its commit changes, so it is asked for when it is wanted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Where the record goes, by kind of build. A wheel made from a source distribution finds it there as a source file.
PLACES = {"wheel": "hydrallm/_build.json", "sdist": "src/hydrallm/_build.json"}


class CustomBuildHook(BuildHookInterface[BuilderConfig]):
    """Adds the record to the build."""

    folder: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the record and add it to the files of the build."""
        commit = None if version == "editable" else describe(Path(self.root))
        if commit is None:
            return
        self.folder = Path(tempfile.mkdtemp(prefix="hydrallm-build-"))
        record = self.folder / "_build.json"
        record.write_text(json.dumps({"commit": commit}) + "\n", encoding="utf-8")
        build_data["force_include"][str(record)] = PLACES[self.target_name]

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - hatchling's signature
        """Remove what :meth:`initialize` wrote."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def describe(root: Path) -> str | None:
    """Return the commit of the checkout at ``root``, marked ``-dirty`` if files differ from it; None if unknown."""
    if not (root / ".git").exists():  # inside somebody else's checkout git would name their commit
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
