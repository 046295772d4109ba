"""Remove a dead worker from its consumer group at once (LeaveGroup by static member id), which Kafka's own admin client can do and Python's cannot."""

import asyncio
from typing import Any, Final

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import KafkaError, NoError, UnknownMemberIdError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from schemas.errors import ServiceUnavailable
from topics.kafka_clients import python_client

TIMEOUT_S: Final = 1.0
"""The worker's program takes longer to start than this, so this never removes a worker that has rejoined."""
_TEXT: Final = String("utf-8")


class _LeaveGroupResponse(Response):
    API_KEY = 13
    API_VERSION = 3
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT), ("error_code", Int16))),
    )


class _LeaveGroupStruct(RequestStruct):
    """Version 3 is the first that names static members; aiokafka ends at 1."""

    API_KEY = 13
    API_VERSION = 3
    RESPONSE_TYPE = _LeaveGroupResponse
    SCHEMA = Schema(("group", _TEXT), ("members", Array(("member_id", _TEXT), ("group_instance_id", _TEXT))))


class _LeaveGroup(Request[_LeaveGroupStruct]):
    API_KEY = 13

    def __init__(self, group: str, instance_id: str) -> None:
        self._group, self._instance_id = group, instance_id

    def build(self, request_struct_class: type[_LeaveGroupStruct]) -> _LeaveGroupStruct:
        """The broker finds the member by its instance id where the member id is empty."""
        return request_struct_class(self._group, [("", self._instance_id)])


async def release_member(kafka_url: str, group: str, instance_id: str) -> None:
    """The coordinator reassigns the member's partitions now, rather than when its session ends. An unknown member is no error.

    Raises ServiceUnavailable.
    """
    client = AIOKafkaClient(**python_client(kafka_url), request_timeout_ms=int(TIMEOUT_S * 1000))
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await client.bootstrap()
            coordinator = await client.coordinator_lookup(CoordinationType.GROUP, group)
            answer = await client.send(coordinator, _LeaveGroup(group, instance_id))
            _require_done(answer)
    except (KafkaError, OSError, TimeoutError) as error:
        raise ServiceUnavailable(f"{instance_id} cannot be taken out of {group}: {error!r}") from error
    finally:
        await client.close()


def _require_done(answer: Any) -> None:
    codes = [answer.error_code, *(member[2] for member in answer.members)]
    for error in map(for_code, codes):
        if error not in (NoError, UnknownMemberIdError):
            raise error
