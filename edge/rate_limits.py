"""A token bucket per API key. No I/O; the clock is the caller's."""

from dataclasses import dataclass


@dataclass(slots=True)
class TokenBucket:
    """Holds at most `per_minute` tokens and regains as many a minute; a request takes one. Times in seconds."""

    per_minute: int
    tokens: float
    at_s: float

    def take(self, now_s: float) -> bool:
        """True if the request may pass."""
        self.tokens = min(self.per_minute, self.tokens + (now_s - self.at_s) * self.per_minute / 60)
        self.at_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def seconds_until_full(self) -> float:
        """When the bucket will hold `per_minute` again if nobody asks."""
        return (self.per_minute - self.tokens) * 60 / self.per_minute
