"""The reported day as files: every report stored and checked."""

from reports.catalogue import KINDS
from reports.filed.checks import check_and_keep
from reports.filed.stored import store
from schemas.settings import Settings
from support.records.reported_day import REFERENCE, reported_day


def file_day(settings: Settings) -> None:
    """Make it, in the folder of the settings."""
    for kind in KINDS.values():
        one, _ = store(settings, kind, reported_day(), REFERENCE, [], "digest")
        check_and_keep(one)
