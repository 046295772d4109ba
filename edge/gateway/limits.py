"""Every bound of the edge, with its unit and arithmetic. Reaching one is answered with a named error, never with silence."""

from typing import Final

GATHER_MS: Final = 1
"""A command waits this long for company when nothing is on the way to its shard."""

PACE_MS_MAX: Final = 20
"""A frame waits until its shard has answered the one before it, or so long. An idle shard answers within a few ms, so this costs little; a busy
one sets the pace: frames grow to what it takes, and every hop behind it has fewer records to handle (a record costs Faust ~0.5-1 ms of processor
time whatever is in it). Bounded, so that a shard that is away does not stop the log from taking orders."""

QUEUED_COMMANDS_MAX: Final = 20_000
"""Commands of one shard that wait for Kafka: ten seconds at the goal of 2,000 requests/s, ~10 MB. Beyond it the edge answers 503 with Retry-After."""

SHARD_LATE_S: Final = 2.0
"""A shard that has answered nothing for so long while commands wait for it is late: new ones are refused at once (503 with Retry-After, nothing
was sent) rather than made to wait for OUTCRY_EDGE_DECISION_TIMEOUT_MS. Ten times what a loaded shard takes, less than a failover."""

PHASE_REFUSAL_S: Final = 1.0
"""A new order that the book's phase does not take, by what the edge has heard of it, is answered when the book has refused it, or after so long:
then it was taken after all (the phase has changed meanwhile). A refusal takes two hops, some 50 ms, 130 ms under load."""

LATE_PROBE_S: Final = 0.25
"""One command in so long is let through to a late shard: its answer ends the lateness also where all others have given up."""

SINK_LAG_EVERY_S: Final = 2.0
"""How often the edge asks how far MySQL is behind: three requests to the broker and one a partition. What comes meanwhile is beyond
OUTCRY_EDGE_SINK_LAG_MAX by at most so many seconds of orders."""

SINK_LAG_TIMEOUT_S: Final = 5.0
"""The broker has so long to answer that."""

LIST_ROWS_MAX: Final = 3
"""Orders of the longest list, a bracket: they go into one frame, so a frame takes at most a third of its rows in commands."""

BODY_BYTES_MAX: Final = 64 << 10
"""An order's JSON is ~300 bytes; the rest is room."""

BODY_TIMEOUT_S: Final = 10.0
"""A client has so long to send the body it announced."""

NESTING_MAX: Final = 16
"""Objects and lists within one another in what a client sends. A bracket order has two; deeper ones come from nobody's library, and what walks
through them would end at Python's own limit of 1,000."""

NUMBER_DIGITS_MAX: Final = 24
"""Digits of a number in a request: 2^62 has 19, plus decimals; few enough that division by the step stays exact in 28 digits."""

RATE_LIMIT_PER_MINUTE: Final = 300_000
"""Requests of one API key a minute: generous (Alpaca: 200); 5,000/s of one key is beyond the goal of one edge."""

SESSION_TTL_S: Final = 60.0
"""An API key is looked up again after this long, so a withdrawn key works for at most so long."""

SESSIONS_MAX: Final = 100_000
"""API keys remembered; ~1 KB each."""

WRONG_SECRETS_BURST: Final = 10
WRONG_SECRETS_PER_S: Final = 0.5
"""Wrong secrets of one key from one address, then 429 without a look at the secret. A person who mistypes is not held up; a program
gets 43,000 tries a day, of 2^240. Counted for key and address together, so nobody elsewhere can lock a customer out."""

WRONG_SECRETS_OF_ADDRESS_BURST: Final = 100
WRONG_SECRETS_OF_ADDRESS_PER_S: Final = 10
"""The same of one address (of IPv6: one /64) over all keys, guessed key ids too. Each costs a look-up in the cache and in MySQL: 10/s are
nothing to them. More than for one key, so that a customer's bad program does not hold up the others behind the same address."""

WRONG_SECRETS_KEPT: Final = 20_000
"""Pairs of address and key, and addresses, that are remembered, ~300 B each: 12 MB. To make one forgotten early takes 20,000 others,
which one address gets in half an hour."""

ACCOUNT_VIEWS_MAX: Final = 50_000
"""Accounts materialised in one edge; the least recently asked one without a socket is forgotten and registered again when needed."""

DONE_ORDERS_PER_VIEW_MAX: Final = 500
"""Done orders kept in memory for one account; Alpaca's largest page. Older ones come from MySQL."""

ORDERS_PAGE_DEFAULT: Final = 50
ORDERS_PAGE_MAX: Final = 500
"""GET /v2/orders, as at Alpaca."""

ALERTS_PAGE_MAX: Final = 500

