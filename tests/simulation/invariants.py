"""What must be true of a simulated run once it is at rest: the log against a clean replay of itself, and everything else against the log."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from customers import simulated_instruments
from simulated_edge import EdgeProcess
from simulated_log import KEYS, SimulatedLog, Stored, TopicPartition
from simulated_roles import SHARDS, Deployment, ShardWorker
from simulated_stores import CreatedStore, MarkedStore, NewestStore, Store

from matchers.books.shard import BookShard
from schemas.codec import BadBytes, Frame, Header, Rows, decode_frame, decode_record
from schemas.enums import AccountEventKind, ExecKind
from schemas.errors import StaleData
from schemas.marks import Marks
from sinks.contract import Input
from sinks.elastic.documents import documents
from sinks.redis.sink import newest_rows
from streams.host.identities import identity_of
from streams.host.shard_host import Role
from streams.host.shard_runner import ShardRunner
from streams.host.snapshot_codes import SnapshotCodes
from streams.host.snapshots import SnapshotStore
from streams.proofs.money_ledger import CASH, MoneyLedger, Problems
from streams.proofs.money_trades import BookTrades, by_trade, check_settlement, expected_sides
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from topics.catalogue import (
    ACCOUNT_COMMANDS,
    ACCOUNT_EVENTS,
    ALERTS,
    BOOK_COMMANDS,
    DEAD_LETTERS,
    EDGE_REPLIES,
    EXECUTIONS,
    MARKET_DATA,
    PARTY_FACTS,
    Topic,
)
from topics.roles import changelog_topic
from topics.sources import UNPROVEN, sources_of

FRAME_TOPICS = (ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS, ACCOUNT_EVENTS, EDGE_REPLIES, MARKET_DATA)
_FROM_SHARDS = re.compile(r"[a-z]+\.[a-z]+/\d+|executions/\d+")


@dataclass
class Findings:
    """What is not as it must be."""

    broken: list[str] = field(default_factory=list)

    def equal(self, what: str, expected: object, found: object) -> None:
        """Note a difference."""
        if expected != found:
            self.broken.append(f"{what}: expected {str(expected)[:300]}, found {str(found)[:300]}")

    def true(self, what: str, holds: bool) -> None:
        """Note what does not hold."""
        if not holds:
            self.broken.append(what)


@dataclass(frozen=True)
class Taken:
    """A frame as consumers take it: the first of its identity, in the order of its source."""

    offset: int
    frame: Frame
    value: bytes


def frames_of(log: SimulatedLog, topic: Topic, partition: int, findings: Findings) -> list[Taken]:
    """What a consumer with marks takes of a partition; a copy with other bytes is a finding."""
    taken: list[Taken] = []
    marks, sources = Marks(), sources_of(topic, partition, SHARDS)
    values: dict[tuple[str, int, int], bytes] = {}
    for record in log.parts[topic.name, partition]:
        try:
            record.proof.require()
            frame = decode_frame(record.value or b"")
            record.proof.require_right(topic.name, frame, record.time_ns)
            header: Header = frame.header
            is_shard = sources.is_shard(header)
            is_new = not is_shard or marks.take(header, record.time_ns)
        except BadBytes:
            continue
        if is_shard:
            place = (header.source_offset, header.source_index)
            value = record.value or b""
            same = values.setdefault((header.source, *place), value) == value
            findings.true(f"{topic.name}/{partition} offset {record.offset}: a copy of {header} has other bytes", same)
        if not is_new:
            continue
        taken.append(Taken(record.offset, frame, record.value or b""))
    return taken


@dataclass
class Replay:
    """Every shard, fed from the beginning of the log by itself."""

    runners: dict[tuple[str, int], ShardRunner]
    outputs: dict[tuple[str, int, str], list[bytes]]
    """(topic, partition, source) -> frames; of alerts and dead letters the source is ""."""


def replay(log: SimulatedLog, roles: list[Role]) -> Replay:
    """Feed each shard its partition, once, in order."""
    found = Replay({}, defaultdict(list))
    for role in roles:
        for partition in range(SHARDS):
            runner = found.runners[role.name, partition] = ShardRunner(role.make_processor(partition))
            source = f"{role.source.name}/{partition}"
            for record in log.parts[role.source.name, partition]:
                for output in runner.feed(record):
                    bare = output.topic in (ALERTS.name, DEAD_LETTERS.name)
                    found.outputs[output.topic, output.partition, "" if bare else source].append(output.value)
    return found


Logged = dict[TopicPartition, list[Taken]]


def check(
    log: SimulatedLog, roles: list[Role], deployments: list[Deployment], stores: dict[str, Store], edges: list[EdgeProcess],
    forged: Iterable[tuple[str, int, int]],
) -> list[str]:  # fmt: skip
    """All of it; a sentence for each thing that is wrong. forged: places of records that an intruder has made."""
    findings = Findings()
    logged = {(topic.name, partition): frames_of(log, topic, partition, findings) for topic in FRAME_TOPICS for partition in range(SHARDS)}
    clean = replay(log, roles)
    _check_log(log, logged, clean, findings)
    _check_forged(log, forged, findings)
    _check_states(log, deployments, clean, findings)
    _check_sequences(logged, findings)
    _check_money(logged, clean, findings)
    _check_marked(log, cast("MarkedStore", stores["persist-mysql"]), logged, findings)
    _check_newest(cast("NewestStore", stores["persist-redis"]), logged, findings)
    _check_created(log, cast("CreatedStore", stores["persist-elasticsearch"]), logged, findings)
    for edge in edges:
        _check_edge(edge, clean, findings)
    return findings.broken


def _check_log(log: SimulatedLog, logged: Logged, clean: Replay, findings: Findings) -> None:
    """Nothing lost, nothing doubled: each shard's outputs in the log are what a clean replay makes, as consumers take them."""
    found: dict[tuple[str, int, str], list[bytes]] = defaultdict(list)
    for (topic, partition), taken in logged.items():
        for one in taken:
            if _FROM_SHARDS.fullmatch(one.frame.header.source):
                found[topic, partition, one.frame.header.source].append(one.value)
    for source, value in _facts(log):
        found[PARTY_FACTS.name, 0, source].append(value)
    expected = {key: values for key, values in clean.outputs.items() if key[2]}
    for key in sorted(expected.keys() | found.keys()):
        wanted, there = expected.get(key, []), found.get(key, [])
        if wanted != there:
            at = next(
                (place for place, pair in enumerate(zip(wanted, there, strict=False)) if pair[0] != pair[1]), min(len(wanted), len(there))
            )
            findings.broken.append(
                f"{key[0]}/{key[1]} from {key[2]}: the log has {len(there)} frames, a replay makes {len(wanted)}; they differ from {at} on"
            )
    for partition in range(SHARDS):
        values = {record.value for record in _alerts(log, partition)}
        findings.equal(f"{ALERTS.name}/{partition}", set(clean.outputs.get((ALERTS.name, partition, ""), [])), values)
    expected_letters = _letters(clean.outputs.get((DEAD_LETTERS.name, 0, ""), []))
    findings.equal(DEAD_LETTERS.name, expected_letters, _letters(record.value or b"" for record in log.parts[DEAD_LETTERS.name, 0]))


