"""HTTP itself: pages of other sites, bodies, heads, requests within requests, answers that nobody takes."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from typing import Any

from at_parsers import port_of, raw
from attack import KEY, attack, exchange, stopped_by
from support.served_edge import Served, served

from edge import app as edge_app
from edge.alpaca import access, query_fields, request_fields
from edge.console import pages, traders
from edge.gateway.access import trader_sessions
from edge.http import answers, browsers, client_data
from edge.http import traders as browser_traders
from edge.http.browsers import CSRF_HEADER
from sinks.mysql import places
from sinks.mysql.places import Place, PlaceTokens

# ---- answers


@stopped_by((answers, "        headers.setdefault(name, value)", "        pass"))
async def show_an_answer_in_a_frame_of_another_site(edge: Served) -> bool:
    """Or have it taken for a script."""
    _, _, headers = await edge.get("/nothing")
    return "frame-ancestors 'none'" not in headers.get("Content-Security-Policy", "") or "nosniff" not in headers.get(
        "X-Content-Type-Options", ""
    )


@stopped_by(
    (
        answers,
        'error_response(HttpError(500, "internal server error"))',
        "error_response(HttpError(500, repr(__import__('sys').exception())))",
    )
)
async def learn_secrets_from_a_fault(edge: Served) -> bool:
    """An exception may quote anything."""
    return "hunter2" in str((await edge.get("/fail"))[1])


@stopped_by((answers, "    if request.version not in (HttpVersion10, HttpVersion11):", "    if False:"))
async def speak_another_version_of_http(edge: Served) -> bool:
    """A proxy in front may read the same bytes otherwise."""
    return b" 505 " not in await raw(port_of(edge), b"GET /healthz HTTP/2.0\r\nHost: a\r\nConnection: close\r\n\r\n")


@stopped_by((pages, "    if name not in ASSETS and name not in VENDORED:", "    if False:"))
async def fetch_a_file_that_is_no_part_of_a_page(edge: Served) -> bool:
    """By its path in the folder of the pages."""
    return (await edge.get("/web/sign_in.html"))[0] == 200


# ---- over TLS


@asynccontextmanager
async def over_tls() -> AsyncIterator[Served]:
    """An edge behind a proxy that has a certificate."""
    async with served(edge_url="https://exchange.example") as one:
        yield one


async def _cookie_of(edge: Served) -> str:
    form = {"key_id": "KEY1", "secret": "secret-1", "next": ""}
    return str((await edge.post("/trade/sign-in", data=form))[2].get("Set-Cookie"))


for _name, _word, _edit in (
    ("read_a_cookie_on_a_line_without_tls", "Secure", (browsers, "max_age=seconds, path=\"/\", secure=over_tls(request)", "max_age=seconds, path=\"/\", secure=False")),
    ("read_a_cookie_by_a_script", "HttpOnly", (browsers, "secure=over_tls(request), httponly=True, samesite=\"Strict\")\n\n\ndef delete", "secure=over_tls(request), samesite=\"Strict\")\n\n\ndef delete")),
    ("have_a_cookie_sent_from_another_site", "SameSite=Strict", (browsers, "httponly=True, samesite=\"Strict\")\n\n\ndef delete", "httponly=True)\n\n\ndef delete")),
    ("put_a_cookie_there_from_another_name_of_the_domain", "__Host-", (browsers, 'return f"{_TLS_PREFIX}{cookie}" if over_tls(request) else cookie', "return cookie")),
):  # fmt: skip

    async def _lacks(edge: Served, word: str = _word) -> bool:
        return word not in await _cookie_of(edge)

    attack(_name, _lacks, _edit, door=over_tls)


@stopped_by((answers, "        headers.update(_OVER_TLS)", "        pass"), door=over_tls)
async def lead_a_browser_back_to_a_line_without_tls(edge: Served) -> bool:
    """It was here over TLS before."""
    return "Strict-Transport-Security" not in (await edge.get("/healthz"))[2]


# ---- the trading page


class Browser:
    """Of a customer who has signed in."""

    def __init__(self, edge: Served, headers: dict[str, str], token: str) -> None:
        self.edge, self.headers, self.token = edge, headers, token

    @classmethod
    async def of(cls, edge: Served) -> "Browser":
        """KEY1."""
        word = SimpleCookie(await _cookie_of(edge))["outcry_trader"].value
        edge.client.session.cookie_jar.clear()
        headers = {"Cookie": f"outcry_trader={word}"}
        return cls(edge, headers, (await edge.get("/trade/session", headers=headers))[1]["csrf"])

    async def changes(self, **headers: str) -> bool:
        """Whether a request that changes something gets to where it is looked at."""
        return (await self.edge.post("/v2/orders", headers=self.headers | headers, json={}))[0] not in (401, 403)


@stopped_by((traders, "    if not is_own_page(request):\n        raise HttpError", "    if False:\n        raise HttpError"))
async def sign_a_customer_in_with_the_intruders_key(edge: Served) -> bool:
    """From a page of another site."""
    form = {"key_id": "KEY1", "secret": "secret-1", "next": ""}
    return (await edge.post("/trade/sign-in", data=form, headers={"Origin": "http://evil.example"}))[0] == 303


@stopped_by((browser_traders, 'if (changes or "Upgrade" in request.headers) and not is_own_page(request):', "if False:"))
async def trade_through_a_customers_browser(edge: Served) -> bool:
    """A page of another site that has got the token."""
    ann = await Browser.of(edge)
    return await ann.changes(**{CSRF_HEADER: ann.token, "Origin": "http://evil.example"})


@stopped_by((browser_traders, "    if changes and not has_csrf_token(request, TRADER_COOKIE):", "    if False:"))
async def trade_through_a_customers_old_browser(edge: Served) -> bool:
    """That says nothing of where a request comes from."""
    return await (await Browser.of(edge)).changes()


@stopped_by((browser_traders, '(changes or "Upgrade" in request.headers)', "changes"))
async def listen_through_a_customers_browser(edge: Served) -> bool:
    """WebSockets are opened for pages of every site."""
    ann = await Browser.of(edge)
    headers = ann.headers | {"Origin": "http://evil.example", "Connection": "Upgrade", "Upgrade": "websocket"}
    return (await edge.get("/v2/account", headers=headers))[0] != 403


@stopped_by((traders, "html.escape(own_path(wanted, _HOME))", "wanted"))
async def put_a_script_into_the_traders_form(edge: Served) -> bool:
    """By a link to it."""
    return "<script src" in (await edge.get("/trade/sign-in", params={"next": '/"><script src="/x.js"></script>'}))[1]


@stopped_by((trader_sessions, "            await self._store.end_trader_session(digest)", "            pass"))
async def use_a_traders_cookie_after_the_sign_out(edge: Served) -> bool:
    """A copy of it."""
    ann = await Browser.of(edge)
    assert (await edge.post("/trade/sign-out", headers=ann.headers | {CSRF_HEADER: ann.token}))[0] == 200
    return (await edge.get("/v2/assets", headers=ann.headers))[0] == 200


@stopped_by((trader_sessions, "            await self._record(Act.SIGNED_IN, found.value, address)", "            pass"))
async def sign_in_to_trade_while_nobody_can_record_it(edge: Served) -> bool:
    """The log is away."""
    edge.record_events(away=True)
    return "outcry_trader" in await _cookie_of(edge)


# ---- bodies and values


TOO_LARGE = (edge_app, "client_max_size=BODY_BYTES_MAX", "client_max_size=1 << 30")


async def _chunks() -> AsyncIterator[bytes]:
    for _ in range(20):
        yield b" " * 10_000


async def _refused_as_too_large(edge: Served, data: Any, **headers: str) -> bool:
    status, _, _ = await edge.post("/v2/watchlists", headers=KEY | {"Content-Type": "application/json"} | headers, data=data)
    return status == 413


@stopped_by(TOO_LARGE)
async def send_a_body_that_fills_the_memory(edge: Served) -> bool:
    """Of a length that is told before."""
    return not await _refused_as_too_large(edge, b" " * 200_000)


@stopped_by(TOO_LARGE)
async def send_a_body_without_end(edge: Served) -> bool:
    """In pieces, of no length."""
    return not await _refused_as_too_large(edge, _chunks())


@stopped_by(TOO_LARGE)
async def send_a_body_that_grows_when_it_is_unpacked(edge: Served) -> bool:
    """A thousandth of its size on the wire."""
    return not await _refused_as_too_large(edge, gzip.compress(b" " * 2_000_000), **{"Content-Encoding": "gzip"})


@stopped_by((answers, "        async with asyncio.timeout(BODY_TIMEOUT_S):\n", "        if True:\n"))
async def announce_a_body_and_never_send_it(edge: Served) -> bool:
    """The request waits."""
    before = answers.BODY_TIMEOUT_S
    answers.BODY_TIMEOUT_S = 0.1  # type: ignore[misc]
    try:
        head = b"POST /sign-in HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\n\r\nname"
        return b" 408 " not in await raw(port_of(edge), head, until=b"\r\n\r\n", wait_s=1.0)
    finally:
        answers.BODY_TIMEOUT_S = before  # type: ignore[misc]


async def _order(native: Any, **fields: Any) -> tuple[int, Any]:
    order = {"symbol": "AAPL", "side": "buy", "type": "limit", "time_in_force": "day", "qty": "1", "limit_price": "180.00"}
    return (await native.served.post("/v2/orders", headers=KEY, json=order | fields))[:2]


@stopped_by((request_fields, "if isinstance(value, str) and not NUMBER.fullmatch(value):", "if False:"), door=exchange)
async def send_a_number_that_others_read_otherwise(native: Any) -> bool:
    """Python's own numbers may have an underscore in them."""
    return (await _order(native, limit_price="1_80.00"))[0] == 200


