"""What an account shard takes by what an order says, beside what the book says of the same order."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matchers.books.reference.checks import static_reason
from matchers.books.reference.shard import BookShard
from matchers.rules.account_rules import WITHOUT_LIMIT, body_digest, book_px, book_stop_px, hold_per_lot, worst_px
from matchers.rules.order_rules import order_refusal
from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE
from schemas.enums import OrdType, Side
from schemas.instruments import load_instruments
from schemas.limits import PRICE_TICKS_MAX
from schemas.reject_reasons import Reason

TABLE = load_instruments(None)
RULES = dict(zip(TABLE.rules.dtype.names or (), TABLE.rules[1].tolist(), strict=True))
BOOKS = BookShard(0, TABLE, 1).state
NOW = 1_000
AMOUNTS = st.sampled_from([0, 1, 2, 100, 18_000, PRICE_TICKS_MAX, PRICE_TICKS_MAX + 1, 100_000, 100_001, -1, 9_999, 10_000, 1 << 62])
COMMANDS = st.fixed_dictionaries(
    {
        "side": st.sampled_from([0, 1, 2, 3]), "ord_type": st.sampled_from([*OrdType, 0, 5, 255]), "time_in_force": st.integers(0, 9),
        "exec_inst": st.integers(0, 9), "self_match_prevention_instruction": st.integers(0, 7), "peg_price_type": st.integers(0, 6),
        "offset_type": st.integers(0, 3), "contingency_type": st.just(0), "order_qty": AMOUNTS, "price": AMOUNTS, "stop_px": AMOUNTS,
        "display_qty": AMOUNTS, "min_qty": AMOUNTS, "offset": AMOUNTS, "expire_time": st.sampled_from([0, NOW, NOW + 1]),
        "self_match_prevention_id": st.just(0), "locate": st.just(0), "instrument": st.just(1),
    }
)  # fmt: skip
GOOD = {"order_qty": st.integers(1, 100), "side": st.sampled_from([1, 2]), "exec_inst": st.just(0)}


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None)
@given(COMMANDS | st.builds(lambda one, good: one | good, COMMANDS, st.fixed_dictionaries(GOOD)))
def test_the_book_never_refuses_an_accepted_order_for_what_it_says(command: dict[str, Any]) -> None:
    """The shard's reason is the book's; where the shard takes the order, the book takes what it is sent."""
    BOOKS.log_time = NOW
    reason = order_refusal(command, RULES, NOW)
    sent = dict.fromkeys(BOOK_COMMAND_DTYPE.names or (), 0) | {
        name: value for name, value in command.items() if name in (BOOK_COMMAND_DTYPE.names or ())
    }
    if not reason:
        sent |= {"price": book_px(command, RULES), "stop_px": book_stop_px(command, RULES)}
        assert static_reason(BOOKS, sent) == Reason.NONE
    elif not (reason == Reason.INVALID_PRICE and command["ord_type"] in WITHOUT_LIMIT):
        assert reason == static_reason(BOOKS, sent)


@settings(max_examples=500, deadline=None)
@given(COMMANDS)
def test_an_order_is_sent_with_a_price_that_its_hold_covers(command: dict[str, Any]) -> None:
    """Whatever has a limit in the book has one that is not worse than what was held for."""
    if order_refusal(command, RULES, NOW) or command["side"] != Side.BUY:
        return
    worst = worst_px(command, RULES)
    limit = book_px(command, RULES)
    if command["ord_type"] == OrdType.TRAILING_STOP_LIMIT:
        limit = min(limit + book_stop_px(command, RULES), PRICE_TICKS_MAX)
    assert 1 <= limit <= worst
    assert hold_per_lot(Side.BUY, worst, RULES) == worst * RULES["lot_minor_per_tick"] + RULES["taker_fee_minor"]


@given(
    COMMANDS,
    st.sampled_from(
        sorted(
            set(COMMAND_DTYPE.names or ())
            - {"kind", "account", "order_id", "cash", "request_id", "transact_time", "list_id", "account_word"}
        )
    ),
)
def test_every_attribute_makes_another_body(command: dict[str, Any], column: str) -> None:
    """An order that differs in one column only is another order."""
    other = command | {column: command[column] ^ 1}
    assert body_digest(command) != body_digest(other)
    assert body_digest(command) == body_digest(dict(reversed(command.items())))
