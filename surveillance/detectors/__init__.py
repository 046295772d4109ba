"""One module per pattern. DETECTORS are those that the exchange runs, in the order in which they get events."""

from typing import Final

from surveillance.contract import Detector, MakeDetector
from surveillance.detectors.circular_trading import CircularTradingDetector
from surveillance.detectors.erroneous_order import ErroneousOrderDetector
from surveillance.detectors.floor_and_ceiling import FloorAndCeilingDetector
from surveillance.detectors.front_running import FrontRunningDetector
from surveillance.detectors.indicative_price import IndicativePriceDetector
from surveillance.detectors.layering import LayeringDetector
from surveillance.detectors.marking_the_close import MarkingTheCloseDetector
from surveillance.detectors.matched_orders import MatchedOrdersDetector
from surveillance.detectors.momentum_ignition import MomentumIgnitionDetector
from surveillance.detectors.order_to_trade import OrderToTradeDetector
from surveillance.detectors.painting_the_tape import PaintingTheTapeDetector
from surveillance.detectors.pinging import PingingDetector
from surveillance.detectors.pump_and_dump import PumpAndDumpDetector
from surveillance.detectors.quote_stuffing import QuoteStuffingDetector
from surveillance.detectors.ramping import RampingDetector
from surveillance.detectors.spoofing import SpoofingDetector
from surveillance.detectors.unbalanced_cancel import UnbalancedCancelDetector
from surveillance.detectors.wash_trade import WashTradeDetector

PATTERNS: Final[tuple[type[Detector], ...]] = (
    LayeringDetector, SpoofingDetector, WashTradeDetector, MatchedOrdersDetector, CircularTradingDetector, MarkingTheCloseDetector,
    PaintingTheTapeDetector, MomentumIgnitionDetector, RampingDetector, QuoteStuffingDetector, OrderToTradeDetector, UnbalancedCancelDetector,
    ErroneousOrderDetector, PingingDetector, IndicativePriceDetector,
    FrontRunningDetector, FloorAndCeilingDetector, PumpAndDumpDetector,
)  # fmt: skip
DETECTORS: Final[tuple[MakeDetector, ...]] = PATTERNS
