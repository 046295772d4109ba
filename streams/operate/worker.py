"""`outcry worker ROLE`: run one role of the exchange in this process."""

import sys
from importlib import import_module

import click

from schemas.errors import OutcryError
from schemas.logins import act_as
from streams.__main__ import settings_of
from streams.process.clock_watch import ClockWatch
from streams.process.last_words import say
from streams.process.worker_identity import worker_of
from topics.roles import EDGE, REPLICAS, ROLES


@click.command()
@click.argument("role", type=click.Choice(sorted(ROLES)))
@click.option("--instance", type=click.IntRange(1, 64), help="Which worker of the role (default: OUTCRY_WORKER_INSTANCE, or 1).")
@click.option("--replica", type=click.Choice(list(REPLICAS)), help="Which active-active replica (default: OUTCRY_WORKER_REPLICA, or a).")
@click.pass_context
def worker(ctx: click.Context, role: str, instance: int | None, replica: str | None) -> None:
    """Run ROLE until TERM or Ctrl-C.

    The services must run (`outcry up`, or OUTCRY_*_URL) and the topics must exist (`outcry topics create`). Workers of a role share its
    partitions; each needs its own instance number on its machine. Replicas of a role each do all of its work; readers use
    whatever arrives first.

    \b
    Examples:
      outcry worker match-orders
      outcry worker match-orders --instance 2
      OUTCRY_EDGE_PORT=8080 outcry worker edge
    """
    settings = settings_of(ctx)
    given = {"worker_instance": instance, "worker_replica": replica}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    who = worker_of(settings, role)
    entry = ROLES[role]
    if who.replica != "a" and not entry.replicas:
        raise click.BadParameter(
            f"{role} cannot have replicas; {', '.join(sorted(name for name, one in ROLES.items() if one.replicas))} can",
            param_hint="--replica",
        )
    if who.instance != 1 and not entry.workers:
        raise click.BadParameter(
            f"{role} has no group to share{'; see OUTCRY_EDGE_INSTANCE' if role == 'edge' else ''}", param_hint="--instance"
        )
    act_as(role)
    ClockWatch(settings, f"edge-{settings.edge_instance}" if role == EDGE.name else who.name).start()
    module, _, function = entry.runs.partition(":")
    try:
        getattr(import_module(module), function)(settings)
    except OutcryError as error:
        sys.exit(say(error))