@stopped_by((request_fields, "if number is None:\n            return None\n        if number <= 0:\n            raise bad_parameter(f\"{name} must be > 0\")",
             "if number is None:\n            return None"), door=exchange)  # fmt: skip
async def sell_less_than_nothing(native: Any) -> bool:
    """To be paid for buying."""
    return "must be > 0" not in str((await _order(native, qty="-1"))[1])


@stopped_by(
    (request_fields, '    if not isinstance(value, dict):\n        raise bad_parameter("request body must be a JSON object")\n', ""),
    door=exchange,
)
async def send_a_list_where_an_object_is_expected(native: Any) -> bool:
    """It has no fields."""
    return (await native.served.post("/v2/orders", headers=KEY, json=[1]))[0] == 500


@stopped_by(
    (
        client_data,
        "    except RecursionError:\n        raise ValueError(_DEEP) from None\n    except ArithmeticError",
        "    except ArithmeticError",
    )
)
async def send_so_deep_that_the_decoder_gives_up(edge: Served) -> bool:
    """Its exception is of another kind."""
    body = b"[" * 30_000 + b"]" * 30_000
    return (await edge.post("/v2/watchlists", headers=KEY | {"Content-Type": "application/json"}, data=body))[0] == 500


@stopped_by((query_fields, "        if digest != self._digest(scope):", "        if False:"))
async def use_a_page_token_of_another_query(edge: Served) -> bool:
    """It names a place in another list."""
    one = query_fields.Query({"symbols": "AAPL"}).token("bars", (5,))
    try:
        return query_fields.Query({"symbols": "MSFT", "page_token": one}).place("bars", (int,)) == [5]
    except Exception:
        return False


