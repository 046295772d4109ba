"""What-ifs of analysts: each is a process of its own that reads the log, nice and with a bound of memory (streams.research.what_if). One at a time.

In:     questions of people; lines of JSON of the process
Out:    progress and comparison, in memory until FINISHED_KEPT others have come
On failure: a run says why, or that its process has ended; nothing else is touched
"""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

import structlog

from edge.gateway.limits import WHAT_IF_LINE_BYTES_MAX, WHAT_IF_TIMEOUT_S, WHAT_IFS_KEPT, WHAT_IFS_WAITING_MAX
from edge.gateway.outcomes import Accepted, Cause, Unavailable
from schemas.settings import Settings

log = structlog.get_logger(__name__)

WAITING, RUNNING, DONE, FAILED, CANCELED = "WAITING", "RUNNING", "DONE", "FAILED", "CANCELED"
PROGRAM: Final = (sys.executable, "-m", "streams.research.what_if")


@dataclass
class WhatIfRun:
    """A question, and how far its answer is. Times ns."""

    run_id: str
    person: str
    question: dict[str, Any]
    asked_at: int
    state: str = WAITING
    done: int = 0
    records: int = 0
    """Of which so many are done; 0: not known yet."""
    ended_at: int = 0
    problem: str = ""
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more."""
        return self.state in (DONE, FAILED, CANCELED)


class WhatIfs:
    """All runs of this edge that it still knows."""

    def __init__(self, settings: Settings, program: Sequence[str] = PROGRAM, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._settings, self._program, self._clock_ns = settings, program, clock_ns
        self.runs: dict[str, WhatIfRun] = {}
        """By id, the oldest first."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._one = asyncio.Semaphore(1)

    def start(self, person: str, question: dict[str, Any]) -> Accepted[WhatIfRun] | Unavailable:
        """Begin, or wait for those that are before it. One run of a person at a time."""
        unfinished = [one for one in self.runs.values() if not one.is_over]
        if any(one.person == person for one in unfinished):
            return Unavailable(Cause.QUEUE_FULL, "your last what-if is not over: wait for it, or cancel it")
        if len(unfinished) > WHAT_IFS_WAITING_MAX:
            return Unavailable(Cause.QUEUE_FULL, f"{len(unfinished)} what-ifs of others are before yours: try again in some minutes")
        run = WhatIfRun(uuid4().hex, person, question, self._clock_ns())
        self.runs[run.run_id] = run
        self._forget()
        self._tasks[run.run_id] = asyncio.create_task(self._run(run), name=f"what-if-{run.run_id}")
        return Accepted(run)

    async def cancel(self, run: WhatIfRun) -> None:
        """End it, and its process with it."""
        task = self._tasks.get(run.run_id)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if not run.is_over:
            self._end(run, CANCELED)

    async def close(self) -> None:
        """End all."""
        for run in list(self.runs.values()):
            await self.cancel(run)

    def _forget(self) -> None:
        over = [one.run_id for one in self.runs.values() if one.is_over]
        for run_id in over[: max(0, len(over) - WHAT_IFS_KEPT)]:
            del self.runs[run_id]

    async def _run(self, run: WhatIfRun) -> None:
        try:
            async with self._one:
                run.state = RUNNING
                async with asyncio.timeout(WHAT_IF_TIMEOUT_S):
                    await self._hear(run)
        except TimeoutError:
            self._end(run, FAILED, f"it took longer than {WHAT_IF_TIMEOUT_S / 60:g} minutes and was ended: ask for less time")
        except OSError as error:
            self._end(run, FAILED, f"its process cannot be started: {error.strerror}")
        except asyncio.CancelledError:
            self._end(run, CANCELED)
            raise
        finally:
            self._tasks.pop(run.run_id, None)

    async def _hear(self, run: WhatIfRun) -> None:
        child = await asyncio.create_subprocess_exec(
            *self._program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=WHAT_IF_LINE_BYTES_MAX
        )
        assert child.stdin is not None
        assert child.stdout is not None
        log.info("what_if_started", run=run.run_id, person=run.person, pid=child.pid)
        try:
            asked = {"settings": self._settings.model_dump(mode="json"), "question": run.question}
            child.stdin.write(json.dumps(asked).encode() + b"\n")
            while not run.is_over and (line := await child.stdout.readline()):
                self._take(run, line)
            if not run.is_over:
                self._end(run, FAILED, f"its process ended without an answer (status {await child.wait()}): ask for less time")
        except (ValueError, KeyError, TypeError):  # no JSON, not ours, or longer than a line may be
            self._end(run, FAILED, "what its process said is no answer: ask for less time")
        finally:
            await _let_go(child)
            log.info("what_if_ended", run=run.run_id, state=run.state, status=child.returncode)

    def _take(self, run: WhatIfRun, line: bytes) -> None:
        told = json.loads(line)
        if "result" in told:
            run.result = told["result"]
            self._end(run, DONE)
        elif "failed" in told:
            self._end(run, FAILED, told["failed"])
        else:
            run.done, run.records = told["done"], told["records"]

    def _end(self, run: WhatIfRun, state: str, problem: str = "") -> None:
        run.state, run.problem, run.ended_at = state, problem, self._clock_ns()


async def _let_go(child: asyncio.subprocess.Process) -> None:
    """What has not ended by itself is killed: it writes nothing that anybody needs."""
    with suppress(ProcessLookupError):
        child.kill()
    await child.wait()
