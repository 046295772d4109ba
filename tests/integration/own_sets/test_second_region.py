"""Two whole regions: who could trade and sign in in the first one can in the second, once that has taken over (docs/regions.md)."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from schemas.enums import Phase
from schemas.settings import Settings, load_settings
from schemas.units import MINOR_PER_UNIT
from sinks.mysql.api_keys import StoredKey, api_key, end_key
from sinks.mysql.customer_records import Watchlist, put_watchlist
from sinks.mysql.people import add_person, person
from streams.operate.accounts import ApiKey, Opening, make_api_keys, open_accounts, store_api_keys
from streams.operate.command_books import change_session
from streams.operate.users import in_mysql
from streams.regions.commands import take_keys
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose

SHARDS = ("hold-funds", "match-orders")
ACCOUNT = 1


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
        try:
            yield home, following
        finally:
            following.stop()


def until(holds: Callable[[], bool], what: str) -> None:
    """Fails where it does not come about."""
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def stored(settings: Settings, key: ApiKey) -> StoredKey | None:
    """The key as a region's MySQL has it."""
    return in_mysql(settings, lambda db: api_key(db, key.key_id))


def post_order(settings: Settings, key: ApiKey) -> tuple[int, dict[str, object]]:
    """(status, answer) of an order at this region's edge."""
    port = json.loads((settings.run_dir / "edge.json").read_text())["port"]
    body = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "1.00"}
    headers = {"APCA-API-KEY-ID": key.key_id, "APCA-API-SECRET-KEY": key.secret, "Content-Type": "application/json"}
    request = Request(f"http://127.0.0.1:{port}/v2/orders", json.dumps(body).encode(), headers)
    try:
        with urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read())
    except HTTPError as error:
        return error.code, json.loads(error.read() or b"{}")


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
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OUTCRY_")}
    taken = subprocess.run(
        [sys.executable, "-m", "streams", "region", "take-over"], env=environment | {"OUTCRY_HOME": str(away.settings.home)}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert taken.returncode == 0, taken.stdout + taken.stderr
    away.start(("kafka", "mariadb", "valkey"), ("edge",))
    assert post_order(here, withdrawn)[0] == 401
    status, order = post_order(here, good)
    assert (status, order.get("status")) == (200, "new"), order
