"""The keys of records that a process has from its settings."""

import structlog

from schemas.errors import OutcryError
from schemas.settings import Settings
from topics.key_files import RecordKeys

log = structlog.get_logger("outcry.streams")


def record_keys(settings: Settings, speaker: str = "") -> RecordKeys:
    """The keys of the folder that the settings name. speaker: who is going to write with them.

    Raises OutcryError where keys are required and there are none, or none of this speaker, and StaleData for a key that cannot be read.
    """
    keys = RecordKeys(settings.record_keys_dir)
    if not keys.ring.keys:
        if settings.require_record_codes:
            raise OutcryError(
                f"{settings.record_keys_dir} has no keys of records, and OUTCRY_REQUIRE_RECORD_CODES is set: `outcry keys init` makes them, "
                f"or copy those of the exchange there"
            )
        if speaker:
            log.warning("records are not proven", keys=str(settings.record_keys_dir), mend="outcry keys init")
    elif speaker:
        keys.require(speaker)
        if (entry := keys.unsigned_now()) is not None:
            log.warning(
                "single orders without a code are accepted: whoever can write to account.commands trades for any account", key=entry
            )
    return keys
