"""People in MySQL: what `outcry users` changes, and what an edge sees of it at the next request."""

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner, Result

from access.events import AccessEvent, Act
from access.people import Person, Role
from access.second_factor import code_at
from edge.gateway.access.access_log import AccessRecords
from edge.gateway.access.people import People
from edge.gateway.outcomes import Accepted, Denied
from edge.gateway.stored.stores import EdgeStores
from schemas.errors import OutcryError, ServiceUnavailable
from schemas.settings import Settings
from sinks.mysql.people import SESSIONS_OF_PERSON_MAX
from streams.host.access_record import newest_events
from streams.operate.topics import create_topics
from streams.operate.users import in_mysql, users
from streams.process.record_keys import record_keys
from topics.roles import EDGE
from topics.sender import LogSender

T = TypeVar("T")
PASSWORD = "a few plain words"


class Office:
    """`outcry users` and an edge on the same MySQL."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.now = time.time_ns()

    async def record(self, event: AccessEvent) -> None:
        """AccessLog."""

    def outcry(self, *arguments: str, typed: str = "") -> Result:
        """A command with what is typed into it."""
        return CliRunner().invoke(users, list(arguments), obj=self.settings, input=typed)

    def says(self, *arguments: str, typed: str = "") -> str:
        """What a command says that must succeed."""
        done = self.outcry(*arguments, typed=typed)
        assert done.exit_code == 0, done.output + repr(done.exception)
        return done.output

    def at_edge(self, ask: Callable[[People], Awaitable[T]]) -> T:
        """What an edge answers."""

        async def asked() -> T:
            stores = EdgeStores(self.settings)
            try:
                return await ask(People(stores, self, lambda: self.now))
            finally:
                await stores.close()

        return asyncio.run(asked())

    def sign_in(self, name: str, password: str = PASSWORD, code: str = "", *, here: bool = False) -> Any:
        """(outcome) of somebody, from another address each time."""
        self.now += 40_000_000_000
        return self.at_edge(lambda people: people.sign_in(name, password, code, "198.51.100.1", here=here))

    def whose(self, word: str) -> Any:
        """(outcome) of a session."""
        return self.at_edge(lambda people: people.of_session(word))


@pytest.fixture
def office(services: Settings) -> Office:
    """On the session's MySQL and Kafka."""
    create_topics(services)
    return Office(services)


