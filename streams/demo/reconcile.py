"""Compare the log with every store and every client: one line per fact, and a name for each disagreement. Pure.

A place that has not read the whole log yet (`late`) may lack something: that is "not caught up", neither right nor wrong. If it has something that the
log does not have, that is wrong in any case. While the log itself is incomplete (LOG is late), nothing can be judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from schemas.instruments import InstrumentTable
from schemas.reject_reasons import Reason
from streams.demo.log_facts import LogFacts, OrderKey, Traded

PLACES = ("log", "mysql", "elasticsearch", "redis", "websocket", "clients")
"""Where a fact can be seen; `clients`: the traders' own books."""

LOG = "log"
ALERTS = "alerts"
"""Places that may be late besides those where facts are seen: the writer of the alerts."""

_NOTHING = Traded(0, 0, 0, 0, frozenset())


@dataclass(frozen=True)
class AlertSeen:
    """An alert as a store has it."""

    alert_id: str
    account: int
    pattern: str


@dataclass(frozen=True)
class StoreFacts:
    """What MySQL or Elasticsearch has."""

    traded: Mapping[int, Traded]
    accepted: frozenset[OrderKey]
    rejected: int
    alerts: frozenset[AlertSeen]
    trade_postings: Mapping[int, int] | None = None
    """MySQL: sum of the postings of trades, by instrument; 0 is cash."""
    imbalances: tuple[str, ...] = ()
    """MySQL: tables that contradict each other."""


@dataclass(frozen=True)
class WatcherFacts:
    """What one WebSocket client saw, by instrument number."""

    name: str
    trade_ids: Mapping[int, frozenset[int]]
    qty: Mapping[int, int]
    last_px: Mapping[int, int]
    missing: int


@dataclass(frozen=True)
class ClientFacts:
    """What the traders know of their own orders."""

    http_accepted: frozenset[OrderKey]
    http_unknown: tuple[OrderKey, ...]
    topic_posted: frozenset[OrderKey]
    topic_undelivered: tuple[OrderKey, ...]
    topic_expected_rejects: Mapping[OrderKey, Reason]
    surprises: tuple[str, ...]
    manipulators: frozenset[int]


class Verdict(StrEnum):
    """The verdict on a fact, or on all of them."""

    AGREES = "agree"
    NOT_CAUGHT_UP = "not caught up"
    DISAGREES = "DISAGREE"


@dataclass(frozen=True)
class Check:
    """One fact as seen from several places. `problem` is empty if they agree. `lacking`: if that is the only problem, the places that lack something."""

    name: str
    seen: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    lacking: frozenset[str] = frozenset()
    verdict: Verdict = Verdict.AGREES

    @property
    def agrees(self) -> bool:
        """Whether all places agree."""
        return self.verdict is Verdict.AGREES


def judged(check: Check, late: frozenset[str]) -> Check:
    """The same fact with its verdict, given these late places."""
    if not check.problem:
        return check
    excused = LOG in late or (bool(check.lacking) and check.lacking <= late)
    return replace(check, verdict=Verdict.NOT_CAUGHT_UP if excused else Verdict.DISAGREES)


def verdict_of(checks: Iterable[Check]) -> Verdict:
    """Of all of them: the worst."""
    found = {check.verdict for check in checks}
    return next((one for one in (Verdict.DISAGREES, Verdict.NOT_CAUGHT_UP) if one in found), Verdict.AGREES)


