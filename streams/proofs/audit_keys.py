"""`outcry audit keys`, `policy` and `verifier`: what signs the audit logs, and what strangers need to check them.

In:     the key file; for `policy`, the topics' numbers of partitions and the file of witnesses
Out:    the key file; standard output
On failure: a sentence, exit status 1; a key is never written over
"""

from datetime import UTC, datetime
from pathlib import Path

import click

from audit.keys import ExchangeKeys, new_exchange_keys, read_exchange_keys, write_exchange_keys
from audit.one_file import one_file
from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.seal_days import DAYS
from streams.roles.audit_log import witnesses_of
from streams.transport.cluster import partition_counts
from topics.roles import AUDIT_LOG


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


@click.group()
def keys() -> None:
    """Make, show and rotate the secret keys that sign the audit logs.

    They are in OUTCRY_AUDIT_KEYS, or OUTCRY_HOME/keys/audit.json; only their owner may read the file. Keep a copy of it elsewhere: a lost
    key cannot be made again, and its logs cannot go on.
    """


@keys.command()
@click.option("--name", required=True, help="How the names of all logs begin: a host name with a path, such as exchange.example/audit.")
@click.pass_context
def create(ctx: click.Context, name: str) -> None:
    """Make the first key.

    \b
    Example:
      outcry audit keys create --name exchange.example/audit
    """
    path = settings_of(ctx).audit_keys_file
    write_exchange_keys(path, new_exchange_keys(name, _today()), is_new=True)
    click.echo(f"{path} is made; keep a copy of it elsewhere. Then: outcry up --role audit-log")


@keys.command()
@click.pass_context
def show(ctx: click.Context) -> None:
    """Show which keys there are, but no secret. Their public halves: `outcry audit policy`."""
    path = settings_of(ctx).audit_keys_file
    found = read_exchange_keys(path)
    click.echo(f"{found.name}, in {path}")
    for number, key in enumerate(found.keys, 1):
        click.echo(f"  key {number}, made {key.made}: {'retired, checks older checkpoints' if key.is_retired else 'signs'}")


@keys.command()
@click.pass_context
def rotate(ctx: click.Context) -> None:
    """Add a key. From its next start the role signs with it as well as with the old one.

    \b
    1. outcry audit keys rotate, restart the role
    2. give the new policy (outcry audit policy) to everybody who checks, witnesses first
    3. outcry audit keys retire, restart the role
    """
    path = settings_of(ctx).audit_keys_file
    found = read_exchange_keys(path).rotated(_today())
    write_exchange_keys(path, found)
    click.echo(
        f"{path} has {len(found.keys)} keys now; restart the role audit-log, then tell everybody the new policy: outcry audit policy"
    )


@keys.command()
@click.pass_context
def retire(ctx: click.Context) -> None:
    """Let only the newest key sign, from the next start of the role. The others stay in the file to check what they signed."""
    path = settings_of(ctx).audit_keys_file
    found = read_exchange_keys(path)
    if len(found.keys) < 2:
        raise OutcryError(f"{path} has one key only: `outcry audit keys rotate` makes the next one first")
    write_exchange_keys(path, found.retired())
    click.echo(f"the newest of {len(found.keys)} keys signs alone; restart the role audit-log")


def policy_text(settings: Settings, found: ExchangeKeys) -> str:
    """The policy of https://c2sp.org/tlog-policy for all logs of this exchange. Raises OutcryError."""
    counts = partition_counts(settings, *AUDIT_LOG.reads)
    origins = [found.origin(topic, number) for topic, count in counts.items() for number in range(count)]
    origins.append(found.origin(DAYS, 0))
    lines = [f"log {key}" for origin in origins for key in found.public(origin)]
    witnesses_of(settings)  # complains about what cannot be read
    witnesses = settings.audit_witnesses.read_text().rstrip("\n") if settings.audit_witnesses else "quorum none"
    return "\n".join([f"# Logs of {found.name}", *lines, "# Their witnesses", witnesses]) + "\n"


@click.command()
@click.pass_context
def policy(ctx: click.Context) -> None:
    """Print whom a verifier should trust: the public keys of every log, and the witnesses.

    \b
    Example:
      outcry audit policy > policy
    """
    settings = settings_of(ctx)
    click.echo(policy_text(settings, read_exchange_keys(settings.audit_keys_file)), nl=False)


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def verifier(file: Path | None) -> None:
    """Write the stand-alone verifier to FILE, or print it.

    One Python file that needs the package cryptography and nothing of ours.

    \b
    Example:
      outcry audit verifier verifier.py
      python verifier.py log http://HOST:PORT/audit/executions/0 --policy policy
    """
    if file is None:
        click.echo(one_file(), nl=False)
    else:
        file.write_text(one_file())
