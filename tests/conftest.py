"""Fixtures for every test: the real services, started once a session in a home of its own, and stopped with it; and what tests have counted, told at the end."""

import signal
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from support.scopes import scope_of, turn_of

from schemas.settings import Settings
from streams.services.local_set import LocalSet
from streams.services.recipes.ports import choose


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings with the addresses of a running Kafka, MariaDB, Valkey and Elasticsearch.

    Started at the first test that asks for it; a server that an OUTCRY_*_URL names is used as it is. Tests share the servers: each
    uses topics, tables and indices of its own names.
    """
    home = tmp_path_factory.mktemp("outcry")
    # two shards of each kind, so that trades cross them; a port of our own, the same after a restart of the edge: 8080 may be somebody's
    edge_port = choose(home, ["edge"])["edge"]
    chosen = Settings(home=home, edge_port=edge_port, account_shards=2, book_shards=2, traces=str(home / "traces"), traces_share=1)
    with LocalSet(chosen).running() as settings:
        yield settings


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Whatever is in tests/integration, or asks for the services, needs them, and a browser is slow: nobody has to say so.

    Of several processes, each has the longest tests first.
    """
    for item in items:
        if "tests/integration/" in item.nodeid or "services" in getattr(item, "fixturenames", ()):
            item.add_marker("integration")
        if "tests/browser/" in item.nodeid:
            item.add_marker("slow")
    if hasattr(config, "workerinput"):
        slow = {scope_of(item.nodeid) for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: turn_of(item.nodeid, slow))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Where tests run in several processes, each takes the next scope in the order of their turns.

    xdist's own groups (3.8) are noted in a field that pytest 9.2 does not have any more.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Scopes(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    config.option.loadscopereorder = False  # the number of its tests does not say how long a scope takes
    return Scopes(config, log)


def plain_log() -> structlog.dev.ConsoleRenderer:
    """Tracebacks as Python writes them: those of structlog's own choice, with every local variable, cost a third of a second of a processor each."""
    return structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)


_TOLD = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Somewhere to put what is told. And Ctrl+C reaches what tests start: a shell lets its background jobs, and all their children, ignore it."""
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain_log()])
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.stash[_TOLD] = []


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Of several processes, each sends what it has counted to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["told"] = session.config.stash[_TOLD]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take it."""
    node.config.stash[_TOLD] += getattr(node, "workeroutput", {}).get("told", [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Counts: of seeds and faults, of bad inputs."""
    for line in config.stash[_TOLD]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def told(pytestconfig: pytest.Config) -> list[str]:
    """Lines for the end of the session's output."""
    return pytestconfig.stash[_TOLD]
