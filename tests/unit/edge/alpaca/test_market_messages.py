"""The messages of Alpaca's market data, byte for byte, of each kind of event."""

import pytest

from edge.alpaca.market_data.messages import channel_of, json_of, packed_of
from edge.gateway.market.events import (
    Auction,
    Bands,
    BandUpdate,
    Bar,
    BookLevels,
    DailyBar,
    Level,
    MarketEvent,
    Quote,
    Status,
    Trade,
    TradeBust,
    UpdatedBar,
)
from schemas.enums import Phase, Side
from schemas.instruments import load_instruments
from schemas.reject_reasons import Reason

AAPL = load_instruments(None).by_symbol["AAPL"]
AT = 1_700_000_000_123_456_789
ONE = (AAPL, 9, AT)

WRITTEN: list[tuple[MarketEvent, str, bytes]] = [
    (
        Trade(*ONE, 77, 18_005, 2, Side.BUY, Phase.CONTINUOUS),
        "trades",
        b'{"T":"t","S":"AAPL","i":77,"x":"","p":180.05,"s":2,"c":["@"],"t":"2023-11-14T22:13:20.123456789Z","z":"C","seq":9,"tks":"B"}',
    ),
    (
        Trade(*ONE, 78, 18_000, 300, 0, Phase.OPENING_AUCTION),
        "trades",
        b'{"T":"t","S":"AAPL","i":78,"x":"","p":180.00,"s":300,"c":["@","O"],"t":"2023-11-14T22:13:20.123456789Z","z":"C","seq":9,"tks":""}',
    ),
    (
        TradeBust(*ONE, 77, 18_005, 2, Reason.CLEARLY_ERRONEOUS),
        "trades",
        b'{"T":"x","S":"AAPL","i":77,"x":"","p":180.05,"s":2,"a":"E","t":"2023-11-14T22:13:20.123456789Z","z":"C","seq":9}',
    ),
    (
        Quote(*ONE, 18_004, 5, 18_006, 7, is_firm=True),
        "quotes",
        b'{"T":"q","S":"AAPL","bx":"","bp":180.04,"bs":5,"ax":"","ap":180.06,"as":7,"z":"C","t":"2023-11-14T22:13:20.123456789Z","seq":9,"c":["R"]}',
    ),
    (
        Quote(*ONE, 18_010, 5, 18_000, 7, is_firm=False),
        "quotes",
        b'{"T":"q","S":"AAPL","bx":"","bp":180.10,"bs":5,"ax":"","ap":180.00,"as":7,"z":"C","t":"2023-11-14T22:13:20.123456789Z","seq":9,"c":["N"]}',
    ),
    (
        Bar(*ONE, 18_000, 18_010, 17_990, 18_005, 12, 3, 216_017),
        "bars",
        b'{"T":"b","S":"AAPL","o":180.00,"h":180.10,"l":179.90,"c":180.05,"v":12,"n":3,"vw":180.014167,"t":"2023-11-14T22:13:20.123456789Z","seq":9}',
    ),
    (
        UpdatedBar(*ONE, 18_000, 18_010, 17_990, 18_005, 12, 3, 216_017),
        "updatedBars",
        b'{"T":"u","S":"AAPL","o":180.00,"h":180.10,"l":179.90,"c":180.05,"v":12,"n":3,"vw":180.014167,"t":"2023-11-14T22:13:20.123456789Z","seq":9}',
    ),
    (
        DailyBar(*ONE, 18_000, 18_010, 17_990, 18_005, 12, 3, 216_017),
        "dailyBars",
        b'{"T":"d","S":"AAPL","o":180.00,"h":180.10,"l":179.90,"c":180.05,"v":12,"n":3,"vw":180.014167,"t":"2023-11-14T22:13:20.123456789Z","seq":9}',
    ),
    (
        Status(*ONE, Phase.VOLATILITY_AUCTION, Reason.LULD_PAUSE),
        "statuses",
        b'{"T":"s","S":"AAPL","sc":"P","sm":"Volatility Trading Pause","rc":"LUDP","rm":"trading pause: the limit state lasted too long","t":"2023-11-14T22:13:20.123456789Z","z":"C","phase":"volatility_auction","reason":"LULD_PAUSE","seq":9}',
    ),
    (
        Auction(*ONE, 18_000, 40, 3, Side.SELL),
        "imbalances",
        b'{"T":"i","S":"AAPL","p":180.00,"z":"C","t":"2023-11-14T22:13:20.123456789Z","s":40,"imbalance":3,"side":"S","seq":9}',
    ),
    (
        Bands(*ONE, 17_100, 18_900, BandUpdate.OPENING),
        "lulds",
        b'{"T":"l","S":"AAPL","u":189.00,"d":171.00,"i":"A","t":"2023-11-14T22:13:20.123456789Z","z":"C","seq":9}',
    ),
    (
        BookLevels(*ONE, (Level(18_004, 5), Level(18_003, 0)), (Level(18_006, 7),)),
        "orderbooks",
        b'{"T":"o","S":"AAPL","b":[{"p":180.04,"s":5},{"p":180.03,"s":0}],"a":[{"p":180.06,"s":7}],"t":"2023-11-14T22:13:20.123456789Z","r":false,"seq":9}',
    ),
    (
        BookLevels(*ONE, (Level(18_004, 5),), (), is_whole=True),
        "orderbooks",
        b'{"T":"o","S":"AAPL","b":[{"p":180.04,"s":5}],"a":[],"t":"2023-11-14T22:13:20.123456789Z","r":true}',
    ),
]


@pytest.mark.parametrize(("event", "channel", "written"), WRITTEN)
def test_an_event_is_written_as_alpaca_writes_it(event: MarketEvent, channel: str, written: bytes) -> None:
    """Prices are exact decimals, times have nine decimals."""
    assert (channel_of(event), json_of(event)) == (channel, written)


def test_every_kind_of_event_has_its_message() -> None:
    """The union of events is closed."""
    assert {type(event) for event, _, _ in WRITTEN} == set(MarketEvent.__args__)


def test_an_encoding_is_made_once_for_everybody() -> None:
    """It lives as long as the event."""
    event = WRITTEN[0][0]
    assert json_of(event) is json_of(event)
    assert packed_of(event) is packed_of(event)
