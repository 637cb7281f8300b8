"""The command line: one file a command, found and imported only when it is called.

Each command file exports a click command named ``command``. What is common to all of them arrives as
:class:`GlobalOptions`, with ``@click.pass_obj``.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


def config_path(option: str | Path | None) -> Path:
    """Return the config file: the one that was asked for, else ``.config/hydrallm/config.toml`` in the home folder.

    The home folder is ``%USERPROFILE%`` on Windows, ``$HOME`` elsewhere.
    """
    if option is not None and str(option):
        return Path(option)
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry in the user database: a bare container
        home = Path(os.curdir)
    return home / ".config" / "hydrallm" / "config.toml"


class GlobalOptions(msgspec.Struct):
    """The options that every command takes, before its name or after it.

    Attributes:
        config: the config file.
        log_level: the log level to use instead of the config's, or None.
    """

    config: Path = msgspec.field(default_factory=lambda: config_path(None))
    log_level: str | None = None
