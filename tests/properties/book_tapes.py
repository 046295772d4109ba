"""Random tapes of book commands over all features: what the property tests and the long run drive both engines with.

Most rows are sensible (prices near 100 ticks, orders that live), some are not (unknown values, absurd numbers). The same seed gives the same tape.
"""

import random
from collections.abc import Callable
from decimal import Decimal

from matchers.rules.outputs import BOOK_COMMAND_DTYPE, rows_of
from schemas.codec import Rows
from schemas.enums import BookCommandKind, ContingencyType, ExecInst, MatchingAlgorithm, OrdType, PegPriceType, Phase, TimeInForce
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason
from schemas.units import NANOS_PER_SECOND

Values = dict[str, int]

_BEGIN = 1_700_000_000 * NANOS_PER_SECOND
_GAPS_NS = (1_000, 1_000_000, 100_000_000, NANOS_PER_SECOND)
_ORD_TYPES = {
    OrdType.LIMIT: 60, OrdType.MARKET: 8, OrdType.STOP: 6, OrdType.STOP_LIMIT: 6, OrdType.MARKET_TO_LIMIT: 4, OrdType.PEGGED: 6,
    OrdType.TRAILING_STOP: 3, OrdType.TRAILING_STOP_LIMIT: 3,
}  # fmt: skip
_TIMES = {
    TimeInForce.DAY: 50, TimeInForce.GTC: 15, TimeInForce.IOC: 8, TimeInForce.FOK: 5, TimeInForce.GTD: 10, TimeInForce.OPG: 3, TimeInForce.CLS: 5,
}  # fmt: skip
_PHASES = {
    Phase.CONTINUOUS: 50, Phase.CLOSED: 8, Phase.PRE_OPEN: 8, Phase.OPENING_AUCTION: 8, Phase.CLOSING_AUCTION: 8, Phase.POST_CLOSE: 4,
    Phase.VOLATILITY_AUCTION: 10, Phase.HALTED: 2, Phase.CANCEL_ONLY: 2,
}  # fmt: skip


def instruments() -> InstrumentTable:
    """One plain, one with collar, bands and cut-offs, one pro-rata, one low-priced with bands of Tier 2."""
    tick, one, many = Decimal("0.01"), Decimal(1), Decimal(1000)
    return InstrumentTable(
        [
            Instrument(1, "PLAIN", "", tick, one, many, many * many, one, 60),
            Instrument(
                2, "BANDED", "", tick, one, many, many * many, one, 40, collar_percent=30, luld_tier=1, auction_extension_seconds=5,
                no_cancel_seconds=2, cls_cutoff_seconds=3,
            ),
            Instrument(3, "SHARED", "", tick, one, many, many * many, one, 60, min_order_qty=Decimal(2), matching_algorithm=MatchingAlgorithm.PRO_RATA),
            Instrument(4, "CHEAP", "", tick, one, many, many * many, Decimal("0.50"), 60, luld_tier=2),
        ]
    )  # fmt: skip


def plain_instruments() -> InstrumentTable:
    """Two without collar, bands or pro-rata."""
    tick, one, many = Decimal("0.01"), Decimal(1), Decimal(1000)
    return InstrumentTable([Instrument(number, f"PLAIN{number}", "", tick, one, many, many * many, one, 60) for number in (1, 2)])


