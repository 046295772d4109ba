"""A client process of bench_fanout: thousands of WebSockets on one epoll, as lean as can be, so that the bench does not measure its clients.

Commands are JSON lines on stdin, each answered by one on stdout. Messages are counted on every socket; how old a quote is when it arrives is
looked at on one socket of SAMPLED. Slow sockets are never read after their subscription, and subscribe to everything.
"""

import heapq
import json
import os
import re
import resource
import select
import socket
import struct
import sys
import time
from datetime import datetime
from typing import Any, Final

UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING, PONG = b"\x89\x00", b"\x8a\x80" + bytes(4)
OPENING_AT_ONCE: Final = 256
SLOW_BUFFER_BYTES: Final = 4_096
"""SO_RCVBUF of a slow reader, who wants every symbol: so the server's buffer is full within a second, and not at the end of the measurement."""
PORTS_OF_ADDRESS: Final = 4_000
"""Connections from one source address: far below the 28,000 that a pair of addresses has."""
RETRY_AFTER: Final = re.compile(rb"Retry-After: (\d+)")
TIME: Final = re.compile(rb'"t":"([^"]+)"')


def text_frame(text: str) -> bytes:
    """A client's frame, masked with zeros."""
    data = text.encode()
    head = struct.pack("!BB", 0x81, 0x80 | len(data)) if len(data) < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
    return head + bytes(4) + data


def age_ms(stamp: bytes, now_ns: int) -> float:
    """Of an RFC 3339 time."""
    whole, _, part = stamp.decode().rstrip("Z").partition(".")
    seconds = int(datetime.fromisoformat(whole + "+00:00").timestamp())
    return (now_ns - seconds * 1_000_000_000 - int((part or "0").ljust(9, "0"))) / 1e6


