"""A function's process: started, asked with a time limit, killed where it does not answer."""

import json
import os
import select
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from streams.functions.deployed import Function

CHILD: Final = Path(__file__).with_name("child.py")
START_TIMEOUT_S: Final = 30.0
LOG_BYTES_MAX: Final = 4 << 20
"""A function's log is begun anew behind it, at a start."""
ANSWER_BYTES_MAX: Final = 8 << 20


class FunctionFailed(Exception):
    """The handler raised, took too long, died or answered rubbish; the message says which."""


class FunctionProcess:
    """Not for several threads at once. Raises FunctionFailed where the handler cannot be loaded."""

    def __init__(self, function: Function, log_dir: Path) -> None:
        self._function = function
        given, self._given = os.pipe()
        self._taken, taken = os.pipe()
        log_dir.mkdir(parents=True, exist_ok=True)
        log_file = log_dir / f"function-{function.name}.log"
        mode = "wb" if log_file.exists() and log_file.stat().st_size > LOG_BYTES_MAX else "ab"
        environment = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", **function.settings.environment}
        arguments = [str(function.source), function.function, str(function.settings.memory_mb), str(given), str(taken)]
        with log_file.open(mode) as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own argument vector, no shell
                [sys.executable, "-s", str(CHILD), *arguments], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment,
                cwd=function.source.parent, pass_fds=(given, taken), start_new_session=True,
            )  # fmt: skip
        os.close(given)
        os.close(taken)
        answer = self._answer(START_TIMEOUT_S)
        if "error" in answer:
            self.stop()
            raise FunctionFailed(f"cannot be loaded: {answer['error']}")

    def invoke(self, event: dict[str, Any], context: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """What the handler returns, and the state behind it. Raises FunctionFailed; the process may be dead then."""
        data = json.dumps({"event": event, "context": context}).encode()
        timeout_s = self._function.settings.timeout_s
        try:
            self._send(struct.pack(">I", len(data)) + data, timeout_s)
        except OSError as error:
            self.stop()
            raise FunctionFailed(f"its process does not take the batch: {error}") from error
        answer = self._answer(timeout_s)
        if "error" in answer:
            raise FunctionFailed(str(answer["error"]))
        state = answer.get("state")
        if not isinstance(state, dict):
            raise FunctionFailed("context.state is not an object any more")
        return answer.get("result"), state

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        for handle in (self._given, self._taken):
            if handle >= 0:
                os.close(handle)
        self._given = self._taken = -1

    def _send(self, data: bytes, timeout_s: float) -> None:
        os.set_blocking(self._given, False)
        deadline = time.monotonic() + timeout_s
        view = memoryview(data)
        while view:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([], [self._given], [], left_s)[1]:
                raise OSError("it reads nothing")
            view = view[os.write(self._given, view) :]

    def _answer(self, timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        (size,) = struct.unpack(">I", self._read(4, deadline, timeout_s))
        if size > ANSWER_BYTES_MAX:
            self.stop()
            raise FunctionFailed("its process answers rubbish")
        try:
            found = json.loads(self._read(size, deadline, timeout_s))
        except ValueError:
            found = None
        if not isinstance(found, dict):
            self.stop()
            raise FunctionFailed("its process answers rubbish")
        return found

    def _read(self, size: int, deadline: float, timeout_s: float) -> bytes:
        data = b""
        while len(data) < size:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._taken], [], [], left_s)[0]:
                self.stop()
                raise FunctionFailed(f"took more than {timeout_s:g} s and was killed")
            part = os.read(self._taken, min(size - len(data), 1 << 20))
            if not part:
                self._process.wait()
                code = self._process.returncode
                self.stop()
                raise FunctionFailed(f"its process died ({'signal' if code < 0 else 'exit code'} {abs(code)})")
            data += part
        return data
