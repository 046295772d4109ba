"""The role `make-reports` on a real broker: killed while it makes days that were missed, it ends at the same files as one that was left alone."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from support.log_reader import eventually
from support.records.reported_day import SECOND, TEMPLATE, TimedLog, reported_exchange

from reports.catalogue import KINDS
from reports.report_day import ReportDay
from schemas.settings import Settings
from streams.compliance.make_day import AFTER_NS, make_day
from streams.operate.topics import create_topics
from streams.process.record_keys import record_keys
from streams.services.local_set import LocalSet
from topics.catalogue import ACCOUNT_EVENTS, EXECUTIONS
from topics.roles import HOLD_FUNDS, MATCH_ORDERS

pytestmark = pytest.mark.integration


def past_week() -> tuple[ReportDay, TimedLog]:
    """A Wednesday of the past with every event, the evening before it, and the first minutes of the Thursday."""
    today = ReportDay.of(time.time_ns()).date
    day = ReportDay(today - timedelta(days=7 + (today.weekday() - 2) % 7))
    x = reported_exchange(day)
    x.at(day.end_ns + AFTER_NS + SECOND)
    return day, x.log


def copy_to_kafka(log: TimedLog, settings: Settings) -> None:
    """With the times of appending that the records have; a broker of the exchange stamps them itself, so these topics are made first, without that."""
    admin = AdminClient({"bootstrap.servers": settings.kafka_url})
    topics = (EXECUTIONS, ACCOUNT_EVENTS)
    wanted = [
        NewTopic(topic.name, log.partitions(topic), 1, config={**topic.config(), "message.timestamp.type": "CreateTime"})
        for topic in topics
    ]
    for done in admin.create_topics(wanted, operation_timeout=30).values():
        done.result(30)
    create_topics(settings)
    producer = Producer({"bootstrap.servers": settings.kafka_url, "acks": "all"})
    keys = record_keys(settings)
    for topic, role in ((EXECUTIONS, MATCH_ORDERS), (ACCOUNT_EVENTS, HOLD_FUNDS)):
        sign = keys.signer(role.name)
        for partition in range(log.partitions(topic)):
            for record in log.parts[topic.name, partition]:
                headers = sign(topic.name, partition, record.value)
                producer.produce(
                    topic.name, record.value, partition=partition, timestamp=record.time_ns // 1_000_000, headers=headers, on_delivery=delivered
                )  # fmt: skip
    assert producer.flush(60) == 0


def delivered(error: object, message: object) -> None:
    """Each one."""
    assert error is None, error


@contextmanager
def role_running(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """As a process of its own."""
    environment = {key: value for key, value in os.environ.items() if key != "OUTCRY_KAFKA_URL"} | {
        "OUTCRY_HOME": str(settings.home),
        "OUTCRY_REPORTS_FILE": str(settings.reports_file),
    }
    with subprocess.Popen([sys.executable, "-m", "streams", "worker", "make-reports"], env=environment, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(60) in (0, -signal.SIGKILL)


def status_of(settings: Settings) -> dict[str, object]:
    """What /readyz says; empty while nobody answers."""
    try:
        port = json.loads((settings.run_dir / "make-reports.json").read_text())["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return json.loads(answer.read())
    except OSError:
        return {}


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of the days, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*-*-*/*/*")}


def test_days_that_were_missed_are_made_through_kills_and_are_the_same_as_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On real services; then one that is not over waits, and says for what."""
    monkeypatch.delenv("OUTCRY_KAFKA_URL", raising=False)
    day, log = past_week()
    reference = tmp_path / "reports.toml"
    reference.write_text(TEMPLATE)
    wanted = Settings(home=tmp_path / "wanted", reports_file=reference)
    days = ReportDay(day.date - timedelta(days=1)), day
    for one in days:
        make_day(wanted, log, one, time.time_ns())
    home = tmp_path / "exchange"
    with LocalSet(Settings(home=home, account_shards=2, book_shards=2)).running(("kafka",), ()) as running:
        settings = running.model_copy(update={"reports_file": reference})
        copy_to_kafka(log, settings)
        with role_running(settings) as process:
            eventually(lambda: list(settings.reports_folder.glob("*/cat*")), bool)
            process.kill()
        with role_running(settings):
            found = eventually(lambda: status_of(settings), lambda status: bool(status.get("waiting")))
            assert (found["status"], found["days_made"], found["not_made"]) == ("ready", 2, {})
            assert f"{ReportDay(day.date + timedelta(days=1))} is not over in the log: executions/0 has not come to" in str(
                found["waiting"]
            )
        assert {str(one) for one in days} == {path.name for path in settings.reports_folder.iterdir() if path.is_dir()}
        assert set(KINDS) == {path.name for path in (settings.reports_folder / str(day)).iterdir()}
        assert files_of(settings.reports_folder) == files_of(wanted.reports_folder)
