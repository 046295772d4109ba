"""What an audit log costs: `python tests/bench/bench_audit.py [--entries N]`. Prints JSON lines, without Kafka.

Sealing: records of three sizes become entries, with a checkpoint after each thousand, on a disk that is synced; MB/s and records/s are per second of
processor time. Then, of a log of a million entries: how long a proof takes, and how long a stranger needs for the whole log.
"""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
from harness.result_lines import print_result

from audit.keys import ExchangeKeys, ExchangeSecret
from audit.log_store import LogStore, Position
from audit.policy import Policy
from audit.proofs import Proof, check_proof
from audit.tiles import TILE_WIDTH, LogFiles
from audit.tree import inclusion_path
from audit.whole_log import EntryOrder, check_log
from schemas.codec import FRAMES, Header, encode_frame
from streams.host.seal_partition import CHECKPOINT_ENTRIES, SealedPartition
from streams.host.shard_runner import Record

KEYS: Final = ExchangeKeys("bench.example/audit", (ExchangeSecret(bytes(32), "2026-01-01"),))
ORIGIN: Final = KEYS.origin("executions", 0)
ROWS: Final = (1, 100, 4_000)
PROOFS: Final = 1_000


def frame(rows: int) -> bytes:
    """An execution frame whose columns do not pack well."""
    made = np.zeros(rows, FRAMES["execution_frame"].dtype)
    numbers = np.random.default_rng(1)
    for name in made.dtype.names or ():
        if name != "kind":
            made[name] = numbers.integers(0, 100, rows)
    made["kind"] = 1
    return encode_frame("execution_frame", Header("book.commands/0", 1, 0, first_seq=1), made)


def seal(folder: Path, value: bytes, records: int) -> tuple[float, float]:
    """Seconds of processor time, and of the clock."""
    one = SealedPartition("executions", 0, LogStore(folder, ORIGIN, KEYS, Position(0)))
    started, wall = time.process_time(), time.perf_counter()
    for offset in range(one.next_offset, one.next_offset + records):
        one.take(Record("executions", 0, offset, offset * 1_000_000, None, value), 0.0)
        if one.store.waiting == CHECKPOINT_ENTRIES:
            one.commit()
    one.commit()
    return time.process_time() - started, time.perf_counter() - wall


def bench_sealing(folder: Path, megabytes: int) -> None:
    """A line for each size of a record."""
    for rows in ROWS:
        value = frame(rows)
        records = min(100_000, (megabytes << 20) // len(value))
        cpu_s, wall_s = seal(folder / str(rows), value, records)
        print_result("audit", {
            "what": "seal", "record_bytes": len(value), "records": records, "records_per_cpu_s": round(records / cpu_s),
            "mb_per_cpu_s": round(records * len(value) / cpu_s / 1e6, 1), "checkpoint_ms": round(1_000 * wall_s / (records / CHECKPOINT_ENTRIES), 1),
        })  # fmt: skip


def bench_proofs(folder: Path, entries: int) -> None:
    """Of one log: proofs made and checked, and the whole log checked."""
    seal(folder, frame(1), entries)
    files, policy = LogFiles(str(folder)), Policy.parse(f"log {KEYS.public(ORIGIN)[0]}\nquorum none\n")
    note = files.read("checkpoint")
    checkpoint, _ = policy.cosigned(note, "checkpoint")
    pick, times = random.Random(1), []
    for _ in range(PROOFS):
        index = pick.randrange(entries)
        started = time.perf_counter()
        entry = files.bundle(index // TILE_WIDTH, entries)[index % TILE_WIDTH]
        proof = Proof(index, inclusion_path(files.nodes(entries), index, entries), note, entry)
        times.append(1_000 * (time.perf_counter() - started))
        check_proof(proof, policy, frame(1), "proof")
    print_result("audit", {
        "what": "prove", "entries": entries, "proof_ms_p50": round(float(np.percentile(times, 50)), 2),
        "proof_ms_p99": round(float(np.percentile(times, 99)), 2), "proof_bytes": len(bytes(proof)),
    })  # fmt: skip
    started, cpu = time.perf_counter(), time.process_time()
    check_log(files, checkpoint, [], EntryOrder())
    print_result("audit", {
        "what": "verify the whole log", "entries": entries, "cpu_s": round(time.process_time() - cpu, 2),
        "seconds": round(time.perf_counter() - started, 2), "log_mb": round(_size(folder) / 1e6),
    })  # fmt: skip


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """All lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the log that is proven of and verified")
    parser.add_argument("--megabytes", type=int, default=400, help="of records that are sealed, for each of their sizes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench_sealing(Path(folder) / "seal", arguments.megabytes)
        bench_proofs(Path(folder) / "prove", arguments.entries)


if __name__ == "__main__":
    sys.exit(main())
