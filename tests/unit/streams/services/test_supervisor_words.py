"""What operators are told: before a start, on a narrow terminal, of changed settings, of a role that cannot start, of damaged files."""

import asyncio
import os
import socket
import subprocess
import sys
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from rich.console import Console
from rich.table import Table

from schemas.errors import ServiceUnavailable, StaleData
from schemas.settings import Settings
from streams.__main__ import outcry
from streams.operate.topics import topics_table
from streams.process import last_words
from streams.services import preflight
from streams.services.changed_settings import changed, described
from streams.services.doctor import examine
from streams.services.local_set import FAILED_RESTARTS_MAX, RESTARTS_MAX, RolesFailed, StartFailed, _all_there, _raise_if_hopeless
from streams.services.preflight import NotReadyToStart
from streams.services.progress import Progress, status_table
from streams.services.recipes.java_runtime import JavaProgram
from streams.services.recipes.mariadb import MariaDB
from streams.services.recipes.recipe import Command, Made, Place, private_directory, read_json
from streams.services.recipes.valkey import Valkey, valkey_cache
from streams.services.state import ChildStatus, SetStatus, State, Wanted, read_status, read_wanted
from streams.services.supervision.child import Child
from streams.services.supervision.role_files import remove_leavings
from streams.transport.table_store import TableStore
from topics.catalogue import TOPICS
from topics.speakers import written_by

WAIT_S = 30.0


def shown(table: Table, width: int) -> str:
    """A table as a terminal of so many columns shows it."""
    console = Console(width=width, file=StringIO())
    console.print(table)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, text.splitlines())) <= width
    return text


def test_eighty_columns_show_every_fact_of_a_status_whole() -> None:
    """Folded, never cut: name, state, pid, restarts, address, answer and the reason for the last end."""
    reason = "exit code 70: instruments or numbers of shards are not those of the snapshot; put them back, or start with an empty log"
    children = (
        ChildStatus("mariadb", "service", State.READY, 1_234_567, address="mysql://outcry@127.0.0.1:31999/outcry"),
        ChildStatus("publish-market-data-b-2", "role", State.BACKING_OFF, 7_654_321, 12, "", reason, address="http://127.0.0.1:40000"),
    )
    answers = {"mariadb": "11.4.5-MariaDB", "publish-market-data-b-2": "no: /readyz answers 503: rebalancing"}
    squeezed = "".join(shown(status_table(children, answers=answers, width=80), 80).split())
    for fact in (
        children[0].address,
        children[1].address,
        *answers.values(),
        "publish-market-data-b-2",
        "backing off",
        "7654321",
        "1234567",
        "12 restarts",
    ):
        assert "".join(fact.split()) in squeezed
    assert "putthemback" in squeezed
    assert "startwithanemptylog" in squeezed


def test_eighty_columns_show_the_whole_catalogue_of_topics() -> None:
    """Every topic with its partitions, purpose, and what it carries."""
    squeezed = "".join(shown(topics_table({TOPICS[0].name: "64"}, 80), 80).split())
    for topic in TOPICS:
        for fact in (topic.name, topic.purpose, topic.partition_of, written_by(topic), ", ".join(topic.schemas)):
            assert "".join(fact.split()) in squeezed
    assert "partitions:64" in squeezed
    assert squeezed.count("partitions:missing") == len(TOPICS) - 1


