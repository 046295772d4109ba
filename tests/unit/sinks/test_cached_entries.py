"""Entries of the cache: what was sealed is what is read, and nothing else is."""

import random
import time
from pathlib import Path

import pytest

from edge.gateway.stored import past_prices
from schemas.errors import StaleData
from schemas.settings import Settings
from sinks.cached.entries import Entries, Entry, Wrong
from sinks.cached.kinds import KINDS, Head, covers, uncached
from sinks.cached.limits import ENTRY_BYTES_MAX, SKEW_MS
from sinks.cached.secret import cache_secret
from sinks.mysql import account_history, market_history, queries
from sinks.mysql.account_history import Activity, Flow
from sinks.mysql.market_history import BarPage, PastTrade, StoredBar
from sinks.mysql.places import Place
from sinks.mysql.queries import OrderFilter, StoredOrder
from sinks.mysql.rows import MINUTE_NS
from streams.process import service_keys

URL = "mysql://outcry:secret@127.0.0.1:3306/outcry"
ENTRIES = Entries(cache_secret(URL, None))
NAME = ENTRIES.name("kind", b"[1]")
NOW_MS = 1_800_000_000_000
SMALL = Entry((1, 70_000), NOW_MS, NOW_MS + 60_000, NOW_MS + 600_000, [[1, "a"], [2, None]])
LARGE = Entry((1, 70_000), NOW_MS, NOW_MS + 60_000, NOW_MS + 600_000, [[number, 1 << 62, "text"] for number in range(1_000)])
ORDER = StoredOrder(*range(1, 17), "mine-1", *range(18, 27))


@pytest.mark.parametrize("entry", [SMALL, LARGE], ids=["small", "compressed"])
def test_what_was_sealed_is_read_by_every_process_also_after_a_promotion(entry: Entry) -> None:
    """Of MySQL only user, password and database are in the secret."""
    raw = ENTRIES.seal(NAME, entry)
    assert raw is not None
    assert Entries(cache_secret("mysql://outcry:secret@10.0.0.9:4000/outcry", None)).open(NAME, raw, NOW_MS) == entry
    assert Entries(cache_secret(URL.replace("3306/outcry", "3307/outcry"), None)).name("kind", b"[1]") == NAME


def test_an_edge_believes_what_was_warmed_with_another_login(tmp_path: Path) -> None:
    """In a secure set each has a user and a password of its own, and neither reads the other's: they have the cache's secret in common."""
    service_keys.make_missing(tmp_path)
    settings = Settings(service_keys_dir=tmp_path)
    edge, warmer = (f"mysql://127.0.0.1:3306/outcry?login={tmp_path}/logins/{name}.json" for name in ("edge", "operator"))
    warmed = Entries(cache_secret(warmer, settings.cache_secret))
    raw = warmed.seal(warmed.name("kind", b"[1]"), SMALL) or b""
    edges = Entries(cache_secret(edge, settings.cache_secret))
    assert edges.open(edges.name("kind", b"[1]"), raw, NOW_MS) == SMALL
    own = Entries(cache_secret(edge, None))
    assert own.open(own.name("kind", b"[1]"), raw, NOW_MS) is Wrong.FOREIGN
    assert Settings(home=tmp_path / "other").cache_secret is None
    assert Settings(home=tmp_path / "other", cache_secret_file=tmp_path / "mine").cache_secret == tmp_path / "mine"


@pytest.mark.parametrize(
    ("text", "mode", "why"), [("00" * 32, 0o604, "every user may read"), ("00" * 31, 0o600, "31 bytes"), ("x", 0o600, "not a secret")]
)
def test_a_secret_that_is_none_is_refused_with_a_sentence(tmp_path: Path, text: str, mode: int, why: str) -> None:
    """It names the file and says how to get one."""
    file = tmp_path / "cache-secret"
    with pytest.raises(StaleData, match="cache-secret is not a secret of the cache"):
        cache_secret(URL, file)
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(StaleData, match=why):
        cache_secret(URL, file)


@pytest.mark.parametrize("entry", [SMALL, LARGE], ids=["small", "compressed"])
def test_an_entry_that_is_changed_moved_or_made_up_is_refused(entry: Entry) -> None:
    """Every bit of a small one, some of a large one; other keys, other exchanges, noise."""
    raw, drawn = ENTRIES.seal(NAME, entry) or b"", random.Random(7)
    places = range(len(raw)) if len(raw) < 1_000 else drawn.sample(range(len(raw)), 300)
    for at in places:
        for bit in range(8):
            flipped = raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]
            assert isinstance(ENTRIES.open(NAME, flipped, NOW_MS), Wrong)
    assert ENTRIES.open(ENTRIES.name("kind", b"[2]"), raw, NOW_MS) is Wrong.FOREIGN
    assert Entries(cache_secret(URL.replace("secret", "guess"), None)).open(NAME, raw, NOW_MS) is Wrong.FOREIGN
    assert ENTRIES.open(NAME, b"", NOW_MS) is ENTRIES.open(NAME, raw[:17], NOW_MS) is Wrong.CUT
    assert ENTRIES.open(NAME, b"\x09" + raw[1:], NOW_MS) is Wrong.VERSION
    for _ in range(1_000):
        assert isinstance(ENTRIES.open(NAME, b"\x01" + drawn.randbytes(drawn.randrange(200)), NOW_MS), Wrong)


