"""Every bound of the fan-out, with its unit and arithmetic."""

from typing import Final

FLUSH_TICK_MS: Final = 20
"""What is pending for a socket is joined so long and written at once: a system call costs ~6 us whatever it carries. The first event after a
quiet time does not wait. Of the 50 ms that a price may take, 20 are spent here at most."""

FLUSH_REST_S_MAX: Final = 0.25
"""After a flush there is none for as long as it took, at most so long. A flush of 1,000 sockets takes ~8 ms and rests within its tick; one of 20,000
takes more, and without a rest a storm of reconnects would wait for prices that are written again and again."""

FLUSH_SLICE: Final = 256
"""Sockets that are written to before others have a turn: ~2 ms, so that an order does not wait for twenty thousand prices."""

WRITE_BUFFER_HIGH_BYTES: Final = 64 << 10
WRITE_BUFFER_LOW_BYTES: Final = 16 << 10
"""A socket is behind while more than the first waits in its write buffer, until it is down to the second: 430 quotes of ~150 B."""

BEHIND_BYTES_MAX: Final = 256 << 10
"""What must not be conflated (trades, orders) and waits for a socket that is behind; beyond it the client is let go. The frames are shared by all
who wait for them, so a thousand slow clients of one symbol keep 256 kB, not 256 MB."""

BEHIND_S_MAX: Final = 5.0
"""A socket whose buffer does not empty for so long is let go."""

ANSWER_BYTES_MAX: Final = 16 << 20
"""What a client has asked for itself and has not taken yet: twice the largest answer, a full resume. Beyond it the client is let go."""

SEND_BUFFER_BYTES: Final = 64 << 10
"""SO_SNDBUF (Linux keeps twice as much for its own needs). Left alone it grows to 4 MB a socket: 1 % of 90,000 slow sockets would take 3.6 GB."""

MESSAGE_BYTES_MAX: Final = 64 << 10
"""What a client may send in one message."""

MESSAGES_BURST: Final = 200
MESSAGES_PER_S: Final = 20
"""What a client may send over one socket, pings too: so many messages at once, then so many a second (Binance: 5). What comes faster is
not refused but read later. One costs at most ~1 ms (a subscription of thousands of names that changes), so a socket takes 2 % of
the loop at most. A program that subscribes to 500 symbols by 500 messages has done so after 15 s."""

ANSWER_BYTES_PER_MESSAGE: Final = 16 << 10
"""Each so many bytes of an answer count as one more message: a client gets 320 kB/s of answers."""

FAREWELL_TIMEOUT_S: Final = 10.0
"""A client that is being let go has so long to take what waits for it, the last word too; then the connection is cut."""

CLOSE_TIMEOUT_S: Final = 2.0
"""A client that has taken the close frame has so long to answer it."""

PING_EVERY_S: Final = 30.0
"""Who has sent nothing for so long is pinged; who does not answer within as long again is cut."""

DRAIN_S: Final = 3.0
"""An edge that stops sends its clients away over so long, so that they do not come back all at once."""

ADMISSIONS_PER_S: Final = 2_000
ADMISSIONS_BURST: Final = 2_000
"""Handshakes that one process takes: ~0.2 ms each with what follows, so two fifths of its time, and the rest for those who are there. The others are
told when to come again, which costs less."""
RETRY_AFTER_S_MAX: Final = 10
"""They are told 1 to so many seconds, evenly spread."""

WHEEL_TURN_S: Final = 0.125
WHEEL_SLOTS: Final = 512
"""The timer wheel: turns so long, 64 s around. 90,000 pings in 30 s are 375 a turn, ~3 ms."""