def test_what_has_stopped_is_told_once(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what somebody waits for is told again after ten seconds."""
    seconds = [0.0]
    monkeypatch.setattr("streams.services.progress.time", SimpleNamespace(monotonic=lambda: seconds[0]))
    children = (ChildStatus("valkey", "service", State.STOPPED), ChildStatus("kafka", "service", State.STOPPING))
    with Progress("stopping") as progress:
        for seconds[0] in (0.0, 11.0, 22.0):
            progress(SetStatus(1, "", children, Wanted()))
    lines = capsys.readouterr().err.splitlines()
    assert sum("valkey" in line for line in lines) == 1
    assert sum("kafka" in line for line in lines) == 3


def test_what_the_first_start_would_stumble_over_is_told_before_it_all_at_once(tmp_path: Path) -> None:
    """The edge's port and the list of instruments; each with what to do. Nothing is asked for what shall not be started."""
    (tmp_path / "mine.toml").write_text("[[instrument]]\n")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = Settings(home=tmp_path / "home", edge_port=port, instruments_file=tmp_path / "mine.toml")
        with pytest.raises(NotReadyToStart) as refused:
            preflight.require(settings, {"edge", "match-orders"})
        for part in (f"127.0.0.1:{port} is in use by another program", "OUTCRY_EDGE_PORT", "mine.toml", "OUTCRY_INSTRUMENTS_FILE"):
            assert part in str(refused.value)
        preflight.require(settings, set())
        findings = {finding.subject: finding for finding in examine(settings)}
        assert findings["port of the edge"].mend is not None
        assert findings["instruments"].mend is not None


def test_a_healthy_machine_before_the_first_start_has_nothing_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That nothing runs yet is no fault."""
    for name in ("KAFKA", "MYSQL", "REDIS", "ELASTICSEARCH"):
        monkeypatch.delenv(f"OUTCRY_{name}_URL", raising=False)
    subjects = ("answers", "port of the edge", "instruments", "privacy")
    bad = [one for one in examine(Settings(home=tmp_path / "new", edge_port=0)) if one.mend is not None and one.subject.endswith(subjects)]
    assert bad == []


def test_a_home_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By `up`, and no traceback by the commands that only read."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("OUTCRY_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(NotReadyToStart, match=r"home: cannot write in .*: Not a directory .*\n.*set OUTCRY_HOME to another directory"):
        CliRunner().invoke(outcry, ["up", "--service", "valkey"], catch_exceptions=False)
    down = CliRunner().invoke(outcry, ["down"], catch_exceptions=False)
    assert "was not running" in down.output


def test_a_home_is_closed_to_others_and_an_open_one_is_closed_at_the_next_start(tmp_path: Path) -> None:
    """Its parts always; the home itself unless somebody keeps other things there."""
    home = tmp_path / "home"
    for directory in (home, home / "data", home / "run", home / "log"):
        directory.mkdir(mode=0o755)
    assert [finding.subject for finding in preflight.privacy(Settings(home=home))] == ["privacy of data"]
    assert list(preflight.home(Settings(home=home))) == []
    assert {path.stat().st_mode & 0o777 for path in (home, *home.iterdir())} == {0o700}
    assert list(preflight.privacy(Settings(home=home))) == []
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    (shared / "thesis.tex").write_text("")
    list(preflight.home(Settings(home=shared)))
    assert shared.stat().st_mode & 0o777 == 0o755
    assert (shared / "data").stat().st_mode & 0o777 == 0o700
    private_directory(tmp_path / "new" / "one")
    assert (tmp_path / "new" / "one").stat().st_mode & 0o777 == 0o700


def test_settings_that_the_running_set_was_not_started_with_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only those that are given now; no secret is shown, nor told from its file."""
    for name in [name for name in os.environ if name.startswith("OUTCRY_")]:
        monkeypatch.delenv(name)
    running = described(Settings(book_shards=2))
    assert changed(Settings(), running) == []
    monkeypatch.setenv("OUTCRY_BOOK_SHARDS", "4")
    monkeypatch.setenv("OUTCRY_ACCOUNT_SHARDS", "1")
    monkeypatch.setenv("OUTCRY_MYSQL_URL", "mysql://u:secret@h/d")
    assert sorted(changed(Settings(), running)) == [
        "OUTCRY_BOOK_SHARDS is 4 here, but the running set was started with 2",
        "OUTCRY_MYSQL_URL differs from that of the running set",
    ]


def test_a_role_that_cannot_start_takes_nothing_along() -> None:
    """Others are waited for; then it alone is told, with its sentence. A service that cannot start ends the start, as before."""
    wanted = Wanted(("kafka",), ("edge", "hold-funds"))
    there = [ChildStatus(name, kind, State.READY) for name, kind in (("kafka", "service"), ("topics", "step"))]
    sick = ChildStatus("hold-funds", "role", State.FAILED, restarts=FAILED_RESTARTS_MAX + 1, message="the table x is damaged: move it away")

    def status(*roles: ChildStatus) -> SetStatus:
        return SetStatus(1, "", (*there, *roles), wanted)

    waits = status(ChildStatus("edge", "role", State.STARTING), sick)
    _raise_if_hopeless(waits)
    assert not _all_there(waits, wanted)
    with pytest.raises(RolesFailed, match="hold-funds does not start: the table x is damaged: move it away"):
        _all_there(status(ChildStatus("edge", "role", State.READY), sick), wanted)
    assert _all_there(status(ChildStatus("edge", "role", State.READY), ChildStatus("hold-funds", "role", State.READY)), wanted)
    with pytest.raises(StartFailed, match="kafka does not start"):
        _raise_if_hopeless(SetStatus(1, "", (ChildStatus("kafka", "service", State.BACKING_OFF, restarts=RESTARTS_MAX),), wanted))


async def test_a_program_that_says_that_a_person_is_needed_is_shown_failed_with_its_sentence_and_comes_up_once_it_can(
    tmp_path: Path,
) -> None:
    """Whatever else its log has before and behind."""
    mended = tmp_path / "mended"
    program = (
        "import pathlib, sys, time\nfrom schemas.errors import StaleData\nfrom streams.process.last_words import say\n"
        f"if pathlib.Path({str(mended)!r}).exists():\n    print('up', flush=True); time.sleep(600)\n"
        "print('Traceback (most recent call last):\\n  x\\nKeyError: 1', file=sys.stderr)\n"
        "code = say(StaleData('the table is damaged:\\n  move it away'))\nprint('bye')\nsys.exit(code)"
    )
    log = tmp_path / "tiny.log"

    async def probe(pid: int) -> str:
        if "up" not in log.read_text().splitlines():
            raise ServiceUnavailable("has not said `up`")
        return ""

    child = Child(
        ChildStatus("tiny", "role", log=str(log)),
        command=lambda: Command([sys.executable, "-c", program]),
        probe=probe,
        changed=lambda: None,
    )
    task = asyncio.create_task(child.run())
    async with asyncio.timeout(WAIT_S):
        while child.status.restarts < 2:  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.01)
        assert (child.status.state, child.status.message) == (State.FAILED, "the table is damaged: move it away")
        mended.touch()
        while child.status.state is not State.READY:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert child.status.message == ""
    await child.stop()
    await task


