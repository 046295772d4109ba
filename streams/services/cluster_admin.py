"""Tell the cluster at once that a broker is dead, as Kafka's own admin client can and Python's cannot: UnregisterBroker.

Nobody but the controller asks whether a broker lives, and it waits for the end of its session. Who has seen the process die knows better: the
partitions that the broker led get new leaders now, and it is no longer among those that must have a record before it is acknowledged. Once it
is started again it registers anew and catches up.
"""

import asyncio
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import BrokerNotAvailableError, KafkaError, NoError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactString, Int16, Int32, Schema, TaggedFields

from schemas.errors import ServiceUnavailable

TIMEOUT_S: Final = 10.0
"""More than the election of a controller takes, for it may be the controller that died."""
ASK_AGAIN_S: Final = 0.05
_NOT_REGISTERED: Final = 102


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
        """The broker that is asked hands it on to the active controller."""
        return request_struct_class(self._broker_id, {})


async def release_broker(kafka_url: str, broker_id: int) -> None:
    """Have a dead broker's partitions led by others now. A broker that is not registered is no fault. Raises ServiceUnavailable.

    The caller starts the broker again only afterwards: it would take out the one that lives.
    """
    client = AIOKafkaClient(bootstrap_servers=kafka_url, request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await client.bootstrap()
            while not await _unregistered(client, broker_id):  # noqa: ASYNC110 - what is waited for is elsewhere
                await asyncio.sleep(ASK_AGAIN_S)
    except (KafkaError, OSError, TimeoutError) as error:
        raise ServiceUnavailable(f"broker {broker_id} cannot be taken out of the cluster: {error!r}") from error
    finally:
        await client.close()


async def _unregistered(client: AIOKafkaClient, broker_id: int) -> bool:
    """Ask a broker that lives; false where it knows no controller yet."""
    others = [broker.nodeId for broker in client.cluster.brokers() if broker.nodeId != broker_id]
    if not others:
        raise BrokerNotAvailableError
    answer = await client.send(others[0], _UnregisterBroker(broker_id))
    if answer.error_code in (NoError.errno, _NOT_REGISTERED):
        return True
    if (error := for_code(answer.error_code)).retriable:
        return False
    raise error(answer.error_message)
