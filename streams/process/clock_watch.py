"""Compare this machine's clock with a reference while a process runs, and keep what was found: its drift log.

In:     the kernel's record of its time service (adjtimex), or a server of the Network Time Protocol that OUTCRY_CLOCK_REFERENCE names
Out:    OUTCRY_HOME/data/clocks/PROCESS/DAY.ndjson, a line at the start, every RECORD_EVERY_S, and when something becomes wrong or right; metrics; log lines
State:  none
On failure: a reference that does not answer, or a full disk, is told in the log. The process does not wait for any of it, and nothing is stopped
"""

import ctypes
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import ntplib
import structlog
from prometheus_client import Gauge

from schemas.clock_record import ClockRecord, trouble_of
from schemas.settings import Settings
from schemas.units import NANOS_PER_SECOND

log = structlog.get_logger("outcry.streams")

FIRST_AFTER_S: Final = 3.0
"""By then the process has set up its log."""
LOOK_EVERY_S: Final = 60.0
RECORD_EVERY_S: Final = 600.0
"""144 lines a day of about 200 bytes for each process."""
ANSWER_S: Final = 2.0
NTP_PORT: Final = 123
KERNEL: Final = "kernel"
OFFSET: Final = Gauge("outcry_clock_offset_seconds", "how far this machine's clock is ahead of its reference")
ERROR: Final = Gauge("outcry_clock_error_seconds", "by how much outcry_clock_offset_seconds may be wrong")
WRONG: Final = Gauge("outcry_clock_wrong", "1 if this machine's clock is not kept, or may be farther off than is allowed")

_STA_UNSYNC, _STA_NANO = 0x0040, 0x2000
_TIME_ERROR: Final = 5
_MICRO_NS: Final = 1_000


class _Timex(ctypes.Structure):
    """struct timex of Linux, <sys/timex.h>. The end of it is room that the kernel keeps."""

    _fields_ = (
        ("modes", ctypes.c_uint), ("offset", ctypes.c_long), ("freq", ctypes.c_long), ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long),
        ("status", ctypes.c_int), ("constant", ctypes.c_long), ("precision", ctypes.c_long), ("tolerance", ctypes.c_long),
        ("seconds", ctypes.c_long), ("part", ctypes.c_long), ("rest", ctypes.c_byte * 160),
    )  # fmt: skip


Seen = tuple[int, int, bool]
"""offset_ns, error_ns, is_synchronised: see ClockRecord."""


def seen_by_kernel() -> Seen:
    """What the time service of this machine has told the kernel. Raises OSError."""
    found = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, "the kernel does not say how its clock is kept (adjtimex)")
    ahead_ns = -found.offset * (1 if found.status & _STA_NANO else _MICRO_NS)  # the kernel's is what it still has to add
    return ahead_ns, found.maxerror * _MICRO_NS, state != _TIME_ERROR and not found.status & _STA_UNSYNC


def seen_by_server(address: str) -> Seen:
    """What a server says. address: HOST or HOST:PORT. Raises OSError or ntplib.NTPException."""
    host, _, port = address.rpartition(":") if address.count(":") == 1 else (address, "", "")
    answer = ntplib.NTPClient().request(host, version=4, port=int(port or NTP_PORT), timeout=ANSWER_S)
    error_s = answer.delay / 2 + answer.root_delay / 2 + answer.root_dispersion  # RFC 5905: the root distance
    is_kept = answer.leap != 3 and 0 < answer.stratum < 16
    return round(-answer.offset * NANOS_PER_SECOND), max(round(error_s * NANOS_PER_SECOND), 0), is_kept


class ClockWatch:
    """Looks at the clock again and again in a thread of its own. `last` is what it saw."""

    def __init__(self, settings: Settings, process: str, now_ns: Callable[[], int] = time.time_ns) -> None:
        """process: its name, as in `outcry status`."""
        self._settings, self._process, self._now_ns = settings, process, now_ns
        self._stop = threading.Event()
        self._recorded_ns = 0
        self.last: ClockRecord | None = None

    def start(self) -> None:
        """The thread ends with the process, or with `stop`."""
        threading.Thread(target=self._run, name="clock-watch", daemon=True).start()

    def stop(self) -> None:
        """End after the look that goes on."""
        self._stop.set()

    def _run(self) -> None:
        pause_s = FIRST_AFTER_S
        while not self._stop.wait(pause_s):
            self.look()
            pause_s = LOOK_EVERY_S

    def look(self) -> ClockRecord:
        """Compare once, and record it if it is time or something has changed."""
        found, before = self._compare(), self.last
        self.last = found
        OFFSET.set(found.offset_ns / NANOS_PER_SECOND)
        ERROR.set(found.error_ns / NANOS_PER_SECOND)
        WRONG.set(bool(found.trouble))
        if bool(found.trouble) != bool(before and before.trouble):
            if found.trouble:
                log.warning("clock is wrong", detail=found.trouble)
            else:
                log.info("clock is right again", reference=found.reference)
        is_due = found.time_ns - self._recorded_ns >= RECORD_EVERY_S * NANOS_PER_SECOND or found.time_ns < self._recorded_ns
        if before is None or is_due or bool(before.trouble) != bool(found.trouble):
            self._record(found)
        return found

    def _compare(self) -> ClockRecord:
        reference = self._settings.clock_reference or KERNEL
        allowed_ns = self._settings.clock_offset_max_us * _MICRO_NS
        try:
            offset_ns, error_ns, is_kept = seen_by_kernel() if reference == KERNEL else seen_by_server(reference)
        except (OSError, ntplib.NTPException) as error:
            offset_ns, error_ns, is_kept, trouble = 0, 0, False, f"{reference} does not answer: {error}"
        else:
            trouble = trouble_of(offset_ns, error_ns, reference, allowed_ns, is_synchronised=is_kept)
        return ClockRecord(self._now_ns(), socket.gethostname(), self._process, reference, offset_ns, error_ns, is_kept, trouble)

    def _record(self, found: ClockRecord) -> None:
        day = datetime.fromtimestamp(found.time_ns // NANOS_PER_SECOND, UTC).date()
        path = self._settings.clocks_folder / self._process / f"{day}.ndjson"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:  # one write of one line
                file.write(found.line())
        except OSError as error:
            log.warning("clock is not recorded", detail=str(error))
            return
        self._recorded_ns = found.time_ns
