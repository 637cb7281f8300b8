"""``hydrallm edit``: the config in the user's own editor.

The editor is what ``$VISUAL`` or ``$EDITOR`` says, split as a shell would, so ``EDITOR="code --new-window"`` works;
otherwise the first known one that is installed. Editors with a window return at once unless they are told to wait, and
then the shell's prompt would come back before the file is saved; so those get their flag for it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import click

from hydrallm.config import catalog, storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hydrallm.cli import GlobalOptions

VARIABLES = ("VISUAL", "EDITOR")

KNOWN = ("code", "zed", "nvim", "vim", "vi", "nano")
KNOWN_ON_WINDOWS = (*KNOWN, "notepad")

# The flags by which an editor with a window waits until the file is closed; the first is the one to add.
_WAIT = ("--wait", "-w")
_FOREGROUND = ("-f", "--nofork")
WAIT_FLAGS = {
    "atom": _WAIT,
    "code": _WAIT,
    "code-insiders": _WAIT,
    "codium": _WAIT,
    "cursor": _WAIT,
    "gedit": _WAIT,
    "gvim": _FOREGROUND,
    "kate": ("--block", "-b"),
    "mate": _WAIT,
    "mvim": _FOREGROUND,
    "subl": _WAIT,
    "vscodium": _WAIT,
    "windsurf": _WAIT,
    "zed": _WAIT,
    "zeditor": _WAIT,
}

_NO_EDITOR = (
    "no editor found; say which one you want, for example: {} (or edit {} with whatever you like; it has been written)"
)


@click.command("edit")
@click.pass_obj
def command(options: GlobalOptions) -> None:
    """Open the config in $VISUAL, $EDITOR or a known editor; start from a commented template if there is none."""
    path = options.config
    if _create(path):
        click.echo(f"Wrote a commented template to {path}", err=True)
    editor = find_editor(os.environ, windows=sys.platform == "win32")
    if editor is None:
        example = "setx EDITOR notepad" if sys.platform == "win32" else "export EDITOR=nano"
        raise click.ClickException(_NO_EDITOR.format(example, path))
    program = shutil.which(editor[0])
    if program is None:
        raise click.ClickException(
            f"the editor {editor[0]} was not found; set VISUAL or EDITOR to one that is installed"
        )
    _run(program, editor, path)


def find_editor(environ: Mapping[str, str], *, windows: bool) -> list[str] | None:
    """Return the command line of the editor to use, without the file; None if there is no editor.

    Args:
        environ: the environment: VISUAL, EDITOR, and PATH to look for known editors in.
        windows: whether backslashes are separators of paths, and ``notepad`` is there.

    Raises:
        click.ClickException: VISUAL or EDITOR cannot be split.
    """
    for name in VARIABLES:
        if text := environ.get(name, "").strip():
            return _waiting(_split(name, text, windows=windows))
    known = KNOWN_ON_WINDOWS if windows else KNOWN
    found = next((editor for editor in known if shutil.which(editor, path=environ.get("PATH"))), None)
    return None if found is None else _waiting([found])


def _split(name: str, text: str, *, windows: bool) -> list[str]:
    if Path(text).is_file():  # a path with spaces that nobody quoted
        return [text]
    try:
        words = shlex.split(text, posix=not windows)
    except ValueError as error:
        raise click.ClickException(f"{name} cannot be used: {error} in {text!r}") from None
    return [word.strip('"') for word in words] if windows else words


def _waiting(editor: list[str]) -> list[str]:
    name = PureWindowsPath(editor[0]).name.lower()  # splits at either slash
    for suffix in (".exe", ".cmd", ".bat"):
        name = name.removesuffix(suffix)
    flags = WAIT_FLAGS.get(name, ())
    return editor if not flags or any(flag in editor[1:] for flag in flags) else [*editor, flags[0]]


def _create(path: Path) -> bool:
    """Write the template to ``path`` unless there is something already; return whether it was written."""
    try:
        storage.write(path, catalog.text(catalog.TEMPLATE), replace=False)
    except FileExistsError:
        return False
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from None
    return True


def _run(program: str, editor: list[str], path: Path) -> None:
    with _interrupts_are_the_editors():
        try:
            code = subprocess.run([program, *editor[1:], str(path)], check=False).returncode
        except OSError as error:
            raise click.ClickException(f"the editor {editor[0]} cannot be run: {error.strerror or error}") from None
    if code < 0:
        raise click.ClickException(f"the editor {editor[0]} was ended by signal {-code}")
    if code:
        raise click.ClickException(f"the editor {editor[0]} failed with exit code {code}")


@contextlib.contextmanager
def _interrupts_are_the_editors() -> Iterator[None]:
    """Leave Ctrl-C to the editor: it has a meaning there, and ending here would leave the editor without a terminal.

    A handler, since an ignored signal would be ignored by the editor too.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
