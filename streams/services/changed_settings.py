"""The settings that the running set was started with, and which current ones differ: a running process does not see changes."""

import hashlib
import os

from schemas.settings import PREFIX, Settings

_OF_ONE_PROCESS = (
    "home",
    "cache",
    "edge_url",
    "mysql_servers_file",
    "worker_host",
    "worker_port",
    "worker_replica",
    "worker_instance",
    "edge_instance",
)
"""Where the set is, or which part of it a process is: told on a command line, or found in its files."""
_WITH_PASSWORD = ("copies_mysql_from",)
"""Told as a digest."""
_ADDRESSES = ("kafka_url", "mysql_url", "redis_url", "cache_url", "elasticsearch_url")


def described(settings: Settings) -> dict[str, str]:
    """Every setting that the processes use, as text. Of an address only a digest, and only of what the environment names."""
    texts = {name: _text(name, getattr(settings, name)) for name in Settings.model_fields if name not in (*_OF_ONE_PROCESS, *_ADDRESSES)}
    return texts | {name: _digest(os.environ.get(PREFIX + name.upper(), "")) for name in _ADDRESSES}


def changed(settings: Settings, running: dict[str, str]) -> list[str]:
    """A sentence for each setting that is given now (not left to its default) and differs from that of the running set."""
    given = {name for name in settings.model_fields_set if name not in _ADDRESSES}
    given |= {name for name in _ADDRESSES if os.environ.get(PREFIX + name.upper())}
    now = described(settings)
    differing = [name for name in now if name in given and name in running and now[name] != running[name]]
    return [_sentence(name, now[name], running[name]) for name in differing]


def _sentence(name: str, now: str, before: str) -> str:
    variable = PREFIX + name.upper()
    if name in (*_ADDRESSES, *_WITH_PASSWORD):
        return f"{variable} differs from that of the running set"
    return f"{variable} is {now or 'empty'} here, but the running set was started with {before or 'nothing'}"


def _text(name: str, value: object) -> str:
    if name in ("instruments_file", "owner_sets_file") and value is not None:
        return os.path.abspath(str(value))  # noqa: PTH100 - not resolved: a link may be the point
    return "" if value is None else _digest(str(value)) if name in _WITH_PASSWORD else str(value)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest() if text else ""
