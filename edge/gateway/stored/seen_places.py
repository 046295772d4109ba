"""How far in the log each account has been told of, so that its history is never read behind it.

Where there are replicas of MySQL, or several edges with a cache in front of it, every answer to a client has a token with its place (`Outcry-Place`, and a cookie), which it may show to another edge.
"""

from collections import OrderedDict

from edge.gateway.accounts.accounts import Accounts
from edge.gateway.limits import ACCOUNT_VIEWS_MAX
from schemas.settings import Settings
from sinks.mysql.places import Place, PlaceTokens, later
from topics.partitioning import account_shard


class SeenPlaces:
    """Of the accounts of this edge, from their views and from what clients bring. `used`: whether clients carry them from edge to edge."""

    def __init__(self, settings: Settings, accounts: Accounts) -> None:
        several = max(settings.edge_instances, settings.edge_instance + 1) > 1
        self.used = settings.mysql_servers_file is not None or (bool(settings.cache_url) and several)
        self.shards = 0
        """Account shards; 0 until Kafka has been reached."""
        self._tokens = PlaceTokens(settings.mysql_url)
        self._accounts = accounts
        self._brought: OrderedDict[int, Place] = OrderedDict()

    def of(self, account: int | None) -> Place | None:
        """The place; None if nothing is known."""
        if account is None:
            return None
        seq = self._accounts.seq_of(account)
        own = Place(account_shard(account, self.shards), seq) if seq and self.shards else None
        return later(own, self._brought.get(account))

    def bring(self, account: int, token: str) -> bool:
        """Whether the token was made by an edge for this account; then it counts."""
        place = self._tokens.open(account, token)
        if place is None or (self.shards and place.shard != account_shard(account, self.shards)):
            return False
        known = later(self._brought.pop(account, None), place)
        assert known is not None
        self._brought[account] = known
        if len(self._brought) > ACCOUNT_VIEWS_MAX:
            self._brought.popitem(last=False)
        return True

    def token(self, account: int) -> str:
        """For the client; "" if nothing is known."""
        place = self.of(account)
        return "" if place is None else self._tokens.seal(account, place)
