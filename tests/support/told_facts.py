"""Facts by hand that are written to a real log as their senders write them."""

from typing import Final

from confluent_kafka import Producer

from schemas.instruments import load_instruments
from schemas.settings import Settings
from streams.process.record_keys import record_keys
from support.party_facts import OTHER, START, WHO, Facts, stored
from surveillance.accounts.facts import BOOK, NEWS, Record
from topics.catalogue import PARTY_FACTS
from topics.roles import EDGE, WATCH_TRADING
from topics.speakers import OPERATOR

INSTRUMENTS: Final = load_instruments(None)
NUMBERS: Final = sorted(INSTRUMENTS.by_number)[-2:]
"""Two that no other test trades: half minutes of a book that are older than those that it knows say nothing of prices."""
TIMES: Final = tuple(f"{what}_{end}" for what in ("traded", "bought", "sold", "buy", "sell") for end in ("from", "until"))


def of_now(fact: Record, since: int, account: int) -> Record:
    """A fact by hand at another time, in other books, of another account."""
    delta, accounts = since - START, {WHO: account, OTHER: account + 1}
    sums = [
        one
        | {name: one[name] and one[name] + delta for name in TIMES}
        | {"owner": accounts.get(one["owner"], one["owner"]), "other": accounts.get(one["other"], one["other"])}
        for one in fact["sums"]
    ]
    instrument = NUMBERS[fact["instrument"] - 1] if fact["instrument"] else 0
    source = f"executions/{instrument}" if fact["kind"] == BOOK else fact["source"]
    return fact | {
        "at": fact["at"] + delta, "sums": sums, "instrument": instrument, "source": source, "account": accounts.get(fact["account"], 0),
    }  # fmt: skip


class Told:
    """Writes facts as their senders do, each half minute as the next record of its book."""

    def __init__(self, settings: Settings, told: int = 0) -> None:
        """told: facts that were told before, by another one."""
        self._settings, self._next = settings, told
        self._producer = Producer({"bootstrap.servers": settings.kafka_url})

    def tell(self, facts: list[Record]) -> None:
        """In order."""
        for fact in facts:
            self._next += 1
            value = stored(fact | {"source_offset": self._next, "source_index": 0} if fact["kind"] == BOOK else fact)
            speaker = {BOOK: WATCH_TRADING.name, NEWS: OPERATOR}.get(fact["kind"], EDGE.name)
            headers = record_keys(self._settings).signer(speaker)(PARTY_FACTS.name, 0, value)
            self._producer.produce(PARTY_FACTS.name, value, partition=0, headers=headers)
        assert self._producer.flush(60) == 0


def facts_of(facts: Facts, since: int, account: int) -> list[Record]:
    """But for news, which an operator publishes."""
    return [of_now(one, since, account) for one in facts.records if one["kind"] != NEWS]