def reconcile(
    log: LogFacts,
    log_alerts: frozenset[AlertSeen],
    mysql: StoreFacts,
    elastic: StoreFacts,
    redis_last_px: Mapping[int, int],
    watchers: list[WatcherFacts],
    clients: ClientFacts,
    instruments: InstrumentTable,
    late: frozenset[str] = frozenset(),
    *,
    disturbed: bool = False,
) -> list[Check]:
    """Every check of the session, in the order in which they are shown. disturbed: there were faults, see _alerted_check."""
    checks = []
    for one in instruments:
        checks += _instrument_checks(one.number, one.symbol, log, mysql, elastic, redis_last_px, watchers)
    checks.append(_same("orders accepted", log=len(log.accepted), mysql=len(mysql.accepted), elasticsearch=len(elastic.accepted)))
    checks.append(_same_sets("each accepted order", log.accepted, mysql=mysql.accepted, elasticsearch=elastic.accepted))
    checks.append(_same("orders rejected", log=log.orders_rejected, mysql=mysql.rejected, elasticsearch=elastic.rejected))
    checks += _invariant_checks(log, mysql)
    checks += _client_checks(log, mysql, clients)
    checks.append(_same_sets("alerts", log_alerts, mysql=mysql.alerts, elasticsearch=elastic.alerts))
    checks.append(_alerted_check(log_alerts, clients.manipulators, disturbed=disturbed))
    checks.append(
        _no_items("trades that a WebSocket client missed", "websocket", [f"{w.name} missed {w.missing}" for w in watchers if w.missing])
    )
    return [judged(check, late) for check in checks]


def last_price_mismatches(checks: Iterable[Check]) -> int:
    """Instruments whose last price is not the same everywhere."""
    return sum(check.name.endswith(" last price") and not check.agrees for check in checks)


def _instrument_checks(
    number: int, symbol: str, log: LogFacts, mysql: StoreFacts, elastic: StoreFacts, redis: Mapping[int, int], watchers: list[WatcherFacts]
) -> list[Check]:
    truth, rows, documents = (place.traded.get(number, _NOTHING) for place in (log, mysql, elastic))
    ids = {f"websocket {w.name}": w.trade_ids.get(number, frozenset()) for w in watchers}
    heard = _heard([len(w.trade_ids.get(number, frozenset())) for w in watchers], truth.trades)
    heard_qty = _heard([w.qty.get(number, 0) for w in watchers], truth.qty)
    heard_px = _heard([w.last_px.get(number, 0) for w in watchers], truth.last_px)
    return [
        _same(f"{symbol} trades", log=truth.trades, mysql=rows.trades, elasticsearch=documents.trades, **heard),
        _same_sets(f"{symbol} each trade", truth.trade_ids, mysql=rows.trade_ids, elasticsearch=documents.trade_ids, **ids),
        _same(f"{symbol} shares", log=truth.qty, mysql=rows.qty, elasticsearch=documents.qty, **heard_qty),
        _same(f"{symbol} notional", log=truth.notional, mysql=rows.notional, elasticsearch=documents.notional),
        _same_last(f"{symbol} last price", log=truth.last_px, mysql=rows.last_px, redis=redis.get(number, 0), **heard_px),
    ]


def _heard(values: list[int], truth: int) -> dict[str, int]:
    """What the WebSocket clients saw: the first value that is wrong, else the right one; nothing without clients."""
    return {"websocket": next((value for value in values if value != truth), truth)} if values else {}


def _invariant_checks(log: LogFacts, mysql: StoreFacts) -> list[Check]:
    unbalanced = [f"instrument {number}: {amount}" for number, amount in (mysql.trade_postings or {}).items() if amount]
    return [
        Check(
            "cash is conserved",
            {"log": str(log.total_cash), "clients": f"{log.deposited_cash} deposited"},
            "" if log.money_conserved else "cash came or went",
        ),
        Check(
            "shares are conserved", {"log": "yes" if log.shares_conserved else "no"}, "" if log.shares_conserved else "shares came or went"
        ),
        _no_items("ledger postings sum to zero", "mysql", unbalanced, lacking="mysql"),  # each side of a trade is in another shard's log
        _no_items("contradictions between tables", "mysql", list(mysql.imbalances), lacking="mysql"),
        Check("holds are what open orders require", {"log": f"{log.open_orders} open orders"}, "" if log.holds_agree else "holds differ"),
        _no_items("contradictions inside the log", "log", list(log.problems)),
    ]


