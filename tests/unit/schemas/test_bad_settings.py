"""Settings and lists of instruments that cannot be: each is named, with what is wrong and where."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.instruments import BadInstruments, load_instruments, parse_instruments
from schemas.settings import Settings, SettingsError, load_settings

COUNTS = Counter[str]()


@pytest.fixture(scope="module", autouse=True)
def _told(told: list[str]) -> Iterator[None]:
    yield
    told.append("bad settings: " + ", ".join(f"{kind} {number}" for kind, number in COUNTS.items()) + f"; {COUNTS.total()} cases")


SETTINGS = {
    "OUTCRY_KAFKA_URLS": ("x", "unknown setting"), "OUTCRY_ACCOUNT_SHARDS": ("0", "greater than or equal to 1"),
    "OUTCRY_BOOK_SHARDS": ("1025", "less than or equal to 1024"), "OUTCRY_EDGE_INSTANCES": ("many", "valid integer"),
    "OUTCRY_REPLICATION_FACTOR": ("1.5", "valid integer"), "OUTCRY_EDGE_PORT": ("65536", "less than or equal to 65535"),
    "OUTCRY_EDGE_INSTANCE": ("-1", "greater than or equal to 0"), "OUTCRY_EDGE_DECISION_TIMEOUT_MS": ("1", "greater than or equal to 50"),
    "OUTCRY_EDGE_SINK_LAG_MAX": ("-1", "greater than or equal to 0"), "OUTCRY_WORKER_PORT": ("http", "valid integer"),
    "OUTCRY_WORKER_REPLICA": ("z", "match pattern"), "OUTCRY_WORKER_INSTANCE": ("0", "greater than or equal to 1"),
    "OUTCRY_STANDBY_REPLICAS": ("4", "less than or equal to 3"), "OUTCRY_SNAPSHOT_INTERVAL_MS": ("", "valid integer"),
    "OUTCRY_SESSION_TIMEOUT_MS": ("999", "greater than or equal to 1000"), "OUTCRY_LOG_LEVEL": ("LOUD", "match pattern"),
    "OUTCRY_KAFKA_URL": ("kafka://x:9092", "is not host:port[,host:port]"), "OUTCRY_MYSQL_URL": ("http://x", "is not mysql://"),
    "OUTCRY_REDIS_URL": ("127.0.0.1:6379", "is not redis://"), "OUTCRY_ELASTICSEARCH_URL": ("https://", "is not http://host:port"),
    "OUTCRY_EDGE_URL": ("ws://127.0.0.1:8080", "is not http://host:port"), "OUTCRY_MARKET_CLOCK": ("noon", "is not REAL=MARKET*SPEED"),
}  # fmt: skip


def test_every_wrong_setting_is_named_with_what_is_wrong_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever mends them need not start again and again."""
    for name, (value, _) in SETTINGS.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    lines = str(refused.value).splitlines()[1:]
    assert len(lines) == len(SETTINGS)
    for name, (_, problem) in SETTINGS.items():
        (line,) = [line for line in lines if line.strip().startswith(name + ":")]
        assert problem in line
    for name in SETTINGS:
        monkeypatch.delenv(name)
    assert isinstance(load_settings(), Settings)
    COUNTS["settings"] += len(SETTINGS)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("KAFKA_URL", ["a:1", "a:1,b:65535", "[::1]:9092"], ["a", "a:", "a:0", "a:65536", "a:1,", "http://a:1", ":9092"]),
        (
            "MYSQL_URL",
            ["mysql://u:p@h:3306/d", "mysql://u@h/d"],
            ["mysql://h:3306", "mysql://h:3306/", "http://h/d", "mysql:///d", "mysql://h:x/d"],
        ),
        ("REDIS_URL", ["redis://h:1/0", "rediss://u:p@h:1"], ["http://h:1", "redis://", "redis://h:99999"]),
        ("ELASTICSEARCH_URL", ["http://h:9200", "https://h"], ["h:9200", "http://[::1", "ftp://h"]),
    ],
)
def test_an_address_is_refused_when_it_cannot_be_one(monkeypatch: pytest.MonkeyPatch, name: str, good: list[str], bad: list[str]) -> None:
    """Before anything is asked at it, with the form that it should have."""
    for address in good:
        monkeypatch.setenv(f"OUTCRY_{name}", address)
        assert getattr(load_settings(), name.lower()) == address
    for address in bad:
        monkeypatch.setenv(f"OUTCRY_{name}", address)
        with pytest.raises(SettingsError, match=f"OUTCRY_{name}: is not "):
            load_settings()
    COUNTS["settings"] += len(bad)


