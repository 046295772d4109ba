"""The gateway's People: who gets in, how long, how guesses are slowed down, and what is recorded."""

import asyncio

import pytest
from argon2 import PasswordHasher
from support.people_store import PASSWORD, PeopleInMemory

from access import passwords
from access.events import AccessEvent, Act
from access.people import Person, Role
from access.second_factor import code_at, new_secret
from edge.gateway import limits
from edge.gateway.access.people import People, SignedIn, delay_s
from edge.gateway.outcomes import Accepted, Cause, Denied, Unavailable
from schemas.errors import ServiceUnavailable

S = 1_000_000_000
HOME, ELSEWHERE = "127.0.0.1", "203.0.113.7"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost nothing; tests/unit/access has the real ones."""
    monkeypatch.setattr(passwords, "HASHER", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords.nobodys_hash.cache_clear()


class World:
    """People, a clock, and a record that may be away."""

    def __init__(self) -> None:
        self.store = PeopleInMemory()
        self.now = 1_000_000_000 * S
        self.events: list[AccessEvent] = []
        self.record_away = False
        self.people = People(self.store, self, lambda: self.now)
        self.secret = new_secret()
        self.store.add("ann", Role.ANALYST, totp_secret=self.secret)
        self.store.add("bob", Role.OPERATOR)

    async def record(self, event: AccessEvent) -> None:
        """AccessLog."""
        if self.record_away:
            raise ServiceUnavailable("away")
        self.events.append(event)

    @property
    def acts(self) -> list[Act]:
        """What was recorded."""
        return [event.act for event in self.events]

    @property
    def code(self) -> str:
        """Ann's, now."""
        return code_at(self.secret, self.now // S // 30)

    async def ann(self, password: str = PASSWORD, code: str | None = None, address: str = ELSEWHERE) -> object:
        """She signs in."""
        return await self.people.sign_in("ann", password, self.code if code is None else code, address, here=False)

    async def word(self) -> str:
        """Of a new session of hers."""
        self.now += 60 * S
        found = await self.ann()
        assert isinstance(found, Accepted)
        assert isinstance(found.value, SignedIn)
        return found.value.word


async def test_name_password_and_code_open_a_session_and_that_is_recorded() -> None:
    """With the roles; the word itself is stored nowhere."""
    world = World()
    found = await world.ann()
    assert isinstance(found, Accepted)
    assert found.value.person == Person("ann", frozenset({Role.ANALYST}))
    assert await world.people.of_session(found.value.word) == Accepted(found.value.person)
    assert found.value.word not in str(world.store.opened)
    assert [(event.act, event.person, event.address) for event in world.events] == [(Act.SIGNED_IN, "ann", ELSEWHERE)]


@pytest.mark.parametrize(
    ("name", "password", "code", "why"),
    [
        ("ann", "wrong words here", None, "name or password"),
        ("nobody", PASSWORD, None, "name or password"),
        ("ann' OR 1=1 --", PASSWORD, None, "name or password"),
        ("ann", PASSWORD, "", "the code is wrong, over or used"),
        ("ann", PASSWORD, "000000", "the code is wrong, over or used"),
        ("gone", PASSWORD, "", "the person is disabled"),
        ("bob", PASSWORD, "", "no second factor, and not on this machine"),
    ],
)
async def test_every_other_attempt_is_denied_alike_and_recorded_with_its_reason(
    name: str, password: str, code: str | None, why: str
) -> None:
    """The client learns nothing of it; a name that cannot be one is not repeated in the record."""
    world = World()
    world.store.add("gone", Role.ANALYST, enabled=False)
    found = await world.people.sign_in(name, password, world.code if code is None else code, ELSEWHERE, here=False)
    assert found == Denied()
    assert [(event.act, event.detail) for event in world.events] == [(Act.SIGN_IN_REFUSED, why)]
    assert world.events[0].person == (name if name.isalpha() else "")
    assert world.store.opened == {}


async def test_without_a_second_factor_one_signs_in_on_this_machine_only() -> None:
    """Not from anywhere else, whatever the password."""
    world = World()
    assert isinstance(await world.people.sign_in("bob", PASSWORD, "", HOME, here=True), Accepted)


async def test_a_code_opens_one_session_only() -> None:
    """Nobody who looks over a shoulder gets in with it."""
    world = World()
    code = world.code
    assert isinstance(await world.ann(), Accepted)
    assert await world.ann(code=code, address=HOME) == Denied()


async def test_a_session_ends_when_idle_when_old_and_when_its_person_changes() -> None:
    """A page that asks by itself keeps nobody signed in."""
    world = World()
    word = await world.word()
    for _ in range(3):
        world.now += (limits.PERSON_IDLE_S - 60) * S
        assert isinstance(await world.people.of_session(word), Accepted)
    for _ in range(30):
        world.now += 61 * S
        polled = await world.people.of_session(word, at_work=False)
    assert polled == Denied()

    word, began = await world.word(), world.now
    while world.now < began + limits.PERSON_SESSION_S * S:
        assert isinstance(await world.people.of_session(word), Accepted)
        world.now += limits.PERSON_IDLE_S // 2 * S
    assert await world.people.of_session(word) == Denied()

    for change in ({"enabled": False}, {"roles": "operator"}):
        world.store.add("ann", Role.ANALYST, totp_secret=world.secret)
        word = await world.word()
        world.store.change("ann", **change)
        assert await world.people.of_session(word) == Denied()


async def test_roles_are_those_of_now_and_not_those_of_the_sign_in() -> None:
    """Also where a session was left open."""
    world = World()
    word = await world.word()
    sessions = dict(world.store.opened)
    world.store.change("ann", roles="compliance")
    world.store.opened = sessions
    assert await world.people.of_session(word) == Accepted(Person("ann", frozenset({Role.COMPLIANCE})))


async def test_signing_out_ends_one_session_or_all() -> None:
    """And is recorded."""
    world = World()
    words = [await world.word() for _ in range(3)]
    person = Person("ann", frozenset({Role.ANALYST}))
    assert await world.people.sign_out(person, words[0], HOME) == Accepted(1)
    assert [isinstance(await world.people.of_session(word), Accepted) for word in words] == [False, True, True]
    assert await world.people.sign_out(person, words[1], HOME, everywhere=True) == Accepted(2)
    assert [isinstance(await world.people.of_session(word), Accepted) for word in words] == [False, False, False]
    assert world.acts[-2:] == [Act.SIGNED_OUT, Act.SIGNED_OUT]
    assert await world.people.of_session("") == Denied()


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_guesses_of_a_name_wait_twice_as_long_each_time_from_wherever_they_come(name: str) -> None:
    """The same for a name that nobody has, so that nobody learns which there are."""
    world = World()
    waits = []
    for guess in range(16):
        address = f"203.0.113.{guess}"
        found = await world.people.sign_in(name, "a wrong password", "000000", address, here=False)
        assert found == Denied(), guess
        again = await world.people.sign_in(name, PASSWORD, world.code, f"198.51.100.{guess}", here=False)
        if isinstance(again, Unavailable):
            assert again.cause is Cause.TOO_MANY_GUESSES
            waits.append(again.retry_after_s)
            world.now += int(again.retry_after_s * S) + 1
        elif name == "ann":  # she got in, so it starts anew
            world.store.add("ann", Role.ANALYST, totp_secret=world.secret)
            for _ in range(limits.SIGN_IN_FREE - 1):
                await world.people.sign_in(name, "a wrong password", "", f"192.0.2.{guess}", here=False)
    assert waits == sorted(waits)
    assert waits[:3] == [1.0, 2.0, 4.0]
    assert delay_s(5_000) == limits.SIGN_IN_DELAY_MAX_S
    assert Act.SIGN_IN_REFUSED in world.acts


async def test_guesses_from_one_address_are_slowed_down_whatever_the_name() -> None:
    """What comes too early is not looked at; others are not held up."""
    world = World()
    for number in range(limits.SIGN_INS_OF_ADDRESS_BURST):
        assert await world.people.sign_in(f"name{number}", "a wrong password", "", ELSEWHERE, here=False) == Denied()
    assert isinstance(await world.ann(), Unavailable)
    assert world.people.refused == 1
    assert isinstance(await world.ann(address=HOME), Accepted)


async def test_guesses_side_by_side_count_as_guesses_one_after_the_other() -> None:
    """Of a hundred at once a few are looked at, as many as are free."""
    world = World()
    found = await asyncio.gather(
        *(world.people.sign_in("ann", "a wrong password", "", f"203.0.113.{number}", here=False) for number in range(100))
    )
    looked_at = sum(one == Denied() for one in found)
    assert 1 <= looked_at <= limits.SIGN_IN_FREE
    assert sum(isinstance(one, Unavailable) for one in found) == 100 - looked_at


async def test_nobody_gets_in_while_it_cannot_be_recorded_or_looked_up() -> None:
    """Fail closed; a refusal needs no record to be one."""
    world = World()
    word = await world.word()
    world.record_away = True
    world.now += 60 * S
    assert isinstance(await world.ann(), Unavailable)
    assert await world.ann("a wrong password") == Denied()
    assert len(world.store.opened) == 1
    world.store.people_away = True
    assert isinstance(await world.ann(), Unavailable)
    assert isinstance(await world.people.of_session(word), Unavailable)
    assert isinstance(await world.people.of_token(world.store.add_token(Role.ANALYST), HOME), Unavailable)


async def test_an_operator_token_has_the_roles_that_it_and_its_person_have() -> None:
    """Until it is over, withdrawn, or its person is not what they were."""
    world = World()
    token = world.store.add_token(Role.ANALYST, Role.SUPERVISOR, name="ann")
    found = await world.people.of_token(token, HOME)
    assert isinstance(found, Accepted)
    assert (found.value.name, found.value.roles, found.value.token_id != "") == ("ann", frozenset({Role.ANALYST}), True)
    world.store.change("ann", enabled=False)
    assert await world.people.of_token(token, HOME) == Denied()
    over = world.store.add_token(Role.OPERATOR, name="bob", ends_at=world.now)
    assert await world.people.of_token(over, HOME) == Denied()
    for wrong in (over[:-1] + ("a" if over[-1] != "a" else "b"), "", "outcry_000000000000_" + "a" * 43):
        assert await world.people.of_token(wrong, HOME) == Denied()
    assert world.acts == [Act.TOKEN_REFUSED] * 5
    assert token not in str(world.events)