def test_the_last_words_of_a_log_are_its_sentence_else_its_exception_wherever_that_is() -> None:
    """An event of ours has its traceback in one line; some exceptions have many lines; else the last line is all there is."""
    traceback = ["before", "Traceback (most recent call last):", '  File "x.py", line 1', "ValueError: first", "second line", "third"]
    assert last_words.found_in(traceback) == "ValueError: first"
    folded = (
        r'level=critical event=x exception="Traceback (most recent call last):\n  File \"x.py\", line 1\nstreams.E: said \"no\"" offset=3'
    )
    assert last_words.found_in(["before", folded]) == 'streams.E: said "no"'
    assert last_words.found_in([*traceback, "outcry: the sentence", "after"]) == "the sentence"
    assert last_words.found_in(["one", "two"]) == "two"
    assert last_words.found_in([]) == ""


def test_a_role_that_stops_on_stale_data_says_the_sentence_last_and_that_a_person_is_needed() -> None:
    """As it does when the instruments have changed under a snapshot."""
    program = (
        "from streams.process.logging import configure_logging\nfrom streams.transport.app import fail_fast\nfrom schemas.errors import StaleData\n"
        "configure_logging('INFO', 'x')\ntry: raise StaleData('instruments are not those of the snapshot; put them back')\n"
        "except StaleData: fail_fast('fault while applying an input', offset=7)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == last_words.NEEDS_A_PERSON
    assert last_words.found_in(ended.stderr.splitlines()) == "instruments are not those of the snapshot; put them back"


def test_a_damaged_table_says_which_directory_to_move_away(tmp_path: Path) -> None:
    """RocksDB's own words do not."""
    app = SimpleNamespace(conf=SimpleNamespace(tabledir=tmp_path, table_key_index_size=10))
    store = TableStore("rocksdb://", app, SimpleNamespace(name="books"), table_name="books")
    store._db_for_partition(0).close()
    for manifest in store.partition_path(0).glob("MANIFEST*"):
        manifest.write_bytes(b"garbage")
    again = TableStore("rocksdb://", app, SimpleNamespace(name="books"), table_name="books")
    with pytest.raises(StaleData, match=rf"the table {store.partition_path(0)} is damaged \(Corruption: .*: move it away"):
        again._db_for_partition(0)


def test_a_torn_file_is_named_or_done_without(tmp_path: Path) -> None:
    """Status is written again by the supervisor; what is wanted is a person's word."""
    for torn in ("", "{", '{"pid": 1}', "[]", "\xff"):
        (tmp_path / "status.json").write_text(torn)
        (tmp_path / "wanted.json").write_text(torn)
        assert read_status(tmp_path) is None
        with pytest.raises(StaleData, match=r"wanted\.json"):
            read_wanted(tmp_path)
    with pytest.raises(StaleData, match=r"status\.json is damaged"):
        read_json(tmp_path / "status.json")


def test_a_start_takes_away_what_dead_children_have_left(tmp_path: Path) -> None:
    """Their pids and ports may be somebody else's; files of the set itself stay."""
    kept = {"wanted.json", "status.json", "services.json", "supervisor.lock"}
    for name in (*kept, "edge.json", "match-orders-b-2.json", "edge.pid", "kafka.pid"):
        (tmp_path / name).write_text("")
    remove_leavings(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize("recipe", [Valkey(), valkey_cache(), MariaDB()], ids=lambda recipe: recipe.name)
def test_a_store_has_a_password_that_is_only_in_files_of_its_owner(tmp_path: Path, recipe: Valkey | MariaDB) -> None:
    """The same each time, another in each home, in no argument, which every user of the machine may read."""
    places = [Place(tmp_path / "cache", tmp_path / name, tmp_path / "run", tmp_path / "x.log", {"client": 1}) for name in ("one", "two")]
    for place in places:
        place.data.mkdir()
    first, second = (recipe.url(place) for place in places)
    assert recipe.url(places[0]) == first != second
    secret = (places[0].data / "password").read_text()
    assert len(secret) >= 20
    assert f":{secret}@" in first
    assert (places[0].data / "password").stat().st_mode & 0o777 == 0o600
    if isinstance(recipe, Valkey):
        recipe.prepare(places[0], lambda text: None)
        assert not any(secret in part for part in recipe.command(places[0]).argv)
        assert f"requirepass {secret}\n" in (places[0].data / "valkey.conf").read_text()
        assert (places[0].data / "valkey.conf").stat().st_mode & 0o777 == 0o600


def test_the_class_cache_is_made_while_a_set_runs_never_while_it_stops(tmp_path: Path) -> None:
    """First the classes are written down, then the cache is made of that beside the program, then it is used. No stop has more time than any other."""
    place = Place(tmp_path / "cache", tmp_path / "data", tmp_path / "run", tmp_path / "x.log", {})
    (tmp_path / "cache").mkdir()
    program = JavaProgram(tmp_path / "jars", ["-Xmx1m"], ["Main"], 7.0)
    assert not any("AOT" in part for part in program.tool(place.cache, ["Tool", "now"]))
    first = program.command(place)
    assert first.leaves is not None
    first.leaves[1].touch()
    second = program.command(place)
    assert second.makes is not None
    assert (second.leaves, second.makes.of) == (None, first.leaves[1])
    second.makes.place.touch()
    third = program.command(place)
    assert (third.leaves, third.makes) == (None, None)
    assert f"-XX:AOTCache={second.makes.place}" in third.argv
    tool = program.tool(place.cache, ["Tool", "now"])
    assert f"-XX:AOTCache={second.makes.place}" in tool
    assert (tool[-2:], "Main" in tool, tool[tool.index("-cp") + 1] in third.argv) == (["Tool", "now"], False, True)
    assert [command.stop_timeout_s for command in (first, second, third)] == [7.0] * 3


@pytest.mark.parametrize("quick", [True, False])
async def test_what_is_made_beside_a_program_is_moved_into_place_and_a_stop_does_not_wait_for_it(tmp_path: Path, quick: bool) -> None:
    """Interrupted, it leaves what it is made of for the next start."""
    written, place, seen = tmp_path / "written", tmp_path / "place", tmp_path / "seen"
    seen.touch()
    started = tmp_path / "started"
    maker = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\n" + (
        f"pathlib.Path({str(written)!r}).write_text('cache')" if quick else "time.sleep(600)"
    )

    async def probe(pid: int) -> str:
        return "here"

    child = Child(
        ChildStatus("tiny", "service", log=str(tmp_path / "tiny.log")),
        command=lambda: Command(
            [sys.executable, "-c", "import time; time.sleep(600)"], makes=Made([sys.executable, "-c", maker], written, place, seen)
        ),
        probe=probe,
        changed=lambda: None,
    )
    task = asyncio.create_task(child.run())
    async with asyncio.timeout(WAIT_S):
        while not (started.exists() and (not quick or not seen.exists())):  # noqa: ASYNC110 - the condition is in another process
            await asyncio.sleep(0.01)
        await child.stop()
        await task
    assert (place.exists(), seen.exists()) == (quick, not quick)
