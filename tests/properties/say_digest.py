"""Apply a tape with an engine, restored half-way or not, and print a digest of all rows and the state hash: run as a process by test_books_agree."""

import hashlib
import sys
from typing import Any

from book_tapes import Tape, instruments

from matchers.books import shard as book_shard
from matchers.books.reference import shard as reference_book_shard


def main(engine: str, restores: bool) -> None:
    """`engine`: reference or kernel."""
    make: Any = {"reference": reference_book_shard.BookShard, "kernel": book_shard.BookShard}[engine]
    table = instruments()
    machine = make(0, table, 1)
    tape, digest = Tape(11), hashlib.blake2b(digest_size=16)
    for frame in range(8):
        digest.update(machine.apply(tape.rows(500)).executions.tobytes())
        if restores and frame == 3:
            machine = make.restore(0, table, {name: array.copy() for name, array in machine.snapshot().items()})
    print(digest.hexdigest(), machine.state_hash().hex())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2] == "1")
