"""Have the services of a running secure set read their certificates again: connections that there are go on, new ones get the new certificate."""

import asyncio
import ssl
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiomysql
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import (  # admin re-exports these, but does not say so to type checkers
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from schemas.errors import ServiceUnavailable
from schemas.logins import Login, address_of, login_of, named, why_not_trusted
from schemas.settings import Settings
from sinks.mysql.pool import CONNECT_TIMEOUT_S, arguments_of, translated
from streams.process.authority import serial_in
from streams.process.service_keys import certificate_of
from streams.services.recipes.kafka_security import reload_properties
from topics.kafka_clients import native_client
from topics.rights import ADMINISTRATOR

ANSWER_TIMEOUT_S: Final = 20.0
SERVED_WITHIN_S: Final = 20.0
ASK_AGAIN_S: Final = 0.25


def reload_certificates(settings: Settings) -> list[str]:
    """Returns the services that serve their new certificate now, of those that have one. Raises ServiceUnavailable."""
    done = []
    if login_of(settings.kafka_url) is not None:
        done += _reload_kafka(settings)
    if login_of(settings.mysql_url) is not None:
        asyncio.run(_reload_mysql(settings))
        done.append("mariadb")
    if (login := login_of(settings.elasticsearch_url)) is not None:  # it looks at the file at each new connection
        parts = urlsplit(address_of(settings.elasticsearch_url))
        _wait_for_serial(str(parts.hostname), int(parts.port or 443), login, certificate_of(settings.service_keys, "elasticsearch"))
        done.append("elasticsearch")
    return done


def _reload_kafka(settings: Settings) -> list[str]:
    """A broker looks at the files of its certificates when one of its settings is given, even if that is taken away and was not there.

    So nothing stays behind: a path that the cluster's log remembered would outlive a home that is moved.
    """
    url = named(settings.kafka_url, ADMINISTRATOR)
    admin, login = AdminClient({**native_client(url), "log_level": 0}), login_of(url)
    assert login is not None, "only a secure set has certificates"
    try:
        brokers = admin.list_topics(timeout=ANSWER_TIMEOUT_S).brokers
        for number, broker in brokers.items():
            _reload_broker(admin, number, reload_properties(settings.service_keys))
            _wait_for_serial(str(broker.host), int(broker.port or 0), login, certificate_of(settings.service_keys, "kafka"))
    except KafkaException as error:
        raise ServiceUnavailable(f"Kafka does not read its certificate again: {error.args[0].str()}") from error
    return [f"kafka broker {number}" for number in sorted(brokers)]


def _reload_broker(admin: AdminClient, number: int, properties: dict[str, str]) -> None:
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.DELETE) for name, value in properties.items()]
    resource = ConfigResource(ConfigResource.Type.BROKER, str(number), incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(ANSWER_TIMEOUT_S)


def _wait_for_serial(host: str, port: int, login: Login, file: Path) -> None:
    """Until a new connection gets the certificate of the file."""
    wanted, deadline = serial_in(file), time.monotonic() + SERVED_WITHIN_S
    while _serial_of(host, port, login) != wanted:
        if time.monotonic() > deadline:
            raise ServiceUnavailable(f"{host}:{port} still serves its old certificate after {SERVED_WITHIN_S:g} s; see its log")
        time.sleep(ASK_AGAIN_S)


def _serial_of(host: str, port: int, login: Login) -> int:
    try:
        # by the system's own call: a handshake that checks the authority, as every client's does
        text = ssl.get_server_certificate((host, port), ca_certs=str(login.authority), timeout=ANSWER_TIMEOUT_S)
    except OSError as error:
        raise ServiceUnavailable(f"{host}:{port} cannot be asked for its certificate: {why_not_trusted(error) or error}") from error
    return serial_in(text)


async def _reload_mysql(settings: Settings) -> None:
    where, arguments = arguments_of(named(settings.mysql_url, ADMINISTRATOR))
    with translated(where):
        for statement in ("FLUSH SSL", "SELECT 1"):
            connection = await aiomysql.connect(**arguments, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)
            try:
                async with connection.cursor() as cursor:
                    await cursor.execute(statement)
                served = _served_to(connection)
            finally:
                connection.close()
    if served != serial_in(certificate_of(settings.service_keys, "mariadb")):
        raise ServiceUnavailable(f"{urlsplit(address_of(settings.mysql_url)).netloc} still serves its old certificate; see its log")


def _served_to(connection: Any) -> int:
    """Serial number of the certificate that a connection was given."""
    found = connection._writer.get_extra_info("peercert")
    return int(found["serialNumber"], 16)
