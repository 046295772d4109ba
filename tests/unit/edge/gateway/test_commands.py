"""What stands between a request and its answer: command frames, waiting, who asks, how often, and when the market is open."""

import asyncio

import pytest
from support.edge_parts import FakeStore, OneQueue, reply

from edge.gateway.access.rate_limits import TokenBucket
from edge.gateway.access.sessions import Sessions
from edge.gateway.accounts.accounts import Accounts
from edge.gateway.accounts.command_frames import Command, encode_commands
from edge.gateway.accounts.pending_requests import PendingRequests
from edge.gateway.accounts.view import ReplyRow
from edge.gateway.limits import RATE_LIMIT_PER_MINUTE
from edge.gateway.outcomes import Accepted, Cause, Denied, OutcomeUnknown, Unavailable
from edge.gateway.source_filter import SourceFilter
from schemas.codec import Header, decode_frame
from schemas.enums import AccountEventKind as Kind
from schemas.enums import CommandKind, OrdStatus
from schemas.reject_reasons import Reason
from topics.catalogue import EDGE_REPLIES
from topics.sources import sources_of


def asked() -> tuple[Accounts, OneQueue]:
    """Accounts and the queue of what they send."""
    accounts, queue = Accounts(PendingRequests(60_000, lambda: 1), lambda: 1), OneQueue()
    accounts.producer = queue  # type: ignore[assignment]  # the two methods that Accounts calls
    return accounts, queue


async def test_a_list_is_one_command_with_legs_and_has_an_answer_for_each() -> None:
    """They stay together in the frame, under one list_id."""
    accounts, queue = asked()
    waiting = asyncio.create_task(accounts.decide_list(1, [{"cl_ord_id": name} for name in (b"a", b"b", b"c")]))
    await asyncio.sleep(0)
    (command,) = queue.commands
    frame = decode_frame(encode_commands([command], "edge-0", 1, 0, 9), "order_command_frame")
    assert frame.cl_ord_id is not None
    assert frame.cl_ord_id.tolist() == [b"a", b"b", b"c"]
    assert set(frame.rows["list_id"].tolist()) == {command.request_id}
    ids = frame.rows["request_id"].tolist()
    accounts.take_rows(iter([(reply(Kind.ACCEPTED, request_id=one, order_id=one), "") for one in ids]))
    answers = await waiting
    assert isinstance(answers, list)
    assert [answer.row.order_id for answer in answers] == ids


async def test_a_list_that_could_not_be_sent_ends_every_wait() -> None:
    """None of its orders is left waiting."""
    accounts, queue = asked()
    waiting = asyncio.create_task(accounts.decide_list(1, [{}, {}]))
    await asyncio.sleep(0)
    accounts.pending.give_up(queue.commands[0], TimeoutError("x"))
    assert await waiting == OutcomeUnknown(CommandKind.NEW_ORDER)
    assert (len(accounts.pending), queue.commands[0].abandoned) == (0, True)


ENDINGS = [
    (reply(Kind.REPLACED), True),
    (reply(Kind.CANCEL_REJECTED, reason=Reason.REDUCE_ONLY), True),
    (reply(Kind.CANCELED, ord_status=OrdStatus.CANCELED, reason=Reason.REPLACED_TO_NOTHING), True),
    (reply(Kind.TRADE, ord_status=OrdStatus.FILLED, leaves_qty=0), False),
    (reply(Kind.CANCELED, ord_status=OrdStatus.CANCELED, reason=Reason.MASS_CANCEL), False),
    (reply(Kind.CANCEL_REJECTED, ord_status=OrdStatus.PENDING_REPLACE, reason=Reason.REPLACE_ALREADY_PENDING), False),
    (reply(Kind.REPLACED, order_id=6), False),
]