def _client_checks(log: LogFacts, mysql: StoreFacts, clients: ClientFacts) -> list[Check]:
    known = log.accepted | log.rejected.keys()
    lost_in_log, lost_in_mysql = clients.http_accepted - log.accepted, clients.http_accepted - mysql.accepted
    unseen = clients.topic_posted - known - set(clients.topic_undelivered)
    wrong = [
        f"{key}: {log.rejected.get(key)} rather than {why.name}"
        for key, why in clients.topic_expected_rejects.items()
        if log.rejected.get(key) != why
    ]
    counts = {"clients": str(len(clients.http_accepted)), "log": str(len(clients.http_accepted) - len(lost_in_log))}
    counts["mysql"] = str(len(clients.http_accepted) - len(lost_in_mysql))
    problem = "acknowledged orders are missing" if lost_in_log or lost_in_mysql else ""
    posted = {"clients": str(len(clients.topic_posted)), "log": str(len(clients.topic_posted) - len(unseen))}
    return [
        Check("orders acknowledged over HTTP", counts, problem, frozenset() if lost_in_log else frozenset({"mysql"})),
        Check("orders posted to the topic", posted, f"{len(unseen)} were never decided" if unseen else ""),
        _no_items("orders without any answer", "clients", [str(key) for key in (*clients.http_unknown, *clients.topic_undelivered)]),
        _no_items("bad orders with a wrong answer", "clients", [*clients.surprises, *wrong]),
    ]


def _alerted_check(alerts: frozenset[AlertSeen], manipulators: frozenset[int], *, disturbed: bool) -> Check:
    """Faults change what traders do: what an outage held back reaches the log together, out of its time, and the log's times are what patterns are about.

    So then others may be accused, rightly by the log, and a manipulator whose steps came too far apart may not be: only that some are caught
    is a fact. `outcry verify` proves of each alert, and of each that there is not, that it follows from the log.
    """
    accounts = {alert.account for alert in alerts}
    missed, innocent = manipulators - accounts, [one for one in alerts if one.account not in manipulators]
    if disturbed:
        missed, innocent = missed if missed == manipulators else frozenset(), []
    problems = [f"account {one} manipulated and was not caught" for one in sorted(missed)]
    problems += [
        f"account {one.account} is innocent and was accused of {one.pattern}" for one in sorted(innocent, key=lambda one: one.account)
    ]
    caught = {"log": ", ".join(map(str, sorted(accounts))) or "nobody"}
    name = "manipulators are caught" if disturbed else "the manipulators are caught, nobody else"
    return Check(name, caught, "; ".join(problems), frozenset() if innocent else frozenset({ALERTS}))


def _same(name: str, **values: int) -> Check:
    """Counts and sums only grow: a place with less than the log lacks something."""
    truth = values[LOG]
    less, more = (frozenset(place for place, value in values.items() if test(value)) for test in (truth.__gt__, truth.__lt__))
    return replace(_same_last(name, **values), lacking=frozenset() if more else less)


def _same_last(name: str, **values: int) -> Check:
    """A value that is replaced by the next one: a place that differs from the log may have an older one."""
    problem = "" if len(set(values.values())) <= 1 else ", ".join(f"{place} {value}" for place, value in values.items())
    other = frozenset(place for place, value in values.items() if value != values[LOG])
    return Check(name, {place: str(value) for place, value in values.items()}, problem, other)


def _same_sets(name: str, truth: frozenset[object], **others: frozenset[object]) -> Check:
    problems, lacking, wrong = [], set(), False
    for place, found in others.items():
        missing, extra = truth - found, found - truth
        if missing or extra:
            example = next(iter(missing or extra))
            problems.append(f"{place} misses {len(missing)} and has {len(extra)} more, e.g. {example}")
            lacking.add(place.split(" ")[0])
            wrong |= bool(extra)
    seen = {"log": str(len(truth))}
    for place, found in others.items():
        column = place.split(" ")[0]
        if column not in seen or len(found) != len(truth):
            seen[column] = str(len(found))
    return Check(name, seen, "; ".join(problems), frozenset() if wrong else frozenset(lacking))


def _no_items(name: str, place: str, items: list[str], lacking: str = "") -> Check:
    shown = "; ".join(items[:3]) + (f" and {len(items) - 3} more" if len(items) > 3 else "")
    return Check(name, {place: str(len(items)) if items else "none"}, shown, frozenset({lacking} if lacking else ()))
