"""A replica that follows: it believes what the writer has committed, and asks to write when nothing more is committed."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from schemas.codec import decode_record
from schemas.errors import ServiceUnavailable
from streams.host.outbox import Outbox
from streams.host.placement import Placement
from streams.host.shard_runner import Output
from streams.host.snapshot_pace import HELD_APART_S
from streams.host.takeover import FollowCopy, Takeover, patience_s
from topics.catalogue import BOOK_COMMANDS

PLACE = (BOOK_COMMANDS.name, 0)


class Follower:
    """A host of one shard that replica a writes and b follows; outputs of inputs 0 to 4 are held since second 0."""

    replica = "b"

    def __init__(self) -> None:
        self.shard = SimpleNamespace(placement=Placement(3, "a", 0), outbox=Outbox(cast("Any", None)))
        self.asked: list[dict[str, Any]] = []
        self.committed: int | None = None
        self.fault: Exception | None = None

    async def fill(self, since: float) -> None:
        for offset in range(5):
            await self.shard.outbox.put(offset, [Output("executions", 0, b"x")], since, writes=False)

    def followed(self) -> dict[int, Any]:
        return {0: self.shard}

    async def send_to_input(self, partition: int, value: bytes) -> None:
        assert partition == 0
        self.asked.append(decode_record(value)[1])

    async def ask(self, letter: str, places: list[tuple[str, int]]) -> dict[tuple[str, int], int | None]:
        assert (letter, places) == ("a", [PLACE])
        if self.fault is not None:
            raise self.fault
        return {PLACE: self.committed}


async def follower(age_s: float) -> tuple[Follower, Takeover]:
    """One whose writer has been silent for so long; its patience is 5 s."""
    made = Follower()
    await made.fill(asyncio.get_running_loop().time() - age_s)
    return made, Takeover(cast("Any", made), BOOK_COMMANDS.name, made.ask, 5.0)


async def test_what_the_writer_has_committed_is_let_go() -> None:
    """Nothing is asked of anybody."""
    one, takeover = await follower(1.0)
    one.committed = 3
    await takeover.look()
    assert (one.shard.outbox.held, one.asked) == (2, [])


async def test_a_silent_writer_is_replaced_once() -> None:
    """The record ends the epoch that the follower knows, and says up to where the log has everything. It is on its way: not asked for again at once."""
    one, takeover = await follower(6.0)
    one.committed = 2
    await takeover.look()
    await takeover.look()
    (asked,) = one.asked
    assert (asked["kind"], asked["from_epoch"], asked["writers"], asked["written_to"]) == ("MOVE", 3, "b", 2)
    assert "a has written nothing for 5 s" in asked["reason"]


async def test_a_writer_that_commits_all_is_not_silent_however_long_ago() -> None:
    """What is held counts, not the time since a commit."""
    one, takeover = await follower(60.0)
    one.committed = 5
    await takeover.look()
    assert (one.shard.outbox.held, one.asked) == (0, [])


async def test_nobody_is_replaced_while_kafka_does_not_say_what_is_committed() -> None:
    """Then the writer cannot write either."""
    one, takeover = await follower(60.0)
    one.fault = ServiceUnavailable("Kafka is away")
    await takeover.look()
    assert (one.shard.outbox.held, one.asked) == (5, [])


def test_a_writer_with_rare_snapshots_is_not_taken_for_dead() -> None:
    """A large or starved shard commits up to half a minute late: a shorter patience would undo moves."""
    assert patience_s(1_000) > 2 * HELD_APART_S
    assert patience_s(60_000) > 120


async def test_who_follows_a_copy_lets_go_of_what_it_has_and_never_takes_over() -> None:
    """By what the copier notes, whoever writes in the other region; however long it is silent."""
    made = Follower()
    await made.fill(asyncio.get_running_loop().time() - 3_600)
    copy = FollowCopy(cast("Any", made), BOOK_COMMANDS.name, {})

    async def committed(places: list[tuple[str, int]]) -> dict[tuple[str, int], int | None]:
        if made.fault is not None:
            raise made.fault
        return dict.fromkeys(places, made.committed)

    copy._offsets = cast("Any", SimpleNamespace(committed=committed))
    for noted, held in ((None, 5), (3, 2)):
        made.committed = noted
        await copy.look()
        assert (made.shard.outbox.held, made.asked) == (held, [])
    made.fault = ServiceUnavailable("away")
    await copy.look()
    assert (made.shard.outbox.held, made.asked) == (2, [])
