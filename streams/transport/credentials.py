"""The login of a Faust app: for aiokafka, which Faust has talk to the group, and for librdkafka, which reads and writes."""

from typing import Any

from faust.auth import SASLCredentials
from faust.transport.drivers.aiokafka import server_list
from faust.types import AppT

from schemas.logins import Login, login_of
from topics.kafka_clients import native_security


class KafkaLogin(SASLCredentials):
    """A login as Faust wants it."""

    def __init__(self, login: Login) -> None:
        super().__init__(username=login.name, password=login.password, mechanism=login.mechanism, ssl_context=login.tls())
        self.login = login


def credentials_of(kafka_url: str) -> KafkaLogin | None:
    """Of an address; None where it has no login. Raises BadLogin."""
    login = login_of(kafka_url)
    return KafkaLogin(login) if login is not None else None


def native_client_of(app: AppT) -> dict[str, Any]:
    """The servers and the login of an app, for librdkafka."""
    credentials = app.conf.broker_credentials
    login = credentials.login if isinstance(credentials, KafkaLogin) else None
    return {"bootstrap.servers": ",".join(server_list(app.conf.broker_consumer, 9092)), **native_security(login)}
