"""Stores: entries that somebody writes into Redis, names that lead into the own network, SQL that wants more than to read."""

import time
from pathlib import Path
from typing import Any, Final

import duckdb
import zstandard
from at_topics import forged
from attack import attack, folder, stopped_by

from edge.gateway.access import signed_requests
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from sinks.cached import entries as cached
from sinks.cached.entries import Entries, Entry, Wrong
from sinks.cached.limits import PLAIN_BYTES_MAX
from sinks.cached.secret import cache_secret
from sinks.parquet import queries
from sinks.parquet.queries import QueryLimits, QuerySession
from sinks.redis import sessions as cached_keys
from sinks.redis import trader_sessions
from sinks.redis.sessions import CachedKey, SessionCache
from sinks.redis.trader_sessions import TraderSession, TraderSessionCache
from streams.functions import webhooks
from streams.functions.webhooks import PublicResolver, require_public

URL: Final = "mysql://outcry:word@127.0.0.1:1/outcry"
OURS: Final = Entries(cache_secret(URL, None))
NOW_MS: Final = 1_000_000


def _entry(**changes: Any) -> Entry:
    return Entry(**({"place": (0, 1), "read_ms": NOW_MS, "fresh_ms": NOW_MS, "ends_ms": NOW_MS + 1_000, "value": [1]} | changes))


def _opened(name: str, raw: bytes | None) -> bool:
    return raw is not None and not isinstance(OURS.open(name, raw, NOW_MS), Wrong)


CODE = (cached, "        if not hmac.compare_digest(code, self._code(name, version, body)):", "        if False:")
BOMB = zstandard.ZstdCompressor().compress(b'[0,1,1000000,1000000,1001000,"' + b"a" * (PLAIN_BYTES_MAX + 1_000) + b'"]')
forged(
    "write_an_answer_into_the_cache", lambda: _opened("k", Entries(cache_secret("mysql://a:b@h/outcry", None)).seal("k", _entry())), CODE
)
forged("move_an_answer_of_the_cache_to_another_question", lambda: _opened("k", OURS.seal("other", _entry())),
       (cached, '        for part in (name.encode(), b"\\0", bytes([version]), body):', "        for part in (bytes([version]), body):"))  # fmt: skip
forged("put_an_old_answer_back_into_the_cache", lambda: _opened("k", OURS.seal("k", _entry(ends_ms=NOW_MS))),
       (cached, "        if entry.ends_ms <= now_ms:", "        if False:"))  # fmt: skip
forged("put_an_answer_from_the_future_into_the_cache", lambda: _opened("k", OURS.seal("k", _entry(read_ms=NOW_MS + 900_000, ends_ms=NOW_MS + 1_000_000))),
       (cached, "return Wrong.FUTURE if entry.read_ms > now_ms + SKEW_MS else entry", "return entry"))  # fmt: skip
forged("fill_the_memory_by_a_small_answer_of_the_cache", lambda: _opened("k", bytes([2]) + OURS._code("k", 2, BOMB) + BOMB),
       (cached, "        if packed and zstandard.frame_content_size(body) > PLAIN_BYTES_MAX:", "        if False:"))  # fmt: skip


class Redis:
    """A server that anybody may write to."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def get(self, name: str) -> bytes | None:
        """A value."""
        return self.kept.get(name)

    async def set(self, name: str, value: bytes, **_: Any) -> None:
        """Keep it."""
        self.kept[name] = value


KNOWN: Final = CachedKey(b"d" * 32, 1, "read,trade", "", 0, 1)


def _caches() -> tuple[Any, SessionCache, SessionCache]:
    """Redis, the edges' cache in it, and one of somebody without the edges' secret."""
    redis: Any = Redis()
    return redis, SessionCache(redis, URL), SessionCache(redis, "mysql://eve:guess@127.0.0.1:1/outcry")


KEY_CODE = (cached_keys, "        if not hmac.compare_digest(code, self._code(key_id, entry)) or int", "        if int")


@stopped_by(KEY_CODE, door=folder)
async def write_an_api_key_into_the_cache(_: object) -> bool:
    """With a secret of the intruder's."""
    _, ours, theirs = _caches()
    await theirs.put("KEY1", KNOWN, 60)
    return await ours.get("KEY1") is not None


@stopped_by((cached_keys, "        identity = hashlib.sha256(key_id.encode()).digest()", "        identity = bytes(32)"), door=folder)
async def move_ones_own_api_key_to_another_id_in_the_cache(_: object) -> bool:
    """So that one's own secret opens it."""
    redis, ours, _theirs = _caches()
    await ours.put("MINE", KNOWN, 60)
    redis.kept[cached_keys._name("KEY1")] = redis.kept[cached_keys._name("MINE")]
    return await ours.get("KEY1") is not None


@stopped_by((cached_keys, " or int.from_bytes(entry[:_ENDS_BYTES]) <= time.time():", ":"), door=folder)
async def keep_a_withdrawn_api_key_in_the_cache(_: object) -> bool:
    """By writing its old entry again and again."""
    _, ours, _theirs = _caches()
    await ours.put("KEY1", KNOWN, -5)
    return await ours.get("KEY1") is not None


def _traders() -> tuple[Any, TraderSessionCache, TraderSessionCache]:
    redis: Any = Redis()
    return redis, TraderSessionCache(redis, URL), TraderSessionCache(redis, "mysql://eve:guess@127.0.0.1:1/outcry")


FAR: Final = 1 << 40


