"""GET /v2/clock and /v2/calendar over HTTP."""

import pytest
from support.served_edge import served

KEY = {"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": "secret-1"}
HALF_DAY = {
    "date": "2026-11-27", "open": "09:30", "close": "13:00", "session_open": "0630", "session_close": "1305", "settlement_date": "2026-11-30",
}  # fmt: skip


async def test_the_calendar_has_trading_days_with_their_hours() -> None:
    """Thanksgiving is not among them, the day after it is short."""
    async with served() as edge:
        status, days, _ = await edge.get("/v2/calendar?start=2026-11-25&end=2026-11-30", headers=KEY)
        assert status == 200
        assert [one["date"] for one in days] == ["2026-11-25", "2026-11-27", "2026-11-30"]
        assert days[1] == HALF_DAY
        assert days[0]["settlement_date"] == "2026-11-27"
        settled = (await edge.get("/v2/calendar?start=2026-11-30T00:00:00Z&end=2026-11-30&date_type=SETTLEMENT", headers=KEY))[1]
        assert settled == [HALF_DAY]
        whole = (await edge.get("/v2/calendar", headers=KEY))[1]
        assert (whole[0]["date"], whole[-1]["date"]) == ("2016-01-04", "2040-12-28")
        assert (await edge.get("/v2/calendar?start=9999-12-31&end=9999-12-31", headers=KEY))[1] == []


@pytest.mark.parametrize(
    ("query", "problem"), [("start=soon", "start must be"), ("end=2026-13-01", "end must be"), ("date_type=X", "date_type must")]
)
async def test_a_query_that_cannot_be_is_refused(query: str, problem: str) -> None:
    """By name."""
    async with served() as edge:
        status, body, _ = await edge.get(f"/v2/calendar?{query}", headers=KEY)
        assert (status, problem in body["message"]) == (422, True)


async def test_the_clock_follows_the_calendar_and_a_rehearsals_time() -> None:
    """Closed while the books say so, whatever the calendar says."""
    async with served(market_clock="2026-11-30T12:00:00Z=2026-11-25T12:00:00-05:00*1") as edge:
        edge.gateway.hours._now = lambda: 1_796_040_000_000_000_000
        status, clock, _ = await edge.get("/v2/clock", headers=KEY)
        assert status == 200
        assert clock == {"timestamp": "2026-11-25T12:00:00-05:00", "is_open": False,
                         "next_open": "2026-11-27T09:30:00-05:00", "next_close": "2026-11-25T16:00:00-05:00"}  # fmt: skip
        assert (await edge.get("/v2/clock"))[0] == 401
    async with served(market_clock="2026-11-30T12:00:00Z=2040-12-31T20:00:00-05:00*1") as edge:
        edge.gateway.hours._now = lambda: 1_796_040_000_000_000_000
        assert (await edge.get("/v2/clock", headers=KEY))[0] == 503
