"""The people of a test: a PeopleStore (edge.gateway.access.people) in memory, with the same promises as sinks.mysql.people."""

from dataclasses import replace
from typing import Final

from access.passwords import hash_password
from access.people import Role, text_of
from access.tokens import digest_of, new_operator_token
from schemas.errors import ServiceUnavailable
from sinks.mysql.people import StoredPerson, StoredSession, StoredToken

PASSWORD: Final = "a few plain words"
FAR: Final = 1 << 62


class PeopleInMemory:
    """Nobody at first. Or away."""

    def __init__(self, *, away: bool = False) -> None:
        self.people_away = away
        self.people: dict[str, StoredPerson] = {}
        self.opened: dict[str, tuple[str, int, int]] = {}
        """By digest: name, when the session began, when its person was seen."""
        self.tokens: dict[str, StoredToken] = {}

    def add(self, name: str, *roles: Role, totp_secret: str = "", password: str = PASSWORD, enabled: bool = True) -> None:
        """Somebody."""
        self.people[name] = StoredPerson(name, hash_password(password), totp_secret, 0, text_of(roles), enabled, 0, 0, 0, 0)

    def add_token(self, *roles: Role, name: str = "robot", read_only: bool = False, ends_at: int = FAR) -> str:
        """A token of somebody who has these roles."""
        if name not in self.people:
            self.add(name, *roles)
        token_id, token = new_operator_token()
        self.tokens[token_id] = StoredToken(
            token_id, name, digest_of(token), text_of(roles), "", enabled=True, read_only=read_only, label="", created_at=0, ends_at=ends_at
        )
        return token

    def bearer(self, *roles: Role, **options: bool) -> dict[str, str]:
        """The header of a program that may do this."""
        return {"Authorization": f"Bearer {self.add_token(*roles, **options)}"}

    def change(self, name: str, **columns: object) -> None:
        """As `outcry users` does."""
        self.people[name] = replace(self.people[name], **columns)
        self.opened = {digest: one for digest, one in self.opened.items() if one[0] != name}

    # ---- PeopleStore

    async def person(self, name: str) -> StoredPerson | None:
        """Somebody."""
        self._ask()
        return self.people.get(name)

    async def claim_attempt(self, name: str, attempts: int, now: int) -> bool:
        """Compare and count."""
        self._ask()
        known = self.people[name]
        if known.attempts != attempts:
            return False
        self.people[name] = replace(known, attempts=attempts + 1, attempted_at=now)
        return True

    async def open_session(self, digest: str, name: str, totp_step: int, address: str, now: int, began_after: int) -> bool:
        """Unless the code was used."""
        self._ask()
        known = self.people[name]
        if not known.enabled or (known.totp_secret and known.totp_step >= totp_step):
            return False
        self.people[name] = replace(known, attempts=0, totp_step=totp_step)
        self.opened[digest] = name, now, now
        return True

    async def session(self, digest: str) -> StoredSession | None:
        """With what its person is now."""
        self._ask()
        if digest not in self.opened:
            return None
        name, began, seen = self.opened[digest]
        return StoredSession(name, self.people[name].roles, self.people[name].enabled, began, seen)

    async def touch_session(self, digest: str, now: int) -> None:
        """Seen."""
        name, began, _ = self.opened[digest]
        self.opened[digest] = name, began, now

    async def end_session(self, digest: str) -> None:
        """Over."""
        self._ask()
        self.opened.pop(digest, None)

    async def end_sessions(self, name: str) -> int:
        """All of somebody."""
        mine = [digest for digest, one in self.opened.items() if one[0] == name]
        for digest in mine:
            del self.opened[digest]
        return len(mine)

    async def token(self, token_id: str) -> StoredToken | None:
        """With what its person is now."""
        self._ask()
        known = self.tokens.get(token_id)
        return replace(known, persons_roles=self.people[known.name].roles, enabled=self.people[known.name].enabled) if known else None

    def _ask(self) -> None:
        if self.people_away:
            raise ServiceUnavailable("MySQL at db.internal:3306/outcry refused the request")
