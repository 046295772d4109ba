"""Customers on the trading page: an API key becomes a session, whose cookie counts on /v2 and /stream, from pages of this server only."""

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType
from support.edge_requests import Traded, traded
from support.served_edge import served

from access.api_keys import Scope
from access.events import AccessEvent
from access.people import Role
from edge.console.order_forms import CLASSES, TIMES, TYPES, order_forms
from edge.gateway.access.sessions import KeyRecord
from edge.gateway.limits import PERSON_IDLE_S
from edge.http.browsers import CSRF_HEADER
from schemas.enums import ContingencyType, OrdType, TimeInForce

ORDER = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "150.00"}


class _Log:
    def __init__(self) -> None:
        self.events: list[AccessEvent] = []

    async def record(self, event: AccessEvent) -> None:
        """Keep it."""
        self.events.append(event)


class Browser:
    """What a browser does: it has cookies and says where a request comes from."""

    def __init__(self, edge: Traded) -> None:
        self.edge, self.client, self.log = edge, edge.client, _Log()
        edge.gateway.traders._access_log = self.log
        edge.client.session.cookie_jar._unsafe = True  # type: ignore[attr-defined]  # aiohttp keeps no cookies of addresses without it
        self.origin = f"http://{edge.client.host}:{edge.client.port}"
        self.csrf = ""

    async def sign_in(self, key: str = "KEY1", secret: str = "secret-1", **headers: str) -> tuple[int, Any]:
        """The form; the status and the answer's headers."""
        form = {"key_id": key, "secret": secret, "next": ""}
        async with self.client.post("/trade/sign-in", data=form, headers=headers, allow_redirects=False) as response:
            status, told = response.status, response.headers
        if status == 303:
            self.csrf = (await self.ask("GET", "/trade/session"))[1]["csrf"]
        return status, told

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """With the cookie alone."""
        async with self.client.request(method, path, json=body, headers=headers, allow_redirects=False) as response:
            return response.status, await response.json() if response.content_type == "application/json" else await response.text()

    async def order(self, **headers: str) -> tuple[int, Any]:
        """POST one."""
        return await self.ask("POST", "/v2/orders", ORDER, **headers)


async def test_a_key_becomes_a_session_that_trades_and_ends() -> None:
    """The cookie is for no script and no other site; after the sign-out it opens nothing, and both are recorded."""
    async with traded() as edge:
        ann = Browser(edge)
        assert (await ann.ask("GET", "/trade"))[0] == 303
        status, told = await ann.sign_in()
        assert (status, told["Location"]) == (303, "/trade")
        assert "HttpOnly" in told["Set-Cookie"]
        assert "SameSite=Strict" in told["Set-Cookie"]
        assert "secret-1" not in str(told)
        assert (await ann.ask("GET", "/trade"))[0] == 200
        status, session = await ann.ask("GET", "/trade/session")
        assert (session["account"], session["key_id"], session["scopes"]) == ("1", "KEY1", ["read", "trade"])
        status, order = await ann.order(**{CSRF_HEADER: ann.csrf, "Origin": ann.origin})
        assert (status, order["status"]) == (200, "new")
        assert (await ann.ask("GET", "/v2/account"))[1]["account_number"] == "1"
        assert (await ann.ask("POST", "/trade/sign-out", **{CSRF_HEADER: ann.csrf}))[0] == 200
        assert (await ann.ask("GET", "/v2/account"))[0] == 401
        assert [(one.act.name, one.person) for one in ann.log.events] == [("SIGNED_IN", "account 1"), ("SIGNED_OUT", "account 1")]


async def test_a_page_of_another_site_can_do_nothing() -> None:
    """Neither without the token, nor with it from elsewhere, nor open the stream of the account."""
    async with traded() as edge:
        ann = Browser(edge)
        await ann.sign_in()
        assert (await ann.order())[0] == 403
        assert (await ann.order(**{CSRF_HEADER: "guessed"}))[0] == 403
        assert (await ann.order(**{CSRF_HEADER: ann.csrf, "Origin": "http://evil.example"}))[0] == 403
        assert (await ann.order(**{CSRF_HEADER: ann.csrf, "Sec-Fetch-Site": "cross-site"}))[0] == 403
        assert (await ann.ask("GET", "/stream", Origin="http://evil.example", Upgrade="websocket", Connection="Upgrade"))[0] == 403
        assert (await ann.ask("GET", "/v2/orders"))[1] == []
        assert (await ann.sign_in(Origin="http://evil.example"))[0] == 403


async def test_the_stream_of_a_browser_needs_no_key() -> None:
    """And tells the account's own orders only."""
    async with traded() as edge:
        ann = Browser(edge)
        await ann.sign_in()
        async with edge.client.ws_connect("/stream", headers={"Origin": ann.origin}) as socket, asyncio.timeout(60):
            await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
            message = await socket.receive()
            assert message.type is WSMsgType.BINARY
            assert json.loads(message.data) == {"stream": "listening", "data": {"streams": ["trade_updates"]}}
            await ann.order(**{CSRF_HEADER: ann.csrf})
            update = json.loads((await socket.receive()).data)["data"]
            assert (update["event"], update["order"]["symbol"]) == ("new", "AAPL")


