"""What a run is made on: figures say little without it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.cores import Cores

_VERSIONS = {
    "nginx": ("nginx", "-v"),
    "HAProxy": ("haproxy", "-v"),
    "wrk": ("wrk", "-v"),
    "git": ("git", "rev-parse", "HEAD"),
}
_VERSION = re.compile(r"\d+(?:\.\d+)+|[0-9a-f]{40}")


def describe(cores: Cores) -> dict[str, str]:
    """Return what this machine is, as titles and texts."""
    cpuinfo = Path("/proc/cpuinfo").read_text("utf-8")
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    about = {
        "processor": model[1] if model else platform.machine(),
        "cores": f"{os.cpu_count()}; proxy on core {cores.subject}, load and upstream on core {cores.load}",
        "memory": f"{pages / 1e9:.0f} GB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }
    return about | {title: found for title, command in _VERSIONS.items() if (found := _version(command))}


def _version(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return ""
    found = _VERSION.search(done.stdout + done.stderr)  # wrk ends with 1 after it has told its version
    return found[0] if found else ""
