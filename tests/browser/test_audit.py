"""The page that checks proofs, in a real Chromium with its own cryptography: it says what the verifier says, of good proofs and of changed ones."""

import contextlib
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect
from support.browser import NARROW, NEEDS_CHROMIUM, WIDE, chromium, findings, fits, open_page
from support.records.audit_logs import ORIGIN, WITNESS, cosign, entry, grow, open_log, open_witness, policy_text, value
from support.served_edge import served

from audit.notes import Checkpoint, Note
from audit.proofs import Proof
from audit.tiles import LogFiles
from audit.tree import inclusion_path
from audit.verifier import EXIT_UNCHECKED, EXIT_WRONG, main

pytestmark = NEEDS_CHROMIUM
WORDS = {0: "✔ Verified", EXIT_WRONG: "✖ Wrong", EXIT_UNCHECKED: "◌ Could not be checked"}
ENTRIES = 70


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Proof, record and policy of an entry of a log that a witness has cosigned."""
    log = open_log(tmp_path / "log")
    grow(log, ENTRIES)
    assert cosign(log, open_witness(tmp_path / "witness")).status == 200
    write_proof(tmp_path, 5)
    (tmp_path / "policy").write_text(policy_text(is_witnessed=True))
    return tmp_path


def write_proof(folder: Path, index: int) -> None:
    """Of an entry of the newest checkpoint that is cosigned, and its record."""
    checkpoint = (folder / "log" / "checkpoint.cosigned").read_bytes()
    size = Checkpoint.parse(Note.parse(checkpoint).text).size
    path = inclusion_path(LogFiles(str(folder / "log")).nodes(size), index, size)
    (folder / "one.tlog-proof").write_bytes(bytes(Proof(index, path, checkpoint, entry(index))))
    (folder / "one.record").write_bytes(value(index))


@asynccontextmanager
async def page_of(**options: Any) -> AsyncIterator[tuple[Page, list[str]]]:
    """The page, for which nobody has to sign in."""
    async with served() as edge, chromium() as browser:
        trouble: list[str] = []
        page = await open_page(browser, edge.origin, trouble, **options)
        await page.goto(f"{edge.origin}/audit")
        yield page, trouble


async def verify(page: Page, folder: Path, *, with_record: bool = True) -> str:
    """Choose the files on a fresh page, press the button; the verdict and what is said of it. Nothing is sent anywhere."""
    await page.reload()
    await page.set_input_files("#proof", folder / "one.tlog-proof")
    await page.set_input_files("#policy", folder / "policy")
    await page.set_input_files("#record", folder / "one.record" if with_record else [])
    await expect(page.locator("#result")).to_be_hidden()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    await page.get_by_role("button", name="Verify").click()
    await expect(page.locator("#result")).to_be_visible()
    assert sent == []
    return await page.locator("#result").inner_text()


def said_by_verifier(folder: Path, *, with_record: bool = True) -> tuple[int, str]:
    """Its exit status and its words."""
    record = ["--record", str(folder / "one.record")] if with_record else []
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = main(["proof", str(folder / "one.tlog-proof"), "--policy", str(folder / "policy"), *record])
    return status, out.getvalue()


async def test_a_proof_is_verified_by_the_browser_itself(mirror: Path) -> None:
    """Nothing is sent anywhere; without the record it says that the record was not checked."""
    async with page_of() as (page, trouble):
        found = await verify(page, mirror)
        assert found.startswith(WORDS[0])
        assert f"{ORIGIN}: entry 5 of {ENTRIES} is" in found
        assert "The record is the one that this entry names." in found
        assert "Cosigned by w at 2023-11-14T22:13:20Z" in found
        await expect(page.locator("#verdict")).to_be_focused()
        assert "Not checked: the record itself." in await verify(page, mirror, with_record=False)
        for index in (0, 31, 32, 63, 64, ENTRIES - 1):  # first, last, beside powers of two
            write_proof(mirror, index)
            assert f"entry {index} of {ENTRIES}" in await verify(page, mirror)
        assert trouble == []


def edit(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    """A changed file."""

    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old in data
        (folder / name).write_bytes(data.replace(old, new, 1))

    return change


def without(word: str) -> Callable[[Path], None]:
    """The proof without the lines that have this word."""

    def change(folder: Path) -> None:
        lines = (folder / "one.tlog-proof").read_text().split("\n")
        (folder / "one.tlog-proof").write_text("\n".join(line for line in lines if word not in line))

    return change


def path_line(change: Callable[[list[str]], None]) -> Callable[[Path], None]:
    """A change of the lines of the proof; from the fourth on there are hashes."""

    def changed(folder: Path) -> None:
        lines = (folder / "one.tlog-proof").read_text().split("\n")
        change(lines)
        (folder / "one.tlog-proof").write_text("\n".join(lines))

    return changed


TAMPERINGS: list[Callable[[Path], None]] = [
    edit("one.record", b"", b"x"), edit("one.tlog-proof", b"index 5", b"index 6"), edit("one.tlog-proof", b"index 5", b"index 05"),
    edit("one.tlog-proof", b"index 5", b"index 70"), edit("one.tlog-proof", b"index 5", b"index 99999999999999999999"),
    edit("one.tlog-proof", f"\n{ENTRIES}\n".encode(), f"\n{ENTRIES + 1}\n".encode()), edit("one.tlog-proof", b"extra ", b"extra AAAA"),
    edit("one.tlog-proof", b"extra ", b"extra !"), edit("one.tlog-proof", b"@v1", b"@v2"), edit("one.tlog-proof", b"\n\n", b"\n"),
    edit("one.tlog-proof", ORIGIN.encode(), b"elsewhere.example/log"), edit("one.tlog-proof", b"index 5", b"index 5\xff"),
    without(WITNESS.name), without("\u2014 " + ORIGIN), path_line(lambda lines: lines.pop(3)), path_line(lambda lines: lines.insert(3, lines[3])),
    path_line(lambda lines: lines.__setitem__(3, lines[4])), path_line(lambda lines: lines.__setitem__(3, "AAAA")),
    edit("policy", b"log ", b"lag "), edit("policy", b"quorum w", b"quorum v"), edit("policy", b"quorum w", b"# quorum w"),
    lambda folder: (folder / "policy").write_text("quorum none\n"), edit("policy", b"quorum w", b"group g 2 w\nquorum g"),
    edit("policy", b"quorum w", b"group g all w\nquorum g"), edit("policy", b"quorum w", b"quorum none"),
    edit("policy", b"quorum w", b"quorum w\nquorum w"), edit("policy", b"+", b"+0"), lambda folder: (folder / "one.tlog-proof").write_bytes(b""),
]  # fmt: skip


async def test_of_changed_files_it_says_what_the_verifier_says(mirror: Path) -> None:
    """The same verdict each time, and where it is the policy's or the proof's fault, the same reason."""
    names = ("one.tlog-proof", "one.record", "policy")
    before = {name: (mirror / name).read_bytes() for name in names}
    seen = set()
    async with page_of() as (page, trouble):
        for number, tamper in enumerate(TAMPERINGS):
            for name, data in before.items():
                (mirror / name).write_bytes(data)
            tamper(mirror)
            status, said = said_by_verifier(mirror)
            found = await verify(page, mirror)
            assert found.startswith(WORDS[status]), (number, said, found)
            seen.add(status)
        assert seen == set(WORDS)
        assert trouble == []


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (NARROW, "dark")])
async def test_axe_finds_nothing_before_and_after(mirror: Path, viewport: Any, scheme: Any) -> None:
    """Neither with a verdict nor without one; no page is wider than its screen."""
    async with page_of(viewport=viewport, color_scheme=scheme) as (page, trouble):
        assert await findings(page) == []
        await verify(page, mirror)
        assert await findings(page) == []
        assert await fits(page)
        assert trouble == []
