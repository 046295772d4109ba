"""The trading session of the demo: accounts, clients, thirty seconds of trading, and the reconciliation afterwards."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console

from schemas.enums import Phase
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.instruments import InstrumentTable, load_instruments
from schemas.logins import named
from schemas.settings import Settings
from streams.demo import collect
from streams.demo.analyst import ANALYST, ANALYST_FILE, admit_analyst
from streams.demo.chaos import Kill, kill_each
from streams.demo.http_gateway import CONNECT_TIMEOUT_S, HttpGateway
from streams.demo.log_facts import LogFacts, facts_of
from streams.demo.market_watch import MarketWatcher
from streams.demo.quiet import TELL_EVERY_S, Patience, Pipeline, caught_up, places_of
from streams.demo.reconcile import Check, ClientFacts, StoreFacts, Verdict, WatcherFacts, last_price_mismatches, reconcile, verdict_of
from streams.demo.summary import Summary, percentile_ms, percentiles
from streams.demo.topic_gateway import TopicGateway
from streams.demo.traders import Channel, Crowd, Role, Trader, recruit
from streams.demo.view import LINE_EVERY_S, Pulse, View
from streams.operate.accounts import ApiKey, Opening, make_api_keys, open_accounts, store_api_keys, write_keys_file
from streams.operate.command_books import change_session
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from topics.catalogue import ACCOUNT_EVENTS
from topics.producer import DELIVERY_TIMEOUT_S
from topics.speakers import PRODUCER

WATCHERS: Final = 3
PUMP_S: Final = 0.02
PULSE_S: Final = 0.5
ALERTS_EVERY_S: Final = 2.0
AGREE_STALLED_S: Final = 60.0
RETRY_S: Final = 0.5
INTERRUPTED_FLUSH_S: Final = 2.0
BOOK_DEPTH: Final = 8


@dataclass(frozen=True)
class Options:
    """The options of `outcry demo`."""

    seconds: float = 30
    traders: int = 100
    seed: int = 1
    rate: float = 300
    chaos: bool = False
    delivery_timeout_s: float = DELIVERY_TIMEOUT_S
    """How long the traders' producer tries to send an order."""
    stalled_s: float = 120
    """At the end everything gets the time that it needs. The demo gives up if nothing has moved for this long."""
    line_every_s: float = LINE_EVERY_S
    """How often progress is reported without a terminal."""


