"""Webhooks of functions, to a receiver that checks them with the library of Standard Webhooks: signed, in order, until they are taken."""

import asyncio
import base64
import json
import socket
import time
from collections import Counter
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook as TheirWebhook
from standardwebhooks.webhooks import WebhookVerificationError
from support.function_parts import START_NS, deploy

from streams.functions.batches import Alert
from streams.functions.store import FunctionStore
from streams.functions.webhooks import WAITS_S, PublicResolver, Webhooks, headers_of, require_public

pytestmark = pytest.mark.asyncio
SECRET, OLD_SECRET = ("whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


class Receiver:
    """Answers as told, 200 if nothing is; keeps what it was sent."""

    def __init__(self):
        self.answers, self.seen = [], []

    async def take(self, request):
        body = await request.read()
        self.seen.append((dict(request.headers), body))
        answer = self.answers.pop(0) if self.answers else 200
        return answer if isinstance(answer, web.Response) else web.Response(status=answer)

    def seqs(self):
        return [json.loads(body)["data"]["seq"] for _, body in self.seen]


class Clock:
    """Now, ns."""

    def __init__(self):
        self.ns = START_NS

    def __call__(self):
        return self.ns


@asynccontextmanager
async def delivering(tmp_path, alerts=3, settings="allow_private = true\n", secrets=(SECRET,), url=None, rules=("r",)):
    """A receiver, and a store with alerts that wait for it: (receiver, store, clock, deliver)."""
    receiver, clock = Receiver(), Clock()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server:
        folder = tmp_path / "functions"
        folder.mkdir(exist_ok=True)
        (folder / "secret").write_text("\n".join(secrets))
        (folder / "secret").chmod(0o600)
        text = f'builtin = "price_move"\n[webhook]\nurl = "{url or server.make_url("/hook")}"\nsecret_file = "secret"\n{settings}'
        function = deploy(folder, settings=text)
        with FunctionStore(tmp_path / "f.sqlite") as store:
            made = [
                Alert(f"{rule}-{n}", rule, "AAPL", "moved", {"n": n}, f"market.data/0@{n}+0", START_NS, "1")
                for rule in rules
                for n in range(alerts)
            ]
            store.commit({}, {}, made, cool_down_ns=0, queued_ns=clock())
            webhooks = Webhooks(clock)
            yield receiver, store, clock, lambda: webhooks.deliver(function, store)


def outcomes(store):
    """The newest last."""
    return [(seq, attempt, outcome) for _, seq, attempt, _, outcome, _ in reversed(store.deliveries())]


async def test_alerts_arrive_signed_and_in_their_order(tmp_path):
    """Verified by the library; the id is the alert's; a secret that is being replaced signs too."""
    async with delivering(tmp_path, secrets=(SECRET, OLD_SECRET)) as (receiver, store, _, deliver):
        while await deliver():
            pass
        assert receiver.seqs() == [1, 2, 3]
        assert store.waiting() == 0
        headers, body = receiver.seen[0]
        now = str(int(time.time()))
        fresh = headers_of((SECRET, OLD_SECRET), headers["webhook-id"], int(now), body)
        for secret in (SECRET, OLD_SECRET):
            assert TheirWebhook(secret).verify(body, fresh)["type"] == "alert.created"
        for wrong in (fresh | {"webhook-id": "x"}, headers_of((SECRET,), "a", int(now) - 400, body)):
            with pytest.raises(WebhookVerificationError):
                TheirWebhook(SECRET).verify(body, wrong)
        assert (
            headers["webhook-signature"].split()
            == headers_of((SECRET, OLD_SECRET), "r-0", START_NS // 10**9, body)["webhook-signature"].split()
        )
        assert headers["webhook-id"] == "r-0"


async def test_a_receiver_that_fails_is_tried_for_75_hours_and_the_next_alert_waits(tmp_path):
    """Under the same id; then the alert is given up and told, and the next one goes out."""
    async with delivering(tmp_path, alerts=2) as (receiver, store, clock, deliver):
        receiver.answers = [500] * 10
        for number in range(10):
            assert await deliver() == 1
            assert number == 9 or await deliver() == 0, "not before its time"
            clock.ns += int(WAITS_S[number] * 1.11e9) if number < 9 else 0
        assert receiver.seqs()[:10] == [1] * 10
        assert len({headers["webhook-id"] for headers, _ in receiver.seen}) == 1
        assert sum(WAITS_S) == pytest.approx(75 * 3600, rel=0.02)
        assert await deliver() == 1
        assert (receiver.seqs()[-1], store.waiting()) == (2, 0)
        assert outcomes(store)[-1] == (2, 1, "delivered")


async def test_one_rule_does_not_wait_for_another(tmp_path):
    """Each has its own order."""
    async with delivering(tmp_path, alerts=2, rules=("a", "b")) as (receiver, _, _, deliver):
        assert await deliver() == 2
        assert await deliver() == 2
        seen = [(json.loads(body)["data"]["rule"], json.loads(body)["data"]["seq"]) for _, body in receiver.seen]
        assert Counter(seen) == Counter({("a", 1): 1, ("b", 1): 1, ("a", 2): 1, ("b", 2): 1})


@pytest.mark.parametrize(
    ("answer", "wait_s"),
    [
        (web.Response(status=301, headers={"Location": "/hook"}), 5), (web.Response(status=429, headers={"Retry-After": "900"}), 900),
        (web.Response(status=503, headers={"Retry-After": "999999"}), 86_400), (web.Response(status=429, headers={"Retry-After": "soon"}), 5),
    ],
    ids=["redirect", "slow down", "slow down for long", "slow down somehow"],
)  # fmt: skip
async def test_a_redirect_is_a_failure_and_retry_after_is_obeyed(tmp_path, answer, wait_s):
    """Nothing is followed."""
    async with delivering(tmp_path, alerts=1) as (receiver, store, clock, deliver):
        receiver.answers = [answer]
        assert await deliver() == 1
        clock.ns += int((wait_s - 1) * 1e9)
        assert await deliver() == 0
        clock.ns += int((0.1 * wait_s + 2) * 1e9)
        assert await deliver() == 1
        assert outcomes(store) == [(1, 1, "failed"), (1, 2, "delivered")]


async def test_a_receiver_that_is_gone_is_switched_off(tmp_path):
    """410: nothing more is sent."""
    async with delivering(tmp_path) as (receiver, store, clock, deliver):
        receiver.answers = [410]
        assert await deliver() == 1
        clock.ns += 10**15
        assert await deliver() == 0
        assert len(receiver.seen) == 1
        assert outcomes(store) == [(1, 1, "gone")]


async def test_an_alert_that_is_too_old_is_given_up_and_one_may_be_sent_again(tmp_path):
    """By an operator."""
    async with delivering(tmp_path, alerts=2, settings="allow_private = true\nmaximum_age_s = 60\n") as (receiver, store, clock, deliver):
        clock.ns += 61 * 10**9
        assert await deliver() == 1
        assert await deliver() == 1
        assert [one[2] for one in outcomes(store)] == ["given up", "given up"]
        assert store.send_again("r", 2, 9, clock()) == 1
        assert await deliver() == 1
        assert receiver.seqs() == [2]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hook", "http://[::1]:9/hook", "http://localhost:9/hook", "http://10.0.0.1/hook"])
async def test_an_address_of_this_machine_or_network_is_refused(tmp_path, url):
    """Also behind a name, which is looked up at each attempt."""
    async with delivering(tmp_path, alerts=1, settings="timeout_s = 5\n", url=url) as (receiver, store, _, deliver):
        assert await deliver() == 1
        ((_, _, _, _, outcome, detail),) = store.deliveries()
        assert outcome == "failed"
        assert "private network" in detail
        assert receiver.seen == []


async def test_a_name_that_becomes_private_on_the_second_look_is_refused():
    """One public address beside it does not help."""
    looks = [["93.184.216.34"], ["93.184.216.34", "127.0.0.1"], ["::ffff:10.0.0.1"], ["169.254.169.254"]]

    class Changing(AbstractResolver):
        async def resolve(self, host, port=0, family=socket.AF_INET):
            return [{"hostname": host, "host": one, "port": port, "family": family, "proto": 0, "flags": 0} for one in looks.pop(0)]

        async def close(self):
            """Nothing."""

    resolver = PublicResolver(Changing())
    assert len(await resolver.resolve("example.org")) == 1
    for _ in range(3):
        with pytest.raises(OSError, match="private network"):
            await resolver.resolve("example.org")
    require_public("example.org")


async def test_a_receiver_that_hangs_costs_its_time_out(tmp_path):
    """And is a failure."""

    async def silent(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    async with (
        server,
        delivering(tmp_path, alerts=1, settings="allow_private = true\ntimeout_s = 0.2\n", url=url) as (_, store, _, deliver),
    ):
        assert await deliver() == 1
        ((_, _, _, _, outcome, detail),) = store.deliveries()
        assert (outcome, "TimeoutError" in detail) == ("failed", True)
