"""The commands `outcry up`, `down`, `status` and `doctor`."""

import asyncio
import json
import signal
import sys
import time
from dataclasses import asdict

import click
from rich.console import Console

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks.mysql.people import people
from sinks.mysql.pool import MySql
from streams.__main__ import settings_of
from streams.services.clocks import clock_sentences, clock_states
from streams.services.doctor import examine
from streams.services.local_set import URL_SETTINGS, LocalSet, RolesFailed, external_urls
from streams.services.mysql_commands import places_of_servers
from streams.services.progress import Progress, status_table
from streams.services.state import SERVICES, ChildStatus, SetStatus, State
from streams.services.supervision import probes
from streams.services.supervision.child import disk_is_full
from topics.roles import REPLICAS, ROLES

WORKERS_MAX = 16  # of one role on one machine
MYSQL_REPLICAS_MAX = 120


def role_names(*, with_optional: bool = False) -> tuple[str, ...]:
    """Every role, in the order in which they are shown: the edge is the last one."""
    names = (name for name, role in ROLES.items() if with_optional or not role.optional)
    return tuple(sorted(names, key=lambda name: (name == "edge", name)))


@click.command()
@click.option(
    "--all",
    "all_roles",
    is_flag=True,
    help="Start every role of the exchange too, but for optional ones (see --role).",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE",
    help="Start this role too; may be repeated. Optional: audit-log, run-market, archive, make-reports, run-functions, forecast-load, copy-log.",
)
@click.option("--service", "services", multiple=True, type=click.Choice(SERVICES), help="Only these services (default: all).")
@click.option("--brokers", type=click.IntRange(1, 5), default=1, show_default=True, help="Kafka brokers of a new set.")
@click.option("--workers", multiple=True, metavar="ROLE=N", help="N workers share the partitions of ROLE; may be repeated.")
@click.option("--replicas", multiple=True, metavar="ROLE=N", help="N active-active replicas of ROLE; may be repeated.")
@click.option(
    "--mysql-replicas",
    type=click.IntRange(0, MYSQL_REPLICAS_MAX),
    default=0,
    help="MySQL servers that follow the first, for reads and for failover (docs/replicas.md). A home keeps as many as it has had.",
)
@click.option(
    "--secure",
    is_flag=True,
    help="TLS between services and roles, and a login with its own rights for each (docs/operate.md#tls-and-logins); as OUTCRY_SECURE=true.",
)
@click.option("--foreground", is_flag=True, help="Stay in the foreground; Ctrl-C stops everything.")
@click.pass_context
def up(
    ctx: click.Context,
    all_roles: bool,
    roles: tuple[str, ...],
    services: tuple[str, ...],
    brokers: int,
    workers: tuple[str, ...],
    replicas: tuple[str, ...],
    mysql_replicas: int,
    secure: bool,
    foreground: bool,
) -> None:
    """Start Kafka, MariaDB, Valkey and Elasticsearch, and return when they answer.

    A service whose OUTCRY_*_URL is set is not started, only checked. A second `outcry up` finds the running set and adds what is missing.

    \b
    Examples:
      outcry up --all
      outcry up --all --brokers 3                                 three copies of every topic: any one broker may die
      OUTCRY_BOOK_SHARDS=2 outcry up --all --
      outcry up --all --role audit-log                            with the audit log, see docs/audit.md
      outcry up --all --replicas match-orders=2                   both do all of the work: if one dies, nothing stops
    """
    settings = settings_of(ctx)
    if secure:
        settings = settings.model_copy(update={"secure": True})
    workers_of, replicas_of = _counts(workers, "--workers", WORKERS_MAX), _counts(replicas, "--replicas", len(REPLICAS))
    roles = tuple(dict.fromkeys([*roles, *workers_of, *replicas_of]))
    known = role_names(with_optional=True)
    unknown = set(roles) - set(known)
    if unknown:
        raise click.BadParameter(f"no such role: {', '.join(sorted(unknown))}; there are {', '.join(known)}", param_hint="--role")
    local, wanted_roles = LocalSet(settings), tuple(dict.fromkeys([*role_names(), *roles])) if all_roles else roles
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    failure, started = None, True
    try:
        with Progress("starting") as progress:
            started = local.start(
                services or SERVICES,
                wanted_roles,
                brokers,
                workers=workers_of,
                replicas=replicas_of,
                mysql_replicas=mysql_replicas,
                watch=progress,
            )
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None
    except RolesFailed as error:
        failure = error
    for setting, url in external_urls(services or SERVICES).items():
        click.echo(f"{setting.removesuffix('_url')} answers at {probes.without_password(url)}; it is not started or stopped from here")
    running = local.status()
    if running is None:
        return
    state = "is up, except for some roles" if failure else "is up" if started else "was already up"
    click.echo(f"the set in {local.settings.home} {state}:")
    _show(running)
    _tell_changed_settings(local)
    if failure is not None:
        click.echo(f"outcry: {failure}", err=True)
    click.echo("`outcry status` shows it; `outcry down` stops it" if not foreground else "Ctrl-C stops it")
    if "edge" in running.wanted.roles and not asyncio.run(_somebody_works_here(local.connected_settings())):
        click.echo("nobody can sign in to the pages for analysts yet: `outcry users add NAME --role analyst`")
    if foreground:
        _stay(local)
    elif failure is not None:
        sys.exit(1)