def _facts(log: SimulatedLog) -> Iterator[tuple[str, bytes]]:
    """(source, value) of what watch-accounts would take of the books' half minutes."""
    marks = Marks()
    for record in log.parts[PARTY_FACTS.name, 0]:
        try:
            record.proof.require()
            identity = identity_of(record.value)
            if identity is not None and marks.take(identity[1], record.time_ns):
                yield identity[1].source, record.value or b""
        except BadBytes:
            continue


def _alerts(log: SimulatedLog, partition: int) -> list[Stored]:
    return [record for record in log.parts[ALERTS.name, partition] if record.proof.refusal is None]


def _check_forged(log: SimulatedLog, forged: Iterable[tuple[str, int, int]], findings: Findings) -> None:
    """Nobody has believed a forged record: each is a dead letter because of its sender. Readers of edge.replies write none, they count."""
    letters = [decode_record(record.value or b"")[1] for record in log.parts[DEAD_LETTERS.name, 0]]
    refused = {(one["topic"], one["partition"], one["offset"]) for one in letters if one["reason"] in UNPROVEN}
    believed = [where for where in forged if where[0] != EDGE_REPLIES.name and where not in refused]
    findings.true(f"forged records that are no dead letters: {believed[:5]}", not believed)


def _letters(values: Iterable[bytes]) -> set[tuple[str, int, int, str]]:
    """What was refused, and why; only of what shards read, and not the words: a sink that has just started knows less of a source."""
    letters = [decode_record(value)[1] for value in values]
    inputs = (ACCOUNT_COMMANDS.name, BOOK_COMMANDS.name, EXECUTIONS.name)
    return {(one["topic"], one["partition"], one["offset"], one["reason"]) for one in letters if one["topic"] in inputs}