class Tape:
    """A generator of rows; it knows who owns which order, not what became of it. `plain`: orders that the kernel's fast path takes, for plain_instruments."""

    def __init__(self, seed: int, *, plain: bool = False) -> None:
        self.random = random.Random(seed)
        self.now = _BEGIN
        self.next_order_id = 1
        self.next_list_id = 1
        self.owners: dict[int, int] = {}
        self.numbers = list((plain_instruments() if plain else instruments()).by_number)
        self._makers: dict[Callable[[], list[Values]], int] = {
            self._new: 58, self._cancel: 11, self._replace: 14, self._list: 4, self._timer: 4, self._phase: 1, self._resume: 1, self._halt: 1,
            self._day: 1, self._mass_cancel: 1, self._bust: 1, self._update: 1, self._absurd: 1,
        }  # fmt: skip
        if plain:
            self._makers = {self._plain_new: 60, self._cancel: 36, self._timer: 2, self._open_or_close: 1}

    def rows(self, count: int) -> Rows:
        """At least `count` more rows; a list is never cut."""
        values: list[Values] = []
        if self.next_order_id == 1:
            values += [{"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS, "transact_time": self.now}]
        makers, weights = list(self._makers), list(self._makers.values())
        while len(values) < count:
            self.now += self.random.choice(_GAPS_NS)
            for row in self.random.choices(makers, weights)[0]():
                values.append({"transact_time": self.now} | row)
        return rows_of(BOOK_COMMAND_DTYPE, values)

    # -- rows

    def _pick(self, weights: dict[OrdType, int] | dict[TimeInForce, int] | dict[Phase, int]) -> int:
        return int(self.random.choices(list(weights), list(weights.values()))[0])

    def _sometimes(self, chance: float) -> bool:
        return self.random.random() < chance

    def _price(self, number: int = 1) -> int:
        return max(1, (50 if number == 4 else 100) + round(self.random.gauss(0, 4)))

    def _new_id(self, account: int) -> int:
        self.owners[self.next_order_id] = account
        self.next_order_id += 1
        return self.next_order_id - 1

    def _new(self) -> list[Values]:
        account, number = self.random.randint(1, 4), self.random.choice(self.numbers)
        time = self._pick(_TIMES)
        row = {
            "kind": BookCommandKind.NEW_ORDER, "order_id": self._new_id(account), "account": account, "instrument": number,
            "side": self.random.randint(1, 2), "time_in_force": time, "order_qty": self.random.randint(2, 40),
        }  # fmt: skip
        row |= self._of_type(self._pick(_ORD_TYPES), number)
        if time == TimeInForce.GTD:
            row["expire_time"] = self.now + self.random.randint(1, 30) * NANOS_PER_SECOND
        if row["ord_type"] in (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.PEGGED):
            row |= self._display(row["order_qty"])
        if self._sometimes(0.07):
            row["min_qty"] = self.random.randint(1, row["order_qty"])
        return [row | self._prevention()]

    def _plain_new(self) -> list[Values]:
        """A limit or market order; a few are refused."""
        account, market = self.random.randint(1, 4), self._sometimes(0.1)
        time = self.random.choice(
            [TimeInForce.DAY, TimeInForce.IOC] if market else [TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC]
        )
        prevention = {
            "self_match_prevention_id": account, "self_match_prevention_instruction": self.random.choice([0, 0, 1, 2, 3, 4, 5, 6]),
        }  # fmt: skip
        return [
            (prevention if self._sometimes(0.4) else {})
            | {"exec_inst": self.random.choice([ExecInst.POST_ONLY, ExecInst.POST_ONLY_SLIDE]) if self._sometimes(0.1) else 0}
            | {
                "kind": BookCommandKind.NEW_ORDER, "order_id": self._new_id(account), "account": account, "instrument": self.random.choice([1, 1, 2, 9]),
                "side": self.random.randint(1, 2), "ord_type": OrdType.MARKET if market else OrdType.LIMIT, "time_in_force": time,
                "order_qty": self.random.randint(0, 60) if self._sometimes(0.98) else 5000,
                "price": self._price() if not market or self._sometimes(0.5) else 0,
            }
        ]  # fmt: skip

    def _open_or_close(self) -> list[Values]:
        """Mostly at once open again."""
        kind = BookCommandKind.TRADING_SESSION_CHANGE
        closed = [{"kind": kind, "instrument": self.random.choice([0, 1, 2]), "phase": Phase.CLOSED}]
        return closed + [{"kind": kind, "phase": Phase.CONTINUOUS}] * self._sometimes(0.8)

    def _of_type(self, ord_type: int, number: int) -> Values:
        """Order type with its prices."""
        row: Values = {"ord_type": ord_type}
        if ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT):
            row["price"] = self._price(number)
        if ord_type in (OrdType.STOP, OrdType.STOP_LIMIT):
            row["stop_px"] = self._price(number)
        if ord_type in (OrdType.MARKET, OrdType.STOP, OrdType.MARKET_TO_LIMIT) and self._sometimes(0.2):
            row["price"] = self._price(number)
        if ord_type in (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT):
            in_ticks = self._sometimes(0.7)
            row |= {"offset": self.random.randint(1, 6)} if in_ticks else {"offset": self.random.randint(100, 600), "offset_type": 1}
            if self._sometimes(0.3):
                row["stop_px"] = self._price(number)
        if ord_type == OrdType.TRAILING_STOP_LIMIT:
            row["price"] = self.random.randint(0, 4)
        if ord_type == OrdType.PEGGED:
            row |= {"peg_price_type": self.random.choice(list(PegPriceType)), "offset": self.random.randint(-3, 1)}
            if self._sometimes(0.3):
                row["price"] = self._price(number)
        return row

    def _display(self, order_qty: int) -> Values:
        row: Values = {}
        if self._sometimes(0.15):
            row["display_qty"] = self.random.randint(1, order_qty)
        elif self._sometimes(0.1):
            row["exec_inst"] = ExecInst.HIDDEN
        if self._sometimes(0.1):
            row["exec_inst"] = row.get("exec_inst", 0) | self.random.choice([ExecInst.POST_ONLY, ExecInst.POST_ONLY_SLIDE])
        return row

    def _prevention(self) -> Values:
        if self._sometimes(0.6):
            return {}
        return {"self_match_prevention_id": self.random.randint(1, 3), "self_match_prevention_instruction": self.random.randint(0, 5)}

    def _known(self) -> Values:
        """An order that was sent lately, mostly by its owner."""
        order_id = max(1, self.next_order_id - self.random.randint(1, 50))
        return {"order_id": order_id, "account": self.owners.get(order_id, 1) if self._sometimes(0.98) else 9}

    def _cancel(self) -> list[Values]:
        return [{"kind": BookCommandKind.CANCEL, "instrument": 1} | self._known()]

    def _replace(self) -> list[Values]:
        row: Values = {"kind": BookCommandKind.REPLACE, "order_qty": self.random.randint(0, 50), "time_in_force": 255}
        changes: dict[str, tuple[float, Callable[[], int]]] = {
            "price": (0.5, self._price), "stop_px": (0.1, self._price), "display_qty": (0.2, lambda: self.random.randint(1, 30)),
            "self_match_prevention_instruction": (0.03, lambda: self.random.randint(0, 5)), "min_qty": (0.02, lambda: 1),
            "exec_inst": (0.1, lambda: ExecInst.HIDDEN), "offset": (0.1, lambda: self.random.randint(-3, 5)),
            "time_in_force": (0.1, lambda: self.random.choice([0, 1, 6])), "expire_time": (0.1, lambda: self.now + 9 * NANOS_PER_SECOND),
        }  # fmt: skip
        return [row | self._known() | {name: int(make()) for name, (chance, make) in changes.items() if self._sometimes(chance)}]

    def _list(self) -> list[Values]:
        """A list whose orders mostly fit together."""
        kind = self.random.choice([ContingencyType.OCO, ContingencyType.OTO, ContingencyType.BRACKET])
        account, number, side = self.random.randint(1, 4), self.random.choice(self.numbers), self.random.randint(1, 2)
        first = [OrdType.LIMIT, OrdType.STOP, OrdType.STOP_LIMIT, OrdType.TRAILING_STOP]
        choices = {
            ContingencyType.OCO: [first, first],
            ContingencyType.OTO: [[OrdType.LIMIT, OrdType.MARKET, OrdType.STOP], [OrdType.LIMIT, OrdType.MARKET, OrdType.STOP]],
            ContingencyType.BRACKET: [
                [OrdType.LIMIT, OrdType.MARKET],
                [OrdType.LIMIT],
                [OrdType.STOP, OrdType.STOP_LIMIT, OrdType.TRAILING_STOP],
            ],
        }[kind]
        legs = []
        for place, ord_types in enumerate(choices):
            same_side = kind == ContingencyType.OCO or place == 0
            leg = {
                "kind": BookCommandKind.NEW_ORDER, "order_id": self._new_id(account), "account": account, "instrument": number,
                "side": side if same_side else 3 - side, "order_qty": self.random.randint(2, 30), "list_id": self.next_list_id,
                "contingency_type": kind,
            }  # fmt: skip
            legs.append(leg | self._of_type(int(self.random.choice(ord_types)), number) | self._prevention())
        self.next_list_id += 1
        if self._sometimes(0.05):
            legs[-1]["side"] = 3 - legs[-1]["side"]
        if self._sometimes(0.05):
            legs[0]["time_in_force"] = self.random.choice([TimeInForce.IOC, TimeInForce.FOK, TimeInForce.CLS])
        return legs

    def _timer(self) -> list[Values]:
        return [{"kind": BookCommandKind.TIMER}]

    def _some_instrument(self) -> int:
        return self.random.choice([0, *self.numbers])

    def _phase(self) -> list[Values]:
        end = self.now + self.random.randint(1, 8) * NANOS_PER_SECOND if self._sometimes(0.5) else 0
        kind = BookCommandKind.TRADING_SESSION_CHANGE
        return [{"kind": kind, "instrument": self._some_instrument(), "phase": self._pick(_PHASES), "expire_time": end}]

    def _day(self) -> list[Values]:
        """An instrument's day is ended and another begun, so that no tape stays in a phase that takes no orders."""
        opening = self.random.choice(
            [[Phase.CONTINUOUS], [Phase.PRE_OPEN, Phase.OPENING_AUCTION], [Phase.CONTINUOUS, Phase.CLOSING_AUCTION]]
        )
        number, kind = self.random.choice(self.numbers), BookCommandKind.TRADING_SESSION_CHANGE
        return [{"kind": kind, "instrument": number, "phase": phase} for phase in (Phase.POST_CLOSE, Phase.CLOSED, *opening)]

    def _halt(self) -> list[Values]:
        phase = self.random.choice([Phase.HALTED, Phase.CANCEL_ONLY])
        return [
            {"kind": BookCommandKind.TRADING_HALT, "instrument": self._some_instrument(), "phase": phase, "reason": Reason.REGULATORY_HALT}
        ]

    def _resume(self) -> list[Values]:
        phase = self.random.choice([Phase.CLOSED, Phase.CLOSED, Phase.CONTINUOUS])
        return [{"kind": BookCommandKind.TRADING_RESUME, "instrument": self._some_instrument(), "phase": phase}]

    def _mass_cancel(self) -> list[Values]:
        who = {"account": self.random.randint(0, 4), "side": self.random.randint(0, 2), "instrument": self._some_instrument()}
        return [{"kind": BookCommandKind.MASS_CANCEL} | who]

    def _bust(self) -> list[Values]:
        return [
            {"kind": BookCommandKind.TRADE_BUST, "instrument": 1, "trd_match_id": self.random.randint(0, 60), "price": 100, "order_qty": 5}
        ]

    def _update(self) -> list[Values]:
        close = self.now + 26 * 60 * NANOS_PER_SECOND if self._sometimes(0.5) else 0
        return [
            {"kind": BookCommandKind.INSTRUMENT_UPDATE, "instrument": self._some_instrument(), "price": self._price(), "expire_time": close}
        ]

    def _absurd(self) -> list[Values]:
        """A sensible row with one column that is not."""
        row = self.random.choice([self._new, self._cancel, self._replace, self._phase, self._mass_cancel])()[0]
        names = BOOK_COMMAND_DTYPE.names or ()
        column = self.random.choice(names)
        wide = (-1, 0, 1, 1 << 31, (1 << 31) + 1, (1 << 32) + 1, (1 << 62), -(1 << 62))
        narrow = {"u1": (0, 9, 77, 255), "u2": (0, 131, 65_535), "u4": (0, 9, 4_000_000_000), "u8": (0, 1, (1 << 64) - 1)}
        fields = BOOK_COMMAND_DTYPE.fields
        assert fields is not None
        dtype = fields[column][0]
        return [row | {column: self.random.choice(narrow.get(f"{dtype.kind}{dtype.itemsize}", wide))}]
