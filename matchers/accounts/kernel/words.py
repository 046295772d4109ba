"""The enumerations that the account kernel compares columns with, as plain integers; those that both kernels use are in compiled.words."""

from typing import Final

from schemas.enums import (
    AccountEventKind,
    AccountPermission,
    AccountStatus,
    CommandKind,
    OrdStatus,
)
from schemas.reject_reasons import Reason

COMMAND_REPLACE: Final = int(CommandKind.REPLACE)
COMMAND_ACCOUNT_STATUS: Final = int(CommandKind.ACCOUNT_STATUS)
COMMAND_ACCOUNT_LIMITS: Final = int(CommandKind.ACCOUNT_LIMITS)
STATUS_PENDING_REPLACE: Final = int(OrdStatus.PENDING_REPLACE)
EVENT_REPLACE_PENDING: Final = int(AccountEventKind.REPLACE_PENDING)
EVENT_REPLACED: Final = int(AccountEventKind.REPLACED)
EVENT_RESTATED: Final = int(AccountEventKind.RESTATED)
EVENT_TRIGGERED: Final = int(AccountEventKind.TRIGGERED)
EVENT_TRADE_BUSTED: Final = int(AccountEventKind.TRADE_BUSTED)
EVENT_ACCOUNT_STATUS_CHANGED: Final = int(AccountEventKind.ACCOUNT_STATUS_CHANGED)
EVENT_ACCOUNT_LIMITS_CHANGED: Final = int(AccountEventKind.ACCOUNT_LIMITS_CHANGED)
ACCOUNT_ACTIVE: Final = int(AccountStatus.ACTIVE)
ACCOUNT_KILLED: Final = int(AccountStatus.KILLED)
PERMISSION_SHORT_SALE: Final = int(AccountPermission.SHORT_SALE)
REASON_ACCOUNT_SUSPENDED: Final = int(Reason.ACCOUNT_SUSPENDED)
REASON_RATE_LIMIT: Final = int(Reason.RATE_LIMIT)
REASON_RESTRICTED: Final = int(Reason.RESTRICTED)
REASON_POSITION_LIMIT: Final = int(Reason.POSITION_LIMIT)
REASON_SHORT_SALE_NOT_ALLOWED: Final = int(Reason.SHORT_SALE_NOT_ALLOWED)
REASON_SHORT_SALE_PRICE_TEST: Final = int(Reason.SHORT_SALE_PRICE_TEST)
REASON_REPLACE_ALREADY_PENDING: Final = int(Reason.REPLACE_ALREADY_PENDING)
REASON_REPLACED_ID_LIMIT: Final = int(Reason.REPLACED_ID_LIMIT)
REASON_UPDATE_ID_MISSING: Final = int(Reason.UPDATE_ID_MISSING)
REASON_UPDATE_APPLIED_BEFORE: Final = int(Reason.UPDATE_APPLIED_BEFORE)
REASON_UPDATE_ID_REUSED: Final = int(Reason.UPDATE_ID_REUSED)
REASON_UPDATE_ID_TOO_LOW: Final = int(Reason.UPDATE_ID_TOO_LOW)
REASON_UPDATE_ID_TOO_HIGH: Final = int(Reason.UPDATE_ID_TOO_HIGH)
