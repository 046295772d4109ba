"""The supervisor's log: events with fields to standard error, which `outcry up` sends to log_dir/supervisor.log."""

import logging
import sys

import structlog


def configure_logging() -> None:
    """Through the standard library's handler: a full disk raises nothing, and the lines may still be written once there is room."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a word on each refused connection; what nobody answers is in the status
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.raiseExceptions = False  # it would print where the line could not be written