@stopped_by((trader_sessions, "        if not hmac.compare_digest(code, self._code(digest, entry)):", "        if False:"), door=folder)
async def write_a_session_of_the_trading_page_into_redis(_: object) -> bool:
    """Of somebody else's key."""
    _, ours, theirs = _traders()
    await theirs.put("d", TraderSession("KEY1", FAR), 60)
    return await ours.get("d") is not None


@stopped_by((trader_sessions, "hashlib.blake2b(digest.encode() + entry,", "hashlib.blake2b(entry,"), door=folder)
async def give_somebodys_session_a_word_of_ones_own(_: object) -> bool:
    """By copying its entry."""
    redis, ours, _theirs = _traders()
    await ours.put("d", TraderSession("KEY1", FAR), 60)
    redis.kept[trader_sessions._name("e")] = redis.kept[trader_sessions._name("d")]
    return await ours.get("e") is not None


@stopped_by((trader_sessions, "        return session if session.ends_at_s > time.time() else None", "        return session"), door=folder)
async def keep_a_session_of_the_trading_page_beyond_its_end(_: object) -> bool:
    """By writing its entry again."""
    redis, ours, _theirs = _traders()
    entry = b'["KEY1", 1]'
    redis.kept[trader_sessions._name("d")] = ours._code("d", entry) + entry
    return await ours.get("d") is not None


# ---- where webhooks lead


def _may_lead_to(address: str) -> bool:
    try:
        require_public(address)
    except OSError:
        return False
    return True


PUBLIC = (webhooks, "    if not (mapped or found).is_global or found.is_multicast:", "    if found.is_multicast:")
forged("have_alerts_delivered_to_a_service_of_this_machine", lambda: _may_lead_to("127.0.0.1"), PUBLIC)
forged("have_alerts_delivered_to_the_clouds_metadata", lambda: _may_lead_to("169.254.169.254"), PUBLIC)
forged("have_alerts_delivered_into_the_private_network", lambda: _may_lead_to("10.1.2.3"), PUBLIC)
forged("have_alerts_delivered_to_this_machine_in_ipv6s_clothes", lambda: _may_lead_to("[::ffff:127.0.0.1]"), PUBLIC)


@stopped_by((webhooks, '            require_public(one["host"])', "            pass"), door=folder)
async def have_a_name_lead_into_the_private_network_later(_: object) -> bool:
    """It was harmless when it was looked at."""

    class Names:
        async def resolve(self, *_: Any) -> list[Any]:
            return [{"host": "127.0.0.1"}]

    below: Any = Names()
    try:
        return bool(await PublicResolver(below).resolve("public.example", 443))
    except OSError:
        return False


# ---- SQL of others


def _reads(path: Path, sql: str, **limits: Any) -> bool:
    (path / "secret.csv").write_text("a,b\n1,2\n")
    try:
        with QuerySession(path, load_instruments(None), {}, QueryLimits(**({"seconds": 5.0} | limits))) as session:
            _, rows = session.run(sql.format(path=path))
            return bool(list(rows)) or True
    except (OutcryError, duckdb.Error):
        return False


def _sql(name: str, sql: str, *edits: Any) -> None:
    async def run(path: Path) -> bool:
        return _reads(path, sql)

    attack(name, run, *edits, door=folder)


EXTERNAL = (queries, ' ("enable_external_access", "false"),\n', "\n")
LOCK = (queries, '            ("lock_configuration", "true"),\n', "")
READS = (queries, "        if len(statements) != 1 or statements[0].type not in _READS:", "        if False:")
_sql("read_a_file_beside_the_archive", "SELECT * FROM read_csv('{path}/secret.csv')", EXTERNAL)
_sql("list_the_files_of_the_machine", "SELECT * FROM glob('/etc/*')", EXTERNAL)
_sql("write_a_file_by_a_query", "COPY (SELECT 1) TO '{path}/made.csv'", EXTERNAL, READS)
_sql("attach_another_database", "ATTACH '{path}/made.db' AS other", EXTERNAL, READS)
_sql("change_a_table_of_the_session", "CREATE TABLE mine AS SELECT 1", READS)
_sql("send_two_statements_in_one", "SELECT 1; SELECT 2", READS)
_sql("set_the_memory_limit_higher", "SET memory_limit = '64GB'", READS, LOCK)


@stopped_by(
    (
        queries,
        "        timer = threading.Timer(self._limits.seconds, self._db.interrupt)",
        "        timer = threading.Timer(1e6, self._db.interrupt)",
    ),
    door=folder,
)
async def ask_a_question_without_end(path: Path) -> bool:
    """Two cores for as long as it takes."""
    began = time.monotonic()
    return (
        _reads(path, "SELECT count(*) FROM range(40000) a, range(40000) b WHERE (a.range * b.range) % 7 = 3", seconds=0.05)
        or time.monotonic() - began > 60
    )


@stopped_by((signed_requests, "        if not is_first:", "        if False:"), door=folder)
async def send_a_signed_request_once_more(_: object) -> bool:
    """To another edge."""
    seen: set[str] = set()

    class Store:
        async def first_time(self, digest: str, _keep_ms: int) -> bool:
            first = digest not in seen
            seen.add(digest)
            return first

    nothing: Any = None
    signed = signed_requests.SignedRequests(nothing, Store(), lambda: 1_000_000_000)
    asked = signed_requests.Signed("POST", "/v1/order.place", "KEY1", 1_000_000, 5_000, b"")
    session: Any = object()
    await signed._once(asked, session)
    return not isinstance(await signed._once(asked, session), signed_requests.Flawed)
