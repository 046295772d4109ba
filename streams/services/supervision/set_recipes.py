"""The recipes of a whole set."""

from collections.abc import Callable
from pathlib import Path

from streams.services.recipes.elasticsearch import Elasticsearch
from streams.services.recipes.kafka import Kafka
from streams.services.recipes.mariadb import MariaDB
from streams.services.recipes.recipe import Recipe
from streams.services.recipes.valkey import Valkey, valkey_cache
from streams.services.state import Wanted


def recipes_for(wanted: Wanted, keys: Path | None = None, *, kafka_optimized: bool = False) -> list[Recipe]:
    """One recipe per service process. keys: the folder of streams.process.service_keys, of a secure set."""
    table: dict[str, Callable[[], list[Recipe]]] = {
        "kafka": lambda: [Kafka(node, wanted.brokers, keys, kafka_optimized) for node in range(1, wanted.brokers + 1)],
        "mariadb": lambda: [MariaDB(node, wanted.mysql_replicas, keys) for node in range(1, wanted.mysql_replicas + 2)],
        "valkey": lambda: [Valkey(keys=keys), valkey_cache(keys)],
        "elasticsearch": lambda: [Elasticsearch(keys=keys)],
    }
    return [recipe for name in wanted.services for recipe in table[name]()]
