"""One connection's side of the conversation: who it is, and what it asks.

Requests are taken in their order. What concerns the connection itself is done before the next one is taken; orders go to the log in their order, and
are answered as their decisions come, each with its request's `id`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from access.api_keys import Scope
from edge.fanout.connection import Connection
from edge.gateway.access.sessions import Session
from edge.http.client_data import quoted
from edge.native import logon
from edge.native.desk import Desk
from edge.native.limits import CANCEL_AFTER_MS_MAX, CANCEL_AFTER_MS_MIN, GRACE_MS_MAX, ID_CHARACTERS_MAX, IN_FLIGHT_MAX
from edge.native.orders.operations import OPERATIONS, Asked, require
from edge.native.subscriptions import Subscriptions
from edge.native.wire.closing import Close, closing
from edge.native.wire.encodings import Encoding, Message
from edge.native.wire.fields import Fields
from edge.native.wire.problems import Problem, invalid, not_logged_on, value_of

log = structlog.get_logger(__name__)
_leaving: Final[set[asyncio.Task[None]]] = set()
"""Held until they are done: the loop itself keeps no task alive."""


class Conversation:
    """`address`: the client's, for the key's allow-list and for guesses."""

    def __init__(self, desk: Desk, out: Connection, encoding: Encoding, address: str) -> None:
        self.desk, self.out, self.encoding, self._address = desk, out, encoding, address
        self.session: Session | None = None
        self._number = desk.next_number()
        self._numbers = {self._number}
        """Of connections whose orders are canceled with this one: its own, and those that it has taken over."""
        self._has_asked = False
        """Anything that could be read; who never does is let go."""
        self._subscriptions = Subscriptions(desk, self)
        self._grace_ms: int | None = None
        """Of cancel on disconnect; None: off."""
        self._in_flight: set[asyncio.Task[None]] = set()
        self._has_left = False
        self._here: dict[str, Callable[[Fields], Coroutine[Any, Any, dict[str, Any]]]] = {
            "session.logon": self._logon,
            "session.cancel_on_disconnect": self._cancel_on_disconnect,
            "session.cancel_after": self._cancel_after,
            "ping": self._ping,
            **self._subscriptions.operations,
        }

    # ---- the connection (edge.fanout.conversations.Conversation)

    @property
    def authenticated(self) -> bool:
        """Prices need no key; a client that asks for nothing is let go."""
        return self._has_asked

    def begin(self) -> None:
        """The first word."""
        self.desk.hub.begin(self)
        told = {"protocol": "outcry.v1", "encoding": self.encoding.name, "ts": logon.now_us()}
        self.send({"event": "hello"} | told)

    def too_late(self) -> None:
        """Nothing was asked in time."""
        self._end(Close.LOGON_TIMEOUT)

    def too_many(self) -> None:
        """No room."""
        self._end(Close.TOO_MANY)

    def leave(self) -> None:
        """The connection has ended."""
        self._has_left = True
        self.desk.hub.end(self)
        self._subscriptions.leave()
        if self.session is not None:
            self.desk.gateway.sessions.release(self.session, self._key_changed)
            if self._grace_ms is not None:
                task = asyncio.create_task(self._leave_orders(self.session, self._grace_ms), name="native-leave")
                _leaving.add(task)
                task.add_done_callback(_leaving.discard)

    async def _leave_orders(self, session: Session, grace_ms: int) -> None:
        """Once it is known of every order whether it was placed: what is still under way is the connection's too."""
        if self._in_flight:
            await asyncio.wait(self._in_flight)
        self.desk.guards.lost(session.key_id, session.account, self._numbers, grace_ms)

    def push(self, message: Message) -> None:
        """What a private channel tells."""
        self.desk.hub.hurry(self.out, message.frame(self.encoding))

    def restart(self) -> None:
        """Private events may have been missed."""
        self._end(Close.HISTORY_LOST)

    def _key_changed(self) -> None:
        self._end(Close.KEY_CHANGED)

    def send(self, body: dict[str, Any]) -> None:
        """To this client alone, now."""
        self.out.send_frame_nowait(self.encoding.frame(body))

    def _end(self, code: Close) -> None:
        """Say why, and close."""
        self.send(closing(code))
        self.out.end_nowait(code, code.name.lower())

    # ---- requests

    async def take(self, data: str | bytes) -> bool:
        """One message. True: it counts against the key's limit, not against the socket's pace."""
        request_id: Any = None
        try:
            values = self._decoded(data)
            request_id = _id_in(values)
            fields = Fields({name: value for name, value in values.items() if name not in ("id", "op")})
            op = values.get("op")
            here = self._here.get(op) if isinstance(op, str) else None
            if here is None:
                self._start(request_id, op, fields)
                return True
        except Problem as problem:
            self._refuse(request_id, problem)
            return False
        await self._finish(request_id, here(fields))
        self._subscriptions.tell_missed()
        return False

    def _decoded(self, data: str | bytes) -> dict[str, Any]:
        try:
            values = self.encoding.decode(data)
        except ValueError as error:
            raise Problem("invalid_message", f"the message cannot be read as {self.encoding.name}: {str(error)[:200]}") from None
        if not isinstance(values, dict):
            raise Problem("invalid_message", "a message is an object")
        self._has_asked = True
        return values

    def _start(self, request_id: Any, op: Any, fields: Fields) -> None:
        """Begin to work on one of OPERATIONS. Tasks begin in the order in which they are made, so orders keep theirs. Raises Problem."""
        operation = OPERATIONS.get(op) if isinstance(op, str) else None
        if operation is None:
            raise Problem("unknown_op", f"{quoted(op)} is none of {', '.join((*OPERATIONS, *self._here))}")
        self.desk.need_accounts()
        session = self.session or not_logged_on()
        require(session, operation.scope)
        if len(self._in_flight) >= IN_FLIGHT_MAX:
            raise Problem("too_many_requests", f"{IN_FLIGHT_MAX} requests of this connection wait already", retry_after_s=1)
        too_many = self.desk.gateway.sessions.admit(session)
        if too_many is not None:
            value_of(too_many)
        asked = Asked(self.desk.gateway, self.desk.owners, session, fields, self._number, self._grace_ms is not None)
        task = asyncio.create_task(self._finish(request_id, operation.run(asked), self._answer), name="native-request")
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def _finish(
        self, request_id: Any, work: Coroutine[Any, Any, dict[str, Any]], send: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        send = send or self.send
        try:
            told = await work
        except Problem as problem:
            self._refuse(request_id, problem, send)
        except Exception:  # a fault of ours: this request gets a code for it, the connection goes on
            log.exception("native_request_failed")
            self._refuse(request_id, Problem("internal", "internal server error", outcome="unknown"), send)
        else:
            send({"id": request_id, "ok": True, "outcome": "accepted"} | told)

    def _answer(self, body: dict[str, Any]) -> None:
        """To an order. A shard decides many at once, so their answers are written in one piece, when this turn of the loop is over."""
        if self.out.backlog is None:
            self.desk.hub.hurry(self.out, self.encoding.frame(body))
        else:
            self.send(body)

    def _refuse(self, request_id: Any, problem: Problem, send: Callable[[dict[str, Any]], None] | None = None) -> None:
        document = problem.document(str(request_id) if request_id is not None else "")
        (send or self.send)({"id": request_id, "ok": False, "outcome": problem.outcome, "problem": document})

    # ---- the session

    async def _logon(self, fields: Fields) -> dict[str, Any]:
        if self.session is not None:
            raise Problem("already_logged_on", "another key needs a connection of its own")
        session = await logon.by_fields(self.desk.gateway, fields, self._address)
        if self.session is not None:
            raise Problem("already_logged_on", "another key needs a connection of its own")
        if self._has_left:
            return {}
        self.session = session
        if not self.desk.market_only:
            self.desk.gateway.origins.note(session.account, self._address, "the native API")
        self.desk.gateway.sessions.hold(session, self._key_changed)
        told = {"account": session.account, "scopes": sorted(session.scopes)}
        left = self.desk.guards.take_over(session.key_id)
        if left:
            self._grace_ms = max(one.grace_ms for one in left)
            self._numbers.update(*(one.numbers for one in left))
            told["cancel_on_disconnect"] = {"enabled": True, "grace_ms": self._grace_ms}
        return told

    async def _cancel_on_disconnect(self, fields: Fields) -> dict[str, Any]:
        self.desk.need_accounts()
        require(self.session or not_logged_on(), Scope.TRADE)
        enabled, grace_ms = fields.raw("enabled"), fields.whole("grace_ms", 0, GRACE_MS_MAX) or 0
        fields.done()
        if not isinstance(enabled, bool):
            raise invalid("enabled", "must be true or false")
        self._grace_ms = grace_ms if enabled else None
        return {"enabled": enabled, "grace_ms": grace_ms}

    async def _cancel_after(self, fields: Fields) -> dict[str, Any]:
        self.desk.need_accounts()
        session = self.session or not_logged_on()
        require(session, Scope.TRADE)
        timeout_ms = fields.whole("timeout_ms", 0, CANCEL_AFTER_MS_MAX)
        fields.done()
        if timeout_ms is None or 0 < timeout_ms < CANCEL_AFTER_MS_MIN:
            raise invalid("timeout_ms", f"must be 0, or from {CANCEL_AFTER_MS_MIN} to {CANCEL_AFTER_MS_MAX}")
        self.desk.guards.cancel_after(session, timeout_ms)
        return {"timeout_ms": timeout_ms, "fires_at": logon.now_us() + timeout_ms * 1_000 if timeout_ms else None}

    async def _ping(self, fields: Fields) -> dict[str, Any]:
        fields.done()
        return {"ts": logon.now_us()}


def _id_in(values: dict[str, Any]) -> Any:
    """The request's own id, which its answer has."""
    found = values.get("id")
    if found is None or (isinstance(found, int) and not isinstance(found, bool) and abs(found) < 1 << 63):
        return found
    if isinstance(found, str) and len(found) <= ID_CHARACTERS_MAX:
        return found
    raise Problem("invalid_field", f"id must be a whole number of 63 bits or a text of at most {ID_CHARACTERS_MAX} characters", field="id")
