"""The operator's commands to the books: what they refuse before anything is posted, what they post, how they read the books' answers."""

from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from matchers.books.reference.shard import BookShard
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, rows_of
from schemas.codec import Frame, Header
from schemas.enums import BookCommandKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import Instrument, InstrumentTable, load_instruments
from schemas.reject_reasons import Reason
from schemas.settings import Settings
from streams.operate import session as operate_session
from streams.operate.ask_shards import NotConfirmed
from streams.operate.command_books import PhaseAnswer, command_rows, is_receipt, mass_cancel_answer, phase_answers, require_phase
from streams.operate.session import end_time_ns, session

NOON_NS = 1_772_470_800_000_000_000  # 2026-03-02 12:00 in New York
COMMANDS = (
    "pre-open",
    "opening-auction",
    "open",
    "closing-auction",
    "post-close",
    "close",
    "halt",
    "resume",
    "instrument-update",
    "mass-cancel",
)


def run(home: Path, *arguments: str) -> Any:
    """The outcome of `outcry session ...`."""
    return CliRunner().invoke(session, arguments, obj=Settings(home=home))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["open", "--symbol", "NOPE"], "'NOPE' is not traded here"),
        (["pre-open", "--until", "noon"], "'noon' is not a time"),
        (["pre-open", "--until", "2001-01-01T00:00:00+00:00"], "not in the future"),
        (["pre-open", "--until", "2126-01-01T00:00:00"], "has no offset"),
        (["open", "--until", "16:00"], "No such option"),
        (["halt", "--reason", "regulatory"], "name an instrument with --symbol, or use --all"),
        (["halt", "--all", "--symbol", "AAPL", "--reason", "regulatory"], "name an instrument with --symbol, or use --all"),
        (["halt", "--all"], "Missing option '--reason'"),
        (["halt", "--all", "--reason", "mood"], "'mood' is not one of"),
        (["resume"], "name an instrument with --symbol, or use --all"),
        (["resume", "--all", "--to", "closed"], "'closed' is not one of"),
        (["instrument-update", "--symbol", "AAPL"], "give --reference-price"),
        (["instrument-update", "--symbol", "AAPL", "--reference-price", "0"], "must be positive"),
        (["instrument-update", "--symbol", "AAPL", "--reference-price", "1.001"], "not a multiple"),
        (["instrument-update", "--symbol", "AAPL", "--reference-price", "x"], "not a decimal number"),
        (["mass-cancel"], "choose the orders"),
        (["mass-cancel", "--all", "--account", "1"], "choose the orders"),
        (["mass-cancel", "--account", "0"], "0 is not in the range"),
        (["bust", "1"], "No such command"),
        (["calendar", "--from", "today"], "'today' is not a day"),
        (["calendar", "--days", "0"], "0 is not in the range"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: list[str], message: str) -> None:
    """Exit code 2 and a sentence, without any service."""
    done = run(tmp_path, *arguments)
    assert done.exit_code == 2 and message in done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_it_takes(tmp_path: Path, name: str) -> None:
    """What --help shows gets as far as asking for Kafka."""
    lines = [line.strip() for line in run(tmp_path, name, "--help").output.splitlines()]
    examples = [line.split() for line in lines if line.startswith("outcry session ")]
    assert examples
    for words in examples:
        later = "2126-01-01T00:00:00-05:00"
        arguments = [later if before in ("--until", "--trading-ends") else word for before, word in pairwise(words)]
        done = run(tmp_path, *arguments[1:])
        assert done.exit_code == 1 and "outcry up" in str(done.exception), (words, done.output)


def test_the_help_lists_these_commands_and_no_other() -> None:
    """A bust is missing on purpose: account shards cannot take its postings back yet."""
    assert set(session.commands) == {*COMMANDS, "calendar"}


@pytest.mark.parametrize(
    ("text", "seconds"), [("12:00:01", 1), ("16:00", 4 * 3_600), ("2026-03-02T12:00:05-05:00", 5), ("2026-03-02T17:30:00+00:00", 1_800)]
)
def test_an_end_time_is_new_yorks_today_or_says_its_offset(text: str, seconds: int) -> None:
    """Counted from noon."""
    assert end_time_ns(text, NOON_NS) == NOON_NS + seconds * 1_000_000_000