# ---- places in the log


@asynccontextmanager
async def several_edges() -> AsyncIterator[Served]:
    """Clients carry their place from one to another."""
    async with served(cache_url="redis://127.0.0.1:1/0", edge_instances=2, mysql_url="mysql://outcry:word@127.0.0.1:1/outcry") as one:
        yield one


@stopped_by((places, "return place if known and place.seq <= _SEQ_MAX else None", "return place"), door=several_edges)
async def come_from_a_place_that_is_not_there_yet(edge: Served) -> bool:
    """Every read would go to the primary and wait there."""
    return (await edge.get("/v2/assets", headers=KEY | {"Outcry-Place": f"0.{1 << 60}.{'a' * 32}"}))[0] == 200


@stopped_by(
    (places, 'text = f"{account}.{place.shard}.{place.seq}".encode()', 'text = f"{place.shard}.{place.seq}".encode()'), door=several_edges
)
async def come_with_the_place_of_another_account(edge: Served) -> bool:
    """It is further on."""
    token = PlaceTokens("mysql://outcry:word@127.0.0.1:1/outcry").seal(2, Place(0, 1 << 40))
    return (await edge.get("/v2/assets", headers=KEY | {"Outcry-Place": token}))[0] == 200


@stopped_by(
    (access, "    if header and not places.bring(account, header):", "    if header and places.bring(account, header) is None:"),
    door=several_edges,
)
async def have_a_made_up_place_passed_over(edge: Served) -> bool:
    """The client would believe that its own writes are seen."""
    return (await edge.get("/v2/assets", headers=KEY | {"Outcry-Place": "nonsense"}))[0] == 200
