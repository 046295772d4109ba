"""What each role may use. Where to begin, not what was measured: an overlay of your own changes it once the dashboards say more."""

from dataclasses import dataclass
from typing import Final

from topics.roles import EDGE, HOLD_FUNDS, MAKE_REPORTS, MATCH_ORDERS, RoleEntry


@dataclass(frozen=True)
class Size:
    """Kubernetes quantities. A critical role has requests = limits: nobody else is given its processor in a busy minute."""

    cpu: str
    memory: str
    disk: str
    recovery_s: int
    """The longest start: kernels are compiled, then tables are read back from the log. The start-up probe waits so long."""


SHARD: Final = Size(cpu="1", memory="2Gi", disk="20Gi", recovery_s=1_800)
REPORTS: Final = Size(cpu="500m", memory="4Gi", disk="1Gi", recovery_s=300)
"""A day is in memory as columns: see the figures of tests/bench/bench_reports.py for a million orders. Its files are on a claim that the edges read."""
SIZES: Final = {
    HOLD_FUNDS.name: SHARD, MATCH_ORDERS.name: SHARD, EDGE.name: Size(cpu="1", memory="1Gi", disk="1Gi", recovery_s=600), MAKE_REPORTS.name: REPORTS,
}  # fmt: skip
WITH_DISK: Final = Size(cpu="500m", memory="1Gi", disk="50Gi", recovery_s=900)
WITHOUT_DISK: Final = Size(cpu="250m", memory="512Mi", disk="1Gi", recovery_s=300)


def size_of(role: RoleEntry) -> Size:
    """Of a role that nobody has thought of: by whether it keeps something."""
    return SIZES.get(role.name) or (WITH_DISK if role.files or role.table else WITHOUT_DISK)
