"""Requests that wait for their shard's decision. No I/O; the clock is the caller's.

All wait equally long, so the order of arrival is the order of expiry and a sweep looks only at the front.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from edge.gateway.accounts.command_frames import Command
from edge.gateway.accounts.view import ReplyRow


class Answer(NamedTuple):
    """What the shard said: the row and the cl_ord_id beside it."""

    row: ReplyRow
    cl_ord_id: str


class _Waiting(NamedTuple):
    future: asyncio.Future[Answer]
    command: Command
    deadline_ns: int


class PendingRequests:
    """request_id -> future. Request ids begin at the process's start time in ns, so that answers to a process before it match none."""

    def __init__(self, timeout_ms: int, clock_ns: Callable[[], int]) -> None:
        self._timeout_ns = timeout_ms * 1_000_000
        self._clock_ns = clock_ns
        self._next_id = clock_ns()
        self._waiting: dict[int, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def next_request_id(self) -> int:
        """A number that no other request of this process has."""
        self._next_id += 1
        return self._next_id

    def wait_for(self, command: Command) -> asyncio.Future[Answer]:
        """A future of the command's answer. It gets TimeoutError when the deadline passes, and the command is then abandoned."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[command.request_id] = _Waiting(future, command, self._clock_ns() + self._timeout_ns)
        return future

    def answer(self, row: ReplyRow, cl_ord_id: str) -> bool:
        """Give the row to who asked; False if nobody here did (or no longer waits).

        Any sender of commands may choose this edge and any number: the answer is to who asked for the same account.
        """
        waiting = self._waiting.get(row.request_id)
        if waiting is None or waiting.command.account != row.account:
            return False
        del self._waiting[row.request_id]
        if waiting.future.done():
            return False
        waiting.future.set_result(Answer(row, cl_ord_id))
        return True

    def give_up(self, command: Command, error: Exception) -> None:
        """End the wait for a command (a list: for each of its orders) with an error."""
        command.abandoned = True
        for one in command.rows():
            waiting = self._waiting.pop(one.request_id, None)
            if waiting is not None and not waiting.future.done():
                waiting.future.set_exception(error)

    def expire(self) -> int:
        """End the waits whose deadline has passed; returns how many."""
        now, expired = self._clock_ns(), []
        for waiting in self._waiting.values():
            if waiting.deadline_ns > now:
                break
            expired.append(waiting.command)
        for command in expired:
            self.give_up(command, TimeoutError("no decision in time"))
        return len(expired)
