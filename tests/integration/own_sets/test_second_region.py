"""Two whole regions: who could trade and sign in in the first one can in the second, once that has taken over, and surveillance goes on (docs/regions.md)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from support.log_reader import read_partition
from support.party_facts import ahead, takeover
from support.told_facts import INSTRUMENTS, NUMBERS, Told, facts_of

from schemas.codec import decode_record
from schemas.enums import Phase
from schemas.settings import Settings, load_settings
from schemas.units import MINOR_PER_UNIT
from sinks.mysql.api_keys import StoredKey, api_key, end_key
from sinks.mysql.customer_records import Watchlist, put_watchlist
from sinks.mysql.people import add_person, person
from streams.operate.accounts import ApiKey, Opening, make_api_keys, open_accounts, store_api_keys
from streams.operate.command_books import change_session
from streams.operate.users import in_mysql
from streams.regions.access_copy import take_login
from streams.regions.commands import take_keys
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose
from topics.catalogue import ALERTS, PARTY_FACTS

SHARDS = ("hold-funds", "match-orders")
ACCOUNT, BUYER = 1, 2
STOLEN, KNEW = 900_701, 900_711
NEW_PLACE_AND_ONE_HALF: Final = 16
"""Facts of `takeover`: the usual trading, the new place and a half minute. It takes one more to be an alert."""
S: Final = 1_000_000_000


@pytest.fixture
def regions(tmp_path: Path) -> Iterator[tuple[LocalSet, LocalSet]]:
    """(home, away): one that trades, and one that is not started yet and follows it."""
    given, homes = load_settings(), {name: tmp_path / name for name in ("home", "away")}
    kafka = f"127.0.0.1:{choose(homes['home'] / 'data', ['kafka.client'])['kafka.client']}"
    home = LocalSet(given.model_copy(update={"home": homes["home"]}), bound=True)
    away = {"home": homes["away"], "copies_from": kafka, "region": 2, "edge_port": choose(homes["away"], ["edge"])["edge"]}
    with home.running(("kafka", "mariadb"), (*SHARDS, "persist-mysql")) as there:
        following = LocalSet(given.model_copy(update=away | {"copies_mysql_from": there.mysql_url}), bound=True)
        take_keys(following.settings, there.record_keys_dir)
        take_login(following.settings)
        try:
            yield home, following
        finally:
            following.stop()


def until(holds: Callable[[], bool], what: str, every_s: float = 0.1) -> None:
    """Fails where it does not come about."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(every_s)


def stored(settings: Settings, key: ApiKey) -> StoredKey | None:
    """The key as a region's MySQL has it."""
    return in_mysql(settings, lambda db: api_key(db, key.key_id))


def post_order(settings: Settings, key: ApiKey, side: str = "buy") -> tuple[int, dict[str, object]]:
    """(status, answer) of an order at this region's edge."""
    port = json.loads((settings.run_dir / "edge.json").read_text())["port"]
    body = {"symbol": "AAPL", "qty": "1", "side": side, "type": "limit", "time_in_force": "day", "limit_price": "1.00"}
    headers = {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret, "Content-Type": "application/json"}
    request = Request(f"http://127.0.0.1:{port}/v2/orders", json.dumps(body).encode(), headers)
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


