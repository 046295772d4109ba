"""`outcry keys services`, `certificates` and `containers`: the authority of the services, their certificates, the logins of their clients."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.table import Column, Table

from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.process import service_keys
from streams.services.certificates import reload_certificates
from streams.services.container_files import MADE, make_container_files

_names = click.option(
    "--name", "names", multiple=True, metavar="HOST", help="A further name or address under which services are found; may be repeated."
)


@click.command()
@_names
@click.pass_context
def services(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Make the authority, the certificates of services and the logins of their clients, as far as they are missing.

    `outcry up --secure` does it in its home. Elsewhere each service gets its certificate, each role its login, and everybody authority.pem.
    """
    folder = settings_of(ctx).service_keys
    made = service_keys.make_missing(folder, names)
    click.echo(f"{folder}: {', '.join(made) or 'nothing was missing'}")


@click.command()
@click.option("--renew", is_flag=True, help="Make new certificates for all services, not only for those that soon end.")
@_names
@click.pass_context
def certificates(ctx: click.Context, renew: bool, names: tuple[str, ...]) -> None:
    """Show when the certificates of the services end; renew them, and have a running set use the new ones without a restart.

    `outcry up` renews what soon ends, and the supervisor of a running set looks every hour.
    """
    settings = settings_of(ctx)
    if renew or names:
        made = service_keys.renew(settings.service_keys, names, everything=renew)
        click.echo(f"new certificates: {', '.join(made) or 'none'}")
        if made and (done := reload_certificates(settings)):
            click.echo(f"in use: {', '.join(done)}")
    _show(settings)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--renew", is_flag=True, help="Make new certificates for all services, not only for those that soon end.")
@_names
def containers(folder: Path, renew: bool, names: tuple[str, ...]) -> None:
    """Make the secrets that docker/compose.yaml mounts, in FOLDER: docker/secrets.

    What is there stays, but for certificates that soon end. To give a login another password, delete FOLDER/logins/NAME.json before. Afterwards
    containers are made anew: docs/deploy.md#secrets.

    \b
    Example:
      outcry keys containers docker/secrets --name exchange.example
    """
    made = make_container_files(folder, names, renewed=renew)
    click.echo(f"{folder}: {', '.join(made) or 'nothing was missing'}; {MADE} is written")


def _show(settings: Settings) -> None:
    now = datetime.now(UTC)
    table = Table(Column("certificate", no_wrap=True), "ends", "days left", "state", "names", box=None, pad_edge=False)
    for one in service_keys.certificates(settings.service_keys):
        table.add_row(one.path.stem, f"{one.ends:%Y-%m-%d %H:%M:%SZ}", str((one.ends - now).days), one.state(now), ", ".join(one.names))
    if not table.row_count:
        click.echo(f"no certificates in {settings.service_keys}: `outcry keys services` makes them")
        return
    Console().print(table)
