"""Refusals before trading: how often each rule refused each account's orders, and the first and last time. No I/O.

Evidence that the controls of Rule 15c3-5 work: limits of price, size, credit and access.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from reports.facts import DayFacts
from reports.reference import Reference
from reports.tables import csv_lines, groups
from schemas.enums import AccountEventKind
from schemas.reject_reasons import SENTENCES, Reason

COLUMNS: Final = ("member", "account", "symbol", "reason", "explanation", "refusals", "first", "last")


def refusal_lines(facts: DayFacts, reference: Reference) -> Iterator[bytes]:
    """CSV with a header, by account, instrument and rule."""
    return csv_lines(COLUMNS, _lines(facts, reference))


def _lines(facts: DayFacts, reference: Reference) -> Iterator[tuple[Any, ...]]:
    rows = facts.messages[facts.messages["kind"] == AccountEventKind.REJECTED]
    rows = rows[np.lexsort((rows["transact_time"], rows["reason"], rows["instrument"], rows["account"]))]
    stamps = facts.day.stamps(rows["transact_time"])
    for start, end in groups(rows["account"], rows["instrument"], rows["reason"]):
        account, number, reason = (int(rows[name][start]) for name in ("account", "instrument", "reason"))
        one = facts.instruments.by_number.get(number)
        yield (
            reference.member_of(account).member, account, one.symbol if one is not None else number, Reason(reason).name, SENTENCES[Reason(reason)],
            end - start, stamps[start], stamps[end - 1],
        )  # fmt: skip
