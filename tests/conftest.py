"""Fixtures for every test: the real services, started once a session in a home of its own, and stopped with it."""

from collections.abc import Iterator

import pytest

from schemas.settings import Settings
from streams.services.local_set import LocalSet


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings with the addresses of a running Kafka, MariaDB, Valkey and Elasticsearch.

    Started at the first test that asks for it; a server that an OUTCRY_*_URL names is used as it is. Tests share the servers: each
    uses topics, tables and indices of its own names.
    """
    with LocalSet(Settings(home=tmp_path_factory.mktemp("outcry"), edge_port=0)).running() as settings:
        yield settings
