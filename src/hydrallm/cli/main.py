"""The command ``hydrallm``: its global options, its commands, and how errors become messages and exit codes.

Exit codes: 0 all is well, 1 it could not be done (a port in use, an editor that failed), 2 the config or the command
line is wrong, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hydrallm.cli import GlobalOptions, config_path
from hydrallm.errors import ConfigError, HydraError

if TYPE_CHECKING:
    from collections.abc import Sequence

# The help stands here and not in the commands, so that `--help` need not import them.
COMMANDS = {
    "serve": "Start the proxy; so does hydrallm without a command.",
    "init": "Write a config from a showcase, or from the keys in the environment.",
    "edit": "Open the config in your editor.",
    "demo": "Show retry and fallback with simulated providers; needs no key.",
    "version": "Show version, commit and Python.",
}

LOG_LEVELS = ("debug", "info", "warn", "error")


def _set_config(ctx: click.Context, _: click.Parameter, value: Path | None) -> None:
    options = ctx.ensure_object(GlobalOptions)
    if value is not None:
        options.named = config_path(value)


def _set_log_level(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    options = ctx.ensure_object(GlobalOptions)
    if value is not None:
        options.log_level = value


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value:
        from hydrallm.cli.version import report

        click.echo(report())
        ctx.exit()


def _global_options(envvar: str | None = None) -> list[click.Option]:
    """Return the global options; they are part of each command, so that they may stand on either side of its name."""
    return [
        click.Option(
            ["--config", "-c"],
            type=click.Path(path_type=Path),
            metavar="PATH",
            envvar=envvar,
            show_envvar=True,
            expose_value=False,
            callback=_set_config,
            help="The config file; ~/.config/hydrallm/config.toml if not given.",
        ),
        click.Option(
            ["--log-level", "-l"],
            type=click.Choice(LOG_LEVELS, case_sensitive=False),
            expose_value=False,
            callback=_set_log_level,
            help="Log this much, whatever the config says.",
        ),
    ]


class LazyGroup(click.Group):
    """A group that imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the commands, in the order in which a person meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command called ``cmd_name``; None if there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"hydrallm.cli.{cmd_name}").command
        known = {parameter.name for parameter in command.params}
        command.params += [option for option in _global_options() if option.name not in known]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may have been meant."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from hydrallm.config.spelling import did_you_mean

            hint = did_you_mean(args[0], COMMANDS) or f"; there are: {', '.join(COMMANDS)}"
            raise click.UsageError(f'There is no command "{args[0]}"{hint}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - the same
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    "hydrallm",
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["--help", "-h"]},
    params=_global_options("HYDRALLM_CONFIG"),
)
@click.option("--host", help="Listen on this address; with serve or no command.")
@click.option("--port", "-p", type=click.IntRange(0, 65535), help="Listen on this port; with serve or no command.")
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
@click.pass_context
def hydrallm(ctx: click.Context, host: str | None, port: int | None) -> None:
    """LLM API proxy with automatic retry and model fallback."""
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    if ctx.invoked_subcommand is None:
        serve = hydrallm.get_command(ctx, "serve")
        assert serve is not None  # noqa: S101 - it is in COMMANDS
        ctx.invoke(serve, **given)
    elif ctx.invoked_subcommand == "serve":
        ctx.default_map = {"serve": given}
    elif given:
        raise click.UsageError(f"--{next(iter(given))} has no meaning for the command {ctx.invoked_subcommand}.")


def run(arguments: Sequence[str]) -> int:
    """Run the command line ``arguments`` and return the exit code; messages go to standard error."""
    code: Any
    try:
        code = hydrallm.main(args=list(arguments), prog_name="hydrallm", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        _complain(error.format_message())
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except ConfigError as error:
        for problem in error.problems:
            _complain(str(problem))
        code = 2
    except HydraError as error:
        _complain(str(error))
        code = 1
    except OSError as error:  # standard output, mostly: a full disk, a closed pipe
        _complain(f"cannot write: {error.strerror or error}")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would try it once more as it ends
        code = 1
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run the process's own command line and exit."""
    sys.exit(run(sys.argv[1:]))


def _complain(message: str) -> None:
    click.echo(f"error: {message}", err=True)
