"""Checkpoints are cosigned over HTTP by a witness that may be away, refuse, or lie; nothing waits for it."""

import asyncio
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from support.records.audit_logs import KEYS, ORIGIN, WITNESS, check_folder, entry, grow, open_log, open_witness, position

from audit.keys import new_witness_key
from audit.notes import Checkpoint
from audit.policy import Policy
from audit.witness import SIZE_TYPE
from streams.host.ask_witnesses import Witnesses
from streams.host.serve_logs import routes_of

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def served(*routes):
    """Its address."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answers(decide):
    """A witness whose answers a function makes."""

    async def add_checkpoint(request):
        status, body, content_type = decide(await request.read())
        return web.Response(status=status, body=body.encode(), headers={"Content-Type": content_type})

    return web.post("/add-checkpoint", add_checkpoint)


def real(witness):
    """The true one."""
    return answers(lambda data: witness.add(data, 1_700_000_000)[:3])


def policy_of(*addresses, quorum="w0"):
    """Witness w0 is WITNESS, the others have keys that nobody uses."""
    keys = [WITNESS.public, *(new_witness_key(f"other.example/{number}").public for number in range(1, len(addresses)))]
    lines = [f"witness w{number} {key} {address}" for number, (key, address) in enumerate(zip(keys, addresses, strict=True))]
    return Policy.parse("\n".join([*lines, f"quorum {quorum}"]), needs_logs=False)


async def round_of(witnesses, log):
    """Ask once."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as session:
        return await witnesses.cosign(session, log)


async def test_a_log_is_cosigned_as_it_grows_and_after_both_have_restarted(tmp_path):
    """The asker forgets what the witness has; the witness tells it."""
    log, witness = open_log(tmp_path / "log"), open_witness(tmp_path / "witness")
    async with served(real(witness)) as address:
        asker = Witnesses(policy_of(address), [log])
        assert not await round_of(asker, log), "nothing is in the log yet"
        for size in (300, 1_300):
            grow(log, size)
            assert await round_of(asker, log)
            assert Checkpoint.parse(log.cosigned().text).size == size
        assert await round_of(asker, log), "it has a cosignature already"
        grow(log, 1_400)
        assert await round_of(Witnesses(policy_of(address), [log]), log)
    assert (tmp_path / "log" / "checkpoint").read_bytes() == bytes(log.cosigned())
    assert check_folder(tmp_path / "log").size == 1_400


