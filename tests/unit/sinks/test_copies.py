"""When a server has diverged, and what a dump says of itself."""

from typing import Any

import pytest

from sinks.mysql.copies import lacks, position_of
from sinks.mysql.dialect import MARIADB

RUNS: dict[str, Any] = {
    "Master_Host": "127.0.0.1", "Master_Port": 3306, "Slave_IO_Running": "No", "Slave_SQL_Running": "Yes", "Gtid_IO_Pos": "0-1-7",
    "Last_SQL_Errno": 0, "Last_SQL_Error": "", "Last_IO_Errno": 0, "Last_IO_Error": "",
}  # fmt: skip
READING = "Got fatal error 1236 from master when reading data from binary log: "


@pytest.mark.parametrize(
    ("change", "diverged"),
    [
        ({}, False),
        ({"Last_IO_Errno": 1236, "Last_IO_Error": READING + "'Error: connecting slave requested to start from GTID 0-1-105, which is not in the master's binlog. Since the master's binlog contains GTIDs with higher sequence numbers, it probably means that the slave has diverged due to executing extra erroneous transactions'"}, True),
        ({"Last_IO_Errno": 1236, "Last_IO_Error": READING + "'Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and required binlog files have been purged.'"}, True),
        ({"Last_IO_Errno": 1236, "Last_IO_Error": READING + "'log event entry exceeded max_allowed_packet'"}, False),
        ({"Last_IO_Errno": 2003, "Last_IO_Error": "error connecting to master"}, False),
        ({"Last_SQL_Errno": 1950, "Last_SQL_Error": "An attempt was made to binlog GTID 0-2-101 which would create an out-of-order sequence number"}, True),
        ({"Last_SQL_Errno": 1062, "Last_SQL_Error": "Duplicate entry '7' for key 'PRIMARY'"}, True),
        ({"Last_SQL_Errno": 1114, "Last_SQL_Error": "The table is full"}, False),
    ],
)  # fmt: skip
def test_a_server_has_diverged_where_only_a_new_copy_helps(change: dict[str, Any], diverged: bool) -> None:
    """A primary that is away, or a full disk, is no reason to throw data away."""
    assert MARIADB.threads([RUNS | change]).diverged is diverged


def test_a_dump_tells_its_position_at_its_end_and_one_that_was_cut_off_tells_none() -> None:
    """The position comes last."""
    whole = b"INSERT INTO t VALUES (1);\n-- SET GLOBAL gtid_slave_pos='0-1-105,3-2-9';\n\n-- Dump completed on 2026-11-30 23:00:00\n"
    assert position_of(whole) == "0-1-105,3-2-9"
    assert position_of(whole.replace(b"0-1-105,3-2-9", b"")) == ""
    assert all(position_of(whole[:length]) is None for length in range(len(whole) - 40))


def test_a_primary_that_is_behind_in_the_log_is_found_out() -> None:
    """What only the other one has must come again first."""
    assert lacks({("account.events", 0): 7}, {("account.events", 0): 7}) == ""
    assert lacks({("account.events", 0): 7, ("executions", 1): 1}, {}) == ""
    assert lacks({("account.events", 0): 7}, {("account.events", 0): 8, ("executions", 1): 1}) == (
        "account.events/0 at 7 of 8, executions/1 at 0 of 1"
    )
