"""A real tape: nobody is accused in the first minutes of a session at NASDAQ. LOBSTER's free sample has no accounts, so it is read in two ways."""

from pathlib import Path

import numpy as np
import pytest

from matchers.research.engines import make_engine
from matchers.research.lobster import LobsterReplay, instrument_table, parse_levels, parse_message
from schemas.codec import Rows
from surveillance import Place, TradingWatch

REAL = Path(__file__).parents[5] / "shared" / "data" / "lobster"
INSTRUMENTS = instrument_table("AAPL")


def tape() -> Rows:
    """All executions. As they are replayed, one account rests every order and another takes: these two would meet all day."""
    messages, books = (REAL / f"AAPL_2012-06-21_{name}_10.csv" for name in ("message", "orderbook"))
    if not messages.exists():
        pytest.skip(f"the LOBSTER sample is not at {REAL}: fetch it from lobsterdata.com")
    replay, found = LobsterReplay(make_engine("reference", INSTRUMENTS)), []
    for number, (message, book) in enumerate(zip(messages.open(), books.open(), strict=True), 1):
        event, levels = parse_message(message), parse_levels(book)
        found.append((replay.begin(event, levels) if number == 1 else replay.step(event, levels, number)).executions)
    return np.concatenate(found)


@pytest.mark.parametrize("parties", [0, 40])
def test_nobody_is_accused_on_a_real_tape(parties: int) -> None:
    """No alert, if every order is of another party, and if there are forty who enter orders in turn. Who it really was, the tape does not say."""
    rows = tape().copy()
    for account, order in (("account", "order_id"), ("contra_account", "contra_order_id")):
        rows[account] = 1 + (rows[order] % parties if parties else rows[order])
    watch = TradingWatch(INSTRUMENTS)
    assert [(one["pattern"], one["explanation"]) for one in watch.apply(rows, Place("executions", 0, 0, 1))] == []
    assert watch.stats().orders_tracked > 100
