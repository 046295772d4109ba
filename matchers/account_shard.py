"""The account shard that the exchange runs."""

from matchers.reference_account_shard import AccountShard
from matchers.shard_outputs import AccountOutput

__all__ = ["AccountOutput", "AccountShard"]
