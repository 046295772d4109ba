"""What one edge process knows and can do, whatever protocol asks: the border between the protocols and the exchange.

A protocol gets a Gateway and nothing else of this package's state. Everything that it calls answers with the values of
edge.gateway.outcomes. What is public comes as events: account updates by `accounts.listen`, prices by `follow_market`.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from edge.gateway.access.access_log import AccessRecords
from edge.gateway.access.api_keys import ApiKeys, ApiKeyStore
from edge.gateway.access.key_changes import ChangedKeys, KeyChanges
from edge.gateway.access.origins import Origins
from edge.gateway.access.people import People, PeopleStore
from edge.gateway.access.sessions import KeyStore, Sessions
from edge.gateway.access.signed_requests import SignedRequests, SignedStore
from edge.gateway.access.trader_sessions import TraderSessions, TraderSessionStore
from edge.gateway.accounts.accounts import Accounts
from edge.gateway.accounts.pending_requests import PendingRequests
from edge.gateway.accounts.reply_consumer import ReplyConsumer
from edge.gateway.analysts.book_replays import BookReplays
from edge.gateway.analysts.case_files import CaseFiles
from edge.gateway.analysts.cases import Cases
from edge.gateway.analysts.linked_accounts import AccountLinks
from edge.gateway.analysts.what_ifs import WhatIfs
from edge.gateway.limits import CAUGHT_UP_POLL_S, CAUGHT_UP_TIMEOUT_S, DAYS_EVERY_S, SEARCHES_MAX, STAFF_SEARCHES_MAX
from edge.gateway.market.calendar import MarketHours
from edge.gateway.market.consumer import MarketConsumer
from edge.gateway.market.events import MarketEvent
from edge.gateway.market.feed import FeedServer
from edge.gateway.market.view import MarketView
from edge.gateway.metrics import Metrics
from edge.gateway.orders.customers import Customers
from edge.gateway.orders.orders import Orders
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from edge.gateway.stored.account_history import AccountHistory
from edge.gateway.stored.history import AlertFilter, History, Stores, recorded
from edge.gateway.stored.past_news import PastNews
from edge.gateway.stored.past_prices import PastPrices
from edge.gateway.stored.searches import ElasticTrail, Searches
from edge.gateway.stored.seen_places import SeenPlaces
from schemas.instruments import InstrumentTable, load_instruments
from schemas.market_hours import MarketCalendar, MarketClock
from schemas.settings import Settings
from sinks.cached.kinds import Head


class ApiKeyParts(KeyStore, ApiKeyStore, ChangedKeys, SignedStore, TraderSessionStore, Protocol):
    """All that is asked of where API keys are."""


class Gateway:
    """Nothing is connected yet when it is made; edge.gateway.kafka_links connects it. Consumers are None until then."""

    def __init__(self, settings: Settings, keys: ApiKeyParts, people: PeopleStore, history: History, stores: Stores) -> None:
        self.settings = settings
        self.instruments: InstrumentTable = load_instruments(settings.instruments_file)
        self.metrics = Metrics()
        self.market = MarketView(self.instruments)
        self.hours = MarketHours(MarketCalendar.load(settings.market_days_file), MarketClock.parse(settings.market_clock), time.time_ns)
        self.accounts = Accounts(PendingRequests(settings.edge_decision_timeout_ms, time.time_ns), time.time_ns)
        self.places = SeenPlaces(settings, self.accounts)
        self.customers = Customers(stores, time.monotonic)
        self.past = PastPrices(stores, self.market)
        self.news = PastNews(stores, self.instruments)
        self.account_history = AccountHistory(stores, self.market)
        self.orders = Orders(self.accounts, self.customers, self.market, history, self.metrics, settings.edge_decision_timeout_ms)
        self.sessions = Sessions(keys, time.monotonic)
        self.signed_requests = SignedRequests(self.sessions, keys, time.time_ns)
        self.origins = Origins(settings, time.time_ns)
        self.cases = Cases()
        self.case_files = CaseFiles(self.cases, history, self.instruments)
        self.access_records = AccessRecords()
        self.people = People(people, self.access_records, time.time_ns)
        self.api_keys = ApiKeys(keys, self.access_records, time.time_ns)
        self.traders = TraderSessions(keys, self.sessions, self.access_records, time.time_ns)
        self.key_changes = KeyChanges(keys, self.sessions)
        self.book_replays = BookReplays(settings.kafka_url)
        self.account_links = AccountLinks(settings, stores)
        self.what_ifs = WhatIfs(settings)
        trail = ElasticTrail(settings.elasticsearch_url)
        self.searches = Searches(trail, SEARCHES_MAX)
        self.staff_searches = Searches(trail, STAFF_SEARCHES_MAX)
        self.stores = stores
        self.replies: ReplyConsumer | None = None
        self.market_consumer: MarketConsumer | None = None
        self.feed: FeedServer | None = None
        """Of an edge with fan-out workers: what it reads of market.data is told to them too."""
        self.kafka_problem = "not connected yet"
        """Why Kafka cannot be used; empty when it can."""
        self.log_id = ""
        """Which log this is: Kafka's name of the cluster. Sequence numbers of another one mean nothing here."""
        self._history = history
        self._followers: list[Callable[[list[MarketEvent]], None]] = []
        _watch(self)

    def follow_market(self, follower: Callable[[list[MarketEvent]], None]) -> None:
        """Tell `follower` the events of each frame of market data from now on; it must not block."""
        self._followers.append(follower)

    def tell_market(self, events: list[MarketEvent]) -> None:
        """What MarketConsumer has read."""
        for follower in self._followers:
            follower(events)

    @property
    def hears_market(self) -> bool:
        """Whether `market` has what the log has, as far as this process can know."""
        return not self.kafka_problem and self.market_consumer is not None and self.market_consumer.ready

    async def market_caught_up(self) -> Accepted[MarketView] | Unavailable:
        """The market once market.data has been read up to now; Unavailable if that takes too long.

        While an edge reads the past it tells nobody. A client that came in meanwhile would resume over a ring that is still being filled,
        and miss for good what lies between its subscription and the end of the reading.
        """
        deadline = time.monotonic() + CAUGHT_UP_TIMEOUT_S
        while self.market_consumer is None or not self.market_consumer.caught_up:
            if time.monotonic() > deadline:
                return Unavailable(Cause.MARKET_DATA_BEHIND, "market data is still being read from the log; connect again")
            await asyncio.sleep(CAUGHT_UP_POLL_S)
        return Accepted(self.market)

    def told_of(self, instrument: int, end_ns: int) -> Head | None:
        """What this edge has told of an instrument that lies before a time; None while it still reads what was told before."""
        if self.market_consumer is None or not self.market_consumer.caught_up:
            return None
        return self.market.told_of(instrument, end_ns)

    async def keep_days(self) -> None:
        """Until cancelled: read the days of instruments that are not known whole."""
        while True:
            if self.market_consumer is not None and self.market_consumer.caught_up:
                await self.past.load_days()
            await asyncio.sleep(DAYS_EVERY_S)

    async def alerts(self, wanted: AlertFilter) -> Accepted[list[dict[str, Any]]] | Unavailable:
        """Alerts as records of alert.avsc, newest first."""
        return await recorded(self._history.alerts(wanted), "alerts")

    async def alert(self, alert_id: str) -> Accepted[dict[str, Any] | None] | Unavailable:
        """One alert; None if there is none of this id."""
        return await recorded(self._history.alert(alert_id), "alerts")


