"""The account views of one edge: registering an account with its shard, feeding the views, telling the account's listeners.

An account is registered when it is first asked for; from then on its shard sends every event of it to this edge's partition of
edge.replies. After a gap (`forget_all`) everything is rebuilt by registering again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from edge.gateway.accounts.command_frames import Command
from edge.gateway.accounts.command_producer import CommandProducer, QueueFull
from edge.gateway.accounts.pending_requests import Answer, PendingRequests
from edge.gateway.accounts.traced_orders import TracedOrders
from edge.gateway.accounts.view import AccountView, OrderUpdate, ReplyRow, ends_replace
from edge.gateway.limits import ACCOUNT_VIEWS_MAX
from edge.gateway.outcomes import Accepted, Cause, OutcomeUnknown, Refused, Unavailable
from schemas.enums import AccountEventKind, CommandKind
from schemas.reject_reasons import Reason

Seen = Accepted[AccountView] | Refused | Unavailable
"""What asking for an account's view comes to."""
Undecided = Unavailable | OutcomeUnknown
"""A command without a decision: not sent, or not answered in time."""


class UpdateListener(Protocol):
    """Who wants an account's order updates."""

    def tell_nowait(self, update: OrderUpdate) -> None:
        """Queue the update; never blocks."""

    def restart_nowait(self) -> None:
        """Updates may have been missed: end the connection so that the client reads its orders again."""


class RowFollower(Protocol):
    """Who wants every row that this edge is told, of all accounts."""

    def take_row(self, row: ReplyRow, cl_ord_id: str) -> None:
        """After the account's view has taken it; never blocks."""

    def take_past(self, row: ReplyRow, cl_ord_id: str) -> None:
        """A row that a process before this one was told; all of them come before the first `take_row`."""

    def forget_all(self) -> None:
        """Rows may have been missed."""


