"""Lists the lines of tracked files that name a package index, a mirror or a download host, as ``path:line: what``.

    python tools/hosts.py [FILE ...]

Whose packages are used is the business of the machine that installs them: a company's mirror must work without an
edit. So requirement and lock files pin names, versions and hashes, and never say where from. Exit code 1 if one does.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Written in pieces, since this file is checked as well.
HOSTS = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("pypa", "io"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("yarnpkg", "com"),
    ("npmmirror", "com"),
    ("jsdelivr", "net"),
    ("unpkg", "com"),
    ("anaconda", "org"),
    ("crates", "io"),
    ("proxy.golang", "org"),
    ("deb.debian", "org"),
    ("security.debian", "org"),
    ("archive.ubuntu", "com"),
    ("astral", "sh"),
)
HOST = re.compile(
    r"(?<![\w-])(?:[\w-]+\.)*(?:" + "|".join(re.escape(".".join(parts)) for parts in HOSTS) + r")(?![\w-])"
)
# Anything that says where from, whichever host it names: allowed in no file that pins packages.
SOURCE = re.compile(r"://|--(?:extra-)?index-url|--find-links|--trusted-host|\"resolved\"")
PINS = re.compile(r"(?:^|/)(?:requirements/.*|package(?:-lock)?\.json|\.npmrc|pip\.conf|uv\.lock)$")


def main(arguments: list[str]) -> int:
    """Check the files named, or else every tracked one; return the exit code."""
    found = 0
    for path in arguments or tracked():
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture, or a file removed but not yet committed
        for number, what in named(Path(path).as_posix(), lines):
            print(f"{path}:{number}: {what}")
            found += 1
    return 1 if found else 0


def tracked() -> list[str]:
    """Return the files that git tracks, or would if they were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return sorted({name for name in answer.stdout.split("\0") if name})


def named(path: str, lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Yield number and offence of each line of ``path`` that says where packages come from."""
    pins = PINS.search(path) is not None
    for number, line in enumerate(lines, start=1):
        if host := HOST.search(line):
            yield number, f"names {host[0]}; leave the host to the machine that installs"
        elif pins and (source := SOURCE.search(line)):
            yield number, f"{source[0]!r} in a file that pins packages; names, versions and hashes are enough"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
