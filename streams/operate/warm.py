"""`outcry warm`: compile the kernels now, so that the first start of a worker is as quick as any other."""

import time

import click

from matchers.warm import warm as compile_kernels


@click.command()
def warm() -> None:
    """Compile the matching and account kernels into numba's cache.

    The first time takes 1 to 2.5 minutes of one core; after that, and until the kernels change, a second or two.

    \b
    Example:
      outcry warm
    """
    started = time.monotonic()
    compile_kernels(lambda step: click.echo(f"{time.monotonic() - started:6.1f} s  {step}"))
    click.echo(f"{time.monotonic() - started:6.1f} s  every kernel is compiled")