async def test_a_witness_that_is_away_delays_its_own_cosignature_only(tmp_path):
    """Checkpoints go on; it is left alone for longer and longer; once it is back one cosignature covers everything."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    now = [0.0]
    log, witness = open_log(tmp_path / "log"), open_witness(tmp_path / "witness")
    grow(log, 10)
    asker = Witnesses(policy_of(f"http://127.0.0.1:{port}"), [log], clock=lambda: now[0])
    rests = []
    for _ in range(9):
        assert not await round_of(asker, log)
        grow(log, log.tree.size + 10)
        rests.append(asker._rest_until["w0"] - now[0])
        now[0] = asker._rest_until["w0"]
    assert rests == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert list(asker.troubles) == ["w0"]
    assert "ClientConnectorError" in asker.troubles["w0"]
    assert log.committed.size == 100
    assert log.cosigned() is None
    async with served(real(witness)) as address:
        asker._policy.urls["w0"] = address
        assert await round_of(asker, log)
    assert asker.troubles == {}
    assert Checkpoint.parse(log.cosigned().text).size == 100
    assert asker.alarms == {}


async def test_a_checkpoint_that_nobody_has_cosigned_is_not_called_cosigned(tmp_path):
    """Also where the policy would be content with nobody."""
    log, witness = open_log(tmp_path / "log"), open_witness(tmp_path / "witness")
    grow(log, 10)
    async with served(answers(lambda data: (503, "", "text/plain"))) as away, served(real(witness)) as address:
        assert not await round_of(Witnesses(policy_of(away, quorum="none"), [log]), log)
        assert log.cosigned() is None
        assert await round_of(Witnesses(policy_of(address, quorum="none"), [log]), log)
    assert log.cosigned().signed_by([WITNESS.public], "note")


async def test_a_witness_that_hangs_does_not_hold_up_another(tmp_path):
    """Two of two are wanted by one policy, one of two by the other."""
    log, witness = open_log(tmp_path / "log"), open_witness(tmp_path / "witness")
    grow(log, 10)
    hanging = asyncio.Event()

    async def hang(request):
        await hanging.wait()
        return web.Response()

    async with served(real(witness)) as good, served(web.post("/add-checkpoint", hang)) as bad:
        either = Policy.parse(str_of(policy_of(good, bad), "group g any w0 w1"), needs_logs=False)
        asker = Witnesses(either, [log])
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(0.3)) as session:
            assert await asker.cosign(session, log)
        assert list(asker.troubles) == ["w1"]
        grow(log, 20)
        both = Policy.parse(str_of(policy_of(good, bad), "group g all w0 w1"), needs_logs=False)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(0.3)) as session:
            assert not await Witnesses(both, [log]).cosign(session, log)
        assert Checkpoint.parse(log.cosigned().text).size == 10
        hanging.set()


def str_of(policy, group):
    """The same witnesses with a group."""
    lines = [f"witness {name} {key} {policy.urls[name]}" for name, key in policy.witnesses.items()]
    return "\n".join([*lines, group, "quorum g"])


async def test_a_log_that_has_forked_or_shrunk_is_an_alarm(tmp_path):
    """The witness has more, or another tree of the same size, or another beginning."""
    log, witness = open_log(tmp_path / "log"), open_witness(tmp_path / "witness")
    grow(log, 300)
    async with served(real(witness)) as address:
        assert await round_of(Witnesses(policy_of(address), [log]), log)
        for name, size in (("shrunk", 200), ("same-size", 300), ("larger", 400)):
            fork = open_log(tmp_path / name)
            for offset in range(size):
                fork.append(entry(offset + (offset == 7)))
            fork.commit(position(size))
            asker = Witnesses(policy_of(address), [fork])
            assert not await round_of(asker, fork)
            assert ("shrunk" if name == "shrunk" else "forked" if name == "same-size" else "answers 422") in asker.alarms[ORIGIN]
            assert fork.cosigned() is None


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ((200, "", "text/plain"), "not a signature line"),
        ((200, "\u2014 other.example AAAAAAAAAAA=\n", "text/plain"), "no signature of its key"),
        ((200, str(WITNESS.sign(b"another text\n", 5)), "text/plain"), "is not of this text"),
        ((409, "many\n", SIZE_TYPE), "not a decimal number"),
        ((409, "0\n", SIZE_TYPE), "another size, and then the same one"),
        ((500, "oh", "text/plain"), "it answers 500: oh"),
        ((404, "unknown log", "text/plain"), "it answers 404"),
    ],
)
async def test_a_witness_that_answers_nonsense_is_told_and_asked_later(tmp_path, answer, sentence):
    """Nothing of its answer is published."""
    log = open_log(tmp_path)
    grow(log, 10)
    async with served(answers(lambda data: answer)) as address:
        asker = Witnesses(policy_of(address), [log])
        assert not await round_of(asker, log)
    assert sentence in asker.troubles[f"w0 for {ORIGIN}"]
    assert log.cosigned() is None
    assert (tmp_path / "checkpoint").read_bytes() == bytes(log.note)


async def test_the_log_is_served_as_the_specification_says_and_nothing_else_is(tmp_path):
    """Checkpoints must not be cached, tiles may be for ever; no path leads out of the folder."""
    log = open_log(tmp_path / "executions" / "0")
    grow(log, 300)
    async with served(*routes_of([log], KEYS.public)) as address, aiohttp.ClientSession() as session:

        async def get(path):
            async with session.get(f"{address}{path}") as answer:
                return answer.status, answer.headers.get("Content-Type", ""), answer.headers.get("Cache-Control", ""), await answer.read()

        base = "/audit/executions/0"
        assert await get(f"{base}/checkpoint") == (200, "text/plain; charset=utf-8", "no-cache", bytes(log.note))
        for path in ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"):
            status, content_type, cache, data = await get(f"{base}/{path}")
            assert (status, content_type, "immutable" in cache) == (200, "application/octet-stream", True)
            assert data == (log.folder / path).read_bytes()
        for path in (
            "state.json",
            "tile/0/002",
            "tile/0/0",
            "tile/../state.json",
            "tile%2f..%2fstate.json",
            "checkpoint.cosigned",
            "",
            "tile/0",
        ):
            assert (await get(f"{base}/{path}"))[0] == 404, path
        assert (await get("/audit/alerts/0/checkpoint"))[0] == 404
        assert b"def check_inclusion" in (await get("/audit/verifier.py"))[3]
        (listed,) = await (await session.get(f"{address}/audit")).json()
        assert listed == {"log": "executions/0", "origin": ORIGIN, "entries": 300, "vkeys": [str(KEYS.public(ORIGIN)[0])]}