def _watch(gateway: Gateway) -> None:
    """Gauges that are read when asked for."""
    accounts, orders, watch = gateway.accounts, gateway.orders, gateway.metrics.watch
    watch("pending_requests", "commands without a decision yet", lambda: len(accounts.pending))
    watch("queued_commands", "commands waiting for Kafka", lambda: accounts.producer.stats().queued if accounts.producer else 0)
    watch("command_frames", "frames appended to account.commands", lambda: accounts.producer.stats().frames if accounts.producer else 0)
    watch("accounts", "account views in memory", lambda: len(accounts))
    watch("sessions", "API keys in memory", lambda: len(gateway.sessions))
    watch("refused_guesses_total", "requests refused after too many wrong API keys", lambda: gateway.sessions.refused_guesses)
    watch("origins_untold_total", "addresses of accounts that surveillance could not be told of", lambda: gateway.origins.untold)
    watch("refused_sign_ins_total", "attempts to sign in refused after too many wrong ones", lambda: gateway.people.refused)
    watch("market_data_lag", "records of market.data not read yet", lambda: gateway.market_consumer.lag() if gateway.market_consumer else 0)
    watch("market_data_gaps", "sequence numbers of market.data that never came", lambda: gateway.market.gaps)
    watch("sink_lag_records", "records of the log that MySQL has not stored yet", lambda: orders.sink_lag.records if orders.sink_lag else 0)
    watch("sink_lag_records_max", "beyond so many new orders are refused; 0: never", lambda: gateway.settings.edge_sink_lag_max)
    watch("searches_running", "searches of customers and staff", lambda: gateway.searches.running + gateway.staff_searches.running)
    watch(
        "searches_refused_total", "searches refused because too many ran", lambda: gateway.searches.refused + gateway.staff_searches.refused
    )
    watch("bad_reply_frames", "frames of edge.replies that could not be read", lambda: gateway.replies.bad_frames if gateway.replies else 0)
    watch("bad_case_records", "records of cases that could not be read", lambda: gateway.cases.bad_records)
    watch(
        "bad_market_data_frames", "frames of market.data that could not be read",
        lambda: gateway.market_consumer.bad_frames if gateway.market_consumer else 0,
    )  # fmt: skip
