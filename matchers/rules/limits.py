"""The bounds that a shard works within; the numbers are those of schemas.limits, tests take smaller ones."""

from dataclasses import astuple, dataclass

from schemas.limits import (
    ACCOUNTS_PER_SHARD_MAX,
    BUSTS_PER_SHARD_MAX,
    DONE_ORDERS_PER_SHARD_MAX,
    OPEN_ORDERS_PER_ACCOUNT_MAX,
    ORDERS_PER_SHARD_MAX,
    PEGS_PER_BOOK_MAX,
    REPLACED_IDS_MAX,
    STOPS_PER_BOOK_MAX,
    UPDATES_REMEMBERED_MAX,
)


@dataclass(frozen=True)
class ShardLimits:
    """Part of a shard's rules: two replicas, or a shard and its replay, must have the same."""

    accounts_max: int = ACCOUNTS_PER_SHARD_MAX
    orders_max: int = ORDERS_PER_SHARD_MAX
    """Account shard: open orders. Book shard: live orders, dormant ones included."""
    open_orders_per_account_max: int = OPEN_ORDERS_PER_ACCOUNT_MAX
    done_orders_max: int = DONE_ORDERS_PER_SHARD_MAX
    """Account shard: orders that are done and still known, by order_id and by cl_ord_id; the one that was done first is forgotten first."""

    stops_per_book_max: int = STOPS_PER_BOOK_MAX
    """Stops of an instrument that are not elected yet."""
    pegs_per_book_max: int = PEGS_PER_BOOK_MAX
    busts_max: int = BUSTS_PER_SHARD_MAX

    updates_max: int = UPDATES_REMEMBERED_MAX
    """Account shard: updates of accounts whose content is known; the first is forgotten first."""
    replaced_ids_max: int = REPLACED_IDS_MAX
    """Account shard: cl_ord_ids that orders had before a replace or wait for; the first is forgotten first. At most 65,535."""

    def as_row(self) -> tuple[int, ...]:
        """The numbers in the order of the fields, for snapshots."""
        return astuple(self)


DEFAULT_LIMITS = ShardLimits()
