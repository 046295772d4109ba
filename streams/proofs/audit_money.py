"""`outcry audit money`: prove from the log alone that no cash or share appeared, vanished or is held without a reason, and that MySQL agrees.

In:     account.events, executions, from their first records; MySQL, as of one moment
Out:    standard output: a table or JSON
State:  every account, open order and trade, in this process only; nothing is written
On failure: what differs, the first account, order or trade of it named; exit status 1.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import click
import msgspec
import numpy as np
from rich.console import Console
from rich.table import Table

from schemas.codec import BadBytes, Frame, Rows
from schemas.errors import StaleData
from schemas.instruments import InstrumentTable, load_instruments
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from sinks.mysql.ledger import StoredMoney, read_money
from sinks.partition_marks import PartitionMarks
from streams.__main__ import settings_of
from streams.host.lost_records import lost_state_of
from streams.host.read_log import Log, Meter, place
from streams.host.sink_feeder import input_of
from streams.proofs.money_ledger import CASH, Amount, MoneyLedger, Problem, Problems
from streams.proofs.money_trades import BookTrades, Settlement, by_trade, check_settlement, expected_sides
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS, Topic
from topics.log_ends import lost_end
from topics.sources import FORGED

EXIT_DIFFERS: Final = 1
EXIT_INTERRUPTED: Final = 130
ASK_EVERY_S: Final = 0.2
Ends = dict[tuple[str, int], int]


@dataclass
class MoneyReport:
    """What the audit found. Amounts in minor units (cash) and lots."""

    cash: dict[str, int] = field(default_factory=dict)
    shares: dict[str, dict[str, int]] = field(default_factory=dict)
    """By symbol."""
    accounts: int = 0
    events: int = 0
    orders: int = 0
    open_orders: int = 0
    trades: int = 0
    busts: int = 0
    busts_not_posted: int = 0
    trades_in_flight: int = 0
    mysql: str = "not asked"
    offsets: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    forged: list[str] = field(default_factory=list)
    """Records that every reader ignores, because no program of the exchange wrote them. They do not affect the money."""
    lost: int = 0
    """Records that the log has lost, counted by the fillers of `outcry recover`. What is missing because of them is reported as a problem."""
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Its fields."""
        return asdict(self) | {"agrees": not self.problem_count, "minor_per_unit": MINOR_PER_UNIT}


