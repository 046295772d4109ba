"""The command `outcry`: finds its sub-commands by entry point, reads the settings once, turns known errors into one clear line.

Sub-commands register in pyproject.toml under `outcry.commands`; each is a click command whose context object is `schemas.settings.Settings`.
"""

import ast
import sys
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from schemas.errors import OutcryError
from schemas.settings import Settings, SettingsError, load_settings


class EntryPointGroup(click.Group):
    """A click group whose commands are the entry points `outcry.commands`, imported only when one is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in alphabetical order, as entry points have none of their own."""
        return sorted(point.name for point in entry_points(group="outcry.commands"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command; None makes click say that it does not exist."""
        for point in entry_points(group="outcry.commands", name=cmd_name):
            command: click.Command = point.load()
            return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands. Their first sentences are read in the sources: to import all of them takes seconds."""
        helps = {point.name: docstring_of(point) for point in entry_points(group="outcry.commands")}
        limit = formatter.width - 6 - max(len(name) for name in helps)
        with formatter.section("Commands"):
            formatter.write_dl([(name, click.Command(name, help=text).get_short_help_str(limit)) for name, text in sorted(helps.items())])


def docstring_of(point: EntryPoint) -> str:
    """The docstring of the function of an entry point, without importing its module; empty if it has none."""
    spec = find_spec(point.module)
    if spec is None or spec.origin is None:
        return ""
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.FunctionDef) and node.name == point.attr:
            return ast.get_docstring(node) or ""
    return ""


@click.group(cls=EntryPointGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="open-outcry", prog_name="outcry")
@click.pass_context
def outcry(ctx: click.Context) -> None:
    """Open Outcry, a stock exchange on Kafka.

    \b
    Examples:
      outcry up --all             start the services and every role of the exchange
      outcry status               what runs, where, and is it well
      outcry demo                 a simulated trading session, reconciled at the end
      outcry down                 stop what `outcry up` started
    """
    ctx.obj = load_settings()


def settings_of(ctx: click.Context) -> Settings:
    """The settings that the group has read; sub-commands call this rather than read the environment again."""
    found = ctx.find_object(Settings)
    assert found is not None, "a sub-command ran outside the outcry group"
    return found


def main() -> Any:
    """Run the command line. Exit codes: 0 done, 1 a known failure, 2 wrong usage or settings, 130 interrupted."""
    try:
        return outcry(standalone_mode=True)
    except SettingsError as error:
        click.echo(f"outcry: {error}", err=True)
        sys.exit(2)
    except OutcryError as error:
        click.echo(f"outcry: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.filename is None:
            raise
        click.echo(f"outcry: {error.filename}: {error.strerror}", err=True)  # a file of the world's; where in our code is no news
        sys.exit(1)


if __name__ == "__main__":
    main()
