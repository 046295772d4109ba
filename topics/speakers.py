"""Who may write what: which senders a topic has, schema by schema, and what each of them may say. No I/O.

A sender is a role of the exchange, an operator's command, or a producer (a program of customers). Codes of records prove which one it is
(topics.record_codes); here is what that one may do.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final

import numpy as np

from schemas import logins
from schemas.codec import Frame
from schemas.enums import CommandKind
from topics.catalogue import (
    ACCESS_EVENTS,
    ACCOUNT_COMMANDS,
    ACCOUNT_EVENTS,
    ALERTS,
    BOOK_COMMANDS,
    CALENDAR,
    CASES,
    DEAD_LETTERS,
    EDGE_REPLIES,
    EXECUTIONS,
    MARKET_DATA,
    PARTY_FACTS,
    SET_ASIDE,
    Topic,
)
from topics.roles import EDGE, HOLD_FUNDS, MATCH_ORDERS, PUBLISH_MARKET_DATA, ROLES, RUN_MARKET, WATCH_ACCOUNTS, WATCH_TRADING
from topics.sources import names_shard

OPERATOR: Final = logins.OPERATOR
PRODUCER: Final = "producer"
UNSIGNED: Final = "unsigned"
"""Nobody: senders of single orders without a code, where operators let them in."""
CLOCK: Final = "clock"
"""Source of the frames by which match-orders tells its books the time."""
SPEAKERS: Final = (*(name for name, role in ROLES.items() if role.writes), OPERATOR, PRODUCER)
"""Whoever has a key."""
OPERATORS_NS_MAX: Final = 600 * 10**9
"""An operator's command is appended within so long of its making. One that is later, or earlier, is somebody's copy, or the clocks differ."""
_DAY_NS: Final = 86_400 * 10**9
MIDNIGHT_NS: Final = 2 * 10**9
"""What customers send is of the UTC day on which it is appended; around midnight so far apart at the most."""

WRITERS: Final[dict[str, dict[str, tuple[str, ...]]]] = {
    ACCOUNT_COMMANDS.name: {
        "order_command_frame": (EDGE.name, PRODUCER, OPERATOR), "new_order_single": (PRODUCER,), "order_cancel_request": (PRODUCER,),
        "book_report_frame": (MATCH_ORDERS.name,), "shard_placement": (HOLD_FUNDS.name, OPERATOR),
    },
    BOOK_COMMANDS.name: {
        "book_command_frame": (HOLD_FUNDS.name, MATCH_ORDERS.name, RUN_MARKET.name, OPERATOR),
        "shard_placement": (MATCH_ORDERS.name, OPERATOR),
    },
    EXECUTIONS.name: {"execution_frame": (MATCH_ORDERS.name,)},
    ACCOUNT_EVENTS.name: {"account_event_frame": (HOLD_FUNDS.name,)},
    EDGE_REPLIES.name: {"account_event_frame": (HOLD_FUNDS.name,)},
    MARKET_DATA.name: {"market_data_frame": (PUBLISH_MARKET_DATA.name,)},
    PARTY_FACTS.name: {"book_sums": (WATCH_TRADING.name,), "sign_in": (EDGE.name,), "news": (OPERATOR,)},
    ALERTS.name: {"alert": (WATCH_TRADING.name, WATCH_ACCOUNTS.name)},
    CASES.name: {"case_action": (EDGE.name,)},
    DEAD_LETTERS.name: {"dead_letter": tuple(name for name, role in ROLES.items() if DEAD_LETTERS in role.writes)},
    SET_ASIDE.name: {"set_aside": (OPERATOR,)},
    ACCESS_EVENTS.name: {"access_event": (EDGE.name, OPERATOR)},
}  # fmt: skip
"""By topic and schema."""
MAY_BE_UNSIGNED: Final = frozenset({(ACCOUNT_COMMANDS.name, "new_order_single"), (ACCOUNT_COMMANDS.name, "order_cancel_request")})
_FILLER: Final = "dead_letter"
"""What an operator's `outcry recover` puts in the place of a lost record, in any topic."""
_CUSTOMERS: Final = (CommandKind.NEW_ORDER, CommandKind.CANCEL, CommandKind.REPLACE)
_ROLES_OF: Final = {CLOCK: MATCH_ORDERS.name, CALENDAR: RUN_MARKET.name}
"""Other sources that are a role's alone."""
_PEOPLE: Final = (EDGE.name, PRODUCER, OPERATOR, UNSIGNED)
_KINDS: Final[Mapping[str, tuple[CommandKind, ...]]] = {
    EDGE.name: (*_CUSTOMERS, CommandKind.REGISTER_SESSION), PRODUCER: _CUSTOMERS,
    OPERATOR: (CommandKind.ACCOUNT_UPDATE, CommandKind.ACCOUNT_STATUS, CommandKind.ACCOUNT_LIMITS),
}  # fmt: skip
"""Commands to accounts, by sender: nobody deposits or suspends but an operator, and no operator trades. What UNSIGNED may send has no kind."""