def test_somebody_is_added_signs_in_with_a_code_and_is_disabled(office: Office) -> None:
    """The password comes from standard input; the secret is told once; a code works once; disabling is for now and for sessions."""
    said = office.says("add", "p-ann", "--role", "analyst", "--role", "supervisor", typed=f"{PASSWORD}\n")
    secret = re.search(r"secret  ([A-Z2-7]{32})", said)
    assert secret
    assert PASSWORD not in said
    office.now += 40_000_000_000
    code = code_at(secret[1], office.now // 30_000_000_000 + 1)  # sign_in turns the clock
    assert office.sign_in("p-ann", code="000000") == Denied()
    office.now -= 40_000_000_000
    found = office.sign_in("p-ann", code=code)
    assert found == Accepted(found.value)
    person = Person("p-ann", frozenset({Role.ANALYST, Role.SUPERVISOR}))
    assert (found.value.person, office.whose(found.value.word)) == (person, Accepted(person))
    assert office.sign_in("p-ann", code=code) == Denied()
    office.says("disable", "p-ann")
    assert office.whose(found.value.word) == Denied()
    office.says("enable", "p-ann")
    assert office.whose(found.value.word) == Denied(), "a session that has ended stays over"


@pytest.mark.parametrize(
    "change",
    [
        ("roles", "p-bob", "--role", "compliance"),
        ("passwd", "p-bob"),
        ("totp", "p-bob"),
        ("totp", "p-bob", "--remove"),
        ("sign-out", "p-bob"),
    ],
)
def test_every_change_of_a_person_ends_their_sessions(office: Office, change: tuple[str, ...]) -> None:
    """At the next request."""
    if office.outcry("add", "p-bob", "--role", "analyst", "--without-totp", typed=PASSWORD).exit_code:
        office.says("roles", "p-bob", "--role", "analyst")
        office.says("totp", "p-bob", "--remove")
        office.says("passwd", "p-bob", typed=PASSWORD)
    found = office.sign_in("p-bob", here=True)
    assert isinstance(office.whose(found.value.word), Accepted)
    office.says(*change, typed="other plain words")
    assert office.whose(found.value.word) == Denied()


def test_attempts_are_counted_in_mysql_and_enable_ends_the_wait(office: Office) -> None:
    """So all edges count together; the wait is that of the gateway's own test."""
    office.says("add", "p-eve", "--role", "operator", "--without-totp", typed=PASSWORD)
    assert [office.sign_in("p-eve", "wrong words here", here=True) for _ in range(5)] == [Denied()] * 5
    office.now -= 40_000_000_000
    assert office.sign_in("p-eve", here=True).retry_after_s == 1.0
    listed = {one["name"]: one for one in json.loads(office.says("list", "--json"))}
    assert (listed["p-eve"]["failed_attempts"], listed["p-eve"]["second_factor"], listed["p-eve"]["roles"]) == (5, False, ["operator"])
    office.says("enable", "p-eve")
    office.now -= 40_000_000_000
    assert isinstance(office.sign_in("p-eve", here=True), Accepted)


def test_a_person_has_so_many_sessions_and_old_ones_go(office: Office) -> None:
    """The first one ends for the next."""
    office.says("add", "p-dan", "--role", "analyst", "--without-totp", typed=PASSWORD)
    words = [office.sign_in("p-dan", here=True).value.word for _ in range(SESSIONS_OF_PERSON_MAX + 1)]
    assert office.whose(words[0]) == Denied()
    assert isinstance(office.whose(words[1]), Accepted)

    async def digests(db: Any) -> list[Any]:
        return list(await db.fetch("SELECT HEX(digest) FROM people_sessions WHERE name = 'p-dan'"))

    assert len(in_mysql(office.settings, digests)) == SESSIONS_OF_PERSON_MAX
    office.now += 13 * 3_600 * 1_000_000_000
    office.sign_in("p-dan", here=True)
    assert len(in_mysql(office.settings, digests)) == 1


def test_a_token_works_with_its_roles_until_it_is_withdrawn(office: Office) -> None:
    """It is printed once and stored as a digest; it cannot have roles that its person has not."""
    office.says("add", "p-joe", "--role", "analyst", "--role", "operator", "--without-totp", typed=PASSWORD)
    refused = office.outcry("token", "p-joe", "--role", "compliance")
    assert isinstance(refused.exception, OutcryError)
    assert "p-joe is not compliance" in str(refused.exception)
    token = office.says("token", "p-joe", "--role", "analyst", "--read-only", "--label", "night – report").splitlines()[-1]

    def whose() -> Any:
        return office.at_edge(lambda people: people.of_token(token, "198.51.100.1"))

    (listed,) = [one for one in json.loads(office.says("tokens", "--json")) if one["name"] == "p-joe"]
    assert (listed["roles"], listed["read_only"], listed["label"]) == ("analyst", True, "night – report")
    assert token not in json.dumps(listed)
    assert whose() == Accepted(Person("p-joe", frozenset({Role.ANALYST}), listed["token_id"], read_only=True))
    office.says("withdraw", listed["token_id"])
    office.now = time.time_ns() + 1
    assert whose() == Denied()
    assert "over since" in office.says("tokens")


@pytest.mark.parametrize(
    ("arguments", "typed", "sentence"),
    [
        (("add", "Ann", "--role", "analyst"), PASSWORD, "cannot be a person's name"),
        (("add", "p-kim", "--role", "analyst"), "short", "at least 12"),
        (("add", "p-kim", "--role", "analyst"), "", "at least 12"),
        (("passwd", "p-nobody"), PASSWORD, "nobody of the name p-nobody"),
        (("roles", "p-nobody", "--role", "analyst"), "", "nobody of the name p-nobody"),
        (("sign-out", "p-nobody"), "", "nobody of the name p-nobody"),
        (("token", "p-nobody", "--role", "analyst"), "", "nobody of the name p-nobody"),
        (("withdraw", "000000000000"), "", "no token 000000000000"),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(office: Office, arguments: tuple[str, ...], typed: str, sentence: str) -> None:
    """And nothing is changed."""
    done = office.outcry(*arguments, typed=typed)
    assert isinstance(done.exception, OutcryError)
    assert sentence in str(done.exception)
    assert "p-kim" not in office.says("list")


def test_nobody_is_added_twice(office: Office) -> None:
    """The second one changes nothing."""
    office.says("add", "p-lee", "--role", "analyst", "--without-totp", typed=PASSWORD)
    again = office.outcry("add", "p-lee", "--role", "operator", typed="other plain words")
    assert "already somebody" in str(again.exception)
    assert isinstance(office.sign_in("p-lee", here=True), Accepted)


def test_commands_are_recorded_before_they_are_done_and_not_done_otherwise(office: Office) -> None:
    """With the user of this machine and the options; never with a password."""
    office.says("add", "p-max", "--role", "analyst", "--without-totp", typed=PASSWORD)
    office.says("disable", "p-max")
    events = [json.loads(line) for line in office.says("events", "--json", "--last", "2").splitlines()]
    assert [(event["act"], event["what"]) for event in events] == [
        ("ACTED", 'users add {"name": "p-max", "roles": ["analyst"], "without_totp": true}'),
        ("ACTED", 'users disable {"name": "p-max"}'),
    ]
    assert all("@" in event["address"] and PASSWORD not in json.dumps(event) for event in events)
    assert "users disable" in office.says("events", "--last", "1")
    for without in ({"kafka_url": ""}, {"kafka_url": "127.0.0.1:1"}):
        elsewhere = Office(office.settings.model_copy(update=without))
        done = elsewhere.outcry("enable", "p-max")
        assert "nothing was done" in str(done.exception)
    assert {one["name"]: one["enabled"] for one in json.loads(office.says("list", "--json"))}["p-max"] is False


async def test_an_edge_records_on_the_log(services: Settings) -> None:
    """And says within its time that it cannot."""
    create_topics(services)
    records = AccessRecords()
    sender = LogSender({"bootstrap.servers": services.kafka_url}, sign=record_keys(services).signer(EDGE.name))
    event = AccessEvent(7, Act.SIGNED_IN, "p-zoe", "203.0.113.7", "", "")
    with pytest.raises(ServiceUnavailable, match="has not been reached"):
        await records.record(event)
    await sender.start()
    records.sender = sender
    try:
        await records.record(event)
    finally:
        await sender.stop()
    assert asdict(event) in list(await asyncio.to_thread(lambda: list(newest_events(services, 5))))