def test_an_entry_whose_time_is_over_or_has_not_come_is_refused() -> None:
    """Whatever Redis does with it."""
    raw = ENTRIES.seal(NAME, SMALL) or b""
    assert ENTRIES.open(NAME, raw, SMALL.ends_ms - 1) == SMALL
    assert ENTRIES.open(NAME, raw, SMALL.ends_ms) is Wrong.OVER
    assert ENTRIES.open(NAME, raw, NOW_MS - SKEW_MS - 1) is Wrong.FUTURE


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    """Noise does not become smaller."""
    noise = random.Random(1).randbytes(ENTRY_BYTES_MAX).hex()
    assert ENTRIES.seal(NAME, Entry((0, 0), 0, 0, 1, noise)) is None


def test_the_question_is_not_in_the_key() -> None:
    """Who reads Redis does not learn who asks for what."""
    assert b"12345" not in ENTRIES.name("orders", b"[12345]").encode()


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (queries.orders_of_account, [ORDER, ORDER]),
        (queries.orders_of_account, []),
        (queries.order_by_id, ORDER),
        (queries.order_by_cl_ord_id, None),
        (account_history.activities, [Activity(*range(15))]),
        (account_history.flows, [Flow(*range(5))]),
        (account_history.time_of, None),
        (account_history.time_of, 1 << 60),
        (market_history.bars, BarPage([StoredBar(*range(8))], 7)),
        (market_history.bars, BarPage([], None)),
        (market_history.closes_before, {1: 18_000}),
        (market_history.closes, [(0, 1), (3, 4)]),
        (market_history.trades, [PastTrade(*range(6))]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_kind_of_answer_comes_back_as_it_was(query: object, answer: object) -> None:
    """Through the bytes."""
    kind = KINDS[query]  # type: ignore[index]
    entry = Entry((0, 1), NOW_MS, NOW_MS, NOW_MS + 1, kind.pack(answer))
    read = ENTRIES.open(NAME, ENTRIES.seal(NAME, entry) or b"", NOW_MS)
    assert isinstance(read, Entry)
    assert kind.unpack(read.value) == answer


def test_rows_of_another_shape_are_an_error() -> None:
    """A column too many or too few, and no rows at all."""
    kind = KINDS[queries.orders_of_account]
    for packed in ([[1, 2]], [[0] * 27], 7, {"a": 1}, [7]):
        with pytest.raises((TypeError, ValueError)):
            kind.unpack(packed)


def test_a_place_covers_what_was_seen_up_to_it_in_its_own_shard() -> None:
    """And of what is public both the trades and the busts."""
    assert covers((1, 70), Place(1, 70)) and not covers((1, 70), Place(1, 71)) and not covers((2, 99), Place(1, 70))
    assert covers((9, 5), Head(9, 5)) and not covers((9, 5), Head(10, 5)) and not covers((9, 5), Head(9, 6)) and covers((0, 0), Head(0, 0))


def test_questions_with_one_answer_are_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    """Positions and names of arguments; a now within a minute of bars. A window of a clock's nanoseconds is not kept."""
    bars, trades, orders = KINDS[market_history.bars], KINDS[market_history.trades], KINDS[queries.orders_of_account]
    asked = [bars.question(bars.arguments((1, MINUTE_NS, 5, 10 * MINUTE_NS + extra, 100), {"ascending": True})) for extra in (1, 2)]
    assert asked[0] == asked[1] == bars.question(bars.arguments((1, MINUTE_NS, 0, 11 * MINUTE_NS, 100), {}))
    assert asked[0] != bars.question(bars.arguments((1, MINUTE_NS, 0, 11 * MINUTE_NS, 100), {"ascending": False}))
    now = [bars.question(bars.arguments((1, MINUTE_NS, 0, at, 100), {})) for at in (time.time_ns(), time.time_ns() - 10 * MINUTE_NS)]
    assert now[0] != now[1]
    monkeypatch.setattr(time, "time_ns", lambda: NOW_MS * 1_000_000)
    assert bars.question(bars.arguments((1, MINUTE_NS, 0, NOW_MS * 1_000_000, 100), {})) == now[0], "until now is one question all day"
    assert trades.question(trades.arguments((1, 0, 1_000_000_002, 100), {})) is None
    assert trades.question(trades.arguments((1, 0, 1_000_000_001, 100), {})) is not None
    pages = {
        orders.question(orders.arguments((7, OrderFilter(status=status, limit=limit)), {}))
        for status in ("all", "closed")
        for limit in (50, 100)
    }
    assert len(pages) == 4


async def test_a_query_can_be_kept_out_of_the_cache() -> None:
    """It asks the same, and is none of the kinds: the edge's own days are counted on from where it ends."""
    direct = uncached(queries.orders_by_ids)
    assert await direct(None, []) == []  # type: ignore[arg-type]
    assert market_history.bars in KINDS and uncached(market_history.bars) not in KINDS
    assert past_prices._STORED_BARS not in KINDS