@dataclass
class Session:
    """One session on a running set. `summary` is filled along the way, so that it can be written at any time."""

    settings: Settings
    local: LocalSet
    roles: tuple[str, ...]
    options: Options
    console: Console
    keys_file: Path
    summary: Summary = field(default_factory=Summary)

    def __post_init__(self) -> None:
        self.instruments: InstrumentTable = load_instruments(self.settings.instruments_file)
        self.traders: list[Trader] = recruit(self.options.traders, self.instruments)
        self._channel = {trader.account: trader.channel for trader in self.traders}
        self._alerts: list[str] = []
        self._events: list[str] = []
        self._token = ""
        self.summary.session = {"traders": len(self.traders), "seed": self.options.seed, "orders_per_s_asked": self.options.rate,
                                "seconds_asked": self.options.seconds, "chaos": self.options.chaos}  # fmt: skip

    async def play(self) -> None:
        """All steps. Raises OutcryError if the exchange fails. Disagreements are in `summary`, not raised."""
        keys = await self._open_accounts()
        http_keys = [key for key in keys if self._channel[key.account] is Channel.HTTP]
        http = HttpGateway(self._edge_url, http_keys, self.instruments)
        topic = TopicGateway(
            named(self.settings.kafka_url, PRODUCER),
            self.instruments,
            self.options.delivery_timeout_s,
            record_keys(self.settings, PRODUCER).signer(PRODUCER),
        )
        symbols = [one.symbol for one in self.instruments]
        watchers = [MarketWatcher(f"w{n + 1}", self._edge_url, keys[n], symbols, "" if n else symbols[0]) for n in range(WATCHERS)]
        try:
            with self._step("connect clients"):
                for watcher in watchers:
                    watcher.start()
                await http.start()
                try:
                    await asyncio.gather(*(asyncio.wait_for(watcher.subscribed.wait(), CONNECT_TIMEOUT_S) for watcher in watchers))
                except TimeoutError as error:
                    raise ServiceUnavailable(f"the edge confirmed no subscription of market data within {CONNECT_TIMEOUT_S:g} s") from error
            with self._step("open session"):
                await asyncio.to_thread(change_session, self.settings, Phase.CONTINUOUS, timeout_s=CONNECT_TIMEOUT_S)
            with self._step("trade"):
                await self._trade(http, topic, watchers)
            with self._step("come to rest"):
                await self._while_waiting(http.finish(), lambda: f"answers to {http.waiting} requests")
                undelivered = await topic.finish()
                pipeline, patience = Pipeline(self.settings, self.local), Patience(self.options.stalled_s, self._say)
                await pipeline.come_to_rest(patience)
            clients = self._client_facts(http, topic, tuple((one.account, one.cl_ord_id) for one in undelivered))
            with self._step("reconcile"):
                await self._reconcile(watchers, clients, pipeline, patience)
        finally:
            self._note_clients(http, watchers)
            await topic.finish(INTERRUPTED_FLUSH_S)
            await http.close()
            await asyncio.gather(*(watcher.close() for watcher in watchers))

    # ---- steps

    async def _open_accounts(self) -> list[ApiKey]:
        with self._step("open accounts"):
            if any((await asyncio.to_thread(collect.end_offsets, self.settings, ACCOUNT_EVENTS)).values()):
                raise OutcryError(
                    f"the log at {self.settings.kafka_url} already has records, and the demo reconciles from the first record: use an empty Kafka"
                )
            positions = [one.number for one in self.instruments]
            openings = [Opening(trader.account, trader.cash, dict.fromkeys(positions, trader.lots)) for trader in self.traders]
            await asyncio.to_thread(open_accounts, self.settings, openings, timeout_s=CONNECT_TIMEOUT_S)
            keys = make_api_keys([trader.account for trader in self.traders])
            await asyncio.to_thread(store_api_keys, self.settings, keys)
            write_keys_file(self.keys_file, keys)
            password, self._token = await asyncio.to_thread(admit_analyst, self.settings, self.keys_file.with_name(ANALYST_FILE))
        self._say(f"alerts: {self._edge_url()}/surveillance (name {ANALYST}, password {password})")
        return keys

    async def _trade(self, http: HttpGateway, topic: TopicGateway, watchers: list[MarketWatcher]) -> None:
        """Let the traders trade for the length of the session; with chaos, at least until it is over and everything is back."""
        crowd = Crowd(self.options.seed, self.traders, self.instruments, self.options.rate, self.options.seconds)
        chaos = asyncio.create_task(self.disturb()) if self.options.chaos else None
        alerts = asyncio.create_task(self._poll_alerts())
        began, next_pulse, sent = time.monotonic(), 0.0, {Channel.HTTP: 0, Channel.TOPIC: 0}
        pulses = _Pulses(self, http, watchers[0])
        try:
            with View(self.console, f"Open Outcry demo   {self._edge_url()}/", self.options.line_every_s) as view:
                while (elapsed := time.monotonic() - began) < self.options.seconds or (chaos is not None and not chaos.done()):
                    for action in crowd.until(elapsed):
                        channel = self._channel[action.account]
                        (http if channel is Channel.HTTP else topic).send(action)
                        sent[channel] += 1
                    if elapsed >= next_pulse:
                        next_pulse = elapsed + PULSE_S
                        view(pulses.now(elapsed, sent))
                    await asyncio.sleep(PUMP_S)
            if chaos is not None:
                chaos.result()
        finally:
            for task in (alerts, chaos):
                if task is not None:
                    task.cancel()
        self.summary.session |= {
            "seconds": round(time.monotonic() - began, 1),
            "requests_http": sent[Channel.HTTP],
            "requests_topic": sent[Channel.TOPIC],
        }

    async def disturb(self) -> None:
        """Chaos while the traders trade: every role is killed in turn."""

        def killed(kill: Kill) -> None:
            self.summary.kills.append(kill)
            self.tell(f"killed {kill.role} (pid {kill.pid}), ready again after {kill.recovery_s} s")

        await kill_each(self.local, self.roles, killed)

    def tell(self, event: str) -> None:
        """Say it among the progress."""
        self._events.append(event)

    async def _poll_alerts(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                await asyncio.sleep(ALERTS_EVERY_S)
                try:
                    async with session.get(f"{self._edge_url()}/surveillance/alerts", headers=headers) as answer:
                        if answer.status == 200:
                            found = await answer.json()
                            self._alerts[:] = [
                                f"{one['pattern']} {one['symbol']} account {one['account']}: {one['explanation']}"
                                for one in reversed(found)
                            ]
                except (aiohttp.ClientError, TimeoutError):
                    continue  # for the eyes only; the reconciliation reads the stores

    async def _reconcile(self, watchers: list[MarketWatcher], clients: ClientFacts, pipeline: Pipeline, patience: Patience) -> None:
        """Wait until every consumer has read the whole log, as long as there is progress. Then read everything and compare.

        Disagreements are checked again as long as they change: the last prices may still be on their way to a client.
        """
        settled = Patience(AGREE_STALLED_S, self._say)
        while True:
            try:
                late = await pipeline.come_to_rest(patience)
                log, mysql, elastic, redis = await self._read_all()
            except ServiceUnavailable as error:
                if settled.over(type(error), str(error)):
                    raise
                await asyncio.sleep(RETRY_S)
                continue
            facts = facts_of(log.executions, log.events, log.cl_ord_ids, self.instruments)
            seen = [self._watcher_facts(watcher) for watcher in watchers]
            checks = reconcile(
                facts, log.alerts, mysql, elastic, redis, seen, clients, self.instruments, places_of(late), disturbed=self.options.chaos
            )
            checks.append(caught_up(late))
            problems = [(check.name, check.problem) for check in checks if not check.agrees]
            if not problems or late or settled.over(problems, f"{len(problems)} facts to agree, e.g. {problems[0][0]}"):
                break
            await asyncio.sleep(RETRY_S)
        self._note_facts(facts, checks)
        summary = self.summary
        summary.trades_mysql = sum(one.trades for one in mysql.traded.values())
        summary.trades_elasticsearch = sum(one.trades for one in elastic.traded.values())
        summary.alerts = len(log.alerts)

    async def _read_all(self) -> tuple[collect.Log, StoreFacts, StoreFacts, dict[int, int]]:
        """The log first: once everybody has caught up, the stores have at least what it has."""
        log = await asyncio.to_thread(collect.read_log, self.settings)
        mysql, elastic = await collect.read_mysql(self.settings), await collect.read_elasticsearch(self.settings)
        return log, mysql, elastic, await collect.read_redis(self.settings, self.instruments)

    async def _while_waiting(self, work: Awaitable[None], what: Callable[[], str]) -> None:
        """Wait for it, and report now and then what for."""
        began, task = time.monotonic(), asyncio.ensure_future(work)
        while not (await asyncio.wait([task], timeout=TELL_EVERY_S))[0]:
            self._say(f"{time.monotonic() - began:5.0f} s  waiting for {what()}")
        task.result()

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True)

    # ---- figures

    def _note_facts(self, facts: LogFacts, checks: list[Check]) -> None:
        summary = self.summary
        summary.orders_accepted, summary.orders_rejected, summary.trades = len(facts.accepted), facts.orders_rejected, facts.trades
        summary.money_conserved, summary.shares_conserved, summary.holds_agree = (
            facts.money_conserved,
            facts.shares_conserved,
            facts.holds_agree,
        )
        summary.last_price_mismatches = last_price_mismatches(checks)
        summary.disagreements, summary.not_caught_up = (
            [f"{check.name}: {check.problem}" for check in checks if check.verdict is verdict]
            for verdict in (Verdict.DISAGREES, Verdict.NOT_CAUGHT_UP)
        )
        summary.verdict = verdict_of(checks)
        summary.reconciled = summary.verdict is Verdict.AGREES
        summary.checks = checks
        summary.session["open_orders_at_end"] = facts.open_orders
        summary.session["rejected_by"] = {why.name: count for why, count in sorted(facts.rejected_by().items())}

    def _note_clients(self, http: HttpGateway, watchers: list[MarketWatcher]) -> None:
        """What the clients know by themselves, also after an interruption."""
        results, summary = http.results, self.summary
        summary.trades_websocket = min(watcher.trades for watcher in watchers)
        summary.order_to_execution_ms = percentiles(results.execution_ns)
        summary.order_to_answer_ms = percentiles(results.answer_ns)
        summary.availability = results.availability.figures()
        summary.price_update_ms = percentiles([one for watcher in watchers for one in watcher.update_ns])
        summary.session |= {
            "http_rejected": dict(results.rejected), "http_retries": results.retries, "http_held_back": results.held_back,
            "http_cancels": {str(status): count for status, count in results.cancels.items()},
            "websocket_connections": sum(watcher.connections for watcher in watchers),
            "websocket_repeats": sum(seen.repeats for watcher in watchers for seen in watcher.seen.values()),
        }  # fmt: skip

    def _client_facts(self, http: HttpGateway, topic: TopicGateway, undelivered: tuple[tuple[int, str], ...]) -> ClientFacts:
        self.summary.session |= {"topic_refused_by_library": dict(topic.refused_here), "topic_held_back": topic.held_back}
        return ClientFacts(
            http_accepted=frozenset(http.results.accepted),
            http_unknown=tuple(http.results.unknown),
            topic_posted=frozenset(topic.posted),
            topic_undelivered=undelivered,
            topic_expected_rejects=topic.expected_rejects,
            surprises=(*http.results.surprises, *topic.surprises),
            manipulators=frozenset(trader.account for trader in self.traders if trader.role is Role.MANIPULATOR),
        )

    def _watcher_facts(self, watcher: MarketWatcher) -> WatcherFacts:
        seen = {self.instruments.by_symbol[symbol]: one for symbol, one in watcher.seen.items()}
        return WatcherFacts(
            watcher.name,
            {instrument.number: frozenset(one.trade_ids) for instrument, one in seen.items()},
            {instrument.number: instrument.qty_to_lots(one.qty) for instrument, one in seen.items()},
            {instrument.number: instrument.price_to_ticks(one.last_price) for instrument, one in seen.items()},
            sum(one.missing for one in seen.values()),
        )

    def _edge_url(self) -> str:
        return self.settings.edge_url

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        self.console.print(f"{name} ...", highlight=False)
        try:
            yield
        finally:
            self.summary.steps_s[name] = round(time.monotonic() - began, 1)


