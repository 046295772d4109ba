"""A broker loses the end of a log that was read: the shard says so and stops, `outcry recover` closes the gap, and the exchange goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from support.log_reader import eventually, read_partition

from schemas.codec import decode_frame
from schemas.enums import AccountEventKind, Phase, Side, TimeInForce
from schemas.instruments import load_instruments
from schemas.settings import Settings
from schemas.units import MINOR_PER_UNIT
from streams.host.read_log import Log
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.process.last_words import NEEDS_A_PERSON
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from topics import OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS
from topics.speakers import PRODUCER

pytestmark = pytest.mark.integration
INSTRUMENTS = load_instruments(None)
ROLES = ("hold-funds", "match-orders")
CUT_BYTES = 700
"""As a disk would: in the middle of a record."""


def order(settings: Settings, cl_ord_id: str) -> None:
    """One that is taken and does not trade."""
    one = INSTRUMENTS.by_number[1]
    price = one.price_text(one.price_to_ticks(one.reference_price))
    with OrderProducer(settings.kafka_url, INSTRUMENTS, sign=record_keys(settings).signer(PRODUCER)) as producer:
        producer.new_order(account=1, cl_ord_id=cl_ord_id, symbol=one.symbol, side=Side.BUY, order_qty=1, price=price,
                           time_in_force=TimeInForce.IOC)  # fmt: skip


def canceled(settings: Settings) -> list[str]:
    """What became of them, by account.events: the book has answered and the account shard has released the hold."""
    found = []
    for record in read_partition(settings, ACCOUNT_EVENTS, 0):
        frame = decode_frame(record.value)
        found += [
            text.decode() for text, kind in zip(frame.cl_ord_id, frame.rows["kind"], strict=True) if kind == AccountEventKind.CANCELED
        ]
    return found


def behind(settings: Settings) -> int:
    """Records of account.commands that are behind no snapshot yet."""
    consumer = Consumer({"bootstrap.servers": settings.kafka_url, "group.id": "outcry-hold-funds", "enable.auto.commit": False})
    try:
        (found,) = consumer.committed([TopicPartition(ACCOUNT_COMMANDS.name, 0)], timeout=60)
    finally:
        consumer.close()
    with Log(settings) as log:
        return log.bounds(ACCOUNT_COMMANDS.name, 0).high - max(found.offset, 0)


def cut(home: Path) -> None:
    """The last bytes are gone, and the broker was not stopped cleanly: it looks through its log when it starts."""
    (folder,) = [one for one in home.rglob(f"{ACCOUNT_COMMANDS.name}-0") if one.is_dir()]
    segment = max(folder.glob("*.log"))
    os.truncate(segment, segment.stat().st_size - CUT_BYTES)
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint"):
        (folder.parent / name).unlink(missing_ok=True)


def outcry(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    environment = {**os.environ, "OUTCRY_HOME": str(home)}
    environment.pop("OUTCRY_KAFKA_URL", None)
    return subprocess.run(
        [sys.executable, "-m", "streams", *arguments], env=environment, capture_output=True, text=True, timeout=180, check=False
    )


def test_a_log_that_lost_its_end_stops_its_shard_and_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to be ready, and no order was decided any more."""
    monkeypatch.delenv("OUTCRY_KAFKA_URL", raising=False)
    local = LocalSet(Settings(home=tmp_path))
    with local.running(("kafka",), ROLES) as settings:
        change_session(settings, Phase.CONTINUOUS)
        open_accounts(settings, [Opening(1, 1_000_000 * MINOR_PER_UNIT, {})])
        for number in range(5):
            order(settings, f"before-{number}")
        eventually(lambda: canceled(settings), lambda found: len(found) == 5)
        eventually(lambda: behind(settings), lambda records: records == 0)
    cut(tmp_path)
    with local.running(("kafka",), ()):
        stopped = outcry(tmp_path, "worker", "hold-funds")
        assert stopped.returncode == NEEDS_A_PERSON
        assert "but hold-funds has come to" in stopped.stdout + stopped.stderr
        assert "the log has lost its end" in stopped.stdout + stopped.stderr
        told = outcry(tmp_path, "recover")
        assert (told.returncode, "account.commands/0 ends at" in told.stdout) == (1, True), told.stderr
        mended = outcry(tmp_path, "recover", "--yes")
        assert mended.returncode == 0, mended.stderr
        assert outcry(tmp_path, "recover").stdout.strip() == "no partition has lost its end"
    with local.running(("kafka",), ROLES) as settings:
        order(settings, "after")
        eventually(lambda: canceled(settings), lambda found: found[-1] == "after")
        eventually(lambda: behind(settings), lambda records: records == 0)
        assert outcry(tmp_path, "verify", "--role", "account", "--from", "snapshot", "--quiet").returncode == 0
        audited = outcry(tmp_path, "audit", "money", "--log-only", "--quiet")
        assert audited.returncode == 0, audited.stdout
        refused = outcry(tmp_path, "verify", "--role", "account", "--quiet")
        assert (refused.returncode, "account.commands/0 has lost its inputs" in refused.stderr) == (1, True)
