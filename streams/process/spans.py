"""Where spans go: to a collector over OTLP/HTTP, or into a file. Off by default; then not even the packages are imported."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from schemas.errors import OutcryError
from schemas.settings import Settings
from streams.process.worker_identity import worker_of
from topics.order_traces import Span

Tell = Callable[[Span], None]


def span_teller(settings: Settings, role: str, process: str = "") -> Tell | None:
    """Takes the spans of this process and never waits; None where no traces are wanted. Raises OutcryError where a package is missing or the folder cannot be made.

    process: its name, if it is no worker.
    """
    if not settings.traces:
        return None
    if find_spec("opentelemetry") is None:
        raise OutcryError(
            f"OUTCRY_TRACES is {settings.traces!r}, and traces need packages that are not installed: pip install 'open-outcry[traces]'"
        )
    made: Tell = import_module("streams.process.span_export").teller(settings.traces, role, process or worker_of(settings, role).name)
    return made
