"""Write logs of this version for later versions to replay.

PYTHONPATH=tests:tests/properties:tests/simulation python tests/recorded/record_logs.py tests/recorded/engine-N

exchange: what seeds of the simulation leave in the log (faults, both kinds of shards, market data), one folder per seed.
books:    random tapes over every feature of the matching engine, fed to one book shard.
Each log is an Avro container file of records; instruments.toml and hashes.json (state hash per shard) stand beside it.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import MISSING, fields
from decimal import Decimal
from enum import IntEnum
from pathlib import Path

import fastavro
from book_tapes import Tape, instruments
from customers import simulated_instruments
from simulate import simulated
from support.memory_log import MemoryLog

from schemas.codec import Header, encode_frame
from schemas.instruments import Instrument, InstrumentTable
from streams.host.read_log import place
from streams.host.shard_runner import ENGINE_VERSION, Record, ShardRunner
from streams.proofs.verified_roles import ROLES, Setup
from streams.proofs.verify import Range, ShardVerifier
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS

SEEDS = (1_000, 1_034, 1_038, 1_055, 1_092, 1_101)
"""Some of the larger ones."""
TAPES = range(3)
ROWS_PER_FRAME = 400
FRAMES_PER_TAPE = 6
SCHEMA = fastavro.parse_schema(
    {
        "type": "record", "name": "recorded", "fields": [
            {"name": "topic", "type": "string"}, {"name": "partition", "type": "int"}, {"name": "offset", "type": "long"},
            {"name": "time_ns", "type": "long"}, {"name": "key", "type": ["null", "bytes"]}, {"name": "value", "type": ["null", "bytes"]},
        ],
    }
)  # fmt: skip
Parts = dict[tuple[str, int], list[Record]]


class RecordedLog(MemoryLog):
    """A log read back from a folder; it has as many partitions as the parts say."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.parts.update(parts)
        self.counts: dict[str, int] = defaultdict(lambda: 1)
        for topic, partition in parts:
            self.counts[topic] = max(self.counts[topic], partition + 1)

    def partitions(self, topic):
        return self.counts[topic.name]


def state_hashes(log: MemoryLog, table: InstrumentTable, roles: Iterable[str]) -> dict[str, str]:
    """Verify every shard of these roles: the state hash each ends with. Raises AssertionError with the first difference."""
    found = {}
    for name in sorted(roles):
        role = ROLES[name]
        counts = {topic.name: log.partitions(topic) for topic in role.needs}
        for shard in range(counts[role.source.name]):
            if not log.parts[role.source.name, shard]:
                continue
            report = ShardVerifier(log, name, shard, Setup(table, counts), Range(), quiet=True).run()
            assert report.difference is None, report.line()
            assert not report.compared.in_flight, report.line()
            found[f"{name} {place(role.source.name, shard)}"] = report.state_hash
    return found


def book_parts(table: InstrumentTable) -> Parts:
    """Tapes through one book shard."""
    log = MemoryLog()
    runner = ShardRunner(ROLES["book"].make(0, Setup(table, {ACCOUNT_COMMANDS.name: 1, BOOK_COMMANDS.name: 1})))
    for seed in TAPES:
        tape = Tape(seed)
        for _ in range(FRAMES_PER_TAPE):
            header = Header(place(ACCOUNT_COMMANDS.name, 0), len(log.parts[BOOK_COMMANDS.name, 0]))
            log.append(BOOK_COMMANDS.name, 0, encode_frame("book_command_frame", header, tape.rows(ROWS_PER_FRAME)))
            for output in runner.feed(log.parts[BOOK_COMMANDS.name, 0][-1]):
                log.append(output.topic, output.partition, output.value)
    return {tp: part for tp, part in log.parts.items() if part}


def save(folder: Path, parts: Parts, table: InstrumentTable, roles: Iterable[str]) -> None:
    """Write one log and what it leads to."""
    folder.mkdir(parents=True, exist_ok=True)
    log = RecordedLog(parts)
    with (folder / "log.avro").open("wb") as file:
        fastavro.writer(file, SCHEMA, _plain(parts), codec="xz", sync_marker=bytes(16))
    (folder / "instruments.toml").write_text(instruments_toml(table))
    (folder / "hashes.json").write_text(json.dumps(state_hashes(log, table, roles), indent=1) + "\n")


def instruments_toml(table: InstrumentTable) -> str:
    """The table as an OUTCRY_INSTRUMENTS_FILE."""
    lines = []
    for one in table:
        lines.append("[[instrument]]")
        for field in fields(Instrument):
            value = getattr(one, field.name)
            if field.default is not MISSING and value == field.default:
                continue
            text = value.name if isinstance(value, IntEnum) else format(value, "f") if isinstance(value, Decimal) else value
            lines.append(f"{field.name} = {json.dumps(text)}")
    return "\n".join(lines) + "\n"


def load(folder: Path) -> Parts:
    """The records of a log, by partition."""
    parts: Parts = defaultdict(list)
    with (folder / "log.avro").open("rb") as file:
        for one in fastavro.reader(file):
            parts[one["topic"], one["partition"]].append(Record(**one))
    return dict(parts)


def _plain(parts: Parts) -> Iterable[dict]:
    for _, part in sorted(parts.items()):
        for one in part:
            yield {name: getattr(one, name) for name in ("topic", "partition", "offset", "time_ns", "key", "value")}


def main(folder: Path) -> None:
    """Record every log."""
    for seed in SEEDS:
        run, log = simulated(seed)
        assert not run.broken, run
        # only what the log itself holds: snapshots in changelogs are of this version's format
        parts = {tp: part for tp, part in log.parts.items() if part and "changelog" not in tp[0]}
        save(folder / f"exchange-{seed}", parts, simulated_instruments(), ROLES)
    save(folder / "books", book_parts(instruments()), instruments(), ("book",))
    print(
        f"engine version {ENGINE_VERSION}:", *(f"{path.name} {path.stat().st_size >> 10} KiB" for path in sorted(folder.glob("*/log.avro")))
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
