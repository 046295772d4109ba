"""`outcry worker ROLE`: run one role of the exchange in this process."""

from importlib.metadata import entry_points

import click

from streams.__main__ import settings_of


def role_names() -> list[str]:
    """Every role, from the entry points `outcry.roles`."""
    return sorted(point.name for point in entry_points(group="outcry.roles"))


@click.command()
@click.argument("role", type=click.Choice(role_names()))
@click.pass_context
def worker(ctx: click.Context, role: str) -> None:
    """Run ROLE until TERM or Ctrl-C.

    The services must run (`outcry up`, or OUTCRY_*_URL) and the topics exist (`outcry topics create`).

    \b
    Examples:
      outcry worker match-orders
      OUTCRY_EDGE_PORT=8080 outcry worker edge
    """
    (point,) = entry_points(group="outcry.roles", name=role)
    point.load()(settings_of(ctx))