async def test_what_a_session_may_do_is_what_its_key_may_do_now() -> None:
    """A key for reading, one that is withdrawn, one that may not be used from here."""
    async with traded() as edge:
        ann = Browser(edge)
        await ann.sign_in()
        known, sessions = edge.gateway.sessions._known["KEY1"], edge.gateway.sessions

        async def find_key(_key_id: str, _version: int) -> KeyRecord:
            return KeyRecord(known.secret_sha256, 1, frozenset({Scope.READ}), version=2)

        vars(edge.stores)["find_key"] = find_key
        await sessions.take_changes({"KEY1": 2})
        assert (await ann.order(**{CSRF_HEADER: ann.csrf}))[0] == 403
        assert (await ann.ask("GET", "/v2/account"))[0] == 200

        async def withdrawn(_key_id: str, _version: int) -> KeyRecord:
            return KeyRecord(known.secret_sha256, 1, left_s=0, version=3)

        vars(edge.stores)["find_key"] = withdrawn
        await sessions.take_changes({"KEY1": 3})
        assert (await ann.ask("GET", "/v2/account"))[0] == 401


async def test_wrong_secrets_are_told_and_counted() -> None:
    """As for every API key; the form says so and escapes what it says."""
    async with traded() as edge:
        ann = Browser(edge)
        edge.gateway.sessions._clock_s = lambda: 1.0  # guesses are forgiven by time, and a test may be slow
        assert (await ann.sign_in(secret="wrong"))[0] == 401
        statuses = [(await ann.sign_in(secret=f"guess-{number}"))[0] for number in range(12)]
        assert statuses[-1] == 429
        status, page = await ann.ask("GET", '/trade/sign-in?next=/"><script>')
        assert status == 200
        assert "<script>" not in page


async def test_without_redis_who_has_signed_in_trades_on_until_idle() -> None:
    """And nobody signs in meanwhile."""
    async with traded() as edge:
        ann = Browser(edge)
        await ann.sign_in()
        edge.stores.traders_away = True
        assert (await ann.order(**{CSRF_HEADER: ann.csrf}))[0] == 200
        assert (await Browser(edge).sign_in("KEY2", "secret-2"))[0] == 503
        now = edge.gateway.traders._clock_ns
        edge.gateway.traders._clock_ns = lambda: now() + (PERSON_IDLE_S + 1) * 1_000_000_000
        assert (await ann.ask("GET", "/v2/account"))[0] == 401


async def test_a_page_that_asks_by_itself_does_not_keep_a_session_from_being_idle() -> None:
    """Only what its customer does is kept."""
    async with traded() as edge:
        ann = Browser(edge)
        await ann.sign_in()
        now, kept = edge.gateway.traders._clock_ns, len(edge.stores.kept_for)
        edge.gateway.traders._clock_ns = lambda: now() + 120 * 1_000_000_000
        await ann.ask("GET", "/v2/account", **{"X-Poll": "1"})
        assert len(edge.stores.kept_for) == kept
        await ann.ask("GET", "/v2/account")
        assert len(edge.stores.kept_for) == kept + 1


def test_the_ticket_has_every_type_time_and_list() -> None:
    """A new one needs a meaning, or the page could not offer it."""
    assert set(TYPES) == set(OrdType)
    assert set(TIMES) == set(TimeInForce)
    assert set(CLASSES) == set(ContingencyType)
    forms = {one["word"]: one["fields"] for one in order_forms()["types"]}
    assert forms["market"] == {"min_qty": False}
    assert forms["trailing_stop"]["trail"] is True
    assert forms["pegged"]["peg_price_type"] is True


async def test_status_is_for_operators_and_tells_of_the_edge_without_a_supervisor(tmp_path: Path) -> None:
    """With one, of its processes: a silent one is shown as the supervisor has it."""
    async with served(home=tmp_path) as edge:
        run_dir = edge.gateway.settings.run_dir
        run_dir.mkdir(parents=True)
        assert (await edge.get("/status/now"))[0] == 401
        assert (await edge.get("/status/now", headers=edge.stores.bearer(Role.ANALYST, name="ann")))[0] == 403
        headers = edge.stores.bearer(Role.OPERATOR)
        status, now, _ = await edge.get("/status/now", headers=headers)
        assert (status, now["supervised"], now["processes"]) == (200, False, [])
        assert sum(one["count"] for one in now["decision_seconds"]) == 0
        children = [
            {"name": "match-orders", "kind": "role", "state": "silent", "restarts": 2, "address": "http://127.0.0.1:9", "since": ""}
        ]
        (run_dir / "status.json").write_text(json.dumps({"children": children}))
        _, now, _ = await edge.get("/status/now", headers=headers)
        assert [(one["name"], one["state"], one["restarts"], one["says"]) for one in now["processes"]] == [
            ("match-orders", "silent", 2, None)
        ]
        (run_dir / "status.json").write_text("half a fi")
        assert (await edge.get("/status/now", headers=headers))[1]["supervised"] is False