class MoneyAudit:
    """The log as far as it was read, and what it adds up to."""

    def __init__(self, log: Log, instruments: InstrumentTable, *, quiet: bool) -> None:
        self._log, self._instruments, self._quiet = log, instruments, quiet
        self.ledger, self.books = MoneyLedger(instruments), BookTrades()
        self.problems: Problems = self.ledger.problems
        self._marks: dict[tuple[str, int], PartitionMarks] = {}
        self.forged: list[str] = []
        """Records that readers ignore, by place."""
        self.lost = 0

    def ends(self, topic: Topic) -> Ends:
        """The current ends of a topic's partitions. Raises StaleData for one that has lost its beginning."""
        return {(topic.name, partition): self._log.whole(topic, partition).high for partition in range(self._log.partitions(topic))}

    def read_to(self, ends: Mapping[tuple[str, int], int]) -> None:
        """Read on to these offsets. Each frame counts once, as for every reader."""
        total = sum(max(0, end - self._mark(where).next_offset) for where, end in ends.items())
        with Meter("auditing the log", total, quiet=self._quiet) as meter:
            for (topic, partition), end in ends.items():
                marks = self._mark((topic, partition))
                for record in self._log.records(topic, partition, marks.next_offset, end):
                    meter.add()
                    try:
                        one = input_of(record)
                        is_new = marks.take(one)
                    except BadBytes as error:
                        where = f"{place(topic, partition)} offset {record.offset:,}"
                        if record.proof.is_operators and lost_state_of(record.value) is not None:
                            self.lost += 1
                        elif error.reason in FORGED:
                            self.forged.append(f"{where}: {error}")
                        else:
                            self.problems.add(Problem(f"the record cannot be read, so nothing is proven: {error}", where))
                        continue
                    if is_new and isinstance(one.body, Frame):
                        self._take(topic, partition, record.offset, one.body)
                marks.next_offset = max(marks.next_offset, end)
        self.ledger.follow()

    def _take(self, topic: str, partition: int, offset: int, frame: Frame) -> None:
        if topic == EXECUTIONS.name:
            self.books.take(frame.rows)
        else:
            self.ledger.take(partition, offset, frame)

    def _mark(self, where: tuple[str, int]) -> PartitionMarks:
        return self._marks.setdefault(where, PartitionMarks())

    def offsets(self) -> dict[str, int]:
        """How far the log has been read."""
        return {place(*where): marks.next_offset for where, marks in sorted(self._marks.items())}

    def settlement(self, problems: Problems) -> Settlement:
        """Trades against postings, as far as was read."""
        trades, busts = self.ledger.settled()
        expected = expected_sides(self.books.trades(), self._instruments)
        return check_settlement(expected, by_trade(trades), by_trade(busts), self.books.busted(), problems)

    def until_settled(self, wait_s: float) -> Settlement:
        """Read to the end. Trades that the books had decided by then get `wait_s` to be settled on both sides."""
        decided = self.ends(EXECUTIONS)
        self.read_to(decided)
        due = self.books.trades()["trd_match_id"]
        deadline = time.monotonic() + wait_s
        while True:
            self.read_to(self.ends(ACCOUNT_EVENTS))
            found = self.settlement(Problems())
            late = np.intersect1d(due, np.array(found.unsettled, np.uint64))
            if not len(late) or time.monotonic() > deadline:
                break
            time.sleep(ASK_EVERY_S)
        self.read_to(self.ends(EXECUTIONS))  # what was settled meanwhile was decided before that
        for trade in late.tolist():
            self.problems.add(
                Problem(
                    f"a side is not settled within {wait_s:g} s: are all account shards running? See `outcry status`", trd_match_id=trade
                )
            )
        return self.settlement(self.problems)


def audit_money_of(settings: Settings, *, with_mysql: bool, wait_s: float, quiet: bool = False) -> MoneyReport:
    """The whole audit. Raises OutcryError."""
    started, report = time.perf_counter(), MoneyReport()
    instruments = load_instruments(settings.instruments_file)
    with Log(settings) as log:
        audit = MoneyAudit(log, instruments, quiet=quiet)
        ends = audit.ends(ACCOUNT_EVENTS) | audit.ends(EXECUTIONS)
        if with_mysql:
            stored = asyncio.run(read_money(settings.mysql_url))
            ends = audit.ends(ACCOUNT_EVENTS) | audit.ends(EXECUTIONS)
            cut = {where: stored.offsets.get(where, 0) for where in ends}
            _require_same_log(cut, ends)
            audit.read_to(cut)
            compare_with_mysql(audit, stored, audit.settlement(Problems()), audit.problems)
            behind = sum(end - cut[where] for where, end in ends.items())
            report.mysql = f"compared as of its own offsets, {behind:,} records before the end of the log"
        settlement = audit.until_settled(wait_s)
    audit.ledger.check_holds()
    _fill(report, audit, settlement, instruments)
    report.seconds = round(time.perf_counter() - started, 3)
    return report


def _require_same_log(cut: Ends, ends: Ends) -> None:
    for where, offset in cut.items():
        if offset > ends[where]:
            raise StaleData(
                f"{lost_end(place(*where), ends[where], 'MySQL', offset)}. If its tables are of another log instead: check OUTCRY_MYSQL_URL and "
                "OUTCRY_KAFKA_URL, or rebuild them with `outcry rebuild mysql --force`"
            )


