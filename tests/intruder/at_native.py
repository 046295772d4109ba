"""The native API: others' accounts by each operation, nobody's requests, and more than a connection may ask."""

# ruff: noqa: D103 - their names say what they do

from typing import Any, Final

from attack import attack, exchange, stopped_by
from support.native_edge import NativeEdge, an_order

from edge.http import client_data
from edge.native import conversation, rest, subscriptions
from edge.native.orders import operations
from edge.native.wire import fields

BY_THE_KEY: Final = (
    operations,
    "        return self.session.account\n",
    "        return int(self.fields.raw('account') or self.session.account)\n",
)
NO_SUCH_FIELD: Final = (fields, "            if name not in self._asked:", "            if name not in self._asked and name != 'account':")


class Victim:
    """Account 1 with an order, and a socket of account 2."""

    def __init__(self, native: NativeEdge, order: dict[str, Any], ws: Any) -> None:
        self.native, self.order, self.ws = native, order, ws

    async def ask(self, op: str, **more: Any) -> dict[str, Any]:
        """As account 2, naming account 1."""
        return await self.ws.ask(op, account=1, **more)

    async def open_orders(self) -> list[Any]:
        """Of account 1."""
        seen = await self.native.served.gateway.accounts.view(1)
        return list(seen.value.open_orders.values())  # type: ignore[union-attr]


async def place_in_anothers_name(one: Victim) -> bool:
    await one.ask("order.place", order=an_order(order_qty="1"))
    return len(await one.open_orders()) == 2


async def cancel_in_anothers_name(one: Victim) -> bool:
    return (await one.ask("order.cancel", order_id=one.order["order_id"]))["ok"]


async def amend_in_anothers_name(one: Victim) -> bool:
    return (await one.ask("order.amend", order_id=one.order["order_id"], order_qty="3"))["ok"]


async def ask_for_the_state_of_anothers_order(one: Victim) -> bool:
    return (await one.ask("order.status", cl_ord_id="mine"))["ok"]


async def cancel_everything_of_another(one: Victim) -> bool:
    return bool((await one.ask("order.cancel_all")).get("orders"))


async def send_a_batch_in_anothers_name(one: Victim) -> bool:
    told = await one.ws.ask("order.batch", requests=[{"op": "order.cancel", "order_id": one.order["order_id"], "account": 1}])
    return told["answers"][0]["ok"]


async def list_what_another_has_open(one: Victim) -> bool:
    return bool((await one.ask("order.open")).get("orders"))


async def read_cash_and_positions_of_another(one: Victim) -> bool:
    return (await one.ask("account.get")).get("account") == 1


def _as_attack(run: Any) -> Any:
    async def tried(native: NativeEdge) -> bool:
        async with native.socket(1) as own, native.socket(2) as ws:
            placed = await own.ask("order.place", order=an_order(order_qty="1", cl_ord_id="mine"))
            return bool(await run(Victim(native, placed["order"], ws)))

    return tried


for _run in (
    place_in_anothers_name, cancel_in_anothers_name, amend_in_anothers_name, ask_for_the_state_of_anothers_order, cancel_everything_of_another,
    send_a_batch_in_anothers_name, list_what_another_has_open, read_cash_and_positions_of_another,
):  # fmt: skip
    attack(_run.__name__, _as_attack(_run), BY_THE_KEY, NO_SUCH_FIELD, door=exchange)


# ---- nobody

ANYBODY: Final = "next(iter(self.desk.gateway.sessions._known.values()))"


@stopped_by((conversation, "        session = self.session or not_logged_on()\n        require(session, operation.scope)",
             f"        session = self.session or {ANYBODY}\n        require(session, operation.scope)"), door=exchange)  # fmt: skip
async def trade_without_logging_on(native: NativeEdge) -> bool:
    """Somebody else has."""
    async with native.socket(1), native.socket() as ws:
        return (await ws.ask("order.place", order=an_order(order_qty="1")))["ok"]


@stopped_by(
    (subscriptions, "            session = session or not_logged_on()", f"            session = session or {ANYBODY.replace('self.desk.gateway', 'self._gateway')}"),
    door=exchange,
)  # fmt: skip
async def listen_without_logging_on(native: NativeEdge) -> bool:
    """To private events."""
    async with native.socket(1), native.socket() as ws:
        return (await ws.ask("subscribe", channels=["orders", "account"]))["ok"]


@stopped_by(
    (conversation, "            require(self.session or not_logged_on(), Scope.TRADE)".strip(), "pass"),
    door=exchange,
)  # fmt: skip
async def ask_for_cancels_on_disconnect_without_logging_on(native: NativeEdge) -> bool:
    """Of nobody's orders."""
    async with native.socket() as ws:
        return (await ws.ask("session.cancel_on_disconnect", enabled=True))["ok"]


@stopped_by((rest, '        raise Problem("not_logged_on", "send X-API-Key and X-API-Secret, or sign the request")', "        return next(iter(sessions._known.values()))"),
            door=exchange)  # fmt: skip
async def trade_over_http_without_a_key(native: NativeEdge) -> bool:
    """Somebody has asked with one before."""
    async with native.socket(1):
        return (await native.served.post("/v1/order.place", json={"order": an_order(order_qty="1")}))[0] == 200


@stopped_by(
    (conversation, '        if self.session is not None:\n            raise Problem("already_logged_on", "another key needs a connection of its own")\n        session = await', "        session = await"),
    (conversation, '        if self.session is not None:\n            raise Problem("already_logged_on", "another key needs a connection of its own")\n        if self._has_left', "        if self._has_left"),
    door=exchange,
)  # fmt: skip
async def become_another_on_one_connection(native: NativeEdge) -> bool:
    """What was subscribed before would be told to the second one."""
    async with native.socket(1) as ws:
        await ws.ask("subscribe", channels=["orders"])
        return (await ws.ask("session.logon", key="KEY2", secret="secret-2"))["ok"]


