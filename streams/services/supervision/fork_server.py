"""Forks roles from one process that has imported their modules already: `python -m ...fork_server FD PROGRAM [--kernels] MODULE...`.

The modules of a role (Faust, numba, the kernels) take a second of processor time to import, again for each role and each restart. Here they
are imported once, while the services start; a role is a fork of this process. It has what it shares with others in memory once, too.

In:     PROGRAM, module:function that each fork runs; FD, a SOCK_SEQPACKET socket: {"id", "argv", "niceness"} with the descriptor of a log for each role to start
Out:    the same socket: {"id", "pid"} for each fork, {"pid", "code"} for each end (negative: the number of a signal)
On failure: when the supervisor dies or closes the socket, this process ends, and the kernel kills its roles (see launch.py).

A fork is safe as long as no thread of ours holds a lock: modules are imported, kernels loaded, but nothing is connected or run here.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from dataclasses import dataclass
from importlib import import_module

from setproctitle import setproctitle

from streams.services.recipes.launch import end_with, weigh

MESSAGE_BYTES = 1 << 16
PROGRAM_TITLE = "outcry"
TITLE = "outcry fork server"


@dataclass(frozen=True)
class Request:
    """One program to start: its arguments, niceness on top of ours, and the open log."""

    id: int
    argv: list[str]
    niceness: int
    log: int


def receive(connection: socket.socket) -> Request | None:
    """The next request, None once the supervisor is gone."""
    try:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_BYTES, 1)
    except ConnectionError:
        return None
    if not message:
        return None
    wanted = json.loads(message)
    return Request(wanted["id"], wanted["argv"], wanted["niceness"], descriptors[0])


def send(connection: socket.socket, **message: int) -> None:
    """Tell the supervisor. If it is gone, `receive` finds out."""
    with contextlib.suppress(ConnectionError):
        connection.send(json.dumps(message).encode())


def serve(connection: socket.socket) -> Request | None:
    """Fork for each request. Returns twice: the request in each fork, None in this process at the end."""
    woken, wakes = os.pipe()
    for end in (woken, wakes):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # a signal without a handler wakes nobody
    while True:
        ready, _, _ = select.select([connection.fileno(), woken], [], [])
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, MESSAGE_BYTES)
            report_ended(connection)
        if connection.fileno() in ready:
            request = receive(connection)
            if request is None:
                return None
            pid = fork_for(request)
            if pid == 0:
                for descriptor in (woken, wakes):
                    os.close(descriptor)
                connection.close()
                return request
            send(connection, id=request.id, pid=pid)


def fork_for(request: Request) -> int:
    """As os.fork. The parent goes on once the fork leads its own session: a signal to its group reaches it."""
    server_pid = os.getpid()
    waits, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        end_with(server_pid, signal.SIGKILL)
        os.close(waits)
        os.close(tells)
    else:
        os.close(tells)
        os.read(waits, 1)  # the end of the file, when the fork closes its end
        os.close(waits)
        os.close(request.log)
    return pid


def report_ended(connection: socket.socket) -> None:
    """Collect every child that has ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            send(connection, pid=ended[0], code=os.waitstatus_to_exitcode(ended[1]))


def become(request: Request) -> None:
    """Give this fork the output, the weight and the name of a process that was started for the request."""
    weigh(request.niceness)
    for standard in (1, 2):
        os.dup2(request.log, standard)
    os.close(request.log)
    sys.argv = [PROGRAM_TITLE, *request.argv]
    setproctitle(" ".join(sys.argv))


def load(modules: list[str], *, kernels: bool) -> None:
    """Do once what each role would do at its start."""
    for module in modules:
        import_module(module)
    if kernels:
        import_module("matchers.warm").warm()
    gc.collect()
    gc.freeze()  # what is loaded stays: no fork has to look at it again, so its pages stay shared


def main() -> None:
    """Load, serve; in a fork: run the program."""
    connection, modules = socket.socket(fileno=int(sys.argv[1])), sys.argv[3:]
    module, _, function = sys.argv[2].partition(":")
    run = getattr(import_module(module), function)
    kernels = modules[:1] == ["--kernels"]
    load(modules[kernels:], kernels=kernels)
    setproctitle(TITLE)
    request = serve(connection)
    if request is not None:
        become(request)
        run()


if __name__ == "__main__":
    main()
