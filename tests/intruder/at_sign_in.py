"""People who work here: signing in, sessions, routes, operator tokens."""

from dataclasses import replace

from attack import ALERTS, S, acts, cookie, csrf, post, stopped_by
from support import people_store
from support.people_store import PASSWORD
from support.served_edge import Served

from access import second_factor
from access.people import Role
from access.second_factor import code_at, new_secret
from edge.console import sign_in
from edge.gateway.access import people
from edge.gateway.limits import PERSON_IDLE_S, PERSON_SESSION_S, SIGN_IN_FREE, SIGN_INS_OF_ADDRESS_BURST
from edge.http import addresses, browsers
from edge.http.browsers import POLL_HEADER


async def enters(edge: Served, name: str = "ann", password: str = PASSWORD, code: str = "", headers: dict[str, str] | None = None) -> bool:
    """Whether a sign-in succeeds."""
    return (await post(edge, "/sign-in", headers, name=name, password=password, code=code))[0] == 303


async def sees_alerts(edge: Served, headers: dict[str, str]) -> bool:
    """Whether this opens surveillance."""
    return (await edge.get(ALERTS, headers=headers))[0] == 200


def later(edge: Served, seconds: float) -> None:
    """Turn the clock of the people's sessions."""
    clock = edge.gateway.people._clock_ns
    edge.gateway.people._clock_ns = lambda: clock() + int(seconds * S)


