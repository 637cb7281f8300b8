"""``hydrallm version``: what is running here. The first thing that a bug report should hold."""

from __future__ import annotations

import platform

import click

import hydrallm
from hydrallm.build import commit


def report() -> str:
    """Return the version, the commit and the Python, a line each."""
    machine = f"{platform.system()} {platform.machine()}"
    return (
        f"hydrallm {hydrallm.__version__}\n"
        f"commit   {commit() or 'unknown'}\n"
        f"python   {platform.python_version()} ({platform.python_implementation()}, {machine})"
    )


@click.command("version")
def command() -> None:
    """Show version, commit and Python."""
    click.echo(report())
