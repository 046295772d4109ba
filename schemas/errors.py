"""The failures of the world, as exceptions: a small tree that shells retry, report or stop on.

A customer's failure is never an exception: it is an event with a reason (see reject_reasons). A failure of ours is an assertion.
"""


class OutcryError(Exception):
    """Something outside the exchange is not as it must be; the message says what, where and how to mend it."""


class ServiceUnavailable(OutcryError):
    """A service (Kafka, MySQL, Redis, Elasticsearch) does not answer; worth a retry."""


class BadRecord(OutcryError):
    """Bytes that are not a valid record of this exchange; goes to the dead-letter topic, is never retried."""


class StaleData(OutcryError):
    """Data of another installation, version or broker; a person has to decide."""