def code_now(edge: Served, secret: str, steps: int = 0) -> str:
    """Of a second factor."""
    return code_at(secret, edge.gateway.people._clock_ns() // S // 30 + steps)


# ---- signing in


@stopped_by(
    (
        people,
        "    return min(2.0 ** min(attempts - SIGN_IN_FREE, 60), SIGN_IN_DELAY_MAX_S) if attempts >= SIGN_IN_FREE else 0.0",
        "    return 0.0",
    )
)
async def guess_a_password(edge: Served) -> bool:
    """One guess after the other; the right one comes late."""
    edge.stores.add("ann", Role.ANALYST)
    for guess in range(SIGN_IN_FREE):
        assert not await enters(edge, password=f"guess {guess} of many")
    return await enters(edge)


@stopped_by(
    (
        people,
        "    return min(2.0 ** min(attempts - SIGN_IN_FREE, 60), SIGN_IN_DELAY_MAX_S) if attempts >= SIGN_IN_FREE else 0.0",
        "    return 0.0",
    )
)
async def guess_a_code(edge: Served) -> bool:
    """The password has leaked; codes are tried."""
    secret = new_secret()
    edge.stores.add("ann", Role.ANALYST, totp_secret=secret)
    for guess in range(SIGN_IN_FREE):
        assert not await enters(edge, code=f"{guess:06d}")
    return await enters(edge, code=code_now(edge, secret))


@stopped_by(
    (
        people,
        "        wait_s = self._of_address.seconds_until_one(address, now / _S)\n        stored",
        "        wait_s = 0.0\n        stored",
    )
)
async def try_one_password_with_many_names(edge: Served) -> bool:
    """From one address; the last name has it."""
    edge.stores.add("ann", Role.ANALYST)
    for number in range(SIGN_INS_OF_ADDRESS_BURST):
        assert not await enters(edge, name=f"name{number}")
    return await enters(edge)


@stopped_by((people, "            self._note_stranger(name, attempts + 1, now)", "            pass"))
async def learn_which_names_there_are(edge: Served) -> bool:
    """By who has to wait after wrong attempts."""
    edge.stores.add("ann", Role.ANALYST)
    statuses = {
        name: [(await post(edge, "/sign-in", name=name, password="a wrong one"))[0] for _ in range(SIGN_IN_FREE + 1)]
        for name in ("ann", "bob")
    }
    return statuses["ann"] != statuses["bob"]


@stopped_by((second_factor, " and step > last_step", ""), (people_store, "known.totp_step >= totp_step", "False"))
async def use_a_code_again(edge: Served) -> bool:
    """Seen over a shoulder."""
    secret = new_secret()
    edge.stores.add("ann", Role.ANALYST, totp_secret=secret)
    seen = code_now(edge, secret)
    assert await enters(edge, code=seen)
    return await enters(edge, code=seen)


@stopped_by((second_factor, "range(now - _STEPS_OFF, now + _STEPS_OFF + 1)", "range(now - 1_000, now + 2)"))
async def use_an_old_code(edge: Served) -> bool:
    """Photographed an hour ago."""
    secret = new_secret()
    edge.stores.add("ann", Role.ANALYST, totp_secret=secret)
    return await enters(edge, code=code_now(edge, secret, -120))


@stopped_by((people, "        elif not here:", "        elif False:"))
async def use_a_leaked_password_from_elsewhere(edge: Served) -> bool:
    """Of somebody without a second factor."""
    edge.stores.add("ann", Role.ANALYST)
    return await enters(edge, headers={"X-Forwarded-For": "203.0.113.7"})


@stopped_by((addresses, "name in _FORWARDED or name.startswith(_FORWARDED_PREFIX)", "False"))
async def come_through_a_proxy_as_this_machine(edge: Served) -> bool:
    """The proxy is on loopback."""
    edge.stores.add("ann", Role.ANALYST)
    return await enters(edge, headers={"X-Forwarded-For": "203.0.113.7"})


@stopped_by(
    (
        addresses,
        '_is_loopback(request.url.host or "") and _is_loopback(_host_in(headers.get("Host", "")))',
        "True",
    )
)
async def come_by_a_name_that_was_made_to_point_here(edge: Served) -> bool:
    """A web site asks through the browser of somebody on this machine."""
    edge.stores.add("ann", Role.ANALYST)
    return await enters(edge, headers={"Host": "evil.example"})


@stopped_by(
    (people, "        if not stored.enabled:\n", "        if False:\n"), (people_store, "if not known.enabled or (", "if ("),
    (people, "stored is None or not stored.enabled or now >= _ends(stored)", "stored is None"),
)  # fmt: skip
async def sign_in_after_being_disabled(edge: Served) -> bool:
    """With everything that one knew."""
    edge.stores.add("ann", Role.ANALYST, enabled=False)
    if not await enters(edge):
        return False
    return await sees_alerts(edge, await cookie(edge))


@stopped_by((sign_in, "    if not is_own_page(request):\n        raise HttpError", "    if False:\n        raise HttpError"))
async def sign_a_victim_in_with_the_intruders_account(edge: Served) -> bool:
    """From a page of another site, so that the victim works there."""
    edge.stores.add("ann", Role.ANALYST)
    return await enters(edge, headers={"Origin": "http://evil.example"})


@stopped_by((browsers, 'return wanted if plain and wanted.startswith("/") and not wanted.startswith("//") else home', "return wanted"))
async def lead_a_victim_elsewhere_after_the_sign_in(edge: Served) -> bool:
    """By a link to the real form."""
    edge.stores.add("ann", Role.ANALYST)
    _, _, headers = await post(edge, "/sign-in", name="ann", password=PASSWORD, next="//evil.example/")
    return "evil.example" in headers["Location"]


@stopped_by((sign_in, "html.escape(own_path(wanted, _HOME))", "own_path(wanted, _HOME)"))
async def put_a_script_into_the_form(edge: Served) -> bool:
    """By a link to the real form."""
    _, text, _ = await edge.get("/sign-in", params={"next": '/"><script src="/x.js"></script>'})
    return "<script" in text


# ---- sessions


@stopped_by((people, "stored.seen_at + PERSON_IDLE_S * _S, stored.began_at", "stored.began_at + PERSON_SESSION_S * _S, stored.began_at"))
async def use_a_browser_that_was_left_alone(edge: Served) -> bool:
    """Half an hour later."""
    mine = await cookie(edge)
    later(edge, PERSON_IDLE_S + 1)
    return await sees_alerts(edge, mine)


@stopped_by((sign_in, "at_work=POLL_HEADER not in request.headers", "at_work=True"))
async def use_a_browser_that_was_left_alone_with_a_page_that_polls(edge: Served) -> bool:
    """The page keeps nobody signed in."""
    mine = await cookie(edge)
    for _ in range(4):
        later(edge, PERSON_IDLE_S / 3)
        await edge.get(ALERTS, headers=mine | {POLL_HEADER: "1"})
    return await sees_alerts(edge, mine)


@stopped_by((people, "stored.began_at + PERSON_SESSION_S * _S)", "stored.seen_at + PERSON_IDLE_S * _S)"))
async def use_a_stolen_cookie_for_ever(edge: Served) -> bool:
    """Never idle."""
    mine, parts = await cookie(edge), 2 * PERSON_SESSION_S // PERSON_IDLE_S + 1
    for _ in range(parts):
        later(edge, PERSON_IDLE_S / 2)
        await edge.get(ALERTS, headers=mine)
    return await sees_alerts(edge, mine)


@stopped_by((people, "            await self._store.end_session(tokens.digest_of(word))", "            pass"))
async def use_a_cookie_after_the_sign_out(edge: Served) -> bool:
    """The session is over, not only the cookie."""
    mine = await cookie(edge)
    await edge.post("/sign-out", headers=mine | await csrf(edge, mine))
    return await sees_alerts(edge, mine)


@stopped_by((people, "stored is None or not stored.enabled or now", "stored is None or now"))
async def go_on_after_being_disabled(edge: Served) -> bool:
    """In a session that was not ended."""
    mine = await cookie(edge)
    edge.stores.people["ann"] = replace(edge.stores.people["ann"], enabled=False)
    return await sees_alerts(edge, mine)


# ---- routes


@stopped_by((sign_in, "    if roles.isdisjoint(person.roles):", "    if False:"))
async def read_alerts_as_an_operator(edge: Served) -> bool:
    """Who runs the exchange learns not who is watched."""
    return await sees_alerts(edge, await cookie(edge, Role.OPERATOR))


@stopped_by((sign_in, "    if roles.isdisjoint(person.roles):", "    if False:"))
async def act_as_an_analyst(edge: Served) -> bool:
    """What only operators may do."""
    mine = await cookie(edge)
    return await acts(edge, mine | await csrf(edge, mine))


@stopped_by((sign_in, "elif changes and not person.token_id and not is_own_page(request):", "elif False:"))
async def act_through_a_victims_browser(edge: Served) -> bool:
    """A page of another site that has got the token somehow."""
    mine = await cookie(edge, Role.OPERATOR)
    return await acts(edge, mine | await csrf(edge, mine) | {"Origin": "http://evil.example"})


@stopped_by((sign_in, "elif changes and not person.token_id and not has_csrf_token(request, COOKIE):", "elif False:"))
async def act_through_an_old_browser(edge: Served) -> bool:
    """That says nothing of where a request comes from, and sends the cookie all the same."""
    return await acts(edge, await cookie(edge, Role.OPERATOR))


@stopped_by((browsers, 'hmac.digest(word.encode(), b"csrf", hashlib.sha256).hex()', '"the same for everybody"'))
async def act_with_the_token_of_ones_own_session(edge: Served) -> bool:
    """In the session of somebody else."""
    own = await csrf(edge, await cookie(edge, name="eve"))
    return await acts(edge, await cookie(edge, Role.OPERATOR) | own)


@stopped_by((sign_in, "                await people.record(Act.ACTED, person.known_as, address, what)", "                pass"))
async def act_while_nobody_can_record_it(edge: Served) -> bool:
    """The log is away."""
    edge.record_events(away=True)
    return await acts(edge, edge.stores.bearer(Role.OPERATOR))


# ---- operator tokens


@stopped_by((sign_in, "    elif changes and person.read_only:", "    elif False:"))
async def act_with_a_token_for_reading(edge: Served) -> bool:
    """From a report's configuration."""
    return await acts(edge, edge.stores.bearer(Role.OPERATOR, read_only=True))


@stopped_by((people, " and now < stored.ends_at:", ":"))
async def use_a_token_that_is_over(edge: Served) -> bool:
    """Or withdrawn, which is the same."""
    return await sees_alerts(edge, {"Authorization": f"Bearer {edge.stores.add_token(Role.ANALYST, ends_at=1)}"})


@stopped_by((people, "hmac.compare_digest(stored.digest, tokens.digest_of(token))", "True"))
async def make_a_token_of_an_id_that_one_has_seen(edge: Served) -> bool:
    """Ids are in lists and records."""
    token = edge.stores.add_token(Role.ANALYST)
    return await sees_alerts(edge, {"Authorization": f"Bearer {token[:-43]}{'a' * 43}"})


@stopped_by((people, "roles_of(stored.roles) & roles_of(stored.persons_roles)", "roles_of(stored.roles)"))
async def keep_by_a_token_a_role_that_one_has_lost(edge: Served) -> bool:
    """It was made while one had it."""
    token = edge.stores.add_token(Role.ANALYST)
    edge.stores.change("robot", roles="operator")
    return await sees_alerts(edge, {"Authorization": f"Bearer {token}"})


@stopped_by(
    (
        people,
        "        wait_s = self._of_address.seconds_until_one(address, now / _S)\n        if wait_s > 0:\n            return self._too_many(wait_s)\n        token_id",
        "        token_id",
    )
)
async def guess_operator_tokens(edge: Served) -> bool:
    """Many from one address: each one is looked at."""
    token = edge.stores.add_token(Role.ANALYST)
    statuses = [
        (await edge.get(ALERTS, headers={"Authorization": f"Bearer {token[:-1]}{'ab'[token[-1] == 'a']}"}))[0]
        for _ in range(SIGN_INS_OF_ADDRESS_BURST + 1)
    ]
    return set(statuses) == {401}
