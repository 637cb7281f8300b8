"""From a config file to settings: read it, parse it, check it. This is the door: nothing else of ``config`` is public.

A byte order mark and CRLF line ends are what editors on Windows leave, so both are fine.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from typing import TYPE_CHECKING

import msgspec

from hydrallm.config.check import check
from hydrallm.config.settings import Problem
from hydrallm.errors import ConfigError, ConfigMissingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hydrallm.config.settings import Settings

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")

# tomllib says where only in words; attributes for it came with Python 3.14.
_POSITION = re.compile(r" \(at line (?P<line>\d+), column (?P<column>\d+)\)$")


def load(path: Path, environ: Mapping[str, str], *, host: str | None = None, port: int | None = None) -> Settings:
    """Return the settings in the config file at ``path``.

    Args:
        path: the file.
        environ: the environment, for values that refer to it and for AWS credentials.
        host: counts instead of ``server.host``.
        port: counts instead of ``server.port``; 0 is any free port (in the file it means the default).

    Raises:
        ConfigMissingError: there is no such file.
        ConfigError: it cannot be used; carries every problem found.
    """
    content, mode = _read(path)
    document = parse(content, path)
    server = document.setdefault("server", {})
    if host is not None and isinstance(server, dict):
        server["host"] = host  # before the check, which has a word to say on some hosts
    settings = check(document, path, environ, mode=mode if os.name == "posix" else None)
    if port is None:
        return settings
    return msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, port=port))


def parse(content: bytes, path: Path) -> dict[str, object]:
    """Return the TOML document in ``content``.

    Raises:
        ConfigError: it is not TOML in UTF-8.
    """
    try:
        return tomllib.loads(_text(content))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(path, "is not UTF-8; save it in that encoding", line) from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        position = _POSITION.search(message)
        reason = f"is not valid TOML: {_POSITION.sub('', message)}"
        if position is None:
            raise _refusal(path, reason) from None
        raise _refusal(path, reason, int(position["line"]), int(position["column"])) from None
    except RecursionError:
        raise _refusal(path, "is nested too deeply") from None
    except ValueError:  # an integer with thousands of digits
        raise _refusal(path, "contains a number that is too long") from None


def _read(path: Path) -> tuple[bytes, int]:
    try:
        with path.open("rb") as file:
            return file.read(), stat.S_IMODE(os.fstat(file.fileno()).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        problem = Problem(
            file=str(path),
            key="",
            message="there is no config file; `hydrallm init` writes one, `hydrallm edit` opens a commented template",
        )
        raise ConfigMissingError([problem]) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _refusal(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from None


def _text(content: bytes) -> str:
    if content.startswith(_UTF16_MARKS):
        return content.decode("utf-16")
    return content.removeprefix(_UTF8_MARK).decode("utf-8")


def _refusal(path: Path, message: str, line: int | None = None, column: int | None = None) -> ConfigError:
    return ConfigError([Problem(file=str(path), key="", message=message, line=line, column=column)])
