"""Tell the cluster at once that a broker is dead (UnregisterBroker), which Kafka's own admin client can do and Python's cannot.

Only the controller checks whether a broker lives, and it waits for the session to end. The supervisor has seen the process die. So the partitions
that the broker led get new leaders now, and records no longer wait for its acknowledgement. When it is restarted it registers again and catches up.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, NoError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactString, Int16, Int32, Schema, TaggedFields

from schemas.errors import ServiceUnavailable

TIMEOUT_S: Final = 5.0
"""Longer than the election of a controller takes, because the controller may be the broker that died."""
ANSWER_TIMEOUT_S: Final = 1.0
ASK_AGAIN_S: Final = 0.02
_NOT_REGISTERED: Final = 102
NO_SECURITY: Final[Mapping[str, Any]] = MappingProxyType({})


class _UnregisterBrokerResponse(Response):
    API_KEY = 64
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32), ("error_code", Int16), ("error_message", CompactString("utf-8")), ("tags", TaggedFields)
    )  # fmt: skip


class _UnregisterBrokerStruct(RequestStruct):
    FLEXIBLE_VERSION = True
    API_KEY = 64
    API_VERSION = 0
    RESPONSE_TYPE = _UnregisterBrokerResponse
    SCHEMA = Schema(("broker_id", Int32), ("tags", TaggedFields))


class _UnregisterBroker(Request[_UnregisterBrokerStruct]):
    API_KEY = 64

    def __init__(self, broker_id: int) -> None:
        self._broker_id = broker_id

    def build(self, request_struct_class: type[_UnregisterBrokerStruct]) -> _UnregisterBrokerStruct:
        """Without tags."""
        return request_struct_class(self._broker_id, {})


async def release_broker(controllers: Sequence[str], broker_id: int, security: Mapping[str, Any] = NO_SECURITY) -> None:
    """Have a dead broker's partitions led by others now. A broker that is not registered is no error. Raises ServiceUnavailable.

    security: of the controllers' clients (topics.kafka_clients.security_of).

    `controllers`: host:port of the live ones. They are asked directly, in turn, until one is the active controller. A broker would forward the
    request whenever it can, when the dead broker may have been restarted already. The caller restarts it only afterwards.
    """
    try:
        async with asyncio.timeout(TIMEOUT_S):
            for address in itertools.cycle(controllers):
                if await _unregistered(address, broker_id, security):
                    return
                await asyncio.sleep(ASK_AGAIN_S)
    except TimeoutError as error:
        raise ServiceUnavailable(
            f"broker {broker_id} cannot be taken out of the cluster: no active controller in {TIMEOUT_S:g} s"
        ) from error


async def _unregistered(address: str, broker_id: int, security: Mapping[str, Any]) -> bool:
    """False where that controller does not answer, or is not the active one."""
    host, _, port = address.rpartition(":")
    try:
        connection = await create_conn(host, int(port), request_timeout_ms=int(ANSWER_TIMEOUT_S * 1000), **security)
        try:
            answer = await connection.send(_UnregisterBroker(broker_id))
        finally:
            connection.close()
    except (KafkaError, OSError, TimeoutError):
        return False
    return answer.error_code in (NoError.errno, _NOT_REGISTERED)
