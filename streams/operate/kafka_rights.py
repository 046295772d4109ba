"""Give each login its password and its rights in Kafka, and take rights that the table does not know (topics.rights). Only the administrator can."""

from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
)  # admin re-exports these, but does not say so to type checkers
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from confluent_kafka.admin._scram import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from schemas.errors import OutcryError
from schemas.logins import named
from schemas.settings import Settings
from streams.process.service_keys import passwords
from topics.kafka_clients import native_client
from topics.rights import ADMINISTRATOR, LOGINS, Right, kafka_rights

ITERATIONS: Final = 4_096
"""Of the hash; the passwords are random and long, so more would slow down sign-ins alone."""
ANSWER_TIMEOUT_S: Final = 30.0
_KINDS: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}


class NotGranted(OutcryError):
    """Kafka did not take a password or a right. The message has its reason."""


def grant(settings: Settings) -> tuple[int, int]:
    """Bring Kafka to what the table says; returns how many rights that added and took. Raises OutcryError."""
    admin = AdminClient({**native_client(named(settings.kafka_url, ADMINISTRATOR)), "log_level": 0})
    wanted = {_binding(login, right) for login in LOGINS for right in kafka_rights(login)}
    try:
        _set_passwords(admin, passwords(settings.service_keys, LOGINS))
        known = set(admin.describe_acls(_everything()).result(ANSWER_TIMEOUT_S))
        ours = {one for one in known if one.principal.removeprefix("User:") in LOGINS}
        _wait(admin.create_acls(list(wanted - known)) if wanted - known else {})
        _wait(admin.delete_acls([_exactly(one) for one in ours - wanted]) if ours - wanted else {})
    except KafkaException as error:
        raise NotGranted(f"Kafka gives no rights: {error.args[0].str()}") from error
    return len(wanted - known), len(ours - wanted)


def _set_passwords(admin: AdminClient, known: Mapping[str, str]) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    _wait(admin.alter_user_scram_credentials([UserScramCredentialUpsertion(name, info, known[name].encode()) for name in LOGINS]))


def _wait(futures: Mapping[Any, Future[Any]]) -> None:
    for future in futures.values():
        future.result(ANSWER_TIMEOUT_S)


def _binding(login: str, right: Right) -> AclBinding:
    pattern = ResourcePatternType.PREFIXED if right.prefixed else ResourcePatternType.LITERAL
    operation = AclOperation[right.operation]
    return AclBinding(_KINDS[right.kind], right.name, pattern, f"User:{login}", "*", operation, AclPermissionType.ALLOW)


def _everything() -> AclBindingFilter:
    nothing: Any = None  # any: the stubs do not know it
    return AclBindingFilter(ResourceType.ANY, nothing, ResourcePatternType.ANY, nothing, nothing, AclOperation.ANY, AclPermissionType.ANY)


def _exactly(one: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(one.restype, one.name, one.resource_pattern_type, one.principal, one.host, one.operation, one.permission_type)
