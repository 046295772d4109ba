"""What an attack is, and the doors at which attacks are tried. `docs/threat-model.md` names every one of them.

An attack gets an open door and says whether it has succeeded. What it needs to know beforehand (a password that leaked, a cookie that was copied)
it prepares by itself.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, Final

from aiohttp import web
from removed import Edit
from support.native_edge import native_edge
from support.people_store import PASSWORD
from support.served_edge import Served, served

from access.people import Role
from edge.console import sign_in
from edge.console.sign_in import allowed
from edge.http.browsers import CSRF_HEADER

S: Final = 1_000_000_000
ALERTS: Final = "/surveillance/alerts"
KEY: Final = {"APCA-API-KEY-ID": "KEY1", "APCA-API-SECRET-KEY": "secret-1"}
OTHER_KEY: Final = {"APCA-API-KEY-ID": "KEY2", "APCA-API-SECRET-KEY": "secret-2"}
done: list[str] = []
"""What the route /act has done."""


@allowed(Role.OPERATOR)
async def act(request: web.Request) -> web.Response:
    """Something that only operators may do."""
    done.append(request[sign_in.PERSON].known_as)
    return web.Response()


async def fail(_request: web.Request) -> web.Response:
    """A fault of ours."""
    raise LookupError("the password of db.internal is hunter2")


def edge() -> AbstractAsyncContextManager[Served]:
    """An edge with people, keys and nothing behind it."""
    return served(routes=(web.post("/act", act), web.get("/fail", fail)))


def exchange() -> AbstractAsyncContextManager[Any]:
    """An edge with an exchange behind it: accounts 1 and 2 with 10,000.00 and 50 AAPL each."""
    return native_edge()


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """No edge: what attacks topics, stores, files or settings needs none. An empty folder."""
    with TemporaryDirectory(prefix="intruder") as path:
        yield Path(path)


Run = Callable[[Any], Awaitable[bool]]
Door = Callable[[], AbstractAsyncContextManager[Any]]


@dataclass(frozen=True)
class Attack:
    """edits: how the protection is removed."""

    name: str
    run: Run
    edits: tuple[Edit, ...]
    door: Door


ATTACKS: Final[list[Attack]] = []


def attack(name: str, run: Run, *edits: tuple[ModuleType, str, str], door: Door = edge) -> None:
    """Put one into the table: (module, the protection in its source, what stands there without it)."""
    ATTACKS.append(Attack(name, run, tuple(Edit(*one) for one in edits), door))


def stopped_by(*edits: tuple[ModuleType, str, str], door: Door = edge) -> Callable[[Run], Run]:
    """The same for a function, by its name."""

    def listed(run: Run) -> Run:
        attack(run.__name__, run, *edits, door=door)
        return run

    return listed


async def post(edge: Served, path: str, headers: dict[str, str] | None = None, **form: str) -> tuple[int, Any, Any]:
    """A form, without the cookies of before."""
    edge.client.session.cookie_jar.clear()
    found = await edge.post(path, data=form, headers=headers or {})
    edge.client.session.cookie_jar.clear()
    return found


async def cookie(edge: Served, *roles: Role, name: str = "ann") -> dict[str, str]:
    """The cookie of somebody who has signed in."""
    if name not in edge.stores.people:
        edge.stores.add(name, *(roles or (Role.ANALYST,)))
    _, _, headers = await post(edge, "/sign-in", name=name, password=PASSWORD)
    return {"Cookie": f"outcry_session={SimpleCookie(headers['Set-Cookie'])['outcry_session'].value}"}


async def csrf(edge: Served, mine: dict[str, str]) -> dict[str, str]:
    """What a page of ours sends."""
    return {CSRF_HEADER: (await edge.get("/session", headers=mine))[1]["csrf"]}


async def acts(edge: Served, headers: dict[str, str]) -> bool:
    """Whether this does something that only operators may do."""
    before = len(done)
    await edge.post("/act", headers=headers)
    return len(done) > before