# ---- more than a connection may ask


def _fewer(module: Any, name: str, value: int, run: Any) -> Any:
    """With a bound that a test reaches."""

    async def tried(native: NativeEdge) -> bool:
        before = getattr(module, name)
        setattr(module, name, value)
        try:
            async with native.socket(1) as ws:
                return await run(ws)
        finally:
            setattr(module, name, before)

    return tried


CHANNELS: Final = ["trades.AAPL", "quotes.AAPL.raw", "status.AAPL"]


async def _subscribes(ws: Any) -> bool:
    return (await ws.ask("subscribe", channels=CHANNELS))["ok"]


async def _names_twice(ws: Any) -> bool:
    return (await ws.ask("subscribe", channels=[CHANNELS[0], CHANNELS[0]]))["ok"]


async def _many_at_once(ws: Any) -> bool:
    for number in range(10):
        await ws.send({"id": number, "op": "account.get"})
    return all([(await ws.next())["ok"] for _ in range(10)])


async def _long_id(ws: Any) -> bool:
    await ws.send({"id": "x" * 10_000, "op": "ping"})
    return bool((await ws.next())["ok"])


async def _long_text(ws: Any) -> bool:
    told = await ws.ask("order.status", order_id="9" * 1_000)
    return "1 to 20" not in told["problem"]["detail"]


async def _unknown_field(ws: Any) -> bool:
    return (await ws.ask("order.place", order=an_order(order_qty="1"), limit_prize="1"))["ok"]


async def _big_batch(ws: Any) -> bool:
    return "answers" in await ws.ask("order.batch", requests=[{"op": "order.cancel", "order_id": "1"}] * 60)


async def _digits(ws: Any) -> bool:
    return (await ws.ask("order.place", order=an_order(order_qty=f"1.{'0' * 60}"), validate=True))["ok"]


ITEMS: Final = (fields, "        if len(value) > most:", "        if False:")
for _name, _module, _bound, _value, _tried, *_edits in (
    ("subscribe_to_more_than_a_connection_may", subscriptions, "SUBSCRIPTIONS_MAX", 2, _subscribes,
     (subscriptions, "if len(self._channels.keys() | {one.text for one in names}) > SUBSCRIPTIONS_MAX:", "if False:")),
    ("name_too_many_channels_in_one_message", subscriptions, "CHANNELS_PER_MESSAGE_MAX", 2, _subscribes, ITEMS),
    ("name_a_channel_twice", subscriptions, "SUBSCRIPTIONS_MAX", 1_000, _names_twice,
     (subscriptions, "if len({one.text for one in names}) < len(names):", "if False:")),
    ("leave_more_requests_waiting_than_a_connection_may", conversation, "IN_FLIGHT_MAX", 0, _many_at_once,
     (conversation, "        if len(self._in_flight) >= IN_FLIGHT_MAX:", "        if False:")),
    ("have_a_huge_id_repeated", conversation, "ID_CHARACTERS_MAX", 64, _long_id,
     (conversation, "if isinstance(found, str) and len(found) <= ID_CHARACTERS_MAX:", "if isinstance(found, str):")),
    ("send_a_text_that_is_longer_than_any", conversation, "ID_CHARACTERS_MAX", 64, _long_text,
     (fields, "if not isinstance(value, str) or not 0 < len(value) <= most:", "if not isinstance(value, str):")),
    ("have_a_misspelt_price_passed_over", conversation, "ID_CHARACTERS_MAX", 64, _unknown_field,
     (fields, "            if name not in self._asked:", "            if False:")),
    ("send_a_batch_without_end", conversation, "ID_CHARACTERS_MAX", 64, _big_batch, ITEMS),
    ("send_more_digits_than_numbers_have", conversation, "ID_CHARACTERS_MAX", 64, _digits,
     (fields, "if isinstance(value, str) and not _NUMBER.fullmatch(value):", "if False:"),
     (fields, "if not number.is_finite() or len(number.as_tuple().digits) > NUMBER_DIGITS_MAX or abs(number.adjusted()) > NUMBER_DIGITS_MAX:", "if False:")),
):  # fmt: skip
    attack(_name, _fewer(_module, _bound, _value, _tried), *_edits, door=exchange)


@stopped_by(
    (client_data, "from None\n    return _shallow(value)\n\n\ndef _shallow", "from None\n    return value\n\n\ndef _shallow"), door=exchange
)
async def send_lists_within_lists_as_msgpack(native: NativeEdge) -> bool:
    """Deeper than Python goes when it is walked through."""
    deep: Any = 1
    for _ in range(40):
        deep = [deep]
    async with native.socket(1, packed=True) as ws:
        await ws.send({"id": 1, "op": "ping", "x": deep})
        return (await ws.next())["problem"]["code"] != "invalid_message"


@stopped_by(
    (client_data, "from None\n    return _shallow(value)\n\n\ndef decode_packed", "from None\n    return value\n\n\ndef decode_packed"),
    door=exchange,
)
async def send_lists_within_lists_as_json(native: NativeEdge) -> bool:
    """The same."""
    async with native.socket(1) as ws:
        await ws.ws.send_str('{"id": 1, "op": "ping", "x": ' + "[" * 40 + "]" * 40 + "}")
        return (await ws.next())["problem"]["code"] != "invalid_message"
