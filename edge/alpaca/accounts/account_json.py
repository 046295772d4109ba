"""An account, its positions and the assets as Alpaca's JSON. No I/O; amounts are exact decimal text."""

from decimal import Decimal
from typing import Any, Final

from edge.gateway.accounts.view import AccountView, Position
from edge.gateway.market.view import MarketView, SymbolView
from schemas.enums import AccountStatus
from schemas.ids import account_uuid, asset_uuid
from schemas.instruments import Instrument
from schemas.units import MINOR_PER_UNIT, minor_to_text

_RATIO: Final = Decimal("0.0000000001")


def _mark(view: SymbolView) -> Decimal:
    """What a share is worth now: the last trade, before the first one the reference price."""
    return view.instrument.tick_size * view.last_px if view.last_px else view.instrument.reference_price


def _money(amount: Decimal) -> str:
    """Decimal text, at least cents."""
    return minor_to_text(int(amount * MINOR_PER_UNIT))


def account_json(view: AccountView, market: MarketView) -> dict[str, Any]:
    """Alpaca's account object: a cash account, buying power is what is not held. Whether it may sell short is not known here."""
    available = minor_to_text(view.cash - view.cash_held)
    by_number = {one.instrument.number: one for one in market.symbols.values()}
    values = [
        _mark(by_number[number]) * by_number[number].instrument.lot_size * position.qty for number, position in view.positions.items()
    ]
    value = sum(values, Decimal(0))
    may_not_trade = view.status != AccountStatus.ACTIVE
    cash = Decimal(view.cash) / MINOR_PER_UNIT
    equity = _money(cash + value)
    return {
        "id": account_uuid(view.account),
        "account_number": str(view.account),
        "status": "ACTIVE",
        "crypto_status": "INACTIVE",
        "currency": "USD",
        "cash": minor_to_text(view.cash),
        "cash_held": minor_to_text(view.cash_held),
        "buying_power": available,
        "regt_buying_power": available,
        "daytrading_buying_power": "0",
        "non_marginable_buying_power": available,
        "options_buying_power": "0",
        "portfolio_value": equity,
        "equity": equity,
        "last_equity": equity,
        "long_market_value": _money(sum((one for one in values if one > 0), Decimal(0))),
        "short_market_value": _money(sum((one for one in values if one < 0), Decimal(0))),
        "position_market_value": _money(value),
        "initial_margin": "0",
        "maintenance_margin": "0",
        "last_maintenance_margin": "0",
        "accrued_fees": "0",
        "sma": "0",
        "multiplier": "1",
        "daytrade_count": 0,
        "options_approved_level": 0,
        "options_trading_level": 0,
        "pattern_day_trader": False,
        "trading_blocked": may_not_trade,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "shorting_enabled": False,
    }


def position_json(position: Position, view: SymbolView) -> dict[str, Any]:
    """Alpaca's position object; the day's change is measured from the last price of the trading day before, or from the reference price."""
    instrument = view.instrument
    qty = instrument.lot_size * position.qty
    mark, reference = _mark(view), instrument.tick_size * view.previous_close
    cost = Decimal(position.cost) / MINOR_PER_UNIT
    value = mark * qty
    profit, day_profit = value - cost, (mark - reference) * qty
    return {
        "asset_id": asset_uuid(instrument.number),
        "symbol": instrument.symbol,
        "exchange": "",
        "asset_class": "us_equity",
        "asset_marginable": False,
        "avg_entry_price": _text(cost / qty) if qty else "0",
        "qty": instrument.qty_text(position.qty),
        "qty_available": instrument.qty_text(position.qty - position.held),
        "side": "short" if position.qty < 0 else "long",
        "market_value": _money(value),
        "cost_basis": _money(cost),
        "unrealized_pl": _money(profit),
        "unrealized_plpc": _ratio(profit, abs(cost)),
        "unrealized_intraday_pl": _money(day_profit),
        "unrealized_intraday_plpc": _ratio(mark - reference, reference),
        "current_price": f"{mark:f}",
        "lastday_price": instrument.price_text(view.previous_close),
        "change_today": _ratio(mark - reference, reference),
    }


def _text(value: Decimal) -> str:
    text = f"{value:.9f}".rstrip("0").rstrip(".")
    return text or "0"


def _ratio(part: Decimal, whole: Decimal) -> str:
    return f"{(part / whole).quantize(_RATIO):f}" if whole else "0"


def asset_json(instrument: Instrument) -> dict[str, Any]:
    """Alpaca's asset object; `price_increment` and `max_order_qty` tell our steps and limit."""
    return {
        "id": asset_uuid(instrument.number),
        "class": "us_equity",
        "exchange": "",
        "symbol": instrument.symbol,
        "name": instrument.name,
        "status": "active",
        "tradable": True,
        "marginable": False,
        "maintenance_margin_requirement": 100,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": False,
        "min_order_size": f"{instrument.lot_size:f}",
        "min_trade_increment": f"{instrument.lot_size:f}",
        "price_increment": f"{instrument.tick_size:f}",
        "max_order_qty": f"{instrument.max_order_qty:f}",
        "attributes": [],
    }
