"""The code of roles, made ready while services start: kernels compiled where they are not, modules loaded once for all roles."""

import asyncio
import contextlib
from typing import IO

import structlog

from schemas.settings import Settings
from streams.services.compiled_kernels import are_compiled
from streams.services.recipes.recipe import Command
from streams.services.supervision.forks import ForkServer, Process, own_process
from topics.roles import ROLES

COMPILED_ROLES = frozenset(name for name, role in ROLES.items() if role.compiled)

log = structlog.get_logger("outcry.supervisor")


class RoleCode:
    """Starts roles.

    warm_command: compiles kernels; None where no role needs any. program_words: so many words of a role's command are the program, which the
    fork server has loaded, and its arguments follow; None for roles that are processes of their own.
    """

    def __init__(self, settings: Settings, warm_command: list[str] | None, program_words: int | None) -> None:
        """Nothing runs before `want`."""
        self._settings, self._warm_command, self._program_words = settings, warm_command, program_words
        self._compiling: asyncio.Task[None] | None = None
        self._loading: asyncio.Task[None] | None = None
        self._server: ForkServer | None = None

    def want(self, roles: tuple[str, ...]) -> None:
        """Have the code of these roles made ready. The fork server loads those that come first; a role that is added later imports its own."""
        kernels = not COMPILED_ROLES.isdisjoint(roles)
        if self._compiling is None and self._warm_command is not None and kernels and not are_compiled(self._settings):
            self._compiling = asyncio.create_task(self._compile(self._warm_command))
        if self._server is None and self._program_words is not None and roles:
            modules = sorted({ROLES[role].runs.partition(":")[0] for role in roles})
            self._server = ForkServer(modules, self._settings.log_dir / "fork-server.log", kernels=kernels)
            self._loading = asyncio.create_task(self._load(self._server))

    async def compiled(self) -> None:
        """Returns when nothing is being compiled. A role whose kernels are still missing compiles them itself."""
        if self._compiling is not None:
            await asyncio.shield(self._compiling)

    async def start(self, command: Command, output: IO[bytes]) -> Process:
        """A fork of the loaded code, or a process that loads it where there is no fork server. Raises OSError."""
        if self._server is not None:
            try:
                return await self._server.fork(command.argv[self._program_words :], command.niceness, output)
            except OSError as error:
                log.warning("role.not_forked", reason=str(error))
        return await own_process(command.argv, command.niceness, output)

    def stop(self) -> None:
        """End the fork server, once no role runs."""
        for task in (self._compiling, self._loading):
            if task is not None:
                task.cancel()
        if self._server is not None:
            self._server.stop()

    async def _load(self, server: ForkServer) -> None:
        await self.compiled()  # there it is shared out to two processes
        with contextlib.suppress(OSError):  # `start` says so
            await server.start()

    async def _compile(self, argv: list[str]) -> None:
        try:
            with (self._settings.log_dir / "warm.log").open("ab") as output:
                process = await own_process(argv, 0, output)
        except OSError as error:
            log.warning("kernels.not_compiled", reason=str(error))
            return
        try:
            log.info("kernels.compiled", exit_code=await process.wait())
        except asyncio.CancelledError:
            process.kill()
            raise
