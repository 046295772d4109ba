"""Where the services and the edge of a home are, as every `outcry` command of it finds them: the file services.json, a source of Settings."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from schemas.logins import MARK, address_of
from sinks.mysql.servers import Servers
from streams.services.recipes.kafka import copies_of
from streams.services.recipes.mariadb import SERVERS_FILE
from streams.services.state import Wanted
from streams.services.supervision.published import PublishedFiles

FILE: Final = "services.json"


class Addresses:
    """By setting. Each change is published at once. data_dir: of the set, absolute."""

    def __init__(self, published: PublishedFiles, data_dir: Path) -> None:
        self._published, self._data_dir = published, data_dir
        self._urls: dict[str, str] = {}
        self._copies: dict[str, int] = {}

    @property
    def kafka(self) -> str:
        """Of all brokers that have answered; empty before the first."""
        return self._urls.get("kafka_url", "")

    @property
    def settings(self) -> Mapping[str, Any]:
        """What they change in the settings of this process."""
        return self._urls

    def want(self, wanted: Wanted) -> None:
        """A set with these services; those of others are where it says."""
        self._urls.update(wanted.external)
        # of the topics that are made from now on
        self._copies = {"replication_factor": copies_of(wanted.brokers)} if "kafka" in wanted.services and wanted.brokers > 1 else {}
        self._publish()

    def add(self, setting: str, url: str) -> None:
        """A service answers here. Brokers are one address together."""
        address, mark, login = url.partition(MARK)
        known = [part for part in address_of(self._urls.get(setting, "")).split(",") if part] if setting == "kafka_url" else []
        self._urls[setting] = ",".join(sorted({*known, address})) + mark + login
        self._publish()

    def mysql_changed(self, servers: Servers) -> None:
        """Everybody finds the primary where one address will do, and the file where not."""
        if servers.primary:
            self._urls["mysql_url"] = servers.primary_url()
        self._urls["mysql_servers_file"] = str(self._data_dir / SERVERS_FILE)
        self._publish()

    def remove(self) -> None:
        """The set has stopped."""
        self._published.remove(FILE)

    def _publish(self) -> None:
        self._published.write(FILE, json.dumps({**self._urls, **self._copies}, indent=1))
