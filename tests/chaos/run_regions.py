"""Lose a region while it trades, let the other one take over, and account for every order: `make drill`.

    python tests/chaos/run_regions.py                                 # every fault, 10 times
    python tests/chaos/run_regions.py --tries 1 --fault woken
    python tests/chaos/run_regions.py --rate 500 --json drill.json

Two exchanges on this machine: a home that trades, and a region that copies its log and follows. Orders go to the home's log at a steady rate. Faults:

    lost     every process of the home is killed
    cut      the copier has stood still for two seconds when the home is killed: what it did not bring is lost
    woken    every process of the home is frozen, the other region takes over, and the home wakes up: its shards must end
    planned  the home stops in order first: nothing may be lost

After each take-over: orders go to the other region, `outcry verify` passes there, and every order that the home's log had acknowledged is in the log of the
other region or on the list of `outcry region compare`. RTO: from the fault to the first execution of an order that was sent to the other region. RPO: records of the
home's log that the other one has not. Exit status: 0 only if everything holds. One JSON line per try, and one for each kind of fault.
"""

import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import click
import psutil

from schemas.codec import BadBytes, decode_frame
from schemas.enums import AccountEventKind, Phase, Side, TimeInForce
from schemas.errors import OutcryError
from schemas.instruments import load_instruments
from schemas.settings import Settings, load_settings
from schemas.units import MINOR_PER_UNIT
from streams.host.read_log import Log
from streams.operate.accounts import Opening, open_accounts
from streams.operate.command_books import change_session
from streams.operate.shard_places import workers_here
from streams.process.record_keys import record_keys
from streams.regions.commands import take_keys
from streams.regions.parting import Report, compare
from streams.regions.take_over import FOLLOWERS, TakeOver, ends_of, require_complete
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose
from topics import OrderProducer
from topics.catalogue import ACCOUNT_COMMANDS, ACCOUNT_EVENTS
from topics.producer import DeliveryFailed
from topics.roles import COPY_LOG
from topics.speakers import PRODUCER

FAULTS: Final = ("lost", "cut", "woken", "planned")
ROLES: Final = tuple(role.name for role in FOLLOWERS)
WARM_S: Final = 4.0
CUT_S: Final = 2.0
STEP_TIMEOUT_S: Final = 120.0
ENDED_WITHIN_S: Final = 30.0
"""A woken home asks the other region each second; on a busy machine it is late."""


@dataclass
class Orders:
    """A thread that sends one order at a time to a region, each an immediate-or-cancel that nobody meets, and knows which are in its log."""

    settings: Settings
    rate: float
    acknowledged: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """No order is on its way afterwards."""
        self.stopping.set()
        self.thread.join()

    def _run(self) -> None:
        instruments, run = load_instruments(self.settings.instruments_file), secrets.token_hex(3)
        one = instruments.by_number[min(instruments.by_number)]
        sign = record_keys(self.settings).signer(PRODUCER)
        price = one.price_text(one.price_to_ticks(one.reference_price))
        with suppress(DeliveryFailed), OrderProducer(self.settings.kafka_url, instruments, sign=sign, delivery_timeout_s=2) as producer:
            while not self.stopping.wait(1 / self.rate):
                cl_ord_id = f"{run}-{len(self.acknowledged)}"
                producer.new_order(account=1, cl_ord_id=cl_ord_id, symbol=one.symbol, side=Side.BUY, order_qty=1, price=price, time_in_force=TimeInForce.IOC)  # fmt: skip
                producer.flush(2)
                self.acknowledged.append(cl_ord_id)