@pytest.mark.parametrize(("row", "ends"), ENDINGS)
async def test_a_replace_waits_for_the_books_word_on_it(row: ReplyRow, ends: bool) -> None:
    """Not for another order's, a trade, or a refusal of somebody else's request."""
    accounts, queue = asked()
    waiting = asyncio.create_task(accounts.replace(1, 0.05, order_id=5))
    await asyncio.sleep(0)
    accounts.take_rows(iter([(reply(Kind.REPLACE_PENDING, request_id=queue.commands[0].request_id), ""), (row, "")]))
    outcome = await waiting
    assert isinstance(outcome, tuple)
    answer, decided = outcome
    assert answer.row.kind == Kind.REPLACE_PENDING
    assert decided == (row if ends else None)


def test_commands_become_one_frame() -> None:
    """Columns and ids as they were given."""
    commands = [Command(CommandKind.NEW_ORDER, 3, 11, 12, side=1, instrument=2, order_qty=5, price=7, cl_ord_id=b"abc"),
                Command(CommandKind.CANCEL, 4, 12, 13, order_id=9)]  # fmt: skip
    frame = decode_frame(encode_commands(commands, "edge-0", 4, 0, 99), "order_command_frame")
    assert (frame.header.source, frame.header.source_offset, frame.header.reply_partition) == ("edge-0", 4, 0)
    assert frame.rows["request_id"].tolist() == [11, 12]
    assert frame.rows["account"].tolist() == [3, 4]
    assert frame.cl_ord_id is not None
    assert frame.cl_ord_id.tolist() == [b"abc", b""]


def test_a_source_is_heard_once_per_offset_and_index() -> None:
    """A shard that replays says the same again."""
    sources = SourceFilter(sources_of(EDGE_REPLIES, 0, 2))
    heard = [
        sources.is_new(Header("account.commands/0", offset, index), 0) for offset, index in ((1, 0), (1, 1), (1, 0), (0, 5), (2, 0), (2, 0))
    ]
    assert heard == [True, True, False, False, True, False]
    assert sources.is_new(Header("account.commands/1", 0, 0), 0)
    assert sources.dropped == 3


# ---- prices


async def test_waiting_requests_are_answered_once_or_expire_in_order() -> None:
    """An expired command is abandoned, so that it is not sent any more."""
    now = [0]
    pending = PendingRequests(10, lambda: now[0])
    commands = [Command(CommandKind.CANCEL, 1, pending.next_request_id(), 0) for _ in range(2)]
    first = pending.wait_for(commands[0])
    now[0] = 5_000_000
    second = pending.wait_for(commands[1])
    now[0] = 10_000_000
    assert pending.expire() == 1
    assert commands[0].abandoned
    with pytest.raises(TimeoutError):
        await first
    row = reply(Kind.CANCEL_PENDING, request_id=commands[1].request_id)
    assert pending.answer(row, "a")
    assert not pending.answer(row, "a")
    assert (await second).row is row


async def test_a_key_is_looked_up_once_remembered_and_outlives_its_store() -> None:
    """Wrong secrets and unknown keys are denied; a new key while the store is away is unavailable."""
    now, store = [0.0], FakeStore()
    sessions = Sessions(store, lambda: now[0])
    both = await asyncio.gather(sessions.authenticate("k", "s", "here"), sessions.authenticate("k", "s", "here"))
    assert isinstance(both[0], Accepted)
    assert (both[0].value.account, store.asked) == (9, 1)
    for key, secret in (("k", "wrong"), ("other", "s"), ("", ""), ("k\n", "s"), ("x" * 200, "s")):
        assert await sessions.authenticate(key, secret, "here") == Denied()
    store.away, now[0] = True, 1_000.0
    assert isinstance(await sessions.authenticate("k", "s", "here"), Accepted)
    new = await sessions.authenticate("new", "s", "here")
    assert isinstance(new, Unavailable)
    assert new.cause == Cause.STORE_AWAY


def test_a_bucket_refuses_when_empty_and_fills_with_time() -> None:
    """Exact arithmetic does not matter here, the limits do."""
    bucket = TokenBucket(60, 1, 60, 0.0)
    assert [bucket.take(0.0) for _ in range(61)] == [True] * 60 + [False]
    assert bucket.take(1.0)
    assert not bucket.take(1.0)
    assert TokenBucket(RATE_LIMIT_PER_MINUTE, RATE_LIMIT_PER_MINUTE / 60, 0, 0).seconds_until_full() == 60
