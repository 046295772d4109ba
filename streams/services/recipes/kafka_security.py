"""A broker's part of TLS and logins: certificates, who may sign in and how, and that nobody has a right that nobody gave.

Brokers, and the administrator who gives everybody else a login, sign in with a password of the configuration (PLAIN): it has to work before there is
anything in the log of the cluster. Everybody else's password is there, salted and hashed (SCRAM), and can be changed while the brokers run.
"""

from pathlib import Path

from schemas.logins import PLAIN, SCRAM, Login
from streams.process.service_keys import AUTHORITY, certificate_of, logins
from topics.rights import BROKER, SUPER_USERS

LISTENERS = ("client", "controller")


def security_properties(keys: Path, certificate: Path | None = None, authority: Path | None = None) -> dict[str, object]:
    """Of server.properties, which then holds secrets. keys: the folder of streams.process.service_keys. Raises OutcryError.

    certificate, authority: where the broker finds these, if that is not in the same folder.
    """
    everybody = logins(keys)
    plain = _plain_module([everybody[name] for name in SUPER_USERS], everybody[BROKER])
    found: dict[str, object] = {
        "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:SASL_SSL",
        "sasl.mechanism.inter.broker.protocol": PLAIN,
        "sasl.mechanism.controller.protocol": PLAIN,
        "listener.name.client.sasl.enabled.mechanisms": f"{SCRAM},{PLAIN}",
        "listener.name.controller.sasl.enabled.mechanisms": PLAIN,
        f"listener.name.client.{SCRAM.lower()}.sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": ";".join(f"User:{name}" for name in SUPER_USERS),
        "allow.everyone.if.no.acl.found": "false",
    }
    for listener in LISTENERS:
        own = f"listener.name.{listener}"
        found |= {
            f"{own}.plain.sasl.jaas.config": plain,
            f"{own}.ssl.keystore.type": "PEM",
            f"{own}.ssl.keystore.location": certificate or certificate_of(keys, "kafka"),
            f"{own}.ssl.truststore.type": "PEM",
            f"{own}.ssl.truststore.location": authority or keys / AUTHORITY,
        }
    return found


def client_properties(login: Login, authority: Path) -> dict[str, object]:
    """Of a file for the tools of Kafka, which then holds a secret. login: one of SUPER_USERS."""
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": PLAIN,
        "sasl.jaas.config": _plain_module([], login),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": authority,
    }


def reload_properties(keys: Path) -> dict[str, str]:
    """Settings that, set anew while a broker runs, have it read its certificate again."""
    return {f"listener.name.{listener}.ssl.keystore.location": str(certificate_of(keys, "kafka")) for listener in LISTENERS}


def _plain_module(allowed: list[Login], own: Login) -> str:
    users = "".join(f' user_{login.name}="{login.password}"' for login in allowed)
    return f'org.apache.kafka.common.security.plain.PlainLoginModule required username="{own.name}" password="{own.password}"{users};'
