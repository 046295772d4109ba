"""TERM, INT and HUP while the demo runs: the first one stops the demo and everything that it started; the next one does so at once.

A set of the demo is bound to its process (see LocalSet), so that even kill -9 leaves nothing behind.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

from streams.services.local_set import LocalSet

NUMBERS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
UNWIND_S: Final = 3.0
"""For clients to close their connections. An interrupted demo does not wait for answers of the exchange."""


class Interrupted(KeyboardInterrupt):
    """The demo was interrupted."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number

    @property
    def exit_code(self) -> int:
        """As for a program that was ended by the signal."""
        return 128 + self.number


class Signals:
    """Signal handling: raise Interrupted in the main thread, once; after `hold`, kill the set."""

    def __init__(self, local: LocalSet) -> None:
        self._local, self._held = local, False

    def hold(self) -> None:
        """The set is being stopped. From now on a signal kills it."""
        self._held = True

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The handler."""
        name = signal.Signals(number).name
        if self._held:
            _say(f"{name}: killing what is left")
            self._local.kill()
            return
        self._held = True
        _say(f"interrupted ({name}): stopping everything that was started, without a reconciliation")
        raise Interrupted(signal.Signals(number))


def _say(text: str) -> None:
    """Write without buffers, because a handler may interrupt a print."""
    with suppress(OSError):  # a terminal that is gone
        os.write(sys.stderr.fileno(), f"{text}\n".encode())


@contextmanager
def interruptible(local: LocalSet) -> Iterator[Signals]:
    """Install the handler. A signal that this process ignores (nohup) stays ignored."""
    signals = Signals(local)
    before = {number: signal.getsignal(number) for number in NUMBERS}
    for number in [number for number, handler in before.items() if handler is not signal.SIG_IGN]:
        signal.signal(number, signals.handle)
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(work: Coroutine[Any, Any, None]) -> None:
    """asyncio.run, but when interrupted it waits UNWIND_S for its tasks and not at all for threads, which may wait for a server that is gone."""
    runner = asyncio.Runner()
    try:
        runner.run(work)
    except KeyboardInterrupt:
        loop = runner.get_loop()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks, timeout=UNWIND_S))
        raise
    except BaseException:
        runner.close()
        raise
    runner.close()


def leave(code: int) -> None:
    """End this process now, whatever its threads are waiting for."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a terminal that is gone
            stream.flush()
    os._exit(code)
