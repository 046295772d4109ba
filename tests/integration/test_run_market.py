"""The role run-market on the real log: what it reads back of book.commands, and what it leaves alone."""

import time
from datetime import date

import pytest

from schemas.enums import BookCommandKind, Phase
from schemas.instruments import load_instruments
from schemas.market_hours import MarketCalendar, MarketClock, steps_of
from streams.operate.command_books import phase_answers, send
from streams.roles.run_market import EVERY, KafkaCommands, RunMarket
from streams.transport.cluster import partition_counts
from topics.catalogue import BOOK_COMMANDS

pytestmark = pytest.mark.integration
CALENDAR = MarketCalendar.load()


async def test_a_phase_is_commanded_once_and_not_over_an_operators_word(exchange):
    """Three processes, one after the other, at the open of a day: the books are open already, so nothing changes for other tests."""
    opening = steps_of(next(CALENDAR.days(date(2026, 3, 9), CALENDAR.last)))[2]
    count = partition_counts(exchange.settings, BOOK_COMMANDS)[BOOK_COMMANDS.name]
    began_ns = time.time_ns()

    async def look(clock):
        """What a process that starts now does; what the log says of phases behind it."""
        commands = KafkaCommands(exchange.settings, count)
        await commands.start()
        try:
            role = RunMarket(CALENDAR, clock, load_instruments(None), count, commands, time.time_ns)
            await role.look()
            return role.status(), await commands.commanded(began_ns - 3_600_000_000_000)
        finally:
            await commands.stop()

    answers = phase_answers(send(exchange.settings, BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.CONTINUOUS))
    assert {one.phase for one in answers} == {Phase.CONTINUOUS}
    opened_before_ns = MarketClock(began_ns - 10_000_000_000, opening.at_ns)  # by the calendar ten seconds before the operator
    status, said = await look(opened_before_ns)
    assert status["overruled_instruments"] == [EVERY]
    assert not any(one.steps for one in said.values())
    opens_now = MarketClock(time.time_ns(), opening.at_ns)
    for _ in range(2):
        status, said = await look(opens_now)
        assert (status["phase"], status.get("overruled_instruments")) == ("CONTINUOUS", None)
        assert all(one.steps == {opening.number} for one in said.values())
    found = phase_answers(send(exchange.settings, BookCommandKind.TRADING_SESSION_CHANGE, phase=Phase.CONTINUOUS))
    assert {one.phase for one in found} == {Phase.CONTINUOUS}