def _check_states(log: SimulatedLog, deployments: list[Deployment], clean: Replay, findings: Findings) -> None:
    """Whoever has a shard open, and an empty machine that restores it from its changelog, is in the state of the clean replay."""
    hashes = {key: runner.processor.state_hash() for key, runner in clean.runners.items()}
    for deployment in deployments:
        role = deployment.role
        if role is None:
            continue
        for worker in deployment.workers:
            assert isinstance(worker, ShardWorker)
            for partition, (processor, next_offset) in worker.processors().items():
                where = f"{worker.name}, partition {partition}"
                findings.equal(f"{where}: next offset", clean.runners[role.name, partition].next_offset, next_offset)
                findings.equal(f"{where}: state", hashes[role.name, partition].hex(), processor.state_hash().hex())
        for partition in range(SHARDS):
            where = f"{deployment.name} {partition} on an empty machine"
            try:
                restored = _restored(log, deployment.name, role, partition)
            except (StaleData, AssertionError) as error:
                findings.broken.append(f"{where}: {error}")
                continue
            start = deployment.group.committed.get((role.source.name, partition), 0)
            findings.true(
                f"{where}: its snapshot ends at {restored.next_offset}, but inputs are committed up to {start}",
                start <= restored.next_offset,
            )
            for record in log.parts[role.source.name, partition][start:]:
                restored.feed(record)
            findings.equal(f"{where}: state", hashes[role.name, partition].hex(), restored.processor.state_hash().hex())


def _restored(log: SimulatedLog, group: str, role: Role, partition: int) -> ShardRunner:
    content: dict[bytes, bytes] = {}
    topic = changelog_topic(group, role.table)
    for record in log.parts[topic, partition]:
        assert record.key is not None
        if record.value is None:
            content.pop(record.key, None)
        else:
            content[record.key] = record.value
    store = SnapshotStore(codes=SnapshotCodes(KEYS, role.name, topic, partition))
    return ShardRunner(role.make_processor(partition), store.load(content.get))


