"""Drop what a source has sent before: a shard that replays its log sends byte-identical frames again. No I/O."""

from schemas.codec import Header


class SourceFilter:
    """Per source the highest (source_offset, source_index) seen."""

    def __init__(self) -> None:
        self._highest: dict[str, tuple[int, int]] = {}
        self.dropped = 0

    def is_new(self, header: Header) -> bool:
        """True once for each frame of a source, in their order; False for one at or below the highest seen."""
        place = (header.source_offset, header.source_index)
        highest = self._highest.get(header.source)
        if highest is not None and place <= highest:
            self.dropped += 1
            return False
        self._highest[header.source] = place
        return True
