"""`outcry warm`: compile the kernels now, so that the first start of a worker is as quick as any other."""

import subprocess
import time
from functools import partial

import click

from streams.__main__ import settings_of
from streams.services.compiled_kernels import are_compiled, note_compiled
from streams.services.recipes.recipe import dying_with_parent
from streams.services.supervision.supervisor import outcry_command


@click.command()
@click.argument("only", type=click.Choice(["accounts", "books"]), required=False)
@click.pass_context
def warm(ctx: click.Context, only: str | None) -> None:
    """Compile the matching and account kernels into numba's cache.

    The first time takes 1 to 2.5 minutes of one core, shared out to two; after that, and until the kernels change, there is nothing to do.

    \b
    Examples:
      outcry warm
      outcry warm books
    """
    say = partial(_say, time.monotonic())
    settings = settings_of(ctx)
    if are_compiled(settings):
        say("every kernel is compiled")
        return
    from matchers.warm import warm_accounts, warm_books, warm_columns  # imports numba

    warm_columns()  # first and alone: both halves need them, and two processes must not write one file of the cache
    if only == "books":
        warm_books(say)
        return
    if only == "accounts":
        warm_accounts(say)
        return
    with subprocess.Popen(dying_with_parent(outcry_command("warm", "books"))) as books:  # noqa: S603  our own argument vector
        try:
            warm_accounts(say)
            failed = books.wait()
        except BaseException:
            books.kill()
            raise
    if failed:
        raise click.ClickException(f"the book kernels were not compiled: exit code {failed}")
    note_compiled(settings)
    say("every kernel is compiled")


def _say(began: float, step: str) -> None:
    click.echo(f"{time.monotonic() - began:6.1f} s  {step}")