def _fill(report: MoneyReport, audit: MoneyAudit, settlement: Settlement, instruments: InstrumentTable) -> None:
    """The sums, and whether they are what they must be."""
    sums = audit.ledger.sums()
    for what, total in sorted(sums.items()):
        in_flight = settlement.in_flight.get(what, 0)
        # what came in = what is there + what the exchange took + what one side of a trade has paid and the other has not got yet
        missing = total.deposited - total.total - (total.fees if what == CASH else 0) - in_flight
        name = "cash" if what == CASH else _symbol(instruments, what)
        found = _amounts(total, in_flight, missing, is_cash=what == CASH)
        if what == CASH:
            report.cash = found
        else:
            report.shares[name] = found
        if missing:
            unit = "minor units" if what == CASH else "lots"
            audit.problems.add(Problem(f"{name}: {missing} {unit} of what came in are nowhere"))
    report.accounts = len({account for account, _ in audit.ledger.amounts})
    report.events, report.orders = audit.ledger.rows, audit.ledger.orders.total()
    report.open_orders = sum(1 for _ in audit.ledger.open_orders())
    report.trades, report.busts, report.busts_not_posted = settlement.trades, settlement.busts, settlement.busts_not_posted
    report.trades_in_flight, report.offsets = len(settlement.unsettled), audit.offsets()
    report.forged, report.lost = audit.forged, audit.lost
    report.problems, report.problem_count = audit.problems.first, audit.problems.count


def _amounts(total: Amount, in_flight: int, missing: int, *, is_cash: bool) -> dict[str, int]:
    found = {"deposited": total.deposited, "available": total.total - total.held, "held": total.held}
    return found | ({"fees": total.fees} if is_cash else {}) | {"in_flight": in_flight, "missing": missing}


def _symbol(instruments: InstrumentTable, number: int) -> str:
    one = instruments.by_number.get(number)
    return one.symbol if one is not None else f"instrument {number}"


# ---- MySQL


def compare_with_mysql(audit: MoneyAudit, stored: StoredMoney, settlement: Settlement, problems: Problems) -> None:
    """Compare everything that both have, as of the same offsets. Names the first account, order or trade of each kind."""
    for one in stored.contradictions:
        problems.add(Problem(f"MySQL: {one.what}", "", one.account, one.order_id, one.trd_match_id))
    ledger = audit.ledger
    _compare("balance", ledger.balances(), stored.balances, problems, lambda key: {"account": key[0]}, lambda key: f" of {_what(key[1])}")
    deposited = {what: amount.deposited for what, amount in ledger.sums().items() if amount.deposited}
    _compare("deposits", deposited, {what: amount for what, amount in stored.deposited.items() if amount}, problems, named=_what_of)
    _compare("number of orders", ledger.orders, stored.orders, problems, lambda account: {"account": account})
    _compare("(account, leaves_qty, cum_qty)", dict(ledger.open_orders()), stored.open_orders, problems, lambda order: {"order_id": order})
    trades, _ = ledger.settled()
    filled = _grouped(trades["account"], trades["last_qty"], trades["last_px"])
    _compare("(sides, lots, ticks x lots) of trades", filled, stored.filled, problems, lambda account: {"account": account})
    decided = audit.books.trades()
    _compare(
        "(trades, lots, ticks x lots)",
        _grouped(decided["instrument"], decided["qty"], decided["price"]),
        stored.trades,
        problems,
        named=_what_of,
    )
    for trade in sorted(set(settlement.unsettled) ^ stored.unsettled)[:1]:
        place_of = "the log" if trade in stored.unsettled else "MySQL"
        problems.add(Problem(f"both sides are settled in {place_of} only", trd_match_id=trade))


def _compare(
    what: str,
    log: Mapping[Any, Any],
    mysql: Mapping[Any, Any],
    problems: Problems,
    ids: Any = lambda key: {},
    named: Any = lambda key: "",
) -> None:
    """One problem per kind of fact: the first key that differs, and how many do."""
    wrong = sorted(key for key in log.keys() | mysql.keys() if log.get(key, 0) != mysql.get(key, 0))
    if wrong:
        first, more = wrong[0], f"; and {len(wrong) - 1:,} more" if len(wrong) > 1 else ""
        words = f"{what}{named(first)} is {log.get(first, 'not there')} by the log, {mysql.get(first, 'not there')} in MySQL{more}"
        problems.add(Problem(words, **ids(first)))


