"""Sessions of the trading page for tests: a TraderSessionStore (edge.gateway.access.trader_sessions) in memory, with the promises of sinks.redis.trader_sessions."""

from schemas.errors import ServiceUnavailable
from sinks.redis.trader_sessions import TraderSession


class TradersInMemory:
    """None at first. Or away. What is idle ends when the test says so."""

    traders_away = False

    def __init__(self) -> None:
        self.traders: dict[str, TraderSession] = {}
        """By digest."""
        self.kept_for: list[int] = []
        """Seconds, of each put."""

    async def put_trader_session(self, digest: str, session: TraderSession, idle_s: int) -> None:
        """Keep it."""
        self._ask_traders()
        self.traders[digest] = session
        self.kept_for.append(idle_s)

    async def trader_session(self, digest: str) -> TraderSession | None:
        """If it is there."""
        self._ask_traders()
        return self.traders.get(digest)

    async def end_trader_session(self, digest: str) -> None:
        """Sign out."""
        self._ask_traders()
        self.traders.pop(digest, None)

    def _ask_traders(self) -> None:
        if self.traders_away:
            raise ServiceUnavailable("Redis at 127.0.0.1:6379 does not answer")
