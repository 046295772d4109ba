"""Both engines over one tape, frame by frame: the same rows, the same state hash, what must hold of a book, and its L3 by the rows."""

from typing import Any

from book_invariants import Accounting, OrdersSeen, check_books
from book_tapes import Tape

from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard
from schemas.codec import Rows
from schemas.instruments import InstrumentTable

FRAME_ROWS = 500


def compare(tape: Tape, table: InstrumentTable, rows: int) -> None:
    """Raises AssertionError at the first difference."""
    slow, fast = reference_book_shard.BookShard(0, table, 1), book_shard.BookShard(0, table, 1)
    accounting, seen = Accounting(), OrdersSeen()
    for frame in range(rows // FRAME_ROWS):
        commands = tape.rows(FRAME_ROWS)
        expected, got = slow.apply(commands), fast.apply(commands)
        assert_same(expected.executions, got.executions, commands, f"frame {frame}")
        assert expected.first_seq == got.first_seq
        assert slow.state_hash() == fast.state_hash(), f"frame {frame}: state hashes differ"
        accounting.take(expected.executions)
        accounting.check(slow)
        seen.take(expected.executions, commands)
        check_books(slow)
        if frame % 5 == 4:
            fast = restored(fast)


def restored(machine: Any) -> Any:
    """The machine that its snapshot makes."""
    arrays = {name: array.copy() for name, array in machine.snapshot().items()}
    return type(machine).restore(0, machine.instruments, arrays)


def assert_same(expected: Rows, got: Rows, commands: Rows, where: str) -> None:
    """Names the first row that differs, and its command."""
    if expected.tobytes() == got.tobytes():
        return
    at = next((i for i, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), min(len(expected), len(got)))
    command = commands[int(expected[at]["command_index"] if at < len(expected) else got[at]["command_index"])]
    raise AssertionError(
        f"{where}, row {at} of {len(expected)}/{len(got)}:\n{command}\nexpected {expected[at : at + 1]}\ngot {got[at : at + 1]}"
    )
