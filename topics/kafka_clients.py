"""What clients of Kafka are told of an address: servers, and TLS and login where it has one (schemas.logins)."""

import socket
from typing import Any, Final

from schemas.logins import Login, address_of, login_of, why_not_trusted

LOOK_TIMEOUT_S: Final = 3.0


def native_client(kafka_url: str) -> dict[str, Any]:
    """For librdkafka. Raises BadLogin."""
    return {"bootstrap.servers": address_of(kafka_url), **native_security(login_of(kafka_url))}


def native_security(login: Login | None) -> dict[str, Any]:
    """For librdkafka, beside its servers."""
    if login is None:
        return {}
    return {
        "security.protocol": "SASL_SSL",
        "ssl.ca.location": str(login.authority),
        "sasl.mechanisms": login.mechanism,
        "sasl.username": login.name,
        "sasl.password": login.password,
    }


def security_of(kafka_url: str) -> dict[str, Any]:
    """For aiokafka, beside its servers. Raises BadLogin."""
    login = login_of(kafka_url)
    if login is None:
        return {}
    return {
        "security_protocol": "SASL_SSL",
        "ssl_context": login.tls(),
        "sasl_mechanism": login.mechanism,
        "sasl_plain_username": login.name,
        "sasl_plain_password": login.password,
    }


def python_client(kafka_url: str) -> dict[str, Any]:
    """For aiokafka. Raises BadLogin."""
    return {"bootstrap_servers": address_of(kafka_url), **security_of(kafka_url)}


def no_answer(kafka_url: str) -> str:
    """Why Kafka may not have answered, as part of a sentence: what is wrong with a certificate, which librdkafka tells nobody; "" if nothing is."""
    login = login_of(kafka_url)
    for server in address_of(kafka_url).split(",") if login is not None else ():
        host, _, port = server.rpartition(":")
        if login is not None and (problem := look_at(host, int(port), login)):
            return f"; {server}: {problem}"
    return ""


def look_at(host: str, port: int, login: Login) -> str:
    """Why a server that speaks TLS from the first byte cannot be trusted; "" if it can, or does not answer. For clients that do not say it."""
    try:
        with socket.create_connection((host, port), LOOK_TIMEOUT_S) as plain, login.tls().wrap_socket(plain, server_hostname=host):
            return ""
    except OSError as error:
        return why_not_trusted(error)
