"""What the code of a record costs its sender and each reader: `python tests/bench/bench_codes.py`. Prints JSON lines, without Kafka.

The records are those that an order makes in every topic (as bench_counts has them), from frames of 1, 100 and 400 rows. Times are of the processor, the
best of several rounds. Beside it the same with keyed BLAKE2b over the value, which needs no nonce; and the share that codes have of all processor time
of the shards, if each record is signed once and checked once: what the shards take for the same orders without codes is measured in the same run.
"""

import hashlib
import time
from collections.abc import Callable
from typing import Final

from bench_counts import CountedShards
from harness.result_lines import print_result

from schemas.codec import decode_header
from streams.host.shard_runner import Output
from topics.catalogue import ACCOUNT_COMMANDS
from topics.record_codes import UNCHECKED, Key, Keyring, code_of
from topics.sources import names_shard, topic_named
from topics.speakers import PRODUCER, SPEAKERS, shards_of

FRAME_ROWS: Final = (1, 100, 400)
ORDERS: Final = 4_000
ROUNDS: Final = 7
NOW: Final = 10**18
RING: Final = Keyring(tuple(Key(f"{one}-1", one, one.encode().ljust(32, b"."), 0) for one in SPEAKERS))


class KeptShards(CountedShards):
    """Keeps what is written."""

    def __init__(self, frame_rows: int) -> None:
        self.kept: list[Output] = []
        super().__init__(frame_rows)

    def wrote(self, output: Output) -> None:
        """Keep it too."""
        super().wrote(output)
        self.kept.append(output)


def best_s(work: Callable[[], object]) -> float:
    """Seconds of processor time."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def traded(frame_rows: int) -> tuple[KeptShards, float]:
    """Shards that have traded ORDERS, and the seconds of processor time that this took them: decoding, deciding, encoding."""
    shards = KeptShards(frame_rows)
    shards.send(shards.openings())
    shards.kept.clear()
    orders = shards.orders(ORDERS, resting=False)
    began = time.process_time()
    shards.send(orders)
    return shards, time.process_time() - began


def measure(frame_rows: int) -> None:
    """One line."""
    runs = [traded(frame_rows) for _ in range(ROUNDS)]
    shards, shards_s = runs[0][0], min(seconds for _, seconds in runs)
    records, rows, size = [], 0, 0
    for output in shards.kept:
        found = decode_header(output.value)
        assert found is not None
        speaker = shards_of(topic_named(output.topic)) if names_shard(found[1].source) else PRODUCER
        assert speaker != PRODUCER or output.topic == ACCOUNT_COMMANDS.name
        records.append((RING.of(speaker)[0], output.topic, output.partition, output.value))
        rows, size = rows + found[2], size + len(output.value)
    codes = [code_of(key.headers(topic, partition, value)) for key, topic, partition, value in records]

    def check() -> None:
        for code, (_, topic, partition, value) in zip(codes, records, strict=True):
            proof = RING.proof(topic, partition, value, code, NOW)
            assert proof is not UNCHECKED and proof.refusal is None

    signing_s = best_s(lambda: [key.headers(topic, partition, value) for key, topic, partition, value in records])
    checking_s = best_s(check)
    blake2b_s = best_s(lambda: [hashlib.blake2b(value, key=key.secret, digest_size=16).digest() for key, _, _, value in records])
    print_result("codes", {
        "frame_rows": frame_rows, "records": len(records), "rows": rows, "bytes_per_row": round(size / rows, 1),
        "sign_us_per_record": round(signing_s / len(records) * 1e6, 2), "check_us_per_record": round(checking_s / len(records) * 1e6, 2),
        "sign_ns_per_row": round(signing_s / rows * 1e9, 1), "check_ns_per_row": round(checking_s / rows * 1e9, 1),
        "keyed_blake2b_ns_per_row": round(blake2b_s / rows * 1e9, 1), "shards_ns_per_row": round(shards_s / rows * 1e9, 1),
        "codes_us_per_order": round((signing_s + checking_s) / ORDERS * 1e6, 2), "shards_us_per_order": round(shards_s / ORDERS * 1e6, 2),
        "share_percent": round((signing_s + checking_s) / (signing_s + checking_s + shards_s) * 100, 1),
    })  # fmt: skip


if __name__ == "__main__":
    for rows_of_a_frame in FRAME_ROWS:
        measure(rows_of_a_frame)
