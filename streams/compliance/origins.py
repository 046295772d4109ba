"""The place of a day in the audit log: for each partition the entries of the day's records, and the root of the tree that ends with the last of them.

The root is of exactly so many entries, so it is the same whenever it is asked for.
"""

from collections.abc import Iterable

from audit.entries import offset_of
from audit.findings import Unchecked, Wrong
from audit.tree import root_of
from reports.day_read import AuditedOrigin, Origin
from schemas.errors import OutcryError, StaleData
from schemas.settings import Settings
from streams.proofs.audit_records import newest_checkpoint


def audited(settings: Settings, origins: Iterable[Origin]) -> list[AuditedOrigin]:
    """With entries where there is an audit log. Raises OutcryError where it has not come to the end of the day yet, StaleData where it cannot be read."""
    return [
        _audited(settings, one) if settings.audit_dir.is_dir() else AuditedOrigin(one.partition, one.first, one.last) for one in origins
    ]


def _audited(settings: Settings, one: Origin) -> AuditedOrigin:
    topic, _, number = one.partition.rpartition("/")
    files, _, checkpoint = newest_checkpoint(settings, topic, int(number))
    try:
        first_offset = offset_of(files.bundle(0, checkpoint.size)[0], "entry 0") if checkpoint.size else 0
        first, last = one.first - first_offset, one.last - first_offset
        if last >= checkpoint.size:
            raise OutcryError(
                f"the audit log of {one.partition} has {checkpoint.size:,} entries and has not come to record {one.last:,} yet: try again in a second, "
                "or start its role (`outcry worker audit-log`)"
            )
        return AuditedOrigin(one.partition, one.first, one.last, first, last, root_of(files.nodes(checkpoint.size), 0, last + 1).hex())
    except (Wrong, Unchecked) as error:
        raise StaleData(f"the audit log of {one.partition} cannot be read: {error}") from None
