"""What a check can find: something is wrong, or it could not be checked."""


class Wrong(Exception):
    """Something is not what its signatures say. `place` says where."""

    def __init__(self, place: str, why: str) -> None:
        super().__init__(f"{place}: {why}")
        self.place, self.why = place, why


class Unchecked(Exception):
    """Nothing is proven wrong, but something that is needed for the proof cannot be had."""