class Clients:
    """All sockets of the process."""

    def __init__(self, first_address: int) -> None:
        self._first_address = first_address
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._opening: dict[int, bytes] = {}
        """What is still to be said, by descriptor; b"": the confirmation is waited for."""
        self._slow: set[int] = set()
        self._sampled: set[int] = set()
        self._opened = 0
        self._numbers: dict[int, int] = {}
        self._refused: list[tuple[float, int]] = []
        """(after how many seconds it may come again, number)."""
        self.messages = self.bytes = self.lost = self.refused = 0
        self.ages_ms: list[float] = []

    def open(self, count: int, to: tuple[str, int], path: str, blocks: list[list[str]], slow_every: int, sampled: int) -> float:
        """Open and subscribe so many; returns the seconds until the last one was confirmed."""
        clock = time.perf_counter
        began, first = clock(), self._opened
        waiting = [(began, first + n) for n in range(count)]
        """(when to come, number); refused ones come again."""
        self._opened += count
        upgrade = UPGRADE.format(path=path).encode()
        while waiting or self._opening:
            while waiting and len(self._opening) < OPENING_AT_ONCE and waiting[0][0] <= clock():
                _, number = heapq.heappop(waiting)
                is_slow = bool(slow_every) and number % slow_every == 0
                told = text_frame(json.dumps({"action": "subscribe", "quotes": ["*"] if is_slow else blocks[number % len(blocks)]}))
                fd = self._connect(number, to, upgrade, told, SLOW_BUFFER_BYTES if is_slow else 0)
                self._numbers[fd] = number
                if is_slow:
                    self._slow.add(fd)
                elif number % sampled == 1:
                    self._sampled.add(fd)
            self.turn(0.1 if self._opening or not waiting else min(0.1, max(0.0, waiting[0][0] - clock())))
            while self._refused:
                again_s, number = self._refused.pop()
                heapq.heappush(waiting, (clock() + again_s, number))
        return clock() - began

    def _connect(self, number: int, to: tuple[str, int], upgrade: bytes, told: bytes, buffer_bytes: int) -> int:
        place = self._first_address + number // PORTS_OF_ADDRESS
        sock = socket.socket()
        if buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        sock.bind((f"127.1.{place // 250}.{place % 250 + 1}", 0))
        sock.connect(to)
        sock.settimeout(0)
        sock.send(upgrade)
        fd = sock.fileno()
        self._sockets[fd], self._opening[fd] = sock, told
        self._epoll.register(fd, select.EPOLLIN)
        return fd

    def turn(self, timeout_s: float) -> None:
        """What has come."""
        for fd, _ in self._epoll.poll(timeout_s, 4_096):
            sock = self._sockets[fd]
            try:
                is_open = self._read_from(fd, sock)
            except ConnectionError:
                is_open = False
            if not is_open:
                self._lose(fd)

    def _read_from(self, fd: int, sock: socket.socket) -> bool:
        data = sock.recv(1 << 16)
        if data:
            self._take(fd, sock, data)
        return bool(data)

    def _take(self, fd: int, sock: socket.socket, data: bytes) -> None:
        if fd in self._opening:
            self._go_on(fd, sock, data)
        self.bytes += len(data)
        self.messages += data.count(b'"T":"q"')
        if PING in data:
            sock.send(PONG)
        if fd in self._sampled:
            now_ns = time.time_ns()
            self.ages_ms += [age_ms(stamp, now_ns) for stamp in TIME.findall(data)]

    def _go_on(self, fd: int, sock: socket.socket, data: bytes) -> None:
        told = self._opening[fd]
        if told and data.startswith(b"HTTP/1.1 503"):
            again = RETRY_AFTER.search(data)
            self._refused.append((float(again[1]) if again is not None else 1.0, self._numbers[fd]))
            self.refused += 1
            self._forget(fd)
        elif told and b"101 Switching" in data:
            sock.send(told)
            self._opening[fd] = b""
        elif not told and b'subscription"' in data:
            del self._opening[fd]
            if fd in self._slow:
                self._epoll.unregister(fd)

    def _lose(self, fd: int) -> None:
        if fd in self._opening:  # it comes again at once
            self._refused.append((0.0, self._numbers[fd]))
        else:
            self.lost += 1
        self._forget(fd)

    def _forget(self, fd: int) -> None:
        self._epoll.unregister(fd)
        self._opening.pop(fd, None)
        self._sampled.discard(fd)
        self._slow.discard(fd)
        self._sockets.pop(fd).close()

    def close(self) -> None:
        """All of them, at once."""
        for sock in self._sockets.values():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # no port stays in TIME_WAIT
            sock.close()
        self._sockets.clear()
        self._opening.clear()
        self._slow.clear()
        self._sampled.clear()
        self._epoll.close()
        self._epoll = select.epoll()

    def read(self, seconds: float, stdin: int) -> None:
        """So long, or until there is a command."""
        until, watching = time.perf_counter() + seconds, select.poll()
        watching.register(stdin, select.POLLIN)
        while time.perf_counter() < until and not watching.poll(0):
            self.turn(0.01)


def percentiles(values: list[float]) -> dict[str, float | None]:
    """p50, p99, p99.9 and the highest."""
    values.sort()
    places = {"p50": 0.5, "p99": 0.99, "p99_9": 0.999, "max": 1.0}
    return {name: round(values[min(len(values) - 1, int(len(values) * share))], 1) if values else None for name, share in places.items()}


def obey(clients: Clients, command: dict[str, Any]) -> dict[str, Any]:
    """One command's answer."""
    before, answer = time.process_time(), {}
    if command["do"] == "open":
        to = command["to"][0], command["to"][1]
        answer["seconds"] = clients.open(
            command["count"], to, command["path"], command["blocks"], command["slow_every"], command["sampled"]
        )
    elif command["do"] == "report":
        answer |= {"ages_ms": clients.ages_ms, "messages": clients.messages, "bytes": clients.bytes}
        answer |= {"lost": clients.lost, "refused": clients.refused}
        clients.ages_ms, clients.messages, clients.bytes, clients.lost, clients.refused = [], 0, 0, 0, 0
    elif command["do"] == "close":
        clients.close()
    return answer | {"cpu_s": time.process_time() - before}


def main() -> None:
    """Until stdin ends."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clients, stdin, waiting = Clients(int(sys.argv[1])), sys.stdin.fileno(), b""
    while True:
        clients.read(3_600, stdin)
        data = os.read(stdin, 1 << 20)
        if not data:
            return
        waiting += data
        while b"\n" in waiting:
            line, _, waiting = waiting.partition(b"\n")
            print(json.dumps(obey(clients, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