def outcry(local: LocalSet, *words: str, status: int = 0) -> str:
    """What a command says in a region, with nothing set but its home."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    done = subprocess.run(
        [sys.executable, "-m", "streams", *words], env=environment | {"OUTCRY_HOME": str(local.settings.home)}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == status, said
    return said


def facts(settings: Settings) -> list[tuple[object, ...]]:
    """Of party.facts, whole."""
    return [(one.offset, one.key, one.value, one.time_ns) for one in read_partition(settings, PARTY_FACTS, 0)]


def alerts(settings: Settings, pattern: str) -> list[bytes]:
    """Of a pattern, in the log."""
    found = [one.value or b"" for shard in range(settings.book_shards) for one in read_partition(settings, ALERTS, shard)]
    return [one for one in found if decode_record(one)[1]["pattern"] == pattern]


def halves_of(settings: Settings) -> int:
    """Facts that books have told, repeats too."""
    told = (decode_record(value) for _, _, value, _ in facts(settings))
    return sum(schema == "book_sums" and one["instrument"] not in NUMBERS for schema, one in told)


@pytest.mark.slow
def test_after_a_take_over_the_same_api_key_trades_and_the_same_person_is_known(regions: tuple[LocalSet, LocalSet]) -> None:
    """Changes are copied too: a key that was withdrawn in the first region stays withdrawn."""
    home, away = regions
    there = home.connected_settings()
    change_session(there, Phase.CONTINUOUS)
    open_accounts(there, [Opening(ACCOUNT, 1_000 * MINOR_PER_UNIT, {})])
    good, withdrawn = make_api_keys([ACCOUNT, ACCOUNT])
    store_api_keys(there, [withdrawn])
    away.start(("kafka", "mariadb", "valkey"), (*SHARDS, "persist-mysql", "copy-log"))
    here = away.connected_settings()
    until(lambda: stored(here, withdrawn) is not None, "a key that was there before is copied")

    store_api_keys(there, [good])
    in_mysql(there, lambda db: end_key(db, withdrawn.key_id, time.time_ns()))
    in_mysql(there, lambda db: add_person(db, "ann", "hash", "", "analyst", time.time_ns()))
    in_mysql(there, lambda db: put_watchlist(db, ACCOUNT, Watchlist("0" * 36, "mine", 1, time.time_ns(), (1,)), 10))
    until(lambda: stored(here, good) == stored(there, good) is not None, "a new key is copied")
    until(lambda: stored(here, withdrawn) == stored(there, withdrawn), "the end of a key is copied")
    until(lambda: in_mysql(here, lambda db: person(db, "ann")) is not None, "people are copied")
    until(lambda: in_mysql(here, lambda db: db.fetch("SELECT name FROM watchlists")) == [("mine",)], "what customers keep is copied")

    home.kill()
    outcry(away, "region", "take-over")
    away.start(("kafka", "mariadb", "valkey"), ("edge",))
    assert post_order(here, withdrawn)[0] == 401
    status, order = post_order(here, good)
    assert (status, order.get("status")) == (200, "new"), order


def trades(settings: Settings, keys: list[ApiKey]) -> bool:
    """One trade, of a seller and a buyer. A book tells of half minutes in which something was traded."""
    for key, side in zip(keys, ("sell", "buy"), strict=True):
        status, order = post_order(settings, key, side)
        assert status == 200, order
    return True


@pytest.mark.slow
def test_sign_ins_and_news_of_the_first_region_count_in_the_second(regions: tuple[LocalSet, LocalSet]) -> None:
    """An account that was opened from elsewhere in the first region trades for somebody else in the second, after a take-over: that is one pattern.

    Before it, facts and alerts are the first region's to the byte, and nobody here may tell news. Both regions pass `outcry verify`; the first one's edge
    has answered orders, which the second has the answers of.
    """
    home, away = regions
    stores, watching = ("kafka", "mariadb", "valkey"), ("watch-trading", "watch-accounts")
    home.start(stores, (*SHARDS, "persist-mysql", *watching, "edge"))
    there = home.connected_settings()
    change_session(there, Phase.CONTINUOUS)
    lots = {INSTRUMENTS.by_symbol["AAPL"].number: 1_000}
    open_accounts(there, [Opening(ACCOUNT, 1_000 * MINOR_PER_UNIT, lots), Opening(BUYER, 1_000 * MINOR_PER_UNIT, {})])
    keys = make_api_keys([ACCOUNT, BUYER])
    store_api_keys(there, keys)
    trades(there, keys)
    until(lambda: any(decode_record(one)[0] == "sign_in" for _, _, one, _ in facts(there)), "the edge has told of a sign-in")
    now, told = time.time_ns(), Told(there)
    knew, stolen = facts_of(ahead(), now - 2_400 * S, KNEW), facts_of(takeover(), now - 300 * S, STOLEN)
    told.tell(knew)
    public_at = datetime.fromtimestamp(now // S - 2_400 + 24 * 30 + 1, UTC).isoformat()
    symbol = INSTRUMENTS.by_number[NUMBERS[0]].symbol
    outcry(home, "news", "publish", symbol, "--headline", "A takeover bid", "--at", public_at)
    until(lambda: bool(alerts(there, "AHEAD_OF_NEWS")), "the first region's alert")
    told.tell(stolen[:NEW_PLACE_AND_ONE_HALF])

    away.start(stores, (*SHARDS, "persist-mysql", "copy-log", *watching))
    here = away.connected_settings()
    until(lambda: trades(there, keys) and halves_of(there) > 0, "a book of the first region tells of a half minute that is over", every_s=1)
    until(lambda: facts(here) == facts(there), "facts are copied, each at its offset")
    until(lambda: alerts(here, "AHEAD_OF_NEWS") == alerts(there, "AHEAD_OF_NEWS"), "of the same facts the same alert")
    assert "the log of this region is a copy" in outcry(away, "news", "publish", symbol, "--headline", "Not here", status=1)
    outcry(home, "verify")

    home.kill()
    assert [decode_record(one)[1]["pattern"] for one in alerts(here, "ACCOUNT_TAKEOVER")] == []
    outcry(away, "region", "take-over")
    away.start(stores, ("edge",))
    halves = halves_of(here)
    Told(here, len(knew) + len(stolen)).tell(stolen[NEW_PLACE_AND_ONE_HALF:])
    until(lambda: bool(alerts(here, "ACCOUNT_TAKEOVER")), "a sign-in there and trading here are one pattern")
    until(lambda: trades(here, keys) and halves_of(here) > halves, "its own books tell of what happens here", every_s=1)
    places = [
        one["place"]
        for schema, one in map(decode_record, (value for _, _, value, _ in facts(here)))
        if schema == "sign_in" and one["account"] == ACCOUNT
    ]
    assert (len(places), len(set(places))) == (2, 1), "the same address is the same place in both regions"
    outcry(away, "verify")
