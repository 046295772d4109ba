"""Whether the log of a region is its own or a copy of another one's. The cluster itself knows, so that every process sees the same at any time.

The topics of a copy keep the append times of the other region (CreateTime), or a replay would decide otherwise here. A region that appends for itself
has the broker's time (LogAppendTime). So the setting of one topic says what the log is; `outcry region take-over` changes it.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import (  # admin re-exports these, but does not say so to type checkers
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from confluent_kafka.admin._resource import ResourceType

from schemas.errors import OutcryError, ServiceUnavailable
from schemas.settings import Settings
from topics.catalogue import ACCOUNT_COMMANDS, COPIED
from topics.kafka_clients import native_client

TIMESTAMPS: Final = "message.timestamp.type"
COPIES: Final = {TIMESTAMPS: "CreateTime"}
"""Setting of the topics of a copy."""
ANSWER_TIMEOUT_S: Final = 10.0
LOOK_EVERY_S: Final = 1.0


class NotOurs(OutcryError):
    """A region was asked for what another one does. The message says what to do."""


class LogOwner:
    """Asks one cluster whose its log is. Connects at the first question."""

    def __init__(self, kafka_url: str) -> None:
        self._url = kafka_url
        self._admin: AdminClient | None = None

    def is_copy(self) -> bool:
        """Whether the log there is a copy. Raises ServiceUnavailable."""
        found = self._ask(lambda admin: admin.describe_configs([ConfigResource(ResourceType.TOPIC, ACCOUNT_COMMANDS.name)]))
        return str(found[0][TIMESTAMPS].value) == COPIES[TIMESTAMPS]

    async def until_own(self) -> None:
        """Until the log there is a region's own. A broker that does not answer is asked again."""
        while await asyncio.to_thread(self._may_be_copy):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(LOOK_EVERY_S)

    def _may_be_copy(self) -> bool:
        try:
            return self.is_copy()
        except ServiceUnavailable:
            return True

    def make_own(self) -> None:
        """From now on the broker there stamps what is appended. Raises ServiceUnavailable."""
        entry = ConfigEntry(TIMESTAMPS, "LogAppendTime", incremental_operation=AlterConfigOpType.SET)
        topics = [ConfigResource(ResourceType.TOPIC, topic.name, incremental_configs=[entry]) for topic in COPIED]
        self._ask(lambda admin: admin.incremental_alter_configs(topics))

    def _ask(self, question: Callable[[AdminClient], Any]) -> list[Any]:
        if not self._url:
            raise ServiceUnavailable("Kafka: no address; start the local set with `outcry up`, or set OUTCRY_KAFKA_URL")
        if self._admin is None:
            self._admin = AdminClient({**native_client(self._url), "log_level": 0})
        try:
            return [future.result(ANSWER_TIMEOUT_S) for future in question(self._admin).values()]
        except (KafkaException, TimeoutError) as error:
            why = error.args[0].str() if isinstance(error, KafkaException) else "no answer in time"
            raise ServiceUnavailable(f"Kafka at {self._url} does not say whose its log is: {why}") from error


def require_own_log(settings: Settings, who: str) -> None:
    """Raises NotOurs where the log is a copy, as what `who` appends would part it from the other region's, or where another region has taken over."""
    if LogOwner(settings.kafka_url).is_copy():
        raise NotOurs(
            f"{who} appends to the log, and the log of this region is a copy of another region's: trade there, or `outcry region take-over`"
        )
    if settings.copied_to and (why := Successor(settings.copied_to).why_stop()):
        raise NotOurs(why)


class Successor:
    """The region that has a copy of this one's log, and may have taken over."""

    def __init__(self, kafka_url: str) -> None:
        self._url, self._owner = kafka_url, LogOwner(kafka_url)

    def why_stop(self) -> str:
        """A sentence once that region has taken over; "" before, and while it does not answer: a link that is cut must not end the trading here."""
        try:
            return "" if self._owner.is_copy() else self._sentence()
        except ServiceUnavailable:
            return ""

    async def watch(self, end: Callable[[str], object]) -> None:
        """Until that region has taken over; then call `end` with the sentence."""
        while not (why := await asyncio.to_thread(self.why_stop)):  # noqa: ASYNC110  nobody tells
            await asyncio.sleep(LOOK_EVERY_S)
        end(why)

    def _sentence(self) -> str:
        return (
            f"the region at {self._url} has taken over: its log goes on, and this one's is no longer the exchange's. "
            f"`outcry region compare` shows what only this one has; begin a new copy in an empty home to follow"
        )
