"""API keys, people and what customers keep, copied from one database to another as `copy-log` does it."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from schemas.errors import StaleData
from schemas.settings import Settings
from sinks.mysql.api_keys import end_key, insert_api_keys, keys_of_account
from sinks.mysql.customer_records import Watchlist, drop_watchlist, put_watchlist, watchlists
from sinks.mysql.own_rows import ROWS_AT_ONCE, TABLES, require_same_version
from sinks.mysql.people import add_person, add_token, change_person, person, tokens
from sinks.mysql.pool import MySql
from sinks.mysql.schema import SCHEMA_VERSION, apply_schema
from streams.regions.access_copy import AccessCopy
from streams.services.local_set import LocalSet

DIGEST = "ab" * 32


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The server of another region."""
    with LocalSet(Settings(home=tmp_path_factory.mktemp("second"))).running(services=("mariadb",)) as settings:
        yield settings


@pytest.fixture
async def away(second: Settings, mysql: MySql) -> AsyncIterator[MySql]:
    """Its database. The tables are empty, and so are those of `mysql`."""
    db = await MySql.connect(second.mysql_url)
    await apply_schema(db)
    for one in (db, mysql):
        async with one.transaction() as transaction:
            for table in TABLES:
                await transaction.execute(f"DELETE FROM {table.name}")
    yield db
    await db.close()


@pytest.fixture
def copied(mysql: MySql, away: MySql) -> Callable[[], Awaitable[int]]:
    """One pass of the same copier; the first one copies all."""
    copier = AccessCopy("", "")
    return lambda: copier.once(mysql, away)


def listed(name: str, number: int = 1) -> Watchlist:
    """Of one account; times in ns."""
    return Watchlist(f"{number:036}", name, 1, time.time_ns(), (number,))


async def test_every_column_that_the_schema_has_is_copied(away: MySql) -> None:
    """A column that is added to such a table must be added to sinks/mysql/own_rows.py."""
    sql = "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s"
    for table in TABLES:
        assert {name for (name,) in await away.fetch(sql, (table.name,))} == set(table.columns)


async def test_new_and_changed_rows_are_found_again_and_again(mysql: MySql, away: MySql, copied: Callable[[], Awaitable[int]]) -> None:
    """More keys than a page; then one more, one that ends, a person with other roles."""
    await insert_api_keys(mysql, [(f"KEY{number:04}", DIGEST, 1) for number in range(2 * ROWS_AT_ONCE + 1)])
    await add_person(mysql, "ann", "hash", "", "analyst", 1)
    await add_token(mysql, "T1", DIGEST, "ann", "analyst", read_only=True, label="nightly", now=1, ends_at=2)
    await copied()
    assert await keys_of_account(away, 1) == await keys_of_account(mysql, 1)
    assert await tokens(away) == await tokens(mysql)
    await insert_api_keys(mysql, [("KEYNEW", DIGEST, 2)])
    await end_key(mysql, "KEY0007", time.time_ns())
    await change_person(mysql, "ann", 2, roles="supervisor")
    await copied()
    for account in (1, 2):
        assert await keys_of_account(away, account) == await keys_of_account(mysql, account)
    assert await person(away, "ann") == await person(mysql, "ann")


async def test_names_of_watchlists_may_change_hands(mysql: MySql, away: MySql, copied: Callable[[], Awaitable[int]]) -> None:
    """A name is unique in an account, so the order in which rows come must not matter."""
    await put_watchlist(mysql, 1, listed("first", 1), 10)
    await put_watchlist(mysql, 1, listed("second", 2), 10)
    await copied()
    for name, number in (("aside", 1), ("first", 2), ("second", 1)):
        await put_watchlist(mysql, 1, listed(name, number), 10)
    await copied()
    assert {one.watchlist_id: one.name for one in await watchlists(away, 1)} == {
        listed("", 1).watchlist_id: "second",
        listed("", 2).watchlist_id: "first",
    }


async def test_what_a_customer_has_dropped_goes_with_the_next_whole_pass(mysql: MySql, away: MySql) -> None:
    """Also the last one."""
    await put_watchlist(mysql, 1, listed("kept", 1), 10)
    await put_watchlist(mysql, 1, listed("dropped", 2), 10)
    await AccessCopy("", "").once(mysql, away)
    await drop_watchlist(mysql, 1, listed("", 2).watchlist_id)
    await AccessCopy("", "").once(mysql, away)
    assert [one.name for one in await watchlists(away, 1)] == ["kept"]
    await drop_watchlist(mysql, 1, listed("", 1).watchlist_id)
    await AccessCopy("", "").once(mysql, away)
    assert await watchlists(away, 1) == []


async def test_regions_of_different_versions_are_refused(mysql: MySql, away: MySql) -> None:
    """Their rows may have other columns."""
    await require_same_version(mysql, away)
    async with away.transaction() as transaction:
        await transaction.execute("INSERT INTO schema_version (version) VALUES (%s)", (SCHEMA_VERSION + 1,))
    with pytest.raises(StaleData, match=f"of the other region are of version {SCHEMA_VERSION}, those here of version {SCHEMA_VERSION + 1}"):
        await require_same_version(mysql, away)
    async with away.transaction() as transaction:
        await transaction.execute("DELETE FROM schema_version WHERE version > %s", (SCHEMA_VERSION,))
