"""Seal records and have them cosigned until a size is reached; to be killed at any moment: `python killed_child.py FOLDER SIZE`.

Log and witness are in one process here, so that one kill -9 hits both wherever they are. The processes of the exchange are killed in
tests/integration/own_sets/test_audit_log.py.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the package `support`

from support.records.audit_logs import cosign, open_log, open_witness
from tampered_world import record

from streams.host.seal_partition import CHECKPOINT_ENTRIES, SealedPartition

COSIGN_EVERY = 7
"""Checkpoints."""


def main(folder: Path, size: int) -> None:
    """Until the size is reached."""
    one = SealedPartition("executions", 0, open_log(folder / "log"))
    witness = open_witness(folder / "witness")
    print("started", flush=True)
    commits = 0
    while one.store.committed.size < size:
        for offset in range(one.next_offset, min(size, one.next_offset + CHECKPOINT_ENTRIES)):
            one.take(record(offset), 0.0)
        one.commit()
        commits += 1
        if commits % COSIGN_EVERY == 0:
            assert cosign(one.store, witness).status == 200
    assert cosign(one.store, witness).status == 200


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
