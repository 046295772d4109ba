"""Every bound of the router, with its arithmetic."""

from typing import Final

SUBSET_SIZE: Final = 8
"""Replicas that one process uses. 200 processes on 100 replicas x 8 x LANES: 32 connections a replica, and one more for each of 16 pollers."""
SUBSET_BOUND: Final = 1.25
"""A replica is full with so many times the mean of processes; the next one of a process's order is taken instead."""
LANES: Final = 2
"""Connections of one process to one replica for reads; one more asks for its position."""
LANE_LIFE_S: Final = (300.0, 900.0)
"""A connection is renewed after a time in between."""
POLL_S: Final = 0.05
PRIMARY_POLL_S: Final = 0.25
"""200 processes ask the primary 800 times a second; while a read waits for a place its process asks every POLL_S."""
IDLE_POLL_S: Final = 0.5
IDLE_AFTER_S: Final = 5.0
"""Without a read for so long, replicas are asked every IDLE_POLL_S; the first read behind it still proves its place on the server that it reads."""
PROBE_TIMEOUT_S: Final = 0.25
"""A server that does not tell its position in this time is out of use until it does."""
READ_TIMEOUT_S: Final = 4.0
WAIT_S: Final = 0.05
"""For a replica to apply what the primary has."""
STORED_WAIT_S: Final = 1.5
"""For the primary to have what the reader has seen: the sink gathers batches for up to 0.25 s."""
LAG_TIERS_S: Final = (1.0, 30.0)
PRIMARY_SHARE: Final = 0.10
PRIMARY_BURST: Final = 20
"""Reads on the primary: a tenth of all, and so many more after a quiet time."""
HEDGE_SHARE: Final = 0.05
HEDGE_BURST: Final = 5
EJECTED_SHARE: Final = 0.3
EJECTED_POWER_MAX: Final = 6
"""The longest ejection is 2^6 = 64 s."""
TRIES_MAX: Final = 3
RETRY_AFTER_S: Final = 1