def test_a_refused_address_does_not_show_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told goes to terminals and logs."""
    monkeypatch.setenv("OUTCRY_MYSQL_URL", "postgres://outcry:hunter2@db:5432/outcry")
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert "hunter2" not in str(refused.value)
    assert "postgres://outcry:***@db:5432/outcry" in str(refused.value)


def test_a_torn_file_of_the_running_set_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not a traceback: the file, and what writes it anew."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "services.json").write_text('{"kafka_url": "127.0')
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path))
    with pytest.raises(SettingsError, match=r"run/services\.json, which the running set wrote, cannot be read .*: remove it"):
        load_settings()


ONE = """[[instrument]]
number = 1
symbol = "X"
name = "X"
tick_size = "0.01"
lot_size = "1"
max_order_qty = "10"
max_notional = "1000"
reference_price = "10"
protection_percent = 20
"""
LISTS = [
    ("[[instrument]]", "[[instrument", "array declaration"), ("[[instrument]]", "[instrument]", r"write \[\[instrument\]\]"),
    ("[[instrument]]", "[[instruments]]", "empty"), ("number = 1\n", "", "'number' is missing"), ("= 1\n", "= 0\n", "1 to 65535"),
    ("= 1\n", "= 65536\n", "1 to 65535"), ("= 1\n", "= 1.5\n", r"instrument 1 \(X\): number is 1.5, not a whole number"),
    ("= 1\n", '= "1"\n', "not a whole number"), ('symbol = "X"\n', "", "'symbol' is missing"), ('"X"\nname', '""\nname', "symbol is '', not text"),
    ('"X"\nname', "7\nname", "symbol is 7, not text"), ('"0.01"', "0.01", "tick_size is 0.01, not decimal text"),
    ('"0.01"', '"0"', "X: tick_size"), ('"0.01"', '"-0.01"', "X: tick_size"), ('"0.01"', '"5"', "X: tick_size"), ('"0.01"', '"1e-40"', "X: .* out of range"),
    ('"0.01"', '["0.01"]', "tick_size is"), ('lot_size = "1"', 'lot_size = "0"', "X: lot_size"), ('lot_size = "1"', 'lot_size = "x"', "lot_size: 'x'"),
    ('"1000"', '"1e40"', "X: max_notional"), ('"1000"', '"NaN"', "max_notional: 'NaN'"), ('y = "10"', 'y = "99999999999"', "X: max_order_qty"),
    ('y = "10"', 'y = "0"', "X: max_order_qty"), ('price = "10"', 'price = "0"', "X: reference_price"),
    ('price = "10"', 'price = "10.001"', "10.001 is not a multiple of 0.01"), ("= 20", "= 0", "X: protection_percent"), ("= 20", "= 100", "X: protection_percent"),
    ("= 20", "= 20.9", "protection_percent is 20.9"), ("= 20", "= 20\ncollar_percent = 100", "X: collar_percent"), ("= 20", "= 20\nluld_tier = 3", "X: luld_tier"),
    ("= 20", '= 20\nmin_order_qty = "11"', "X: min_order_qty"), ("= 20", '= 20\nmaker_fee = "0.01"', "X: maker_fee"),
    ("= 20", '= 20\ntaker_fee = "1000"', "X: taker_fee"), ("= 20", '= 20\nmax_position = "-1"', "X: max_position"),
    ("= 20", '= 20\nrestricted = "false"', "restricted is 'false', not true or false"), ("= 20", "= 20\nrestrcted = true", "no such field: restrcted"),
    ("= 20", '= 20\nmatching_algorithm = "LIFO"', "LIFO"), ("= 20", '= 20\nmatching_algorithm = ["FIFO"]', "matching_algorithm"),
    ("= 20", '= 20\nself_match_prevention = "DEFAULT"', "X: self_match_prevention"), ("= 20", "= 20\nno_cancel_seconds = 86401", "X: no_cancel_seconds"),
    ("= 20", "= 20\nauction_extension_seconds = -1", "X: auction_extension_seconds"), ("= 20\n", "= 20\n" + ONE, "twice"),
]  # fmt: skip


@pytest.mark.parametrize(("there", "instead", "problem"), LISTS, ids=[f"{one[1][:40]!r}" for one in LISTS])
def test_a_wrong_list_of_instruments_says_where_and_what(there: str, instead: str, problem: str) -> None:
    """The file, the entry, the field."""
    assert len(parse_instruments(ONE, "good.toml")) == 1
    assert there in ONE
    with pytest.raises(BadInstruments, match=problem) as refused:
        parse_instruments(ONE.replace(there, instead, 1), "mine.toml")
    assert str(refused.value).startswith("mine.toml: ")
    COUNTS["lists of instruments"] += 1


def test_a_list_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    """Not there, a directory, not text."""
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for path, problem in ((tmp_path / "none.toml", "No such file"), (tmp_path, "directory"), (tmp_path / "binary.toml", "not UTF-8")):
        with pytest.raises(BadInstruments, match=problem) as refused:
            load_instruments(path)
        assert str(path) in str(refused.value)
        COUNTS["lists of instruments"] += 1
