"""Two orders through the real shards, traced: every hop is there, each below the one before it, and no output is another one."""

from collections import defaultdict, deque

import numpy as np

from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, rows_of
from schemas.codec import Header, encode_frame
from schemas.enums import BookCommandKind, CommandKind, OrdType, Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from streams.host.shard_runner import Record, ShardRunner
from streams.host.traced_shard import TracedShard
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.roles.publish_market_data import PublishMarketData
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS
from topics.order_traces import OrderTraces, Span, root_id

NOW = 1_800_000_000_000_000_000
ROLES = {ACCOUNT_COMMANDS.name: "hold-funds", BOOK_COMMANDS.name: "match-orders", EXECUTIONS.name: "publish-market-data"}


def inputs(reply_partition: int) -> list[tuple[str, bytes]]:
    """Two accounts, an open market, a resting sale, and a purchase that meets it."""
    opened = [{"kind": CommandKind.ACCOUNT_UPDATE, "account": 1, "request_id": 1, "instrument": 1, "order_qty": 50, "transact_time": NOW}]
    opened += [{"kind": CommandKind.ACCOUNT_UPDATE, "account": 2, "request_id": 2, "cash": 10**9, "transact_time": NOW}]
    phase = rows_of(BOOK_COMMAND_DTYPE, [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS, "transact_time": NOW}])
    order = {
        "kind": CommandKind.NEW_ORDER, "instrument": 1, "order_qty": 5, "ord_type": OrdType.LIMIT, "time_in_force": TimeInForce.DAY,
        "price": 18_000, "transact_time": NOW,
    }  # fmt: skip
    sides = [order | {"account": 1, "side": Side.SELL}, order | {"account": 2, "side": Side.BUY}]
    found = [(BOOK_COMMANDS.name, encode_frame("book_command_frame", Header("operator"), phase))]
    for number, rows in enumerate((opened, sides[:1], sides[1:])):
        text = np.array([f"c{number}".encode()] * len(rows), "S")
        header = Header("operator" if rows is opened else "edge-0", number, 0, 0, NOW, reply_partition)
        found.append((ACCOUNT_COMMANDS.name, encode_frame("order_command_frame", header, rows_of(COMMAND_DTYPE, rows), text)))
    return found


def run(tell: list[Span] | None, reply_partition: int = 0) -> dict[str, list[bytes]]:
    """Every topic as it is then; spans go into `tell`."""
    table = load_instruments(None)
    processors = {ACCOUNT_COMMANDS.name: HoldFunds(0, table, 1, 1, 1), BOOK_COMMANDS.name: MatchOrders(0, table, 1, 1), EXECUTIONS.name: PublishMarketData(0, table)}  # fmt: skip
    runners = {
        topic: ShardRunner(processor, traced=None if tell is None else TracedShard(ROLES[topic], OrderTraces(1), tell.append))
        for topic, processor in processors.items()
    }
    log: defaultdict[str, list[bytes]] = defaultdict(list)
    for given in inputs(reply_partition):
        waiting = deque([given])
        while waiting:
            topic, value = waiting.popleft()
            log[topic].append(value)
            if topic in runners:
                record = Record(topic, 0, len(log[topic]) - 1, NOW, None, value)
                waiting += [(output.topic, output.value) for output in runners[topic].feed(record)]
    return log


def by_order(spans: list[Span]) -> list[list[Span]]:
    """The spans of each order, which are one trace."""
    found: defaultdict[str, list[Span]] = defaultdict(list)
    for span in spans:
        found[str(span.attributes["outcry.order_id"])].append(span)
    assert all(len({span.trace_id for span in trace}) == 1 for trace in found.values())
    return [found[number] for number in sorted(found, key=int)]


def test_tracing_changes_no_byte_of_what_shards_say() -> None:
    """Replay would not be the same otherwise."""
    assert run([]) == run(None)


def test_both_orders_of_a_trade_are_traces_in_which_every_hop_is_below_another() -> None:
    """The resting one meets its book twice: when it comes, and when it trades."""
    spans: list[Span] = []
    run(spans)
    hops = ["hold-funds", "match-orders", "publish-market-data", "settle"]
    resting, coming = by_order(spans)
    assert sorted({span.name for span in resting}) == sorted({span.name for span in coming}) == hops
    assert len([span for span in resting if span.name == "match-orders"]) == 2
    for trace in (resting, coming):
        ids = {span.span_id for span in trace}
        assert len(ids) == len(trace), "an id occurs once"
        order_id = int(trace[0].attributes["outcry.order_id"])
        assert {span.parent_id for span in trace} <= ids | {root_id(order_id)}
        above = {span.span_id: span.name for span in trace}
        assert {above.get(span.parent_id or 0) for span in trace if span.name == "settle"} == {"match-orders"}
        assert {above.get(span.parent_id or 0) for span in trace if span.name == "publish-market-data"} == {"match-orders"}


def test_an_order_past_every_edge_has_its_root_from_the_account_shard() -> None:
    """Nobody else could tell it; where an edge waits for the answer, the edge does."""
    spans: list[Span] = []
    run(spans, reply_partition=-1)
    roots = [span for span in spans if span.parent_id is None]
    assert [(span.name, span.start_ns) for span in roots] == [("order", NOW)] * 2
    assert [span.span_id for span in roots] == [root_id(int(span.attributes["outcry.order_id"])) for span in roots]
