"""What analysts ask of a running exchange: a what-if in its own process over the real log, and the accounts around an alert from MySQL and the log."""

import time
from typing import Any

import pytest
from support.records.alert_records import whole
from support.served_edge import until

from access.events import AccessEvent, Act
from edge.gateway.access.access_log import AccessRecords
from edge.gateway.analysts.linked_accounts import AccountLinks, LinkedAccounts
from edge.gateway.analysts.what_ifs import DONE, WhatIfs
from edge.gateway.outcomes import Accepted
from edge.gateway.stored.stores import EdgeStores
from schemas.settings import Settings
from streams.process.record_keys import record_keys
from topics.roles import EDGE
from topics.sender import LogSender

pytestmark = pytest.mark.integration

S = 1_000_000_000
STRANGERS = (900_101, 900_102)


async def test_a_what_if_reads_the_log_of_a_running_exchange(exchange: Any) -> None:
    """From its first record, in a process of its own that is gone afterwards."""
    runs = WhatIfs(exchange.settings)
    now = time.time_ns()
    question = {"pattern": "LAYERING", "parameters": {"orders_min": 3}, "begin": now - 86_400 * S, "end": now, "symbols": []}
    begun = runs.start("ann", question)
    assert isinstance(begun, Accepted)
    run = begun.value
    await until(lambda: run.is_over, "the run is not over")
    assert (run.state, run.problem) == (DONE, "")
    assert run.result["rows"] > 0
    assert run.result["complete"]


async def test_accounts_that_signed_in_from_one_address_are_linked_and_others_are_not(exchange: Any) -> None:
    """By records of access.events that an edge has written; trades come from MySQL."""
    settings: Settings = exchange.settings
    stores = EdgeStores(settings)
    sender = LogSender({"bootstrap.servers": settings.kafka_url}, sign=record_keys(settings).signer(EDGE.name))
    await sender.start()
    try:
        records, now = AccessRecords(), time.time_ns()
        records.sender = sender
        for account, address in ((STRANGERS[0], "203.0.113.77"), (STRANGERS[1], "203.0.113.77"), (900_103, "203.0.113.78")):
            await records.record(AccessEvent(now, Act.SIGNED_IN, f"account {account}", address, "the trading page", ""))
        links = AccountLinks(settings, stores)
        links.keys = record_keys(settings)
        alert = whole({
            "alert_id": "a", "pattern": "LAYERING", "instrument": 1, "symbol": "AAPL", "account": STRANGERS[0], "side": "BUY", "score": 0.9, "explanation": "said",
            "window_start": now, "window_end": now + S, "detected_at": now + S, "source": "executions/0@7", "evidence": [],
        })  # fmt: skip
        found = await links.around(alert, 60 * S, 24)
        assert isinstance(found, Accepted), found
        value: LinkedAccounts = found.value
        assert value.graph.accounts == STRANGERS
        (link,) = value.graph.links
        assert (link.kind, link.what, link.accounts, link.times) == ("address", "203.0.113.77", STRANGERS, 2)
        assert (value.trades, value.owners_known) == ([], False)
    finally:
        await sender.stop(5.0)
        await stores.close()
