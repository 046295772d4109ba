"""What a draft of a report can say by itself: facts of a case and its alerts as texts of fields. Pure; nothing is made up, and what is not known is not there.

Alerts are as edge and stores have them: records of schemas/avro/alert.avsc.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from schemas.ids import order_uuid
from schemas.instruments import InstrumentTable
from surveillance.cases.report_fields import FIELD_MAX
from surveillance.wording import counted

Alerts = Sequence[dict[str, Any]]
_INSIDE: Final = ("FRONT_RUNNING",)
"""MAR Art. 14, by the rules that the detector names; all other patterns are manipulation."""


def facts_of(kind: str, alerts: Alerts, instruments: InstrumentTable) -> dict[str, str]:
    """Texts by field of surveillance.cases.report_fields, for the alerts of one case."""
    accounts = ", ".join(map(str, sorted({account for one in alerts for account in one["accounts"] or [one["account"]]})))
    named = sorted({one["instrument"] for one in alerts})
    products = "; ".join(f"{instruments.by_number[one].symbol}, {instruments.by_number[one].name}" for one in named)
    period, story = _period(alerts), _story(alerts)
    if kind == "SAR":
        orders = _orders(alerts, instruments, FIELD_MAX - len(story) - 2)
        return _kept({
            "subject_accounts": accounts, "period": period, "products": products, "narrative": f"{story}\n\n{orders}",
            "activity": "; ".join(sorted({_words(one["pattern"]) for one in alerts})),
        })  # fmt: skip
    return _kept({
        "acting_capacity": "operating a trading venue", "instrument": products, "period": period, "orders": _orders(alerts, instruments, FIELD_MAX),
        "nature": _nature(alerts), "reasons": story, "person_accounts": accounts,
    })  # fmt: skip


def _kept(fields: dict[str, str]) -> dict[str, str]:
    return {name: text[:FIELD_MAX] for name, text in fields.items() if text}


def _period(alerts: Alerts) -> str:
    begin, end = min(one["window_start"] for one in alerts), max(one["window_end"] for one in alerts)
    return f"{_time(begin)} to {_time(end)}"


def _time(ns: int) -> str:
    """With ms: what the exchange's clock says, UTC."""
    return f"{datetime.fromtimestamp(ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S}.{ns // 1_000_000 % 1_000:03d} UTC"


def _nature(alerts: Alerts) -> str:
    kinds = sorted({"insider dealing" if one["pattern"] in _INSIDE else "market manipulation" for one in alerts})
    return f"{' and '.join(kinds)}: {'; '.join(sorted({_words(one['pattern']) for one in alerts}))}"


def _words(pattern: str) -> str:
    return pattern.lower().replace("_", " ")


def _story(alerts: Alerts) -> str:
    """Each alert's steps, what was compared, and the rules."""
    parts = []
    for one in alerts:
        steps = "\n".join(f"{number}. {step}" for number, step in enumerate(one["steps"] or [one["explanation"]], 1))
        rules = f"Rules compared: {'; '.join(one['rule_refs'])}." if one["rule_refs"] else ""
        told = [
            f"Alert {one['alert_id']}, {_words(one['pattern'])}, seen {counted(one['occurrences'], 'time')}.",
            steps,
            one["counterfactual"],
            rules,
        ]
        parts.append("\n".join(text for text in told if text))
    return "\n\n".join(parts)


def _orders(alerts: Alerts, instruments: InstrumentTable, room: int) -> str:
    """A line for each order or trade that the alerts list, as many as there is room for; how many more there are is said."""
    lines = [_line(each, instruments.by_number[one["instrument"]]) for one in alerts for each in one["evidence"]]
    total = sum(max(one["evidence_total"], len(one["evidence"])) for one in alerts)
    shown, used = [], 80
    for line in lines:
        used += len(line) + 1
        if used > room:
            break
        shown.append(line)
    more = total - len(shown)
    return "\n".join(
        [
            *shown,
            *(
                [f"{more:,} more orders and trades are not listed here; the export of the case has those that the alerts list."]
                if more
                else []
            ),
        ]
    )


def _line(each: dict[str, Any], instrument: Any) -> str:
    price, qty, traded = instrument.price_text(each["price"]), instrument.qty_text(each["qty"]), instrument.qty_text(each["traded_qty"])
    ended = _time(each["ended_at"]) if each["ended_at"] else "open"
    trade = f", trade {each['trd_match_id']}" if each.get("trd_match_id") else ""
    account = f"account {each['account']}, " if each.get("account") else ""
    return (
        f"{order_uuid(each['order_id'])}: {account}{str(each['side']).lower()} {qty} {instrument.symbol} at {price}, traded {traded}, "
        f"{_time(each['placed_at'])} to {ended}{trade} ({_words(each['role'])})"
    )
