"""The roles whose outputs follow from their inputs: who reads what, writes what, and how each is made anew for a replay."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from matchers.warm import warm_accounts, warm_books
from schemas.instruments import InstrumentTable
from streams.host.shard_runner import Processor
from streams.roles.hold_funds import HoldFunds
from streams.roles.match_orders import MatchOrders
from streams.roles.publish_market_data import PublishMarketData
from streams.roles.watch_accounts import WatchAccounts
from streams.roles.watch_trading import WatchTrading
from topics.catalogue import (
    ACCOUNT_COMMANDS,
    ACCOUNT_EVENTS,
    ALERTS,
    BOOK_COMMANDS,
    EDGE_REPLIES,
    EXECUTIONS,
    MARKET_DATA,
    PARTY_FACTS,
    Topic,
)
from topics.roles import HOLD_FUNDS, MATCH_ORDERS, PUBLISH_MARKET_DATA, WATCH_ACCOUNTS, WATCH_TRADING, RoleEntry

Counts = dict[str, int]


@dataclass(frozen=True)
class Setup:
    """What outputs depend on besides the inputs. counts: partitions by topic. owner_sets: the text of OUTCRY_OWNER_SETS_FILE."""

    instruments: InstrumentTable
    counts: Counts
    owner_sets: str = ""


Make = Callable[[int, Setup], Processor]


@dataclass(frozen=True)
class VerifiedRole:
    """A role whose outputs follow from its input: where it reads, where it writes, where it keeps its snapshots."""

    entry: RoleEntry
    own: Topic
    """Output in the partition of the shard's own number."""
    spread: tuple[Topic, ...]
    """Outputs in any partition."""
    make: Make
    needs: tuple[Topic, ...]
    """Topics whose numbers of partitions the outputs depend on."""
    warm: Callable[[], object]

    @property
    def role(self) -> str:
        """Its name."""
        return self.entry.name

    @property
    def table(self) -> str:
        """Of its snapshots."""
        return self.entry.table

    @property
    def source(self) -> Topic:
        """Its input."""
        return self.entry.reads[0]


def _account(shard: int, setup: Setup) -> Processor:
    counts = setup.counts
    return HoldFunds(shard, setup.instruments, counts[ACCOUNT_COMMANDS.name], counts[BOOK_COMMANDS.name], counts[EDGE_REPLIES.name])


def _book(shard: int, setup: Setup) -> Processor:
    return MatchOrders(shard, setup.instruments, setup.counts[ACCOUNT_COMMANDS.name], setup.counts[BOOK_COMMANDS.name])


def _market(shard: int, setup: Setup) -> Processor:
    return PublishMarketData(shard, setup.instruments)


def _surveillance(shard: int, setup: Setup) -> Processor:
    return WatchTrading(shard, setup.instruments, setup.owner_sets)


def _accounts_watch(shard: int, setup: Setup) -> Processor:
    return WatchAccounts(shard, setup.instruments, setup.counts[ALERTS.name], setup.owner_sets)


ROLES: Final = {
    "account": VerifiedRole(
        HOLD_FUNDS, ACCOUNT_EVENTS, (BOOK_COMMANDS, EDGE_REPLIES), _account,
        (ACCOUNT_COMMANDS, BOOK_COMMANDS, EDGE_REPLIES), warm_accounts,
    ),
    "book": VerifiedRole(
        MATCH_ORDERS, EXECUTIONS, (ACCOUNT_COMMANDS,), _book, (ACCOUNT_COMMANDS, BOOK_COMMANDS), warm_books
    ),
    "market": VerifiedRole(PUBLISH_MARKET_DATA, MARKET_DATA, (), _market, (EXECUTIONS,), lambda: None),
    "surveillance": VerifiedRole(WATCH_TRADING, ALERTS, (PARTY_FACTS,), _surveillance, (EXECUTIONS,), lambda: None),
    "parties": VerifiedRole(WATCH_ACCOUNTS, ALERTS, (ALERTS,), _accounts_watch, (PARTY_FACTS, ALERTS), lambda: None),
}  # fmt: skip
