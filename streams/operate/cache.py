"""`outcry cache`: the cache of history in front of MySQL: what is in it, fill it before an open, empty it."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import click

from schemas.errors import ServiceUnavailable
from schemas.settings import Settings
from sinks.cached.entries import PREFIX
from sinks.cached.limits import WARM_READS_PER_S
from sinks.cached.store import LOCKS, CacheStore
from sinks.cached.warming import Progress
from streams.__main__ import settings_of
from streams.operate.cache_warming import WARMED, Wish, warmed

SCANNED: Final = 1_000


@click.group()
def cache() -> None:
    """The cache of history in front of MySQL (docs/caches.md)."""


@cache.command("show")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
@click.pass_context
def show(ctx: click.Context, as_json: bool) -> None:
    """Show the cache's memory, its entries by kind, and the last warming.

    \b
    Examples:
      outcry cache show
      outcry cache show --json
    """
    found = asyncio.run(_shown(settings_of(ctx)))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo(
        f"memory: {found['used_bytes']:,} of {found['max_bytes']:,} bytes, {found['policy']}, {found['evicted']:,} entries have made room"
    )
    for kind, count in sorted(found["entries"].items()):
        click.echo(f"{kind:<24}{count:>10,}")
    click.echo(f"last warming: {described(found['warming'])}")


@cache.command("warm")
@click.option("--symbols", default=500, show_default=True, type=click.IntRange(0, 100_000), help="At most so many symbols.")
@click.option("--accounts", default=5_000, show_default=True, type=click.IntRange(0, 1_000_000), help="At most so many accounts.")
@click.option(
    "--rate", default=WARM_READS_PER_S, show_default=True, type=click.FloatRange(0.1, 10_000), help="Reads of MySQL a second, at most."
)
@click.option("--plan", is_flag=True, help="Only say what would be warmed, the most expected first.")
@click.pass_context
def warm(ctx: click.Context, symbols: int, accounts: int, rate: float, plan: bool) -> None:
    """Fill the cache with what will be asked for at the open.

    Symbols: by yesterday's trades, watchlists, and what the opening auction has gathered. Accounts: by their last postings. What is there and
    good is left alone, so a run that was ended is simply begun again. It stops where the cache's memory is 60 % full. Run it a quarter of an
    hour before the open, and after a restart.

    \b
    Examples:
      outcry cache warm
      outcry cache warm --rate 200 --accounts 20000
      outcry cache warm --plan --symbols 20 --accounts 0
    """
    if plan:
        for line in asyncio.run(_plan(settings_of(ctx), Wish(symbols, accounts, rate))):
            click.echo(line)
        return
    progress = asyncio.run(
        warmed(settings_of(ctx), Wish(symbols, accounts, rate), lambda told: click.echo(described(vars(told)), err=True))
    )
    click.echo(described(vars(progress)))
    sys.exit(0 if progress.ended == "done" else 1)


@cache.command("clear")
@click.pass_context
def clear(ctx: click.Context) -> None:
    """Empty the cache: after a correction of rows by hand, or where the log has lost its end.

    \b
    Examples:
      outcry cache clear
    """
    click.echo(f"{asyncio.run(_cleared(settings_of(ctx))):,} entries removed")


def described(told: dict[str, Any] | None) -> str:
    """A Progress in words."""
    if told is None:
        return "none"
    one = Progress(**told)
    return (
        f"{one.pages:,} pages, {one.there:,} of them were there, {one.read:,} read from MySQL, {one.bytes:,} bytes, {one.seconds:.1f} s"
        f"{': ' + one.ended if one.ended else ' so far'}"
    )


async def _plan(settings: Settings, wish: Wish) -> list[str]:
    from streams.operate.cache_warming import planned

    return await planned(settings, wish)


@asynccontextmanager
async def _client(settings: Settings) -> AsyncIterator[Any]:
    """Raises OutcryError."""
    if not settings.cache_url:
        raise ServiceUnavailable("there is no cache: OUTCRY_CACHE_URL is not set; `outcry up` starts one")
    store = CacheStore(settings.cache_url)
    try:
        yield await store.client()
    finally:
        await store.close()


async def _shown(settings: Settings) -> dict[str, Any]:
    async with _client(settings) as client:
        memory, stats = await client.info("memory"), await client.info("stats")
        entries: Counter[str] = Counter()
        async for key in client.scan_iter(match=f"{PREFIX}*", count=SCANNED):
            if key != WARMED.encode() and not key.startswith(LOCKS.encode()):
                entries[key.decode().removeprefix(PREFIX).partition("-")[0]] += 1
        return {
            "used_bytes": memory["used_memory"], "max_bytes": memory["maxmemory"], "policy": memory["maxmemory_policy"],
            "evicted": stats["evicted_keys"], "entries": dict(entries), "warming": _progress_of(await client.get(WARMED)),
        }  # fmt: skip


def _progress_of(raw: bytes | None) -> dict[str, Any] | None:
    """What a run has told; None for anything else that is there."""
    try:
        found = json.loads(raw or b"null")
        return vars(Progress(**found)) if isinstance(found, dict) else None
    except (ValueError, TypeError):
        return None


async def _cleared(settings: Settings) -> int:
    removed = 0
    async with _client(settings) as client:
        async for key in client.scan_iter(match=f"{PREFIX}*", count=SCANNED):
            removed += await client.unlink(key)
    return removed
