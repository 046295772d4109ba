"""One module per pattern. DETECTORS are those that the exchange runs, in the order in which they get events."""

from typing import Final

from surveillance.contract import MakeDetector
from surveillance.detectors.layering import LayeringDetector

DETECTORS: Final[tuple[MakeDetector, ...]] = (LayeringDetector,)