SOCKET_QUEUE_MESSAGES_MAX: Final = 2_048
"""Messages that wait for one slow WebSocket: ~1 MB at 500 B each. The next one ends the connection with error 407."""

SOCKET_QUEUE_BYTES_MAX: Final = 16 << 20
"""The same in bytes: twice the largest answer, a full resume (RESUMED_TRADES_MAX x ~200 B = 8 MB). Market data is shared by all who wait for it,
so the memory behind these bytes is there once."""

SOCKET_MESSAGES_BURST: Final = 200
SOCKET_MESSAGES_PER_S: Final = 20
"""What a client may send over one WebSocket, pings too: so many messages at once, then so many a second (Binance: 5). What comes faster is
not refused but read later. One costs at most ~1 ms (a subscription of SUBSCRIPTIONS_MAX names that changes), so a socket takes 2 % of
the loop at most. A program that subscribes to 500 symbols by 500 messages has done so after 15 s."""

SOCKET_REPLY_BYTES_PER_MESSAGE: Final = 16 << 10
"""Each so many bytes of an answer count as one more message: a client gets 320 KB/s of answers, and after a resume of 20,000 trades (4 MB: 250)
is read again after 2.5 s."""

FAREWELL_TIMEOUT_S: Final = 10.0
"""A client that is being let go has so long to take what is queued for it, error 407 too; then the connection is cut."""

SOCKET_CLOSE_TIMEOUT_S: Final = 2.0
"""A client has so long to answer the close frame."""

SOCKET_MESSAGE_BYTES_MAX: Final = 64 << 10
"""What a client may send in one WebSocket message."""

SOCKETS_MAX: Final = 20_000
"""Open WebSockets of one edge, of all kinds; beyond it a client is told so (market data: error 406) and let go."""

MESSAGES_PER_ARRAY_MAX: Final = 1_000
"""Resumed trades in one WebSocket message: ~200 KB, below the 1 MiB that common clients take."""

RESUMED_TRADES_MAX: Final = 40_000
"""Trades that one message brings back, of all its symbols: two full rings (TRADES_KEPT_PER_SYMBOL), ~8 MB. What is older is told as a gap."""

SUBSCRIPTIONS_MAX: Final = 3_000
"""Names in all channels of one connection; beyond it error 405. ~200 KB a connection, a confirmation of 24 to 72 KB; who wants more takes "*"."""

UNKNOWN_NAMES_TOLD: Final = 5
"""Names in an error message; the others are counted."""

CAUGHT_UP_TIMEOUT_S: Final = 10.0
CAUGHT_UP_POLL_S: Final = 0.02
"""A market-data connection waits so long for the edge to have read what was in the log when it started, then 503."""

AUTHENTICATION_TIMEOUT_S: Final = 10.0
"""A WebSocket has so long to authenticate; then error 404 and goodbye."""

HEARTBEAT_S: Final = 30.0
"""WebSocket ping; a peer that does not answer is dropped."""

TRADES_KEPT_PER_SYMBOL: Final = 20_000
"""Trades that a client may resume over: at 1,000 trades/s of one symbol, 20 s; ~600 B each, 12 MB a busy symbol."""

BUSTS_KEPT_PER_SYMBOL: Final = 256
"""Busted trades that a client who resumes is told again: each is decided by a person."""

BARS_KEPT_PER_SYMBOL: Final = 480
"""Minutes: a trading day."""

BOOK_LEVELS_SHOWN: Final = 20
"""Levels a side in a page's first picture of a book."""

MARKET_DATA_REPLAY_MS: Final = 60 * 60_000
"""At start market.data is read from so long ago: rebuilds last prices, bars and the resume rings within seconds.
A price level that has not changed for longer is not seen until it changes."""

MARKET_DATA_FETCH_BYTES_MIN: Final = 64 << 10
MARKET_DATA_FETCH_WAIT_MS_MAX: Final = 10
"""The broker answers a fetch of market.data when it has so many bytes, or after so long: under load fewer and fuller fetches (each costs
the edge and the broker the same whether it brings one record or fifty), and a price at most 10 ms later, which no eye sees. The price of
it is 100 fetches/s of a silent market: 5 % of a core here, 7 % in the broker."""

LAG_READY_MAX: Final = 5_000
"""Records of market.data behind the log's end with which an edge still calls itself ready."""

STORE_TIMEOUT_S: Final = 3.0
"""MySQL has so long for one question, connecting included; then the answer is 503. A page of orders takes it a few ms."""

CACHE_TIMEOUT_S: Final = 0.5
"""Redis has so long; a cache that is slower than MySQL is none."""

PING_TIMEOUT_S: Final = 1.0
"""/readyz calls a store away that does not answer within this."""

SHUTDOWN_GRACE_S: Final = 5.0
"""Open requests and the last frames have so long to finish."""
