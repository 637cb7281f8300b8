"""What is wrong or doubtful in a config, collected, so that a person can repair all of it at once."""

from __future__ import annotations

import json
import re

from hydrallm.config.settings import Problem

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0, "Keys"


class Findings:
    """Problems and warnings about one file, in the order in which they were found.

    A key path is written as in TOML, with the entries of lists counted from 1: ``endpoints.openai.url``,
    ``models[2].endpoint``, ``endpoints."my.own".url``.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def problem(self, key: str, message: str) -> None:
        """Record that the config cannot be used because of ``key``."""
        self.problems.append(Problem(file=self._file, key=key, message=message))

    def warning(self, key: str, message: str) -> None:
        """Record that ``key`` is doubtful."""
        self.warnings.append(Problem(file=self._file, key=key, message=message))


def join(path: str, name: str) -> str:
    """Return the key path of ``name`` inside the table at ``path``; the root's is empty."""
    key = name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)
    return f"{path}.{key}" if path else key


def entry(path: str, index: int) -> str:
    """Return the key path of the list entry at ``index`` (from 0) of the list at ``path``."""
    return f"{path}[{index + 1}]"
