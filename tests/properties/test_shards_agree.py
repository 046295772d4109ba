"""Reference and kernel, wired into a small exchange each, must say the same bytes and be in the same state, whatever they are asked."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shard_customers import Customers, forged_report, hostile
from shard_exchange import SHARDS, TIGHT, Engine, Exchange, Step, encoded

from matchers.rules.limits import DEFAULT_LIMITS, ShardLimits
from matchers.rules.outputs import COMMAND_DTYPE, REPORT_DTYPE, rows_of
from schemas.codec import FRAMES
from schemas.enums import (
    AccountEventKind,
)


def joined(steps: list[Step]) -> list[Step]:
    """The same inputs with neighbouring frames of one machine and reply partition made one."""
    out: list[Step] = []
    for machine, shard, rows, text, partition, orig in steps:
        at = next((k for k in range(len(out) - 1, -1, -1) if (out[k][0] == "book") == (machine == "book") and out[k][1] == shard), None)
        if at is not None and out[at][0] == machine and out[at][4] == partition:
            earlier = out[at]
            together = [np.concatenate(pair) for pair in ((earlier[2], rows), (earlier[3], text), (earlier[5], orig))]
            out[at] = (machine, shard, together[0], together[1], partition, together[2])
        else:
            out.append((machine, shard, rows, text, partition, orig))
    return out


def split(steps: list[Step]) -> list[Step]:
    """The same inputs, a frame per row."""
    return [
        (machine, shard, rows[k : k + 1], text[k : k + 1], partition, orig[k : k + 1])
        for machine, shard, rows, text, partition, orig in steps
        for k in range(len(rows))
    ]


def all_rows(steps: list[Step], engine: Engine) -> list[bytes]:
    """Per shard, all that the steps make it say as one row of bytes a stream, command_index left out."""
    streams: dict[tuple[str, int], list[bytes]] = {}
    for step in steps:
        out = engine.apply(step)
        if step[0] == "book":
            rows = out.executions.copy()
            rows["command_index"] = 0
            parts = {"executions": rows}
        else:
            parts = {"events": out.events, "replies": out.replies, "masks": out.reply_mask, "book_commands": out.book_commands}
        for name, rows in parts.items():
            streams.setdefault((name, step[1]), []).extend(repr(row).encode() for row in rows.tolist())
    return [repr(name).encode() + b"".join(rows) for name, rows in sorted(streams.items())]


@pytest.mark.slow
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_reference_and_kernel_say_the_same_in_every_short_story(data: st.DataObject) -> None:
    """Small enough to be shrunk: hypothesis chooses every number."""
    exchange = Exchange(
        ShardLimits(accounts_max=4, orders_max=6, open_orders_per_account_max=3, done_orders_max=2, updates_max=3, replaced_ids_max=2)
    )
    customers = Customers(lambda n: data.draw(st.integers(0, n - 1)), exchange)
    customers.opening()
    for _ in range(data.draw(st.integers(1, 12))):
        customers.act(3)
    exchange.come_to_rest()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_reference_and_kernel_agree_over_long_sessions(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """At least 40,000 rows in all, with little room in the shards, extreme values, session changes; then replay, restore and other frame sizes."""
    exchange = Exchange(TIGHT if seed % 2 else DEFAULT_LIMITS)
    rng = np.random.default_rng(seed)
    numbers: Iterator[int] = iter(())

    def pick(n: int) -> int:
        nonlocal numbers
        for number in numbers:
            return number % n
        numbers = iter(rng.integers(0, 1 << 40, 1 << 16).tolist())
        return pick(n)

    lists = seed != 0  # a list is of one frame, so where frames end shows with them
    customers = Customers(pick, exchange, lists=lists)
    customers.opening()
    frame_rows = (12, 40, 3, 120)[seed]
    middle: tuple[int, Engine, Engine] | None = None
    while exchange.commands < 10_000:
        customers.act(frame_rows)
        if middle is None and exchange.commands > 5_000:
            middle = len(exchange.steps), exchange.reference.restored(), exchange.kernel.restored()
            assert middle[1].hashes() == exchange.reference.hashes() == middle[2].hashes() == exchange.kernel.hashes()
    exchange.come_to_rest()
    final = exchange.kernel.hashes()
    assert middle is not None
    for restored in middle[1:]:
        for step, said in zip(exchange.steps[middle[0] :], exchange.said[middle[0] :], strict=True):
            assert encoded(restored.apply(step)) == said, "a restored shard goes on differently"
        assert restored.hashes() == final
    framings = (exchange.steps,) if lists else (exchange.steps, joined(exchange.steps), split(exchange.steps))
    replays = [Engine("kernel", exchange.kernel.limits) for _ in framings]
    told = [all_rows(steps, engine) for steps, engine in zip(framings, replays, strict=True)]
    assert all(one == told[0] for one in told), "how commands are framed shows in the events"
    assert all(engine.hashes() == final for engine in replays)
    trades = sum(book.state.last_trade for book in exchange.reference.books)
    with capsys.disabled():
        print(f"\n  seed {seed}: {exchange.commands} rows in {len(exchange.steps)} frames checked, {trades} trades", end=" ")
    assert trades > 200


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_a_refused_command_changes_nothing_but_its_own_numbers(data: st.DataObject) -> None:
    """One row per frame; if the only event is a refusal by this shard, the state hash is what it was, in both engines."""
    exchange = Exchange()
    customers = Customers(lambda n: data.draw(st.integers(0, n - 1)), exchange)
    customers.opening()
    refusals = {AccountEventKind.REJECTED, AccountEventKind.CANCEL_REJECTED, AccountEventKind.ACCOUNT_UPDATE_REJECTED}
    for _ in range(8):
        shard = data.draw(st.integers(0, SHARDS - 1))
        command, text = customers.command(shard)
        if data.draw(st.booleans()):
            command = hostile(customers.pick, command, COMMAND_DTYPE) | {"account": command["account"]}
        before = exchange.reference.hashes(), exchange.kernel.hashes()
        out = exchange.ask(shard, [command], [text], -1, [customers.orig(shard, command)])
        if set(out.events["kind"].tolist()) <= refusals:  # a repeated update has no event at all, only its answer
            assert (exchange.reference.hashes(), exchange.kernel.hashes()) == before


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data())
def test_no_report_stops_an_account_shard_or_makes_money_that_is_not_there(data: st.DataObject) -> None:
    """Reports that no book has made, true ones with one number bent: each is applied or left out whole, by both engines, and nobody owes anything for it."""
    exchange = Exchange()
    exchange.forged = True
    pick: Callable[[int], int] = lambda n: data.draw(st.integers(0, n - 1))  # noqa: E731  one name for both users
    customers = Customers(pick, exchange)
    customers.opening()
    for _ in range(data.draw(st.integers(1, 8))):
        customers.act(4)
        shard = pick(SHARDS)
        known = [order for order in exchange.reference.accounts[shard].state.orders.values() if order.leaves_qty or not pick(4)]
        forged = [forged_report(pick, known[pick(len(known))], exchange.now) for _ in range(1 + pick(3)) if known]
        for row, report in enumerate(forged):
            before = exchange.kernel.accounts[shard].state_hash()
            out = exchange.apply("report", shard, rows_of(REPORT_DTYPE, [report]))
            assert not out.refused or exchange.kernel.accounts[shard].state_hash() == before, (
                f"report {row} was left out and changed something"
            )
    assert exchange.reference.hashes() == exchange.kernel.hashes()
    for shard in range(SHARDS):
        for account in exchange.reference.accounts[shard].state.accounts.values():
            assert account.available >= 0 or exchange.busted, f"account {account.account} owes"


def test_frames_of_every_dtype_are_those_of_the_schemas() -> None:
    """What shards give out can be encoded as it is."""
    engine = Engine("kernel", TIGHT)
    out = engine.accounts[0].apply_commands(np.zeros(0, COMMAND_DTYPE), np.zeros(0, "S1"), -1)
    assert (out.events.dtype, out.book_commands.dtype) == (FRAMES["account_event_frame"].dtype, FRAMES["book_command_frame"].dtype)