def _what(number: int) -> str:
    return "cash" if number == CASH else f"instrument {number}"


def _what_of(number: int) -> str:
    return f" of {_what(number)}"


def _grouped(keys: Rows, qty: Rows, price: Rows) -> dict[int, tuple[int, int, int]]:
    """By key: (rows, sum of qty, sum of price x qty). Python integers, because the last may exceed 64 bits."""
    counts, lots, notional = Counter[int](), Counter[int](), Counter[int]()
    for key, one_qty, one_price in zip(keys.tolist(), qty.tolist(), price.tolist(), strict=True):
        counts[key] += 1
        lots[key] += one_qty
        notional[key] += one_qty * one_price
    return {key: (counts[key], lots[key], notional[key]) for key in counts}


# ---- command


def _show(report: MoneyReport) -> Iterable[Table | str]:
    """The report for people."""
    table = Table("", "deposited", "available", "held", "fees", "in flight", "missing")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, row in (("cash", report.cash), *sorted(report.shares.items())):
        scale = MINOR_PER_UNIT if name == "cash" else 1
        cells = (row.get(key) for key in ("deposited", "available", "held", "fees", "in_flight", "missing"))
        table.add_row(name, *("" if value is None else f"{value / scale:,.4f}" if scale > 1 else f"{value:,}" for value in cells))
    yield table
    busts = f", {report.busts:,} undone" if report.busts else ""
    not_posted = f", {report.busts_not_posted:,} undone by the book without a posting" if report.busts_not_posted else ""
    yield (
        f"{report.accounts:,} accounts, {report.orders:,} orders ({report.open_orders:,} open), {report.trades:,} trades{busts}{not_posted}, "
        f"{report.trades_in_flight:,} in flight; {report.events:,} events in {report.seconds:.1f} s"
    )
    yield f"MySQL: {report.mysql}"
    if report.lost:
        yield f"{report.lost:,} records were lost and filled in by outcry recover"
    if report.forged:
        yield f"{len(report.forged):,} forged records, which readers ignore; the first: {report.forged[0]}"
    for problem in report.problems:
        yield f"DIFFERS {problem}"
    if report.problem_count > len(report.problems):
        yield f"and {report.problem_count - len(report.problems):,} more"
    yield f"{report.problem_count:,} problems" if report.problem_count else "all agrees"


@click.command()
@click.option("--log-only", is_flag=True, help="Leave MySQL out.")
@click.option(
    "--wait", "wait_s", type=click.FloatRange(0, 3_600), default=30.0, show_default=True,
    help="Seconds in which decided trades must be settled on both sides.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def money(ctx: click.Context, log_only: bool, wait_s: float, as_json: bool, quiet: bool) -> None:
    """Prove that money and shares are conserved: deposits equal what accounts have, plus fees.

    From the log alone: an account's cash and positions change only by its postings; each trade is settled once on both sides, at its price and
    quantity; each hold is released once, and accounts hold what their open orders need. Then the same sums from MySQL, compared as of the offsets
    that it has stored. The exchange may keep running. Exit status: 0 everything agrees, 1 something differs or cannot be read, 130 interrupted.

    \b
    Examples:
      outcry audit money
      outcry audit money --log-only --json | jq .problems
    """
    try:
        report = audit_money_of(settings_of(ctx), with_mysql=not log_only, wait_s=wait_s, quiet=quiet)
    except KeyboardInterrupt:
        click.echo("interrupted: nothing is proven", err=True)
        ctx.exit(EXIT_INTERRUPTED)
    if as_json:
        click.echo(msgspec.json.encode(report.as_json()))
    else:
        console = Console(width=None if Console().is_terminal else 160)
        for part in _show(report):
            console.print(part, highlight=False, markup=False) if isinstance(part, str) else console.print(part)
    ctx.exit(EXIT_DIFFERS if report.problem_count else 0)