class _Pulses:
    """Makes pulses: counts since the start, rates and latencies since the last one."""

    def __init__(self, session: Session, http: HttpGateway, watcher: MarketWatcher) -> None:
        self._session, self._http, self._watcher = session, http, watcher
        self._last = (0.0, 0, 0, 0)

    def now(self, elapsed: float, sent: dict[Channel, int]) -> Pulse:
        """The current pulse."""
        at, orders, trades, samples = self._last
        fresh = self._http.results.execution_ns[samples:]
        total, traded = sum(sent.values()), self._watcher.trades
        interval = max(elapsed - at, 1e-3)
        self._last = (elapsed, total, traded, samples + len(fresh))
        bids, asks = self._watcher.tape.book(BOOK_DEPTH)
        shown: dict[str, Any] = {"bids": bids, "asks": asks, "last_trades": list(self._watcher.tape.trades)}
        return Pulse(
            elapsed, self._session.options.seconds, sent[Channel.HTTP], sent[Channel.TOPIC], traded, (total - orders) / interval,
            (traded - trades) / interval, percentile_ms(fresh, 50), percentile_ms(fresh, 99), next(iter(self._session.instruments)).symbol,
            alerts=list(self._session._alerts), events=list(self._session._events), **shown,
        )  # fmt: skip
