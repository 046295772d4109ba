"""Who asks the simulated exchange for something: third-party producers, operators, and people behind an edge. Every kind of order, drawn from the seed."""

import asyncio
from collections import deque
from decimal import Decimal
from typing import Any, Final

import numpy as np
from faults import World
from processes import Process
from simulated_roles import SHARDS

from matchers.rules.outputs import BOOK_COMMAND_DTYPE, COMMAND_DTYPE, rows_of
from schemas.codec import BadBytes, Header, decode_frame, encode_frame, encode_record
from schemas.enums import (
    BookCommandKind,
    CommandKind,
    ContingencyType,
    ExecFlag,
    ExecKind,
    OffsetType,
    OrdType,
    Phase,
    SelfMatchPrevention,
    Side,
    TimeInForce,
)  # fmt: skip
from schemas.instruments import Instrument, InstrumentTable
from schemas.reject_reasons import Reason
from topics.catalogue import ACCOUNT_COMMANDS, BOOK_COMMANDS, EXECUTIONS

ACCOUNTS: Final = (2, 3, 4, 5, 7)
NUMBERS: Final = (1, 2, 3)
Values = dict[str, int]
_TIMES: Final = (TimeInForce.DAY,) * 4 + (
    TimeInForce.GTC,
    TimeInForce.IOC,
    TimeInForce.IOC,
    TimeInForce.FOK,
    TimeInForce.OPG,
    TimeInForce.CLS,
)
_TRAILING: Final = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
_STOPS: Final = (OrdType.STOP, OrdType.STOP_LIMIT)


def simulated_instruments() -> InstrumentTable:
    """Reference 100 ticks; one with fees, one with price bands."""
    more: dict[int, dict[str, Any]] = {2: {"maker_fee": Decimal("0.0010"), "taker_fee": Decimal("0.0030")}, 3: {"luld_tier": 1}}
    one = Decimal(1)
    return InstrumentTable(
        Instrument(n, f"I{n}", "", one / 100, one, 1000 * one, Decimal(900), one, 20, **more.get(n, {})) for n in NUMBERS
    )


class Commands:
    """Draws commands. `texts`: the cl_ord_ids that were given away, by account."""

    def __init__(self, world: World) -> None:
        self._world, self._rng = world, world.rng
        self._number = 0
        self.texts: dict[int, list[bytes]] = {account: [] for account in ACCOUNTS}
        self._lists = 0

    def now(self) -> int:
        """The sender's clock, which may be wrong by hours, either way."""
        if self._world.faults.chance("wrong clock", 0.05):
            wrong_ns = self._rng.randint(-3_600, 3_600) * 1_000_000_000
            self._world.tell("wrong clock", f"a sender's clock is off by {wrong_ns / 1e9:.0f} s")
            return self._world.loop.now_ns() + wrong_ns
        return self._world.loop.now_ns()

    def text(self, account: int) -> bytes:
        """A new cl_ord_id."""
        self._number += 1
        self.texts[account].append(b"o%d" % self._number)
        return self.texts[account][-1]

    def order(self) -> Values:
        """What makes an order, without its account; mostly one that is taken."""
        rng = self._rng
        ord_type = OrdType.LIMIT if rng.random() < 0.7 else rng.choice(list(OrdType))
        qty = rng.randint(1, 40)
        made: Values = {
            "kind": CommandKind.NEW_ORDER, "instrument": rng.choice(NUMBERS), "side": rng.choice(list(Side)), "order_qty": qty, "ord_type": ord_type,
            "time_in_force": rng.choice(_TIMES), "locate": rng.randint(0, 1),
        }  # fmt: skip
        if ord_type in (OrdType.LIMIT, OrdType.STOP_LIMIT):
            made["price"] = rng.randint(96, 104)
        if ord_type == OrdType.TRAILING_STOP_LIMIT:
            made["price"] = rng.randint(0, 5)
        if ord_type in _STOPS:
            made["stop_px"] = rng.randint(96, 104)
        if ord_type in _TRAILING:
            made |= (
                {"offset": rng.randint(1, 5)}
                if rng.random() < 0.5
                else {"offset": rng.randint(1, 400), "offset_type": OffsetType.BASIS_POINTS}
            )
        if ord_type == OrdType.PEGGED:
            made |= {"offset": rng.randint(-2, 2), "peg_price_type": rng.choice((2, 4, 5))}
        if rng.random() < 0.1:
            made |= {"time_in_force": TimeInForce.GTD, "expire_time": self._world.loop.now_ns() + rng.randint(1, 300) * 1_000_000}
        if rng.random() < 0.15:
            made["exec_inst"] = rng.choice((1, 2, 4))
        if rng.random() < 0.15:
            made["display_qty"] = rng.randint(1, qty)
        if rng.random() < 0.1:
            made["min_qty"] = rng.randint(1, qty)
        if rng.random() < 0.3:
            made |= {
                "self_match_prevention_id": rng.randint(1, 2),
                "self_match_prevention_instruction": rng.choice(list(SelfMatchPrevention)),
            }
        return made

    def command(self, account: int) -> tuple[Values, bytes]:
        """One command of an account, with its cl_ord_id."""
        rng, what = self._rng, self._rng.random()
        common: Values = {"account": account, "transact_time": self.now()}
        known = self.texts[account]
        if what < 0.62 or not known:
            return common | self.order(), self.text(account)
        if what < 0.74:
            return common | {"kind": CommandKind.CANCEL}, rng.choice(known[-12:])
        if what < 0.9:
            return common | self.replacement(), rng.choice(known[-12:])
        if what < 0.94:
            word = rng.choice((0, 0, 0, 1, 2))
            return common | {"kind": CommandKind.ACCOUNT_STATUS, "account_word": word, "request_id": self.now()}, b""
        return common | {"kind": CommandKind.ACCOUNT_UPDATE, "request_id": self.now(), "cash": rng.randint(-50, 100) * 1_000}, b""

    def replacement(self) -> Values:
        """A replace, mostly of price and quantity."""
        rng = self._rng
        made: Values = {"kind": CommandKind.REPLACE, "order_qty": rng.randint(0, 50), "time_in_force": 255}
        return made | ({"price": rng.randint(95, 105)} if rng.random() < 0.6 else {})

    def listed(self, account: int) -> list[tuple[Values, bytes]]:
        """The orders of a list: consecutive rows."""
        rng = self._rng
        kind = rng.choice((ContingencyType.OCO, ContingencyType.OTO, ContingencyType.BRACKET))
        side, price = rng.choice(list(Side)), rng.randint(97, 103)
        legs: list[Values] = [
            {"ord_type": OrdType.LIMIT, "price": price, "side": side},
            {"ord_type": OrdType.STOP, "stop_px": price + (4 if side == Side.BUY else -4), "side": side},
        ]
        if kind != ContingencyType.OCO:
            legs = [
                {"ord_type": OrdType.LIMIT, "price": rng.randint(98, 102), "side": 3 - side},
                *legs[: 1 if kind == ContingencyType.OTO else 2],
            ]
        self._lists += 1
        shape = {
            "kind": CommandKind.NEW_ORDER, "contingency_type": kind, "list_id": self._lists, "order_qty": rng.randint(2, 20), "account": account,
            "instrument": rng.choice(NUMBERS), "transact_time": self.now(), "locate": 1,
        }  # fmt: skip
        return [(shape | leg, self.text(account)) for leg in legs]


