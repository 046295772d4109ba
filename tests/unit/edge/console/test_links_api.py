"""Accounts around an alert over HTTP: what is answered, what is in the log, and what is refused."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from support.served_edge import Served, served

from access.events import AccessEvent, Act
from access.people import Role
from edge.gateway.analysts import linked_accounts
from edge.gateway.analysts.linked_accounts import AccountLinks
from schemas.codec import encode_record
from sinks.mysql.linked_trades import TradeSpan
from surveillance.linked_accounts import SignIn

AT = "/surveillance/alerts/alert-1/links"


def without_log(edge: Served, monkeypatch: pytest.MonkeyPatch, *found: SignIn) -> None:
    """No Kafka: these sign-ins are what access.events has."""

    async def sign_ins(_self: AccountLinks, begin: int, end: int) -> tuple[list[SignIn], int]:
        return list(found), begin

    monkeypatch.setattr(AccountLinks, "sign_ins", sign_ins)
    edge.stores.answers |= {"trade_span": TradeSpan(1, 9, 0), "traded_pairs": pairs}


def pairs(instrument: int, begin: int, end: int, span: TradeSpan, accounts: Any, *, both: bool) -> list[tuple[int, int, int, int, int]]:
    """Account 7 sold to 8 and to 90; the sums are of the accounts that are asked for."""
    rows = [(7, 90, 2, 30, 30 * 18_000), (8, 7, 1, 10, 10 * 18_001)]
    return [one for one in rows if (all if both else any)(account in accounts for account in one[:2])]


async def test_the_answer_has_accounts_trades_and_links_and_the_read_is_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Owners come from the file of owner sets, as of the alert's time."""
    path = tmp_path / "owners.toml"
    path.write_text("[[owner_set]]\neffective_from = 1\ngroups = [[7, 50]]\n")
    async with served(owner_sets_file=path) as edge:
        without_log(edge, monkeypatch, SignIn(7, "10.0.0.1", 5), SignIn(60, "10.0.0.1", 6))
        status, body, _ = await edge.get(f"{AT}?minutes=5", headers=edge.stores.bearer(Role.ANALYST))
        assert status == 200, body
        assert [(one["account"], one["is_subject"], one["net"]) for one in body["accounts"]] == [
            (7, True, "-20"), (8, True, "-10"), (50, False, "0"), (60, False, "0"), (90, False, "30"),
        ]  # fmt: skip
        assert [(one["seller"], one["buyer"], one["qty"], one["average_price"]) for one in body["trades"]] == [
            (7, 90, "30", "180"),
            (8, 7, "10", "180.01"),
        ]
        assert [(one["kind"], one["accounts"]) for one in body["links"]] == [("owner", [7, 50]), ("address", [7, 60])]
        assert (body["owners_known"], body["left_out"], body["trades_since"]) == (True, 0, None)
        assert [one[0] for one in edge.cases.records] == ["READ_LINKS"]


async def test_nothing_is_shown_where_the_read_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is away."""
    async with served() as edge:
        without_log(edge, monkeypatch)
        edge.cases.away = True
        assert (await edge.get(AT, headers=edge.stores.bearer(Role.ANALYST)))[0] == 503


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{AT}?minutes=1441", 422, "minutes must be from 1 to 1,440"),
        (f"{AT}?accounts=0", 422, "accounts must be from 1 to 60"),
        (f"{AT}?accounts=all", 422, "accounts must be a whole number"),
        ("/surveillance/alerts/alert-99/links", 404, "alert not found"),
    ],
)
async def test_too_much_is_refused_with_the_bound(path: str, status: int, message: str) -> None:
    """And nothing is recorded, for nothing was shown."""
    async with served() as edge:
        found, body, _ = await edge.get(path, headers=edge.stores.bearer(Role.ANALYST))
        assert (found, body["message"]) == (status, message)
        assert edge.cases.records == []


def test_only_sign_ins_of_customers_are_taken_from_the_log() -> None:
    """Staff, refusals, other acts and noise are none."""

    def event(act: Act, person: str, what: str = "the trading page") -> bytes:
        return encode_record("access_event", asdict(AccessEvent(5, act, person, "10.0.0.1", what)))

    assert linked_accounts._sign_in(event(Act.SIGNED_IN, "account 7")) == SignIn(7, "10.0.0.1", 5)
    others = (
        event(Act.SIGNED_IN, "ann"),
        event(Act.SIGNED_OUT, "account 7"),
        event(Act.SIGN_IN_REFUSED, "account 7"),
        event(Act.SIGNED_IN, "account 7", "x"),
        b"?",
    )
    assert [linked_accounts._sign_in(one) for one in others] == [None] * len(others)
