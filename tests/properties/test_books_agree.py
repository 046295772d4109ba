"""The book engines over all features: reference and kernel agree byte for byte, replay and restore go on as if nothing had happened."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from book_invariants import check_books
from book_tapes import Tape, instruments, plain_instruments
from compare_engines import assert_same, compare, restored
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from matchers.books import shard as book_shard
from matchers.books.kernel import layout as kernel_book_state
from matchers.books.reference import shard as reference_book_shard
from matchers.rules.limits import ShardLimits
from schemas.codec import Rows
from schemas.enums import ExecKind, Phase
from schemas.reject_reasons import Reason

TABLE = instruments()
ROOMY = ShardLimits()
TIGHT = ShardLimits(orders_max=12, stops_per_book_max=2, pegs_per_book_max=2, busts_max=2)
LONG_SEEDS, LONG_ROWS = range(16), 6_500
"""16 x 6,500 = 104,000 commands a run, and 4 x 6,500 plain ones. `python tests/properties/long_run.py` makes longer ones."""
SOON_ROWS = 2_500
"""Plain ones between two edits."""


def reference(limits: ShardLimits = ROOMY) -> reference_book_shard.BookShard:
    """An empty reference shard."""
    return reference_book_shard.BookShard(0, TABLE, 1, limits)


@pytest.mark.slow
@pytest.mark.parametrize("seed", LONG_SEEDS)
def test_engines_agree_over_long_sessions(seed: int) -> None:
    """Every frame: the same rows and the same state hash; now and then the kernel is restored from its own snapshot."""
    compare(Tape(seed), TABLE, LONG_ROWS)


@pytest.mark.parametrize(("seed", "rows"), [(4, SOON_ROWS), *(pytest.param(seed, LONG_ROWS, marks=pytest.mark.slow) for seed in range(4))])
def test_engines_agree_on_plain_tapes(seed: int, rows: int) -> None:
    """Here nearly every command goes the kernel's fast path."""
    compare(Tape(seed, plain=True), plain_instruments(), rows)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32), cut=st.integers(1, 80), tight=st.booleans())
def test_short_stories_in_any_frames(seed: int, cut: int, tight: bool) -> None:
    """However the input is cut into frames, and wherever the shard is restored, rows and state are the same."""
    limits = TIGHT if tight else ROOMY
    rows = Tape(seed).rows(80)
    cut += sum(1 for _ in _same_list(rows, cut))
    whole, parted, fast = reference(limits), reference(limits), book_shard.BookShard(0, TABLE, 1, limits)
    expected = whole.apply(rows).executions
    first = parted.apply(rows[:cut]).executions
    parted = restored(parted)
    second = parted.apply(rows[cut:]).executions
    second["command_index"] += cut
    assert first.tobytes() + second.tobytes() == expected.tobytes()
    assert_same(expected, fast.apply(rows).executions, rows, f"seed {seed}")
    assert whole.state_hash() == parted.state_hash() == fast.state_hash()
    check_books(whole)


def _same_list(rows: Rows, cut: int) -> Rows:
    """Rows behind the cut that belong to a list before it: a list stays in its frame."""
    if cut >= len(rows) or not rows[cut - 1]["list_id"]:
        return rows[:0]
    same: Rows = rows[cut:][rows[cut:]["list_id"] == rows[cut - 1]["list_id"]]
    return same


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 32))
def test_a_refused_command_changes_no_state(seed: int) -> None:
    """The state hash after a lone refusal is the one before it."""
    machine = reference(TIGHT)
    rows = Tape(seed).rows(60)
    alone = rows["list_id"] == 0
    for at in np.flatnonzero(alone):
        before = machine.state_hash()
        kinds = set(machine.apply(rows[at : at + 1]).executions["kind"].tolist())
        if kinds and kinds <= {ExecKind.REJECTED, ExecKind.CANCEL_REJECTED}:
            assert machine.state_hash() == before


def test_rows_may_be_handed_over_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that makes more rows than the buffer is to hold gives them in parts, and goes on where it was."""
    monkeypatch.setattr(book_shard, "_ROWS_SOON", 40)
    compare(Tape(3), TABLE, 4_000)


def test_a_command_that_makes_too_many_rows_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is room for all that the limits allow; where a command finds none, the shard stops rather than write elsewhere."""
    monkeypatch.setattr(book_shard, "_ROWS_SOON", 40)
    machine = book_shard.BookShard(0, TABLE, 1, ROOMY)
    machine._arrays["call"][kernel_book_state.EXECUTIONS_MAX] = 50  # pretends to be smaller than it is
    rows = Tape(3).rows(20_000)
    with pytest.raises(AssertionError, match="a command made more than"):
        machine.apply(rows)


@pytest.mark.slow
def test_long_tapes_reach_the_rules() -> None:
    """The tapes are worth something: every kind of row, every phase and nearly every reason of the books comes up in them."""
    tape, machine = Tape(7), reference(TIGHT)
    kinds, reasons, phases = set(), set(), set()
    for _ in range(40):
        executions = machine.apply(tape.rows(500)).executions
        kinds |= set(executions["kind"].tolist())
        reasons |= set(executions["reason"].tolist())
        phases |= set(executions["phase"][executions["kind"] == ExecKind.SECURITY_STATUS].tolist())
    assert kinds == set(ExecKind)
    assert phases == set(Phase)
    assert len(reasons & set(Reason)) >= 55


@pytest.mark.slow
def test_outputs_do_not_depend_on_the_process() -> None:
    """Two processes with other hash seeds, one of them restored half-way, say the same bytes."""
    script = Path(__file__).parent / "say_digest.py"
    digests = {
        subprocess.run(
            [sys.executable, str(script), engine, str(restore)],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for engine, seed, restore in (("reference", "1", 0), ("reference", "2", 1), ("kernel", "3", 0), ("kernel", "4", 1))
    }
    assert len(digests) == 1
