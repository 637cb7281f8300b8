"""The command line: one file a command, found and imported only when it is called.

Each command file exports a click command named ``command``. What is common to all of them arrives as
:class:`GlobalOptions`, with ``@click.pass_obj``.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from hydrallm.errors import HydraError


def config_path(option: str | Path | None) -> Path:
    """Return the config file: the one that was asked for, else ``.config/hydrallm/config.toml`` in the home folder.

    The home folder is ``%USERPROFILE%`` on Windows, ``$HOME`` elsewhere.

    Raises:
        HydraError: there is no home folder.
    """
    if option is not None and str(option):
        return Path(option)
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and no entry in the user database: a bare container
        raise HydraError("there is no home folder to find the config in: set HOME, or name it with --config") from None
    return home / ".config" / "hydrallm" / "config.toml"


class GlobalOptions(msgspec.Struct):
    """The options that every command takes, before its name or after it.

    Attributes:
        named: the config file that was asked for, or None.
        log_level: the log level to use instead of the config's, or None.
    """

    named: Path | None = None
    log_level: str | None = None

    @property
    def config(self) -> Path:
        """The config file."""
        return config_path(self.named)
