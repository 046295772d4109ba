"""What would have fired with another bound: reads `executions` through surveillance.what_if. `outcry surveillance what-if`, and the process of the page.

In:     executions, within the bounds below; nothing is written, and nobody is told
State:  none
On failure: OutcryError. The process of an edge (`python -m streams.research.what_if`) gets settings and question as a line of JSON on its stdin, and
writes lines of JSON: {"done": records, "records": all}, and at last {"result": ...} or {"failed": "why"}. It is nice, has a bound of memory, and ends
with its edge.
"""

import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from schemas.codec import BadBytes, Frame
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.logins import act_as
from schemas.marks import Marks
from schemas.settings import Settings
from streams.host.read_log import Log
from streams.host.shard_runner import Record
from streams.host.sink_feeder import input_of
from streams.roles.watch_trading import read_owner_sets
from surveillance.alerts import Place
from surveillance.what_if import WhatIf
from topics.catalogue import EXECUTIONS
from topics.roles import EDGE

RECORDS_MAX: Final = 300_000
"""Records of executions that one run reads over all partitions. One of 64 rows takes 1.1 ms of a core (tests/bench/bench_surveillance.py): six minutes."""
WARM_NS: Final = 86_400_000_000_000
"""Where the log is too long to be read from its beginning, the detectors see a day before the range: phases, usual sizes, resting orders."""
MEMORY_BYTES_MAX: Final = 1 << 30
NICENESS: Final = 19
_TELL_EVERY: Final = 500


@dataclass(frozen=True)
class Question:
    """begin, end: log time, ns. symbols: none is all."""

    pattern: str
    parameters: dict[str, int]
    begin: int
    end: int
    symbols: tuple[str, ...] = ()


class _Part:
    """A partition and the records of it that are read."""

    def __init__(self, log: Log, partition: int, question: Question) -> None:
        low, high = log.bounds(EXECUTIONS.name, partition) or (0, 0)
        behind = log.offset_at(EXECUTIONS.name, partition, question.end // 1_000_000 + 2_000)
        self.partition, self.end, self._low = partition, high if behind is None else behind, low
        warm = log.offset_at(EXECUTIONS.name, partition, max(question.begin - WARM_NS, 0) // 1_000_000)
        self.warm = self.end if warm is None else max(low, warm)

    def records(self, *, from_first: bool) -> int:
        """How many."""
        return max(0, self.end - (self._low if from_first else self.warm))

    def begin(self, *, from_first: bool) -> int:
        """The first of them."""
        return self._low if from_first else min(self.warm, self.end)


def ask(
    settings: Settings, question: Question, tell: Callable[[int, int], None], open_log: Callable[[Settings], Log] = Log
) -> dict[str, Any]:
    """The comparison as JSON; `complete`: the log was read from its first record. tell: gets how many records of how many are done. Raises OutcryError."""
    instruments = load_instruments(settings.instruments_file)
    unknown = sorted(set(question.symbols) - set(instruments.by_symbol))
    if unknown:
        raise OutcryError(f"symbol {unknown[0][:32]!r} is not known")
    what_if = WhatIf(
        instruments, question.pattern, question.parameters, read_owner_sets(settings), begin=question.begin, end=question.end
    )  # fmt: skip
    with open_log(settings) as log:
        parts = [_Part(log, partition, question) for partition in range(log.partitions(EXECUTIONS))]
        from_first = sum(one.records(from_first=True) for one in parts) <= RECORDS_MAX
        total = sum(one.records(from_first=from_first) for one in parts)
        if total > RECORDS_MAX:
            raise OutcryError(
                f"the range has {total:,} records with the day before it, and one run reads {RECORDS_MAX:,}: ask for less time"
            )
        done = 0
        for part in parts:
            what_if.next_shard()
            marks = Marks() if from_first else Marks(since_ns=max(question.begin - WARM_NS, 0))
            for record in log.records(EXECUTIONS.name, part.partition, part.begin(from_first=from_first), part.end):
                done += 1
                if done % _TELL_EVERY == 0:
                    tell(done, total)
                _take(what_if, record, marks)
                if what_if.over:
                    break
        tell(total, total)
    first = from_first and all(part.begin(from_first=True) == 0 for part in parts)
    return {**what_if.comparison(question.symbols).as_json(), "rows": what_if.rows, "records": done, "complete": first}


def _take(what_if: WhatIf, record: Record, marks: Marks) -> None:
    """As watch-trading reads it: what no reader believes or can read, and what was written twice, is left out."""
    try:
        body = input_of(record).body
        is_new = isinstance(body, Frame) and marks.take(body.header, record.time_ns)
    except BadBytes:
        return
    if is_new:
        assert isinstance(body, Frame)
        what_if.take(body.rows, Place(record.topic, record.partition, record.offset, body.header.first_seq))


def _end_with_edge() -> None:
    """Its end of the pipe is closed when it ends, however it ends."""
    sys.stdin.read()
    os._exit(1)


def main() -> NoReturn:
    """The process of an edge."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed is no answer

    def say(value: dict[str, Any]) -> None:
        out.write(json.dumps(value, separators=(",", ":")) + "\n")
        out.flush()

    act_as(EDGE.name)
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    asked = json.loads(sys.stdin.readline())
    settings = Settings.model_validate(asked["settings"])
    question = Question(**{**asked["question"], "symbols": tuple(asked["question"]["symbols"])})
    threading.Thread(target=_end_with_edge, daemon=True).start()
    try:
        say({"result": ask(settings, question, lambda done, total: say({"done": done, "records": total}))})
    except OutcryError as error:
        say({"failed": str(error)})
    except MemoryError:
        say({"failed": f"it would take more than {MEMORY_BYTES_MAX >> 20:,} MiB of memory: ask for less time"})
    raise SystemExit(0)


if __name__ == "__main__":
    main()
