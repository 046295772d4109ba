"""`outcry audit prove`: write the proofs that records are in the audit log, for somebody who does not trust us.

In:     the log; the audit logs on this machine
Out:    a folder: NAME.tlog-proof and NAME.record of each record, a page for people, the policy, the verifier
On failure: a sentence, exit status 1; nothing is written before everything is found
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click

from audit.entries import offset_of
from audit.findings import Unchecked, Wrong
from audit.keys import read_exchange_keys
from audit.log_store import COSIGNED
from audit.notes import Checkpoint, Note
from audit.one_file import one_file
from audit.policy import Policy
from audit.proofs import Proof, check_proof
from audit.tiles import TILE_WIDTH, LogFiles
from audit.tree import inclusion_path
from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.read_log import Log, Meter, place
from streams.proofs.audit_keys import policy_text
from streams.proofs.audit_records import newest_checkpoint
from streams.proofs.find_records import FoundRecord, order_number, record_at, records_of_order, records_of_trade
from streams.proofs.proof_page import Proven, page_of

PAGE: Final = "index.html"
_PLACE: Final = re.compile(r"([a-z.]+)/(\d+)", re.ASCII)
Find = Callable[[Log, Meter], list[FoundRecord]]


def proof_of(settings: Settings, found: FoundRecord, policy: Policy) -> tuple[Proof, Proven]:
    """Against the newest cosigned checkpoint that has the record, else the newest one. Raises OutcryError where none has it yet."""
    record = found.record
    where = place(record.topic, record.partition)
    files, note, _ = newest_checkpoint(settings, record.topic, record.partition)
    try:
        newest, checkpoint = policy.log_signed(bytes(note), "checkpoint")
        index = record.offset - _first_offset(files, checkpoint.size)
        cosigned = _cosigned(files)
        if cosigned is not None and Checkpoint.parse(cosigned.text).size > index:
            newest, checkpoint = policy.log_signed(bytes(cosigned), COSIGNED)
        if not 0 <= index < checkpoint.size:
            raise OutcryError(
                f"{found.where} is not in the audit log yet, which has {checkpoint.size:,} entries of {where}: try again in a second"
            )
        entry = files.bundle(index // TILE_WIDTH, checkpoint.size)[index % TILE_WIDTH]
        proof = Proof(index, inclusion_path(files.nodes(checkpoint.size), index, checkpoint.size), bytes(newest), entry)
        cosigners = policy.cosigners(newest, "checkpoint")
        if policy.is_reached(cosigners):
            check_proof(proof, policy, record.value or b"", found.where)
        else:
            check_proof(proof, Policy(logs=policy.logs, quorum="none"), record.value or b"", found.where)
    except (Wrong, Unchecked) as error:
        raise StaleData(f"the audit log of {where} does not prove {found.where}: {error}") from None
    name = f"{record.topic}-{record.partition}-{record.offset}"
    return proof, Proven(found, name, index, entry, checkpoint, cosigners)


def _first_offset(files: LogFiles, size: int) -> int:
    return offset_of(files.bundle(0, size)[0], "entry 0") if size else 0


def _cosigned(files: LogFiles) -> Note | None:
    try:
        return Note.parse(files.read(COSIGNED))
    except Wrong:
        return None


def _prove(ctx: click.Context, out: Path, title: str, find: Find, *, quiet: bool) -> None:
    settings = settings_of(ctx)
    with Log(settings) as log, Meter("reading the log", 0, quiet=quiet) as meter:
        write_proofs(settings, out, title, find(log, meter))


def write_proofs(settings: Settings, out: Path, title: str, records: Iterable[FoundRecord]) -> None:
    """Write the proof of each record, the page, the policy and the verifier into a folder, and say so."""
    text = policy_text(settings, read_exchange_keys(settings.audit_keys_file))
    policy = Policy.parse(text)
    proofs = [proof_of(settings, found, policy) for found in records]
    out.mkdir(parents=True, exist_ok=True)
    for proof, one in proofs:
        (out / f"{one.name}.tlog-proof").write_bytes(bytes(proof))
        (out / f"{one.name}.record").write_bytes(one.found.record.value or b"")
    (out / "policy").write_text(text)
    (out / "verifier.py").write_text(one_file())
    (out / PAGE).write_text(page_of(title, [one for _, one in proofs]))
    for _, one in proofs:
        signed = ", ".join(one.cosigners) or "no witness yet"
        click.echo(f"{one.found.where}: entry {one.index:,} of {one.checkpoint.size:,}, cosigned by {signed}")
    click.echo(f"{len(proofs)} proofs in {out}; the page for people is {out / PAGE}")


def _options(command: Callable[..., Any]) -> Callable[..., Any]:
    out = click.option(
        "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("proofs"), show_default=True, help="Folder for the files."
    )
    quiet = click.option("--quiet", is_flag=True, help="No progress.")
    return out(quiet(click.pass_context(command)))


@click.group()
def prove() -> None:
    """Write proofs that records are in the audit log, with a page for people and the verifier beside them.

    \b
    Examples:
      outcry audit prove record executions/0 1234 --out proofs
      outcry audit prove order 17592186044417
      outcry audit prove trade 17592186044418
    """


@prove.command()
@click.argument("partition")
@click.argument("offset", type=click.IntRange(0))
@_options
def record(ctx: click.Context, partition: str, offset: int, out: Path, quiet: bool) -> None:
    """Prove the record at OFFSET of PARTITION (topic/number).

    \b
    Example:
      outcry audit prove record executions/0 1234
    """
    matched = _PLACE.fullmatch(partition)
    if matched is None:
        raise click.BadParameter(f"{partition!r} is not TOPIC/NUMBER, such as executions/0", param_hint="PARTITION")
    topic, number = matched[1], int(matched[2])
    _prove(ctx, out, f"Record {offset:,} of {partition}", lambda log, meter: [record_at(log, topic, number, offset)], quiet=quiet)


@prove.command()
@click.argument("order_id")
@_options
def order(ctx: click.Context, order_id: str, out: Path, quiet: bool) -> None:
    """Prove every event of an order, and the commands that led to them. ORDER_ID: a number, or the UUID that clients see.

    \b
    Example:
      outcry audit prove order 0de40000-0000-8000-8000-100000000001
    """
    number = order_number(order_id)
    _prove(ctx, out, f"Order {order_id}", lambda log, meter: records_of_order(log, number, meter), quiet=quiet)


@prove.command()
@click.argument("trd_match_id", type=click.IntRange(0, (1 << 64) - 1))
@_options
def trade(ctx: click.Context, trd_match_id: int, out: Path, quiet: bool) -> None:
    """Prove a trade, its settlement on both sides, and the commands that led to them.

    \b
    Example:
      outcry audit prove trade 17592186044418
    """
    _prove(ctx, out, f"Trade {trd_match_id}", lambda log, meter: records_of_trade(log, trd_match_id, meter), quiet=quiet)
