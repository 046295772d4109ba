"""Token buckets: who asks too fast. No I/O; the clock is the caller's."""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Holds at most `burst` tokens and regains `per_s` a second; a request takes one. Times in seconds."""

    burst: float
    per_s: float
    tokens: float
    at_s: float

    def take(self, now_s: float) -> bool:
        """True if the request may pass."""
        self._fill(now_s)
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def pay(self, now_s: float, cost: float) -> float:
        """Take `cost` tokens for what is done already, more than there are if need be; returns after how many seconds the debt is paid."""
        self._fill(now_s)
        self.tokens -= cost
        return max(0.0, -self.tokens / self.per_s)

    def seconds_until_one(self, now_s: float) -> float:
        """When the next request may pass; 0: now."""
        self._fill(now_s)
        return max(0.0, (1 - self.tokens) / self.per_s)

    def seconds_until_full(self) -> float:
        """When the bucket will be full again if nobody asks."""
        return (self.burst - self.tokens) / self.per_s

    def _fill(self, now_s: float) -> None:
        self.tokens = min(self.burst, self.tokens + (now_s - self.at_s) * self.per_s)
        self.at_s = now_s


class Buckets:
    """A bucket for each name, at most `most` of them: the one that was used longest ago is forgotten, which makes it full again."""

    def __init__(self, burst: float, per_s: float, most: int) -> None:
        self._burst, self._per_s, self._most = burst, per_s, most
        self._by_name: OrderedDict[object, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_name)

    def seconds_until_one(self, name: object, now_s: float) -> float:
        """When `name` may be used next; 0: now."""
        bucket = self._by_name.get(name)
        return bucket.seconds_until_one(now_s) if bucket is not None else 0.0

    def take(self, name: object, now_s: float) -> None:
        """Count one use of `name`; never below nothing."""
        bucket = self._by_name.get(name)
        if bucket is None:
            bucket = self._by_name[name] = TokenBucket(self._burst, self._per_s, self._burst, now_s)
        bucket.take(now_s)
        self._by_name.move_to_end(name)
        if len(self._by_name) > self._most:
            self._by_name.popitem(last=False)

    def forget(self, name: object) -> None:
        """As if `name` had never been used."""
        self._by_name.pop(name, None)
