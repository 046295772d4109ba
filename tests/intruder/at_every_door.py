"""Every attack there is: whoever wants the whole table imports it from here."""

import at_accounts
import at_analysts
import at_cases
import at_files
import at_http
import at_keys
import at_native
import at_parsers
import at_readers
import at_sign_in
import at_snapshots
import at_sockets
import at_stores
import at_topics
from attack import ATTACKS, Attack

MODULES = (
    at_sign_in,
    at_keys,
    at_accounts,
    at_native,
    at_http,
    at_parsers,
    at_sockets,
    at_topics,
    at_readers,
    at_stores,
    at_files,
    at_snapshots,
    at_cases,
    at_analysts,
)
"""Imported for the attacks that they put into the table."""
__all__ = ["ATTACKS", "MODULES", "Attack"]
