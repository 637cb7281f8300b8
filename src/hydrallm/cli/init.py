"""``hydrallm init``: a first config, from a showcase, from the keys in the environment, or the template."""

from __future__ import annotations

import os
import sys
import tomllib
from typing import TYPE_CHECKING

import click

from hydrallm.cli import config_path
from hydrallm.config import catalog, starter, storage
from hydrallm.config.spelling import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from hydrallm.cli import GlobalOptions


@click.command("init")
@click.argument("showcase", required=False)
@click.option("--force", "-f", is_flag=True, help="Replace an existing config.")
@click.option("--list", "listed", is_flag=True, help="List the showcases.")
@click.pass_obj
def command(options: GlobalOptions, showcase: str | None, *, force: bool, listed: bool) -> None:
    """Write a config: a SHOWCASE (see --list) or the "template".

    Without a name, one is composed from the provider keys in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY,
    ZAI_API_KEY, OPENROUTER_API_KEY, AWS keys); if there are none, the template is written. The config refers to the
    variables; the keys themselves are never written.
    """
    if listed:
        _list()
        return
    what, content = _chosen(showcase, os.environ)
    path = options.config
    try:
        storage.write(path, content, replace=force)
    except FileExistsError:
        raise click.ClickException(
            f"{path} exists already; `hydrallm edit` opens it, `hydrallm init --force` replaces it"
        ) from None
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from None
    click.echo(f"Wrote {what} to {path}")
    click.echo(_next_steps(content, path, os.environ))


def _chosen(showcase: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return what is going to be written, in words and as text."""
    if showcase is not None:
        try:
            content = catalog.text(showcase)
        except KeyError:
            known = (*catalog.names(), catalog.TEMPLATE)
            hint = did_you_mean(showcase, known) or f"; there are: {', '.join(known)}"
            raise click.UsageError(f'There is no showcase "{showcase}"{hint}') from None
        return (f"the {showcase}" if showcase == catalog.TEMPLATE else f"the showcase {showcase}"), content
    composed = starter.compose(environ)
    if composed is not None:
        return "a config for the keys in your environment", composed
    return "the template (no provider's key is in the environment)", catalog.text(catalog.TEMPLATE)


def _next_steps(content: str, path: Path, environ: Mapping[str, str]) -> str:
    port = tomllib.loads(content).get("server", {}).get("port", 8080)
    usual = path == config_path(environ.get("HYDRALLM_CONFIG"))
    program = "hydrallm" if usual else f'hydrallm --config "{path}"'
    steps = [f"Set {name}: {_set_variable(name)}" for name in catalog.missing_variables(content, environ)]
    if "YOUR-" in content:
        steps.append(f"Replace what says YOUR-... in {path}: {program} edit")
    steps.append(f"Start: {program}     (it will listen on http://127.0.0.1:{port})")
    lines = "\n".join(f"  {number}. {step}" for number, step in enumerate(steps, start=1))
    return f"Next:\n{lines}\nTo change it: {program} edit"


def _set_variable(name: str) -> str:
    return f'$env:{name} = "your-key"' if sys.platform == "win32" else f'export {name}="your-key"'


def _list() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("Showcase", style="bold", no_wrap=True)
    table.add_column("What it is")
    for name in catalog.names():
        table.add_row(name, catalog.description(catalog.text(name)))
    table.add_row(catalog.TEMPLATE, "Every option, with its default")
    Console(soft_wrap=not sys.stdout.isatty()).print(table)