def _counts(texts: tuple[str, ...], option: str, count_max: int) -> dict[str, int]:
    """{role: how many} of ROLE=N."""
    counts = {}
    for text in texts:
        role, _, number = text.partition("=")
        allowed = {name for name, one in ROLES.items() if (one.replicas if option == "--replicas" else one.workers)}
        if role not in allowed:
            raise click.BadParameter(f"{role!r} is not one of {', '.join(sorted(allowed))}", param_hint=option)
        if not (number.isascii() and number.isdigit() and 1 <= int(number) <= count_max):
            raise click.BadParameter(f"{text!r}: a number from 1 to {count_max} must follow the =", param_hint=option)
        counts[role] = int(number)
    return counts


@click.command()
@click.pass_context
def down(ctx: click.Context) -> None:
    """Stop everything that `outcry up` started in this home. Data is kept."""
    local = LocalSet(settings_of(ctx))
    with Progress("stopping") as progress:
        stopped = local.stop(watch=progress)
    click.echo(f"the set in {local.settings.home} {'is down' if stopped else 'was not running'}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show what runs, where, and whether it answers. Exit code 1 if anything that should answer does not."""
    local = LocalSet(settings_of(ctx))
    found = local.status()
    answers = asyncio.run(probe_all(found, settings_of(ctx)))
    problems = _problems(local, found)
    well = bool(answers) and not problems and not any(answer.startswith("no") for answer in answers.values())
    names = [child.name for child in found.children] if found is not None else []
    clocks = clock_states(local.settings, names, time.time_ns())
    if as_json:
        document = asdict(found) if found is not None else {"pid": None, "children": []}
        click.echo(json.dumps({**document, "answers": answers, "problems": problems, "clocks": clocks, "well": well}, indent=1))
    else:
        if found is None and not answers and not problems:
            click.echo(f"nothing runs in {local.settings.home}; `outcry up` starts the services")
        elif found is not None or answers:
            _show(found, answers)
        for problem in (*problems, *clock_sentences(clocks)):
            click.echo(f"outcry: {problem}")
        _tell_changed_settings(local)
    sys.exit(0 if well else 1)


def _problems(local: LocalSet, found: SetStatus | None) -> list[str]:
    """Problems of the set as a whole."""
    problems = [found.error] if found is not None and found.error else []
    pid, status_file = local.running_pid(), local.settings.run_dir / "status.json"
    if pid is not None and disk_is_full(status_file):
        since = f"{time.strftime('%H:%M:%S', time.gmtime(status_file.stat().st_mtime))} UTC" if status_file.exists() else "never"
        problems.append(
            f"the disk of {local.settings.home} is full. The status is out of date (last written: {since}). Free some space; everything recovers by itself"
        )
    elif pid is not None and found is None:
        problems.append(f"the supervisor (pid {pid}) runs, but {status_file} cannot be read; it is rewritten within a few seconds")
    return problems


def _tell_changed_settings(local: LocalSet) -> None:
    if changed := local.changed_settings():
        lines = "".join(f"\n  {sentence}" for sentence in changed)
        click.echo(
            f"outcry: the running set does not use these settings; run `outcry down` and `outcry up` to apply them:{lines}", err=True
        )


@click.command()
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Check this machine and the running set, and say how to fix each problem. Exit code 1 if there are any."""
    settings = settings_of(ctx)
    unhealthy = 0
    for finding in examine(settings):
        click.echo(f"{'ok  ' if finding.mend is None else 'BAD '} {finding.subject:<22} {finding.fact}")
        if finding.mend is not None:
            unhealthy += 1
            click.echo(f"     {'':<22} -> {finding.mend}")
    click.echo("no problems found" if unhealthy == 0 else f"problems found: {unhealthy}")
    sys.exit(0 if unhealthy == 0 else 1)


async def _somebody_works_here(settings: Settings) -> bool:
    """Whether anybody may sign in; True where it cannot be asked, which is told elsewhere."""
    try:
        db = await MySql.connect(settings.mysql_url, size_max=1)
        try:
            return bool(await people(db))
        finally:
            await db.close()
    except ServiceUnavailable:
        return True


async def probe_all(found: SetStatus | None, settings: Settings) -> dict[str, str]:
    """Probe everything that should answer. Values: what it said, or "no: reason". A service elsewhere has its setting's name."""
    questions = {}
    for name, setting in URL_SETTINGS.items():
        url = getattr(settings, setting)
        local = found is not None and name in found.wanted.services
        if url:
            questions[name if local else setting] = (probes.PROBES[setting], url)
    if settings.cache_url:
        questions["valkey-cache" if found is not None and "valkey" in found.wanted.services else "cache_url"] = (
            probes.redis,
            settings.cache_url,
        )
    for child in found.children if found is not None else ():
        if child.kind == "role":
            questions[child.name] = (probes.role, child.address)
    said = await asyncio.gather(*(_answer(*question) for question in questions.values()))
    answers = dict(zip(questions, said, strict=True))
    if found is not None and found.wanted.mysql_replicas:
        answers |= await places_of_servers(settings.data_dir.resolve())
    if found is not None:
        answers |= {child.name: f"no: {child.message}" for child in found.children if child.state is State.FAILED}
    return answers


async def _answer(probe: probes.Probe, url: str) -> str:
    if not url:
        return "no: not ready yet"
    try:
        return await probes.ask(probe, url)
    except ServiceUnavailable as error:
        return f"no: {error}"


def _interrupt(number: int, frame: object) -> None:
    """While `up` starts, TERM and HUP (the terminal closes) act like Ctrl-C: what it has started is stopped."""
    raise KeyboardInterrupt


def _show(found: SetStatus | None, answers: dict[str, str] | None = None) -> None:
    children = found.children if found is not None else ()
    names = {child.name for child in children}
    elsewhere = tuple(ChildStatus(name, "elsewhere", State.READY) for name in answers or {} if name not in names)
    # Not a terminal: wide enough that no cell is cut, so that the output can be searched.
    console = Console() if sys.stdout.isatty() else Console(width=320)
    console.print(status_table((*children, *elsewhere), answers=answers, width=console.width))


def _stay(local: LocalSet) -> None:
    """Wait for Ctrl-C or for the end of the supervisor."""
    try:
        while local.running_pid() is not None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        with Progress("stopping") as progress:
            local.stop(watch=progress)