def command_frame(source: str, number: int, rows: list[tuple[Values, bytes]], reply_partition: int = -1) -> bytes:
    """Commands as their sender frames them."""
    header = Header(source, number, 0, 0, max(values["transact_time"] for values, _ in rows), reply_partition)
    return encode_frame(
        "order_command_frame", header, rows_of(COMMAND_DTYPE, [values for values, _ in rows]), np.array([text for _, text in rows], "S")
    )


class ThirdParty(Process):
    """Posts frames straight to the log, as topics.producer does, but without its idempotence: what is not acknowledged in time is sent again."""

    def __init__(self, world: World, name: str, commands: Commands, frames: int) -> None:
        super().__init__(world, name, "producer")
        self._commands, self._frames, self.done = commands, frames, False
        self.start(self._run())

    async def _run(self) -> None:
        world, rng = self.world, self.world.rng
        sent: deque[tuple[int, bytes]] = deque(maxlen=6)
        for number in range(self._frames):
            await asyncio.sleep(rng.random() * 0.012)
            account = rng.choice(ACCOUNTS)
            rows: list[tuple[Values, bytes]] = []
            for _ in range(rng.randint(1, 4)):
                home = rng.choice([one for one in ACCOUNTS if one % SHARDS == account % SHARDS])
                rows += self._commands.listed(home) if rng.random() < 0.1 else [self._commands.command(home)]
            value = command_frame(self.name, number, rows)
            if rng.random() < 0.1:
                value = self._single(account)
            world.log.append(ACCOUNT_COMMANDS.name, account % SHARDS, value, speaker=self.speaker)
            sent.append((account % SHARDS, value))
            if sent and world.faults.chance("repeated command", 0.1):
                shard, again = rng.choice(sent)
                world.tell("repeated command", f"{self.name} sends a frame again to account shard {shard}")
                world.log.append(ACCOUNT_COMMANDS.name, shard, again, speaker=self.speaker)
            if world.faults.chance("bad bytes", 0.06):
                self._bad_bytes(value)
        self.done = True

    def _single(self, account: int) -> bytes:
        text = self._commands.text(account).decode()
        order = {
            "account": account, "cl_ord_id": text, "symbol": "I1", "side": "BUY", "ord_type": "LIMIT", "order_qty": "3", "price": "1.01",
            "time_in_force": "DAY",
            "transact_time": self._commands.now(),
        }  # fmt: skip
        return encode_record("new_order_single", order)

    def _bad_bytes(self, value: bytes) -> None:
        """Half a frame, another shard's frame, or noise."""
        rng, log = self.world.rng, self.world.log
        shard = rng.randrange(SHARDS)
        stray, _ = self._commands.command(ACCOUNTS[0])
        bad = rng.choice((value[: len(value) // 2], b"noise", command_frame(self.name, 0, [(stray | {"account": 9 - shard}, b"stray")])))
        offset = log.append(ACCOUNT_COMMANDS.name, shard, bad, speaker=self.speaker)
        self.world.tell("bad bytes", f"account.commands/{shard} offset {offset}")


class Operator(Process):
    """Opens accounts and the market; then halts, resumes, cancels and undoes trades now and then."""

    def __init__(self, world: World, commands: Commands, orders: int) -> None:
        super().__init__(world, "operator", "operator")
        self._commands, self._acts, self.done = commands, orders, False
        self._open()
        self.start(self._run())

    def _open(self) -> None:
        """Deposits, then the market."""
        rng, now = self.world.rng, self.world.loop.now_ns()
        for shard in range(SHARDS):
            rows: list[tuple[Values, bytes]] = []
            for account in [one for one in ACCOUNTS if one % SHARDS == shard]:
                common = {"account": account, "transact_time": now}
                rows.append((common | {"kind": CommandKind.ACCOUNT_UPDATE, "cash": rng.randint(5, 100) * 100_000}, b""))
                rows += [
                    (common | {"kind": CommandKind.ACCOUNT_UPDATE, "instrument": n, "order_qty": rng.randint(20, 400)}, b"")
                    for n in NUMBERS
                ]
                if rng.random() < 0.5:
                    rows.append((common | {"kind": CommandKind.ACCOUNT_LIMITS, "account_word": 1}, b""))
            rows = [(row | {"request_id": 1 + number}, text) for number, (row, text) in enumerate(rows)]
            self.world.log.append(ACCOUNT_COMMANDS.name, shard, command_frame(self.name, shard, rows), speaker=self.speaker)
            phase = Phase.PRE_OPEN if rng.random() < 0.3 else Phase.CONTINUOUS
            self._book(shard, {"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": phase})

    def _book(self, shard: int, values: Values) -> None:
        rows = rows_of(BOOK_COMMAND_DTYPE, [{"transact_time": self.world.loop.now_ns()} | values])
        header = Header("operator", created_at=self.world.loop.now_ns())
        self.world.log.append(BOOK_COMMANDS.name, shard, encode_frame("book_command_frame", header, rows), speaker=self.speaker)

    async def _run(self) -> None:
        rng = self.world.rng
        for _ in range(self._acts):
            await asyncio.sleep(rng.random() * 0.08)
            shard = rng.randrange(SHARDS)
            instrument = rng.choice([number for number in NUMBERS if number % SHARDS == shard])
            trade = self._trade(shard)
            match rng.randrange(6):
                case 0:
                    self._book(
                        shard,
                        {
                            "kind": BookCommandKind.TRADING_HALT,
                            "instrument": instrument,
                            "phase": Phase.HALTED,
                            "reason": Reason.REGULATORY_HALT,
                        },
                    )
                case 1:
                    self._book(
                        shard, {"kind": BookCommandKind.MASS_CANCEL, "account": rng.choice((0, *ACCOUNTS)), "instrument": instrument}
                    )
                case 2 if trade is not None:
                    self._book(shard, bust_of(trade))
                case 3:
                    self._book(
                        shard,
                        {
                            "kind": BookCommandKind.TRADING_SESSION_CHANGE,
                            "phase": rng.choice((Phase.OPENING_AUCTION, Phase.CLOSING_AUCTION)),
                        },
                    )
                case _:
                    self._book(shard, {"kind": BookCommandKind.TRADING_SESSION_CHANGE, "phase": Phase.CONTINUOUS})
        for shard in range(SHARDS):
            self._book(shard, {"kind": BookCommandKind.TRADING_RESUME, "phase": Phase.CONTINUOUS})
        self.done = True

    def _trade(self, shard: int) -> Values | None:
        """A trade that the log knows of."""
        for record in reversed(self.world.log.parts[EXECUTIONS.name, shard][-20:]):
            try:
                rows = decode_frame(record.value or b"").rows
            except BadBytes:  # an intruder's
                continue
            trades = rows[rows["kind"] == ExecKind.TRADE]
            if len(trades):
                return dict(zip(trades.dtype.names or (), trades[0].item(), strict=True))
        return None


def bust_of(trade: Values) -> Values:
    """The command that undoes a trade, as an operator makes it from the books' records."""
    own, contra = (trade["order_id"], trade["account"]), (trade["contra_order_id"], trade["contra_account"])
    buy, sell = (own, contra) if trade["side"] == Side.BUY else (contra, own)
    return {
        "kind": BookCommandKind.TRADE_BUST, "instrument": trade["instrument"], "trd_match_id": trade["trd_match_id"], "price": trade["price"],
        "order_qty": trade["qty"], "reason": Reason.CLEARLY_ERRONEOUS, "order_id": buy[0], "account": buy[1], "list_id": sell[0],
        "self_match_prevention_id": sell[1], "side": 0 if trade["flags"] & ExecFlag.UNCROSS else trade["side"],
    }  # fmt: skip