@pytest.mark.parametrize("text", ["12:00", "11:59:59", "9:30", "25:00", "", "16:00:00.5", "2026-03-03"])
def test_any_other_time_is_refused(text: str) -> None:
    """Noon itself is not in the future; a date alone is no moment."""
    with pytest.raises(click.BadParameter):
        end_time_ns(text, NOON_NS)


# ---- with books that answer


def table(symbols: str = "A B") -> InstrumentTable:
    """Instruments at 100 ticks of 0.01."""
    one = Decimal(1)
    named = enumerate(symbols.split(), 1)
    return InstrumentTable(Instrument(n, symbol, "", one / 100, one, Decimal(10**6), Decimal(10**9), one, 20) for n, symbol in named)


class Books:
    """Book shards that take an operator's frames as match-orders would."""

    def __init__(self, instruments: InstrumentTable, shards: int = 1) -> None:
        self.shards = [BookShard(shard, instruments, shards) for shard in range(shards)]
        self.now = 1

    def tell(self, kind: BookCommandKind, shard: int = 0, **columns: int) -> Any:
        """The executions that a command makes."""
        self.now += 1
        executions = self.shards[shard].apply(command_rows(kind, self.now, **columns)).executions
        assert is_receipt(Frame("execution_frame", Header(""), executions))
        assert not is_receipt(Frame("execution_frame", Header(""), executions[executions["command_index"] == 0]))
        return executions

    def order(self, order_id: int, **columns: int) -> None:
        """A resting buy of account 1."""
        order = {"kind": BookCommandKind.NEW_ORDER, "order_id": order_id, "account": 1, "instrument": 1, "side": Side.BUY, "price": 90,
                 "ord_type": OrdType.LIMIT, "time_in_force": TimeInForce.DAY, "order_qty": 1}  # fmt: skip
        self.shards[0].apply(rows_of(BOOK_COMMAND_DTYPE, [order | columns]))


def test_each_book_says_where_it_is_or_why_not() -> None:
    """Both go, then one is asked for what the table does not allow."""
    books = Books(table())
    went = phase_answers(books.tell(BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.PRE_OPEN))
    assert went == [PhaseAnswer(1, Phase.PRE_OPEN, Reason.NONE), PhaseAnswer(2, Phase.PRE_OPEN, Reason.NONE)]
    stays = phase_answers(books.tell(BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.POST_CLOSE, instrument=2))
    assert stays == [PhaseAnswer(2, None, Reason.INVALID_PHASE_CHANGE)]
    assert stays[0].text == "unchanged: the trading session cannot go from its phase to that one"
    (halted,) = phase_answers(books.tell(BookCommandKind.TRADING_HALT, phase=Phase.HALTED, reason=Reason.REGULATORY_HALT, instrument=1))
    assert halted.text == "HALTED: regulatory halt"


def test_what_the_receipts_timer_does_is_not_taken_for_the_commands_answer() -> None:
    """The auction's end has come with it: the command's word is that the auction began."""
    books = Books(table("A"))
    (answer,) = phase_answers(books.tell(BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.OPENING_AUCTION, expire_time=1))
    assert answer.phase == Phase.OPENING_AUCTION
    assert books.shards[0].state.books[1].phase == Phase.CONTINUOUS


def test_a_mass_cancel_is_told_by_instrument() -> None:
    """Of one account only; nothing to cancel is an answer too."""
    books = Books(table())
    books.tell(BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.CONTINUOUS)
    for order_id, columns in enumerate(({}, {"instrument": 2}, {"instrument": 2}, {"account": 2}), 1):
        books.order(order_id, **columns)
    answer = mass_cancel_answer(books.tell(BookCommandKind.MASS_CANCEL, account=1))
    assert (answer.canceled, answer.frozen, answer.accounts) == ({1: 1, 2: 2}, {}, 1)
    assert mass_cancel_answer(books.tell(BookCommandKind.MASS_CANCEL, account=1)).canceled == {}