def _check_sequences(logged: Logged, findings: Findings) -> None:
    """Numbers are dense: of rows in a shard, of executions and market data in an instrument; trades and accepted orders are there once."""
    rpt, market = defaultdict[int, list[int]](list), defaultdict[tuple[int, int], list[int]](list)
    trades: list[int] = []
    accepted: list[tuple[int, bytes]] = []
    for partition in range(SHARDS):
        for topic in (EXECUTIONS.name, ACCOUNT_EVENTS.name):
            following = 1
            for one in logged[topic, partition]:
                findings.equal(f"{topic}/{partition} offset {one.offset}: first_seq", following, one.frame.header.first_seq)
                following = one.frame.header.first_seq + len(one.frame.rows)
        for one in logged[EXECUTIONS.name, partition]:
            for instrument, seq, kind, trade in _columns(one.frame.rows, "instrument", "rpt_seq", "kind", "trd_match_id"):
                if seq:
                    rpt[instrument].append(seq)
                if kind == ExecKind.TRADE:
                    trades.append(trade)
        for one in logged[MARKET_DATA.name, partition]:
            for instrument, kind, seq in _columns(one.frame.rows, "instrument", "kind", "seq"):
                market[instrument, kind].append(seq)
        for one in logged[ACCOUNT_EVENTS.name, partition]:
            assert one.frame.cl_ord_id is not None
            rows = one.frame.rows["kind"] == AccountEventKind.ACCEPTED
            accepted += zip(one.frame.rows["account"][rows].tolist(), one.frame.cl_ord_id[rows].tolist(), strict=True)
    for instrument, seqs in rpt.items():
        findings.equal(f"rpt_seq of instrument {instrument}", list(range(1, len(seqs) + 1)), seqs)
    for key, seqs in market.items():
        findings.equal(f"seq of market data {key}", list(range(1, len(seqs) + 1)), seqs)
    findings.equal("trades with a number of their own", len(trades), len(set(trades)))
    findings.equal("orders with a cl_ord_id of their own", len(accepted), len(set(accepted)))


def _columns(rows: Rows, *names: str) -> Iterator[tuple[int, ...]]:
    return zip(*(rows[name].tolist() for name in names), strict=True)


def _by_order(rows: Rows, name: str) -> dict[int, int]:
    return dict(zip(rows["order_id"].tolist(), rows[name].tolist(), strict=True))


def _check_money(logged: Logged, clean: Replay, findings: Findings) -> None:
    """Cash and shares are conserved, each trade is settled on both sides, holds are what open orders need, and nothing is in doubt."""
    instruments = simulated_instruments()
    ledger, books, problems = MoneyLedger(instruments), BookTrades(), Problems()
    for partition in range(SHARDS):
        for one in logged[ACCOUNT_EVENTS.name, partition]:
            ledger.take(partition, one.offset, one.frame)
        for one in logged[EXECUTIONS.name, partition]:
            books.take(one.frame.rows)
    ledger.follow()
    ledger.check_holds()
    sides, undone = ledger.settled()
    settlement = check_settlement(expected_sides(books.trades(), instruments), by_trade(sides), by_trade(undone), books.busted(), problems)
    findings.equal("trades that are not settled on both sides", (), settlement.unsettled)
    for what, amount in ledger.sums().items():
        fees = amount.fees if what == CASH else 0
        findings.equal(f"what was deposited ({'cash' if what == CASH else what})", amount.deposited, amount.total + fees)
    findings.broken += [f"money: {problem}" for problem in (*ledger.problems.first, *problems.first)]
    open_in_books: dict[int, int] = {}
    for partition in range(SHARDS):
        book = clean.runners["match-orders", partition].processor
        assert isinstance(book, MatchOrders) and isinstance(book._books, BookShard)
        open_in_books |= _by_order(book._books.canonical_state()["orders"], "leaves_qty")
    open_in_accounts: dict[int, int] = {}
    for partition in range(SHARDS):
        arrays = _account_arrays(clean, partition)
        orders = arrays["orders"][(arrays["orders"]["order_id"] != 0) & (arrays["orders"]["leaves_qty"] > 0)]
        open_in_accounts |= _by_order(orders, "leaves_qty")
        findings.true(
            "an order is in doubt: a cancel or replace of it is pending", not (orders["cancel_pending"] | orders["replace_pending"]).any()
        )
        poor = arrays["accounts"]["account"][arrays["accounts"]["cash"] < arrays["accounts"]["cash_held"]]
        findings.true(f"accounts {poor} hold more than they have", not len(poor) or bool(len(books.busted())))
    findings.equal("open orders", dict(sorted(open_in_books.items())), dict(sorted(open_in_accounts.items())))


