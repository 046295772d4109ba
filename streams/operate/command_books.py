"""An operator's commands to the books, and their answers: phases, halts, reference data, mass cancels.

Each command goes straight to book.commands, followed by a TIMER in the same frame. Books answer many commands only if something changes, but they
always answer a TIMER. Once the row of its time has arrived, so has everything that the command did. Rows and answers are pure; `send` is not.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from schemas.codec import FRAMES, Frame, Header, Rows, encode_frame
from schemas.enums import BookCommandKind, ExecKind, Phase
from schemas.instruments import load_instruments
from schemas.reject_reasons import SENTENCES, Reason
from schemas.settings import Settings
from streams.operate.ask_shards import ANSWER_TIMEOUT_S, NotConfirmed, ask, operator_id
from streams.transport.cluster import partition_counts
from topics.catalogue import BOOK_COMMANDS, EXECUTIONS
from topics.partitioning import book_shard

_COMMAND, _RECEIPT = 0, 1
"""Rows of the frame, so values of command_index in the answer."""


@dataclass(frozen=True)
class PhaseAnswer:
    """A book's answer to a command about its phase: the phase now, or None if it stays as it is, and why."""

    instrument: int
    phase: Phase | None
    reason: Reason

    @property
    def text(self) -> str:
        """For a person."""
        word = "unchanged" if self.phase is None else self.phase.name
        return f"{word}: {SENTENCES[self.reason]}" if self.reason else word


@dataclass(frozen=True)
class MassCancelAnswer:
    """How many orders left (OCO partners included) and how many stay because their auction is frozen, by instrument number."""

    canceled: dict[int, int]
    frozen: dict[int, int]
    accounts: int
    """Whose orders left."""


def command_rows(kind: BookCommandKind, now: int, **columns: int) -> Rows:
    """The command and its receipt, as rows of book_command_frame."""
    rows = np.zeros(2, FRAMES["book_command_frame"].dtype)
    rows["transact_time"] = now
    rows["kind"] = kind, BookCommandKind.TIMER
    for name, value in columns.items():
        rows[name][_COMMAND] = value
    return rows


def is_receipt(answer: Frame) -> bool:
    """Whether the books have done everything."""
    rows = answer.rows
    return bool(((rows["kind"] == ExecKind.TIME) & (rows["command_index"] == _RECEIPT)).any())


def phase_answers(executions: Rows) -> list[PhaseAnswer]:
    """The books' last answer about each instrument, by instrument number."""
    said: dict[int, PhaseAnswer] = {}
    for row in executions[executions["command_index"] == _COMMAND]:
        number, reason = int(row["instrument"]), Reason(int(row["reason"]))
        if row["kind"] == ExecKind.SECURITY_STATUS:
            said[number] = PhaseAnswer(number, Phase(int(row["phase"])), reason)
        elif row["kind"] == ExecKind.REJECTED and not row["order_id"]:
            said[number] = PhaseAnswer(number, None, reason)
    return [said[number] for number in sorted(said)]


def mass_cancel_answer(executions: Rows) -> MassCancelAnswer:
    """What the command did."""
    rows = executions[executions["command_index"] == _COMMAND]
    canceled, frozen = rows[rows["kind"] == ExecKind.CANCELED], rows[rows["kind"] == ExecKind.CANCEL_REJECTED]
    return MassCancelAnswer(_by_instrument(canceled), _by_instrument(frozen), len(np.unique(canceled["account"])))


def send(settings: Settings, kind: BookCommandKind, *, instrument: int = 0, timeout_s: float = ANSWER_TIMEOUT_S, **columns: int) -> Rows:
    """Send the command to the shard of the instrument (0: to every shard) and wait. Returns the executions that it made.

    Raises ServiceUnavailable, or NotConfirmed when a book shard does not answer.
    """
    partitions = partition_counts(settings, BOOK_COMMANDS)[BOOK_COMMANDS.name]
    now = time.time_ns()
    frame = encode_frame(
        "book_command_frame", Header(operator_id(), created_at=now), command_rows(kind, now, instrument=instrument, **columns)
    )
    shards = [book_shard(instrument, partitions)] if instrument else range(partitions)
    answers = ask(settings, BOOK_COMMANDS, [(shard, frame) for shard in shards], EXECUTIONS, "match-orders", timeout_s, is_last=is_receipt)
    return np.concatenate([answer.rows for answer in answers])


def change_session(
    settings: Settings, phase: Phase, *, instrument: int = 0, until_ns: int = 0, timeout_s: float = ANSWER_TIMEOUT_S
) -> dict[int, Phase]:
    """Bring the instrument (0: all) to `phase`. Returns the phase of each, as confirmed by its shard.

    Raises ServiceUnavailable, or NotConfirmed if a book shard does not answer or an instrument does not change to that phase.
    """
    kind = BookCommandKind.TRADING_SESSION_CHANGE
    answers = phase_answers(send(settings, kind, instrument=instrument, phase=phase, expire_time=until_ns, timeout_s=timeout_s))
    require_phase(settings, answers, phase, instrument)
    return {one.instrument: phase for one in answers}


def require_phase(settings: Settings, answers: Sequence[PhaseAnswer], phase: Phase, instrument: int = 0) -> None:
    """Raises NotConfirmed naming the instruments that are not in the phase, with what their books say."""
    said = {one.instrument: one for one in answers}
    table = load_instruments(settings.instruments_file)
    asked = [one for one in table if instrument in (0, one.number)]
    silent = [one.symbol for one in asked if one.number not in said]
    if silent:
        raise NotConfirmed(f"the book shards answered, but not for {', '.join(silent)}: do they have the same instrument list?")
    wrong = [f"{one.symbol} ({said[one.number].text})" for one in asked if said[one.number].phase != phase]
    if wrong:
        raise NotConfirmed(f"not {phase.name}: {', '.join(wrong)}")


def _by_instrument(rows: Rows) -> dict[int, int]:
    numbers, counts = np.unique(rows["instrument"], return_counts=True)
    return dict(zip(numbers.tolist(), counts.tolist(), strict=True))