def may_write(speaker: str, topic: Topic, schema: str) -> bool:
    """Whether records of this schema in this topic are this sender's."""
    return speaker in WRITERS[topic.name].get(schema, ()) or (schema == _FILLER and speaker == OPERATOR)


def written_by(topic: Topic) -> str:
    """The senders of a topic, for people."""
    found = dict.fromkeys(speaker for speakers in WRITERS[topic.name].values() for speaker in speakers)
    return "every role" if topic is DEAD_LETTERS else ", ".join(found)


def why_not(speaker: str, accounts: tuple[tuple[int, int], ...], topic: Topic, frame: Frame, time_ns: int) -> str:
    """Why this sender may not say this; "" if it may. accounts: of a producer, see record_codes.Key. time_ns: append time of the record."""
    source = frame.header.source
    if not _is_voice(speaker, source, topic):
        return f"{source[:80]!r} is not a source of its frames"
    if speaker == OPERATOR and abs(time_ns - frame.header.created_at) > OPERATORS_NS_MAX:
        return f"it was made at {frame.header.created_at} ns and appended at {time_ns} ns: a copy, or the clocks differ"
    if frame.schema == "order_command_frame":
        allowed = _allowed(speaker)
        strange = np.flatnonzero(~allowed[frame.rows["kind"]])
        if len(strange):
            return f"row {strange[0]}: commands of kind {frame.rows['kind'][strange[0]]} are not its to give"
        if accounts and (why := _not_its_account(accounts, frame)):
            return why
        if speaker in (EDGE.name, PRODUCER):
            return _not_of_today(frame, time_ns)
    return ""


def _not_of_today(frame: Frame, time_ns: int) -> str:
    """A shard knows the cl_ord_ids of done orders until its UTC day is over, so a copy that is appended later would be an order once more."""
    made_ns = frame.header.created_at or int(frame.rows["transact_time"].min(initial=time_ns))
    if made_ns // _DAY_NS == time_ns // _DAY_NS or abs(time_ns - made_ns) <= MIDNIGHT_NS:
        return ""
    return f"it was made at {made_ns} ns and appended at {time_ns} ns, on another UTC day: a copy, or the clocks differ"


def _is_voice(speaker: str, source: str, topic: Topic) -> bool:
    """Whether frames of this source are this sender's: shards have the names of their inputs, clock and calendar their own, people may have any other."""
    if names_shard(source):
        return speaker == shards_of(topic)
    if source in _ROLES_OF:
        return speaker == _ROLES_OF[source]
    return speaker in _PEOPLE


def _not_its_account(accounts: tuple[tuple[int, int], ...], frame: Frame) -> str:
    given = frame.rows["account"]
    own = np.zeros(len(given), np.bool_)
    for first, last in accounts:
        own |= (given >= first) & (given <= last)
    strange = np.flatnonzero(~own)
    return f"row {strange[0]}: account {given[strange[0]]} is not one of its accounts" if len(strange) else ""


@cache
def _allowed(speaker: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """By number of the kind."""
    found = np.zeros(256, np.bool_)
    found[list(_KINDS.get(speaker, _CUSTOMERS))] = True
    return found


@cache
def shards_of(topic: Topic) -> str:
    """The role whose shards write frames to a topic: the one that reads the topic by which they call themselves."""
    if topic.feed is None:
        return ""
    return next(role.name for role in ROLES.values() if topic in role.writes and role.reads[0].name == topic.feed.topic)
