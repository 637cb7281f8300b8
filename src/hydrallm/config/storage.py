"""Writing a config file: only for its owner to read, and whole or not at all.

The text is written beside the target, forced to the disk and moved into place, so that a crash leaves either the old
file or the new one. A symbolic link is followed: people keep their config in a repository of dotfiles.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write(path: Path, content: str, *, replace: bool) -> None:
    """Write ``content`` to ``path`` with mode 0600, in a folder of mode 0700 if that is made.

    Args:
        path: the file.
        content: its text; line ends are kept.
        replace: whether an existing file may be replaced.

    Raises:
        FileExistsError: it exists and must not be replaced.
        OSError: it cannot be written.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not replace and target.exists():
        raise FileExistsError(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # always 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if not replace:
            # Whoever creates the target first has it; the file in place is then our own empty one.
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.replace(name, target)  # noqa: PTH105 - Path.replace says the same
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - its name is a string already
        raise