class Accounts:
    """Views by account, and the way to ask a shard for something."""

    def __init__(self, pending: PendingRequests, clock_ns: Callable[[], int]) -> None:
        self.pending = pending
        self.producer: CommandProducer | None = None
        """None until Kafka has been reached."""
        self.traced: TracedOrders | None = None
        """None where no traces are wanted."""
        self._clock_ns = clock_ns
        self._views: OrderedDict[int, AccountView] = OrderedDict()
        self._arriving: dict[int, tuple[AccountView, asyncio.Task[Seen]]] = {}
        self._listeners: dict[int, set[UpdateListener]] = {}
        self._followers: list[RowFollower] = []
        self._replacing: dict[tuple[int, int], asyncio.Future[ReplyRow]] = {}
        """By account and request_id: replaces that wait for their shard."""
        self._replaced: dict[int, asyncio.Future[ReplyRow]] = {}
        """By order_id: replaces that wait for their book."""
        self._refusing: dict[int, asyncio.Future[None]] = {}
        """By order_id: new orders that their book is expected to refuse."""

    def __len__(self) -> int:
        return len(self._views)

    async def decide(self, kind: CommandKind, account: int, **fields: int | bytes) -> Answer | Undecided:
        """Send one command and wait for its shard's answer."""
        answers = await self._ask([self._command(kind, account, fields)])
        return answers[0] if isinstance(answers, list) else answers

    async def decide_list(self, account: int, orders: Sequence[Mapping[str, Any]]) -> list[Answer] | Undecided:
        """Send a new order, or the orders of a list, which stay together; an answer for each."""
        commands = [self._command(CommandKind.NEW_ORDER, account, fields) for fields in orders]
        if len(commands) > 1:
            for command in commands:
                command.list_id = commands[0].request_id
            commands[0].legs = tuple(commands[1:])
        return await self._ask(commands)

    async def replace(self, account: int, wait_s: float, **fields: int | bytes) -> tuple[Answer, ReplyRow | None] | Undecided:
        """Send a replace; the shard's answer and, if the shard passes it on, the book's word: None if that takes longer than `wait_s`."""
        command = self._command(CommandKind.REPLACE, account, fields)
        decided: asyncio.Future[ReplyRow] = asyncio.get_running_loop().create_future()
        self._replacing[account, command.request_id] = decided
        try:
            answers = await self._ask([command])
            if not isinstance(answers, list):
                return answers
            (answer,) = answers
            if answer.row.kind != AccountEventKind.REPLACE_PENDING:
                return answer, None
            done, _ = await asyncio.wait([decided], timeout=wait_s)
            return answer, decided.result() if done else None
        finally:
            self._replacing.pop((account, command.request_id), None)
            if self._replaced.get(command.order_id) is decided:
                del self._replaced[command.order_id]

    async def refusal_of_book(self, order_id: int, wait_s: float) -> None:
        """Until the book has refused the new order, or `wait_s` has passed; the view has the order as it then is."""
        refused = self._refusing.setdefault(order_id, asyncio.get_running_loop().create_future())
        await asyncio.wait([refused], timeout=wait_s)
        self._refusing.pop(order_id, None)

    def _command(self, kind: CommandKind, account: int, fields: Mapping[str, Any]) -> Command:
        return Command(kind, account, self.pending.next_request_id(), self._clock_ns(), **fields)

    async def _ask(self, commands: list[Command]) -> list[Answer] | Undecided:
        """Send the first, which carries the others, and wait for all answers."""
        if self.producer is None:
            return Unavailable(Cause.LOG_AWAY, "the exchange's log (Kafka) is not reachable; nothing was sent")
        try:
            self.producer.enqueue_nowait(commands[0])
        except QueueFull:
            return Unavailable(Cause.QUEUE_FULL, "too many requests are waiting for the exchange's log (Kafka); nothing was sent")
        try:
            if len(commands) == 1:
                answers = [await self.pending.wait_for(commands[0])]
            else:
                answers = await asyncio.gather(*map(self.pending.wait_for, commands))
        except TimeoutError:
            return OutcomeUnknown(commands[0].kind)
        if self.traced is not None:
            self.traced.answered(commands, answers)
        return answers

    def seq_of(self, account: int) -> int:
        """Of the newest event that the account's view has; 0 without a view."""
        view = self._views.get(account)
        return 0 if view is None else view.seq

    async def view(self, account: int) -> Seen:
        """The account's live view; registers the account first if need be."""
        view = self._views.get(account)
        if view is not None:
            self._views.move_to_end(account)
            return Accepted(view)
        if account not in self._arriving:
            fresh = AccountView(account)
            self._arriving[account] = fresh, asyncio.create_task(self._register(fresh), name=f"register-{account}")
        # shielded: others may wait for the same registration
        return await asyncio.shield(self._arriving[account][1])

    def listen(self, account: int, listener: UpdateListener) -> None:
        """Send the account's updates to the listener from now on."""
        self._listeners.setdefault(account, set()).add(listener)

    def stop_listening(self, account: int, listener: UpdateListener) -> None:
        """No more updates to the listener."""
        listeners = self._listeners.get(account, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(account, None)

    def follow(self, follower: RowFollower) -> None:
        """Tell it every row from now on."""
        self._followers.append(follower)

    def take_rows(self, rows: Iterator[tuple[ReplyRow, str]]) -> int:
        """Rows of edge.replies in their order: views first, then who asked, then the account's listeners. Returns answered requests."""
        answered = 0
        for row, cl_ord_id in rows:
            view = self._views.get(row.account)
            update = None
            if view is not None:
                update = view.apply(row, cl_ord_id)
            elif row.account in self._arriving:
                update = self._arriving[row.account][0].apply(row, cl_ord_id)
                if row.kind == AccountEventKind.SESSION_REGISTERED:
                    # live from this very row on: the next row of the same frame may already be an event
                    self._keep(self._arriving.pop(row.account)[0])
            self._note_replace(row)
            if row.kind == AccountEventKind.BOOK_REJECTED and row.order_id in self._refusing:
                self._refusing.pop(row.order_id).set_result(None)
            if row.request_id:
                if self.producer is not None:
                    self.producer.answered(row.account)
                answered += self.pending.answer(row, cl_ord_id)
            if update is not None:
                for listener in self._listeners.get(row.account, ()):
                    listener.tell_nowait(update)
            for follower in self._followers:
                follower.take_row(row, cl_ord_id)
        return answered

    def take_past(self, rows: Iterator[tuple[ReplyRow, str]]) -> None:
        """Rows of edge.replies from before this process: for who keeps what happened. Nobody waits for them, and views are registered anew."""
        for row, cl_ord_id in rows:
            for follower in self._followers:
                follower.take_past(row, cl_ord_id)

    def _note_replace(self, row: ReplyRow) -> None:
        """Tell who waits for the book's word on a replace. The shard has one replace of an order under way at a time."""
        asked = row.account, row.request_id
        if row.kind == AccountEventKind.REPLACE_PENDING and asked in self._replacing:
            self._replaced[row.order_id] = self._replacing.pop(asked)
        elif row.order_id in self._replaced and ends_replace(row):
            decided = self._replaced.pop(row.order_id)
            if not decided.done():
                decided.set_result(row)

    def forget_all(self) -> None:
        """Rows may have been missed: drop every view (they are registered again on demand) and restart their listeners."""
        self._views.clear()
        for listeners in self._listeners.values():
            for listener in tuple(listeners):
                listener.restart_nowait()
        for follower in self._followers:
            follower.forget_all()

    def _keep(self, view: AccountView) -> None:
        self._views[view.account] = view
        while len(self._views) > ACCOUNT_VIEWS_MAX:
            idle = next((account for account in self._views if account not in self._listeners), None)
            if idle is None:
                return
            del self._views[idle]

    async def _register(self, fresh: AccountView) -> Seen:
        account = fresh.account
        try:
            answer = await self.decide(CommandKind.REGISTER_SESSION, account)
        finally:
            self._arriving.pop(account, None)
        if isinstance(answer, OutcomeUnknown):
            # a registration that was made after all does no harm, so this is no unknown outcome to the customer
            return Unavailable(Cause.SHARD_SILENT, "the account's shard does not answer; nothing was done")
        if isinstance(answer, Unavailable):
            return answer
        if answer.row.kind == AccountEventKind.SESSION_REJECTED and answer.row.reason == Reason.RATE_LIMIT:
            text = "the account was registered too often just now; nothing was done, ask again in a second"
            return Unavailable(Cause.REGISTERED_TOO_OFTEN, text)
        if answer.row.kind == AccountEventKind.SESSION_REJECTED:
            return Refused(Reason(answer.row.reason))
        return Accepted(self._views.get(account, fresh))
