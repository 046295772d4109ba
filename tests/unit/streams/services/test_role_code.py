"""Roles start whether or not there is a fork server."""

import asyncio
import sys
from functools import partial
from pathlib import Path

import pytest

from schemas.settings import Settings
from streams.services.recipes.recipe import Command
from streams.services.supervision import role_code
from streams.services.supervision.forks import Fork, ForkServer
from streams.services.supervision.role_code import RoleCode

PROGRAM = [sys.executable, "-c", "import sys; from tests.support.forked_program import main; main()"]
ROLE = "publish-market-data"  # without kernels


@pytest.mark.parametrize(("modules", "is_fork"), [([], True), (["no_such_module"], False)])
async def test_a_role_is_a_fork_or_else_a_process_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modules: list[str], *, is_fork: bool
) -> None:
    """Both run the same arguments and tell the same exit code."""
    server = partial(ForkServer, program="tests.support.forked_program:main")
    monkeypatch.setattr(role_code, "ForkServer", lambda _, log_path, kernels: server(modules, log_path, kernels=kernels))
    (tmp_path / "log").mkdir()
    code = RoleCode(Settings(home=tmp_path), None, len(PROGRAM))
    code.want((ROLE,))
    try:
        with (tmp_path / "role.log").open("ab") as output:
            process = await code.start(Command([*PROGRAM, "exit", "3"]), output)
        async with asyncio.timeout(120):
            assert await process.wait() == 3
        assert isinstance(process, Fork) == is_fork
        assert (tmp_path / "role.log").read_text() == "runs exit 3\n"
    finally:
        code.stop()
