"""Lists the files of more than 400 lines and the functions of more than 50, as ``path:line: what``.

    python tools/sizes.py src tests tools

A function is counted from its ``def`` to its last line, docstring included, decorators not. What is inside a function
counts for it too. Exit code 1 if anything is too long, 2 if a file is not Python.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE_LINES = 400
FUNCTION_LINES = 50


def main(arguments: list[str]) -> int:
    """Check the files and folders named; return the exit code."""
    found = 0
    for path in sorted(files(arguments)):
        try:
            offences = list(too_long(path.read_text(encoding="utf-8")))
        except (SyntaxError, ValueError) as error:
            print(f"{path}: not Python: {error}", file=sys.stderr)
            return 2
        for line, what in offences:
            print(f"{path}:{line}: {what}")
        found += len(offences)
    return 1 if found else 0


def files(arguments: list[str]) -> Iterator[Path]:
    """Yield the Python files among ``arguments`` and inside the folders among them."""
    for path in map(Path, arguments):
        if path.is_dir():
            yield from (file for file in path.rglob("*.py") if "node_modules" not in file.parts)
        else:
            yield path


def too_long(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the description of each thing in ``source`` that is too long."""
    lines = len(source.splitlines())
    if lines > FILE_LINES:
        yield FILE_LINES + 1, f"the file has {lines} lines, {FILE_LINES} is the most: cut it along its nouns"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {length} lines, {FUNCTION_LINES} is the most"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
