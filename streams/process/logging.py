"""Logs of every process: events with fields, one logfmt line each, to standard error, which the supervisor keeps in one file per process."""

import logging
import sys
from collections.abc import Iterable
from typing import Final

import structlog

OUR_LOGGERS: Final = ("outcry", "edge", "sinks", "streams", "topics")
"""A program that is run as a module calls itself `__main__`: it gives its logger a name."""


def configure_logging(level: str, role: str, silenced: Iterable[str] = ()) -> None:
    """Give our lines and the libraries' one form. `role` is a field of every line; libraries tell only what is wrong, unless level is DEBUG.

    silenced: loggers of libraries whose errors this process tells in its own words. A line that a full disk does not take raises nothing: no
    request, batch or restart fails because nobody can read of it.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "role", "event"], drop_missing=True, bool_as_flag=False)
    structlog.configure(
        processors=[*shared, structlog.processors.format_exc_info, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO if level == "DEBUG" else logging.WARNING)
    for ours in OUR_LOGGERS:
        logging.getLogger(ours).setLevel(level)
    for name in silenced:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.raiseExceptions = False  # it would print where the line could not be written
