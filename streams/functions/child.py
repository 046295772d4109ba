"""The process of one function: `python child.py FILE HANDLER MEMORY_MB IN OUT`. It imports nothing of ours, and gives up its rights before it loads FILE.

Requests and answers are JSON behind a length of four bytes, on the descriptors IN and OUT. What the handler prints goes to standard error.

Limits: memory, files, and by a system call filter (seccomp) no sockets, no processes, no signals, no files opened for writing. A machine without the
filter runs no functions. A file that the user of the role can read can be read here: deploy code that you trust.
"""

import ctypes
import importlib.util
import json
import os
import platform
import random
import resource
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ANSWER_BYTES_MAX = 6 << 20
STATE_BYTES_MAX = 1 << 20

_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_THREAD = 0x00010000
_DENIED = {
    "x86_64": (
        41, 42, 49, 53, 57, 58, 59, 62, 76, 82, 83, 84, 85, 86, 87, 88, 90, 92, 101, 129, 133, 165, 200, 234, 258, 259, 260, 263, 264, 265, 266, 268, 272,
        297, 308, 311, 316, 321, 322, 424, 425, 434, 437,
    ),
    "aarch64": (
        33, 34, 35, 36, 37, 38, 40, 45, 53, 54, 97, 117, 129, 130, 131, 138, 198, 199, 200, 203, 221, 240, 268, 271, 276, 280, 281, 424, 425, 434, 437,
    ),
}  # fmt: skip
"""socket, socketpair, bind, connect; fork, vfork, exec; kill and its kin; whatever changes names, owners, namespaces; ptrace, bpf, io_uring, openat2."""
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OPEN = {"x86_64": ((2, 24), (257, 32)), "aarch64": ((56, 32),)}
"""open and openat with the place of their flags."""
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435


class _Filter(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filters", ctypes.POINTER(_Filter)))


def _program(machine: str) -> list[tuple[int, int, int, int]]:
    """The filter: (code, jump if true, jump if false, value) of classic BPF over struct seccomp_data."""
    load, equal, any_bit, end = 0x20, 0x15, 0x45, 0x06
    steps = [(load, 0, 0, 4), (equal, 1, 0, _ARCHITECTURE[machine]), (end, 0, 0, _KILL), (load, 0, 0, 0)]
    for number in _DENIED[machine]:
        steps += [(equal, 0, 1, number), (end, 0, 0, _ERRNO | _EPERM)]
    steps += [(equal, 0, 1, _CLONE3), (end, 0, 0, _ERRNO | _ENOSYS)]
    for number, place in _OPEN[machine]:
        steps += [(equal, 0, 4, number), (load, 0, 0, place), (any_bit, 0, 1, _WRITES), (end, 0, 0, _ERRNO | _EPERM), (end, 0, 0, _ALLOW)]
    steps += [(equal, 0, 4, _CLONE[machine]), (load, 0, 0, 16), (any_bit, 1, 0, _THREAD), (end, 0, 0, _ERRNO | _EPERM), (end, 0, 0, _ALLOW)]
    return [*steps, (end, 0, 0, _ALLOW)]


def give_up_rights(memory_mb: int) -> None:
    """For good. Raises OSError where the machine cannot."""
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _DENIED:
        raise OSError(f"functions run on Linux with seccomp, on x86_64 and aarch64; this is {sys.platform} on {machine}")
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 20, 16 << 20))
    library = ctypes.CDLL(None, use_errno=True)
    steps = _program(machine)
    filters = (_Filter * len(steps))(*[_Filter(*step) for step in steps])
    program = _Program(len(steps), filters)
    if library.prctl(38, 1, 0, 0, 0) or library.prctl(22, 2, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "this machine does not take a system call filter (seccomp)")


class Context:
    """As AWS Lambda's, with what makes a run repeatable: log_time_ns, random, and state, which is kept between batches."""

    def __init__(self, given: dict[str, Any], memory_mb: int) -> None:
        self.function_name, self.function_version = given["function_name"], given["function_version"]
        self.invoked_function_arn = f"outcry:function:{self.function_name}"
        self.memory_limit_in_mb = memory_mb
        self.aws_request_id = given["request_id"]
        self.log_time_ns = given["log_time_ns"]
        self.state = given["state"]
        self.random = random.Random(given["request_id"])  # noqa: S311  seeded, so that a replay draws the same
        self._until = time.monotonic() + given["timeout_s"]

    def get_remaining_time_in_millis(self) -> int:
        """Until the process is killed."""
        return max(0, int((self._until - time.monotonic()) * 1_000))


def answer_of(handler: Callable[[Any, Context], Any], request: dict[str, Any], memory_mb: int) -> bytes | dict[str, str]:
    """What goes back; of a handler that fails, why."""
    try:
        context = Context(request["context"], memory_mb)
        result = handler(request["event"], context)
        state = json.dumps(context.state)
        if len(state) > STATE_BYTES_MAX:
            return {"error": f"the state has {len(state):,} bytes, more than {STATE_BYTES_MAX:,}"}
        answer = json.dumps({"result": result, "state": context.state}).encode()
        return (
            answer
            if len(answer) <= ANSWER_BYTES_MAX
            else {"error": f"the result has {len(answer):,} bytes, more than {ANSWER_BYTES_MAX:,}"}
        )
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:2_000]}


def _read(handle: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = os.read(handle, min(size - len(data), 1 << 20))
        if not part:
            os._exit(0)
        data += part
    return data


def _write(handle: int, answer: bytes | dict[str, Any]) -> None:
    data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    data = struct.pack(">I", len(data)) + data
    while data:
        data = data[os.write(handle, data) :]


def _load(path: Path, name: str) -> Callable[[Any, Context], Any]:
    sys.path[0] = str(path.parent)
    spec = importlib.util.spec_from_file_location("function", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Any, Context], Any] = getattr(module, name)
    if not callable(found):
        raise TypeError(f"{name} is not a function")
    return found


def main(path: Path, name: str, memory_mb: int, given: int, taken: int) -> None:
    """Load, say so, then answer until the other side is gone."""
    os.dup2(2, 1)
    try:
        give_up_rights(memory_mb)
        handler = _load(path, name)
    except BaseException as error:
        _write(taken, {"error": f"{type(error).__name__}: {error}"[:2_000]})
        return
    _write(taken, {"ready": True})
    while True:
        (size,) = struct.unpack(">I", _read(given, 4))
        request = json.loads(_read(given, size))
        _write(taken, answer_of(handler, request, memory_mb))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