def _account_arrays(clean: Replay, partition: int) -> dict[str, np.ndarray[Any, Any]]:
    processor = clean.runners["hold-funds", partition].processor
    assert isinstance(processor, HoldFunds)
    return processor._accounts.snapshot()


def _check_marked(log: SimulatedLog, store: MarkedStore, logged: Logged, findings: Findings) -> None:
    for topic in (EXECUTIONS, ACCOUNT_EVENTS):
        for partition in range(SHARDS):
            expected = [(one.frame.header, one.frame.rows.tobytes()) for one in logged[topic.name, partition]]
            kept = [(frame.header, frame.rows.tobytes()) for frame in store.kept.get((topic.name, partition), [])]
            findings.true(
                f"{store.name}: {topic.name}/{partition}: {len(kept)} frames are stored, {len(expected)} are in the log", kept == expected
            )
    alerts = [decode_record(record.value or b"")[1] for partition in range(SHARDS) for record in _alerts(log, partition)]
    newest = {one["alert_id"]: one for one in sorted(alerts, key=lambda one: one["revision"])}
    findings.equal(f"{store.name}: alerts", newest, store.alerts)


def _check_newest(store: NewestStore, logged: Logged, findings: Findings) -> None:
    frames = [one.frame.rows for partition in range(SHARDS) for one in logged[MARKET_DATA.name, partition]]
    expected = {(kept.name, row["instrument"]): row for kept, row in newest_rows(frames)} if frames else {}
    findings.equal(f"{store.name}: newest values", expected, store.newest)


def _check_created(log: SimulatedLog, store: CreatedStore, logged: Logged, findings: Findings) -> None:
    expected: dict[bytes, bytes] = {}
    bodies: list[Input] = []
    for partition in range(SHARDS):
        for topic in (EXECUTIONS.name, ACCOUNT_EVENTS.name):
            bodies += [Input(topic, partition, one.offset, one.frame) for one in logged[topic, partition]]
        for record in _alerts(log, partition):
            bodies.append(Input(ALERTS.name, partition, record.offset, decode_record(record.value or b"")[1]))
    for one in bodies:
        for document in documents(one, simulated_instruments()):
            expected.setdefault(document.action, document.source)
    without_offset: Callable[[bytes], bytes] = lambda source: re.sub(rb'"offset":\d+', b"", source)  # noqa: E731  of which copy, is not said
    findings.true(
        f"{store.name}: {len(store.created)} documents, the log makes {len(expected)}",
        {key: without_offset(source) for key, source in expected.items()}
        == {key: without_offset(source) for key, source in store.created.items()},
    )


def _check_edge(edge: EdgeProcess, clean: Replay, findings: Findings) -> None:
    """Each account that the edge shows is as its shard has it."""
    findings.equal(f"{edge.name}: requests without an answer", 0, len(edge.pending))
    for number, view in edge.accounts._views.items():
        arrays = _account_arrays(clean, number % SHARDS)
        place = np.flatnonzero(arrays["accounts"]["account"] == number)[-1]
        row = arrays["accounts"][place]
        findings.equal(f"{edge.name}: cash of account {number}", (int(row["cash"]), int(row["cash_held"])), (view.cash, view.cash_held))
        orders = arrays["orders"][
            (arrays["orders"]["account_row"] == place) & (arrays["orders"]["leaves_qty"] > 0) & (arrays["orders"]["order_id"] != 0)
        ]
        there = {order.order_id: (order.leaves_qty, order.cum_qty) for order in view.open_orders.values()}
        expected = {order_id: (leaves, cum) for order_id, leaves, cum in _columns(orders, "order_id", "leaves_qty", "cum_qty")}
        findings.equal(f"{edge.name}: open orders of account {number}", expected, there)
