"""Every bound of the cache in front of MySQL, with its arithmetic."""

from typing import Final

FRESH_MS: Final = 15 * 60_000
"""An entry that is older is read again behind the answer, by one of those who ask for it. Its place proves it all the same, so this is only
for what no place tells, such as a correction by hand."""
KEPT_MS: Final = 60 * 60_000
"""And then it is gone: from a quarter of an hour before an open, when it is warmed, to well behind it."""
JITTER: Final = 0.2
"""Both times vary by so much, so that what was warmed together does not end together."""
LATE_MS: Final = 1_000
"""What is public may be so late, whatever its place: as a replica that is read (sinks.mysql.routing.limits.LAG_TIERS_S)."""
SKEW_MS: Final = 2_000
"""An entry that was read later than now by more is refused: a clock is wrong, and its age says nothing."""
TIMEOUT_S: Final = 0.2
"""Redis has so long for one question. A page of orders takes MySQL a few ms, so a slower cache is none."""
AWAY_S: Final = 1.0
"""After a failure nobody asks Redis for so long: of all reads one a second is TIMEOUT_S late."""
LOCK_MS: Final = 2_000
"""One process reads what another one may be reading too for so long at the most."""
WAITS_S: Final = (0.005, 0.01, 0.02, 0.04, 0.08, 0.1)
"""A process that finds another one reading looks again after these; after 0.26 s in all it reads by itself."""
ENTRY_BYTES_MAX: Final = 512 << 10
"""Larger answers are not kept: 500 orders are ~70 KB, compressed ~25 KB; of 64 MB one entry is under 1 %."""
WARM_READS_PER_S: Final = 50
"""Of warming, unless told otherwise: ~2 ms each, a tenth of one connection's time."""
WARM_BATCH: Final = 100
"""Entries in one round trip to Redis: under a second at that rate."""
WARM_MEMORY_SHARE: Final = 0.6
"""Warming stops where the cache's memory is so full: the rest is for what nobody has predicted."""
PACKED_FROM_BYTES: Final = 1_024
"""Beyond it an entry is compressed: ~3 times fewer bytes for 30 us a page."""
PLAIN_BYTES_MAX: Final = 16 << 20
"""An entry that would unpack to more is refused."""
