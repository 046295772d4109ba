"""The minute of a busted trade, made anew of the trades that are left."""

from sinks.mysql.pool import Transaction
from sinks.mysql.rows import MINUTE_NS


async def take_out_of_bar(transaction: Transaction, bust: tuple[int, int], prefix: str) -> None:
    """Write the bar without the trade, (instrument, trd_match_id), whose bust is stored; nothing where the minute has no bar."""
    instrument, trade = bust
    bars, trades, busts = (prefix + name for name in ("bars", "trades", "trade_busts"))
    found = await transaction.fetch(
        f"SELECT b.started_at, b.first_trade, b.last_trade FROM {trades} t JOIN {bars} b ON b.instrument = t.instrument "  # noqa: S608  own names
        f"AND b.started_at = t.transact_time - MOD(t.transact_time, {MINUTE_NS}) WHERE t.trd_match_id = %s",
        (trade,),
    )
    for started_at, first, last in found:
        ((count, qty, notional, high, low, opening, closing),) = await transaction.fetch(
            "SELECT COUNT(*), COALESCE(SUM(t.qty), 0), COALESCE(SUM(t.price * t.qty), 0), MAX(t.price), MIN(t.price), MIN(t.trd_match_id), "  # noqa: S608
            f"MAX(t.trd_match_id) FROM {trades} t LEFT JOIN {busts} b ON b.trd_match_id = t.trd_match_id "
            "WHERE t.instrument = %s AND t.trd_match_id BETWEEN %s AND %s AND b.trd_match_id IS NULL",
            (instrument, first, last),
        )
        ends = {}
        if count:
            ends = dict(
                await transaction.fetch(
                    f"SELECT trd_match_id, price FROM {trades} WHERE trd_match_id IN (%s, %s)",  # noqa: S608
                    (opening, closing),
                )
            )
        await transaction.execute(
            f"UPDATE {bars} SET trades = %s, qty = %s, notional = %s, high_px = %s, low_px = %s, open_px = %s, close_px = %s "  # noqa: S608
            "WHERE instrument = %s AND started_at = %s",
            (count, qty, notional, high or 0, low or 0, ends.get(opening, 0), ends.get(closing, 0), instrument, started_at),
        )