def test_an_instrument_that_does_not_go_to_its_phase_is_named_with_its_reason() -> None:
    """Scripts must not believe that the market is open; nor where a book shard does not know the instrument."""
    instruments = list(load_instruments(None))
    went = [PhaseAnswer(one.number, Phase.CONTINUOUS, Reason.NONE) for one in instruments]
    require_phase(Settings(), went, Phase.CONTINUOUS)
    refused = [PhaseAnswer(instruments[0].number, None, Reason.INVALID_PHASE_CHANGE), *went[1:]]
    with pytest.raises(NotConfirmed, match=rf"not CONTINUOUS: {instruments[0].symbol} \(unchanged: .* cannot go"):
        require_phase(Settings(), refused, Phase.CONTINUOUS)
    with pytest.raises(NotConfirmed, match=f"not for {instruments[0].symbol}: do they have"):
        require_phase(Settings(), went[1:], Phase.CONTINUOUS)
    require_phase(Settings(), went[:1], Phase.CONTINUOUS, instruments[0].number)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Books:
    """Commands go to books in this process, over the default instruments, instead of through Kafka."""
    books = Books(load_instruments(None))
    monkeypatch.setattr(operate_session, "record_command", lambda ctx: None)
    monkeypatch.setattr(operate_session, "send", lambda settings, kind, **columns: books.tell(kind, **columns))
    return books


def test_a_day_of_commands_tells_what_each_book_says(answering: Books, tmp_path: Path) -> None:
    """Open, halt one, resume it into an auction, open it, cancel what rests, close."""
    assert run(tmp_path, "instrument-update", "--symbol", "AAPL", "--reference-price", "190.00").exit_code == 0
    assert answering.shards[0].state.books[1].reference_px == 19_000
    opened = run(tmp_path, "open")
    assert opened.exit_code == 0 and "AAPL     CONTINUOUS\n" in opened.output
    answering.order(5, price=18_000)
    assert run(tmp_path, "halt", "--symbol", "AAPL", "--reason", "regulatory").output == "AAPL     HALTED: regulatory halt\n"
    assert run(tmp_path, "resume", "--symbol", "AAPL").output == "AAPL     VOLATILITY_AUCTION\n"
    assert run(tmp_path, "open", "--symbol", "AAPL").output == "AAPL     CONTINUOUS\n"
    canceled = run(tmp_path, "mass-cancel", "--account", "1", "--side", "buy")
    assert canceled.output == "AAPL     1 canceled\ncanceled 1 orders of 1 accounts\n"
    assert "CLOSED" in run(tmp_path, "close").output


def test_a_refusal_ends_with_exit_code_1_unless_the_command_was_for_every_book_that_it_concerns(answering: Books, tmp_path: Path) -> None:
    """Nothing trades: nothing can be halted. One trades: it is, and the others are told to be unchanged."""
    done = run(tmp_path, "halt", "--all", "--reason", "market-wide")
    assert done.exit_code == 1 and "unchanged" in done.output and "refused by" in str(done.exception)
    assert run(tmp_path, "open", "--symbol", "MSFT").exit_code == 0
    done = run(tmp_path, "halt", "--all", "--reason", "market-wide")
    assert done.exit_code == 0 and "MSFT     HALTED: market-wide circuit breaker" in done.output and "unchanged" in done.output
    assert run(tmp_path, "open").exit_code == 1


def test_the_calendar_shows_days_and_phases(tmp_path: Path) -> None:
    """Thanksgiving is not there, the day after it is short."""
    done = run(tmp_path, "calendar", "--from", "2026-11-25", "--days", "2")
    assert done.exit_code == 0
    head, first, second = done.output.splitlines()
    assert head.split()[:3] == ["day", "pre_open", "opening_auction"]
    assert first.split() == ["Wed", "2026-11-25", "06:30", "09:28", "09:30", "15:55", "16:00", "16:05"]
    assert second.split() == ["Fri", "2026-11-27", "06:30", "09:28", "09:30", "12:55", "13:00", "13:05", "half", "day"]
    assert "ends on 2040-12-31" in str(run(tmp_path, "calendar", "--from", "2041-01-01").exception)