class Drill:
    """One try: two regions, a fault, a take-over, the account."""

    def __init__(self, folder: Path, rate: float) -> None:
        self.rate = rate
        homes = {name: folder / name for name in ("home", "away")}
        addresses = {name: f"127.0.0.1:{choose(home / 'data', ['kafka.client'])['kafka.client']}" for name, home in homes.items()}
        given = load_settings()
        self.home = LocalSet(given.model_copy(update={"home": homes["home"], "copied_to": addresses["away"]}), bound=True)
        self.away = LocalSet(given.model_copy(update={"home": homes["away"], "copies_from": addresses["home"], "region": 2}), bound=True)

    def run(self, fault: str) -> dict[str, Any]:
        """What happened; `problems` is empty if everything holds."""
        try:
            self.home.start(("kafka",), ROLES)
            there = self.home.connected_settings()
            take_keys(self.away.settings, there.record_keys_dir)
            self.away.start(("kafka",), (*ROLES, COPY_LOG.name))
            here = self.away.connected_settings()
            change_session(there, Phase.CONTINUOUS)
            open_accounts(there, [Opening(1, 1_000_000_000 * MINOR_PER_UNIT, {})])
            return self._trade_and_lose(fault, there, here)
        finally:
            self._wake(self._home_processes())
            self.home.stop()
            self.away.stop()

    def _trade_and_lose(self, fault: str, there: Settings, here: Settings) -> dict[str, Any]:
        orders = Orders(there, self.rate)
        time.sleep(WARM_S)
        frozen: list[psutil.Process] = []
        if fault == "cut":
            self._signal_copier(signal.SIGSTOP)
            time.sleep(CUT_S)
        began_s = time.monotonic()
        if fault == "planned":
            orders.stop()
            for role in ROLES:
                self.home.drop(role)
            _until(lambda: _complete(here, there.kafka_url), "the copy has everything")
        elif fault == "woken":
            frozen = self._home_processes()
            for process in frozen:
                with suppress(psutil.NoSuchProcess):
                    process.suspend()
        else:
            self.home.kill()
        self._take_over(here)
        after = Orders(here, self.rate)
        first_s = self._first_execution(here, after) - began_s
        orders.stop()
        problems = self._woken(frozen) if fault == "woken" else []
        time.sleep(1)
        after.stop()
        report = self._compare(fault, here, there)
        problems += self._problems(here, report, orders, after)
        if fault == "planned" and report.lost:
            problems.append(f"{report.lost} records are lost though the home stopped in order")
        return {
            "fault": fault, "rto_s": round(first_s, 2), "rpo_records": report.lost, "orders": len(orders.acknowledged), "orders_unknown": len(report.orders),
            "orders_after": len(after.acknowledged), "problems": problems,
        }  # fmt: skip

    def _take_over(self, here: Settings) -> None:
        """As `outcry region take-over --abandon` does it."""
        self.away.drop(COPY_LOG.name)
        addresses = {role.name: workers_here(here.run_dir, role) for role in FOLLOWERS}
        TakeOver(here, addresses, STEP_TIMEOUT_S, lambda _: None).run()

    def _first_execution(self, here: Settings, after: Orders) -> float:
        """When an order that was sent to the other region was first answered there, monotonic."""
        _until(lambda: bool(after.acknowledged), "an order is in the log of the other region")
        wanted = after.acknowledged[0]
        _until(lambda: wanted in _canceled(here), f"order {wanted} is executed in the other region")
        return time.monotonic()

    def _woken(self, frozen: list[psutil.Process]) -> list[str]:
        """The home's shards end, and say why, also when the supervisor starts them again."""
        self._wake(frozen)
        logs = [self.home.settings.log_dir / f"{role}.log" for role in ROLES]
        try:
            _until(lambda: all("has taken over" in log.read_text() for log in logs), "the woken home's shards end", ENDED_WITHIN_S)
        except OutcryError as error:
            return [str(error)]
        return []

    def _compare(self, fault: str, here: Settings, there: Settings) -> Report:
        """The home's Kafka alone answers again."""
        self.home.stop()
        self.home.start(("kafka",))
        with Log(here) as ours, Log(self.home.connected_settings()) as theirs:
            return compare(ours, theirs, sorted(ends_of(here)))

    def _problems(self, here: Settings, report: Report, orders: Orders, after: Orders) -> list[str]:
        known = _in_log(here)
        listed = {one.cl_ord_id for one in report.orders}
        lost = [one for one in orders.acknowledged if one not in known and one not in listed]
        both = [one.cl_ord_id for one in report.orders if one.cl_ord_id in known and not one.sent_again]
        silent = set(after.acknowledged) - known
        done = subprocess.run(
            [sys.executable, "-m", "streams", "verify"], env=os.environ | {"OUTCRY_HOME": str(self.away.settings.home)}, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        found = {
            f"{len(lost)} acknowledged orders are neither in the log nor on the list, the first: {lost[:1]}": bool(lost),
            f"orders are in the log and on the list: {both[:3]}": bool(both),
            f"{len(silent)} orders of the other region are not in its log": bool(silent),
            f"`outcry verify`: {(done.stdout + done.stderr)[-500:]}": done.returncode != 0,
            "no order was acknowledged": not orders.acknowledged,
        }
        return [text for text, is_wrong in found.items() if is_wrong]

    def _signal_copier(self, number: int) -> None:
        status = self.away.status()
        assert status is not None
        pid = next(child.pid for child in status.children if child.name == COPY_LOG.name)
        assert pid is not None
        os.kill(pid, number)

    def _home_processes(self) -> list[psutil.Process]:
        """The supervisor of the home and everything below it."""
        pid = self.home.running_pid()
        if not pid:
            return []
        with suppress(psutil.NoSuchProcess):
            top = psutil.Process(pid)
            return [top, *top.children(recursive=True)]
        return []

    @staticmethod
    def _wake(processes: Iterable[psutil.Process]) -> None:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _until(holds: Any, what: str, timeout_s: float = STEP_TIMEOUT_S) -> None:
    """Raises OutcryError where it does not come about."""
    deadline_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline_s:
            raise OutcryError(f"not within {timeout_s:g} s: {what}")
        time.sleep(0.05)


def _complete(here: Settings, other: str) -> bool:
    try:
        require_complete(here, other)
    except OutcryError:
        return False
    return True


def _rows(settings: Settings, topic: Any, schema: str) -> Iterable[Any]:
    with Log(settings) as log:
        for partition in range(log.partitions(topic)):
            bounds = log.bounds(topic.name, partition)
            assert bounds is not None
            for record in log.records(topic.name, partition, bounds.low, bounds.high):
                with suppress(BadBytes):
                    yield decode_frame(record.value or b"", schema)


def _in_log(settings: Settings) -> set[str]:
    """cl_ord_ids of the commands of a region."""
    return {name.decode() for frame in _rows(settings, ACCOUNT_COMMANDS, "order_command_frame") for name in frame.cl_ord_id.tolist()}


def _canceled(settings: Settings) -> set[str]:
    """cl_ord_ids of orders that a region's books have answered: each is an immediate-or-cancel that nobody meets."""
    return {
        name.decode()
        for frame in _rows(settings, ACCOUNT_EVENTS, "account_event_frame")
        for name, kind in zip(frame.cl_ord_id.tolist(), frame.rows["kind"].tolist(), strict=True)
        if kind == AccountEventKind.CANCELED
    }


def summary(fault: str, tries: list[dict[str, Any]]) -> dict[str, Any]:
    """Of one kind of fault."""
    rto, rpo = [one["rto_s"] for one in tries], [one["rpo_records"] for one in tries]
    return {
        "fault": fault, "tries": len(tries), "rto_s_median": statistics.median(rto), "rto_s_max": max(rto), "rpo_records_median": statistics.median(rpo),
        "rpo_records_max": max(rpo), "orders_unknown_max": max(one["orders_unknown"] for one in tries), "failed": sum(bool(one["problems"]) for one in tries),
    }  # fmt: skip


@click.command(help=__doc__.replace("\n\n", "\n\n\b\n"))
@click.option("--fault", "faults", multiple=True, type=click.Choice(FAULTS), help="Only this one; may be repeated.")
@click.option("--tries", default=10, show_default=True, type=click.IntRange(1), help="Of each fault.")
@click.option("--rate", default=200.0, show_default=True, type=click.FloatRange(1), help="Orders a second.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Append the lines to this file too.")
def main(faults: tuple[str, ...], tries: int, rate: float, json_file: Path | None) -> None:
    """See the head of this file."""
    failed = False

    def tell(found: dict[str, Any]) -> None:
        line = json.dumps(found)
        print(line, flush=True)
        if json_file is not None:
            with json_file.open("a") as file:
                file.write(line + "\n")

    for fault in faults or FAULTS:
        done = []
        for _ in range(tries):
            with TemporaryDirectory(prefix="outcry-drill-") as folder:
                done.append(Drill(Path(folder), rate).run(fault))
            tell(done[-1])
            failed |= bool(done[-1]["problems"])
        tell(summary(fault, done))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
