"""Record on access.events what is done by a command line, before it is done: by which user of which machine, with which options.

No option of our commands is a secret: passwords come from standard input. On failure: ServiceUnavailable, and nothing is done.
"""

import getpass
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, Final

import click

from access.events import AccessEvent, Act
from schemas.codec import BadBytes, decode_record, encode_record
from schemas.settings import Settings
from streams.__main__ import settings_of
from streams.host.operators_records import append_records
from streams.host.read_log import Log
from topics.catalogue import ACCESS_EVENTS

CHARACTERS_MAX: Final = 2_000


def record_command(ctx: click.Context) -> None:
    """Record the command that is about to be done. Raises ServiceUnavailable."""
    given = {name: value for name, value in ctx.params.items() if value not in (None, (), False)}
    record_act(settings_of(ctx), f"{ctx.command_path} {json.dumps(given, default=str, sort_keys=True)}"[:CHARACTERS_MAX])


def record_act(settings: Settings, what: str) -> int:
    """Record what is about to be done, in at most CHARACTERS_MAX characters; the record's offset. Raises ServiceUnavailable."""
    return _append(settings, AccessEvent(time.time_ns(), Act.ACTED, "", f"{getpass.getuser()}@{socket.gethostname()}", what))


def newest_events(settings: Settings, count: int) -> Iterator[dict[str, Any]]:
    """The newest records of access.events, oldest first; those that an edge or an operator has not written are left out. Raises ServiceUnavailable, OutcryError."""
    with Log(settings) as log:
        log.partitions(ACCESS_EVENTS)
        bounds = log.bounds(ACCESS_EVENTS.name, 0)
        for record in log.records(ACCESS_EVENTS.name, 0, max(bounds.low, bounds.high - count), bounds.high) if bounds else ():
            try:
                record.proof.require()
                name, event = decode_record(record.value or b"")
            except BadBytes:
                continue
            if name == "access_event":
                yield event


def _append(settings: Settings, event: AccessEvent) -> int:
    return append_records(settings, ACCESS_EVENTS, [encode_record("access_event", asdict(event))], "nothing was done")[0]
