"""The failures of the world, as exceptions: a small tree that shells retry, report or stop on.

A customer's failure is never an exception: it is an event with a reason (see reject_reasons). A bug of ours is an assertion.
"""


class OutcryError(Exception):
    """Something outside the exchange is wrong. The message says what, where, and how to fix it."""


class ServiceUnavailable(OutcryError):
    """A service (Kafka, MySQL, Redis, Elasticsearch) does not answer. A retry may help."""


class BadRecord(OutcryError):
    """Bytes that are not a valid record of this exchange. They go to the dead-letter topic and are never retried."""


class StaleData(OutcryError):
    """Data of another installation, version or broker. Somebody has to decide what to do."""
