"""Every bound of the gateway, with its unit and arithmetic. Reaching one is answered with a named outcome, never with silence."""

from typing import Final

GATHER_MS: Final = 1
"""A command waits this long for company when nothing is on the way to its shard."""

PACE_MS_MAX: Final = 20
"""A frame waits until its shard has answered the one before it, or so long. An idle shard answers within a few ms, so this costs little; a busy
one sets the pace: frames grow to what it takes, and every hop behind it has fewer records to handle (a record costs Faust ~0.5-1 ms of processor
time whatever is in it). Bounded, so that a shard that is away does not stop the log from taking orders."""

QUEUED_COMMANDS_MAX: Final = 20_000
"""Commands of one shard that wait for Kafka: ten seconds at the goal of 2,000 requests/s, ~10 MB. Beyond it new ones are Unavailable."""

SHARD_LATE_S: Final = 2.0
"""A shard that has answered nothing for so long while commands wait for it is late: new ones are refused at once (Unavailable: nothing
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

RATE_LIMIT_PER_MINUTE: Final = 300_000
"""Requests of one API key a minute: generous (other venues: 200 to 1,200); 5,000/s of one key is beyond the goal of one edge."""

SESSION_TTL_S: Final = 60.0
"""An API key is looked up again after this long."""

KEY_CHANGES_EVERY_S: Final = 0.5
"""How often the edge asks MySQL which API keys were changed: two short questions each time. A withdrawn key works so long and no longer."""

KEY_CHANGES_KEPT: Final = 100_000
"""Changed API keys whose version is remembered, ~200 B each: more than are changed while a cache may have an older version (CACHED_KEY_TTL_S)."""

CACHED_KEY_TTL_S: Final = 300
"""How long the session cache keeps an API key."""

SIGNED_AHEAD_MS_MAX: Final = 1_000
"""A signed request may be so far ahead of the edge's clock. More would let it lie in wait."""

SIGNED_WINDOW_MS_DEFAULT: Final = 5_000
SIGNED_WINDOW_MS_MAX: Final = 60_000
"""How long after its time a signed request is good. Each that was taken is remembered so long: at 5 s and 10,000/s, 70,000 of ~100 B in Redis."""

API_KEYS_OF_ACCOUNT_MAX: Final = 20
"""That have not ended."""

SESSIONS_MAX: Final = 100_000
"""API keys remembered; ~1 KB each."""

WRONG_SECRETS_BURST: Final = 10
WRONG_SECRETS_PER_S: Final = 0.5
"""Wrong secrets of one key from one address, then Unavailable without a look at the secret. A person who mistypes is not held up; a program
gets 43,000 tries a day, of 2^240. Counted for key and address together, so nobody elsewhere can lock a customer out."""

WRONG_SECRETS_OF_ADDRESS_BURST: Final = 100
WRONG_SECRETS_OF_ADDRESS_PER_S: Final = 10
"""The same of one address (of IPv6: one /64) over all keys, guessed key ids too. Each costs a look-up in the cache and in MySQL: 10/s are
nothing to them. More than for one key, so that a customer's bad program does not hold up the others behind the same address."""

WRONG_SECRETS_KEPT: Final = 20_000
"""Pairs of address and key, and addresses, that are remembered, ~300 B each: 12 MB. To make one forgotten early takes 20,000 others,
which one address gets in half an hour."""

ACCOUNT_VIEWS_MAX: Final = 50_000
"""Accounts materialised in one edge; the least recently asked one without a listener is forgotten and registered again when needed."""

DONE_ORDERS_PER_VIEW_MAX: Final = 500
"""Done orders kept in memory for one account: the largest page that a customer asks for. Older ones come from MySQL."""

DAYS_EVERY_S: Final = 2.0
"""How often the edge looks for instruments whose day it does not know whole: at start, and after a bust."""

DAYS_LOOKED_BACK: Final = 14
"""The trading day before is found within so many days."""

CONFIGURATION_TTL_S: Final = 10.0
"""The configuration of an account is read again after so long, so a change through another edge counts after that."""

CONFIGURATIONS_MAX: Final = 100_000
"""Configurations remembered; ~300 B each."""

CAUGHT_UP_TIMEOUT_S: Final = 10.0
CAUGHT_UP_POLL_S: Final = 0.02
"""A market-data connection waits so long for the edge to have read what was in the log when it started, then it is Unavailable."""

TRADES_KEPT_PER_SYMBOL: Final = 20_000
"""Trades that a client may resume over: at 1,000 trades/s of one symbol, 20 s; ~500 B each with its encoding, 10 MB a busy symbol."""

QUOTES_KEPT_PER_SYMBOL: Final = 5_000
"""Quotes that can be asked for: the log keeps no others. ~500 B each with their encoding, 2.5 MB a busy symbol."""

BUSTS_KEPT_PER_SYMBOL: Final = 256
"""Busted trades that a client who resumes is told again: each is decided by a person."""

BARS_KEPT_PER_SYMBOL: Final = 480
"""Minutes: a trading day."""

BOOK_LEVELS_SHOWN: Final = 20
"""Levels a side in a page's first picture of a book."""

MARKET_DATA_REPLAY_MS: Final = 60 * 60_000
"""At start market.data is read from so long ago: rebuilds last prices, bars and the resume rings within seconds.
A price level that has not changed for longer is not seen until it changes."""

REPLIES_LOOK_BACK_MS: Final = 10 * 60_000
REPLIES_LOOK_BACK_RECORDS: Final = 20_000
"""At start edge.replies is read from so long ago, at most so many records, so that clients resume their accounts' events over a restart: a second
or two where it was busy. Whoever comes back later is told what is."""

REPLIES_LOOK_BACK_S_MAX: Final = 10.0
"""What has not been read back by then is left: accounts that wait to be registered have waited long enough."""

FEED_BYTES_MAX: Final = 16 << 20
"""What waits for a fan-out worker that does not take it: 4,000 frames of 4 kB, seconds of a busy market. Then it is dropped and reads the log."""

FEED_PLACES_EVERY_S: Final = 1.0
FEED_SILENT_S: Final = 5.0
"""How often workers are told how far the log has been read, and how long they wait for that before they read the log themselves."""

CASE_READ_BACK_S: Final = 10.0
"""An action on a case is appended and read back within some ms; after so long nobody waits any more."""

CASE_RECORDS_KEPT: Final = 2_000
"""The newest records of `cases`, ~1 KB each: what MySQL does not have yet. It is a second behind, and people do a few things a second."""

REPLAY_LOOK_BACK_RECORDS: Final = 5_000
REPLAY_RECORDS_MAX: Final = 20_000
REPLAY_TIMEOUT_S: Final = 20.0
REPLAYS_WAITING_MAX: Final = 4
"""A book around an alert is read from so many records of executions before its evidence to so many behind it: 25,000 frames are 2 s of this
process at ~80 us each, in pieces between which everybody else has a turn. One is read at a time; so many people may wait for theirs."""

LINKS_TIMEOUT_S: Final = 15.0
LINKS_WAITING_MAX: Final = 4
SIGN_INS_LOOK_BACK_NS: Final = 30 * 86_400_000_000_000
SIGN_INS_READ_MAX: Final = 20_000
"""Accounts around an alert: sign-ins of thirty days before it, at most so many records (~0.3 s), one question at a time."""

WHAT_IF_TIMEOUT_S: Final = 600.0
WHAT_IFS_WAITING_MAX: Final = 4
WHAT_IFS_KEPT: Final = 20
WHAT_IF_LINE_BYTES_MAX: Final = 4 << 20
"""A what-if has a process of its own for so long, one after the other; so many people may wait. The newest answers are kept, each at most a line of
600 alerts of 1 to 3 KB: 40 MB of the longest."""

LAG_READY_MAX: Final = 5_000
"""Records of market.data behind the log's end with which an edge still calls itself ready."""

MYSQL_CONNECTIONS_MAX: Final = 8

SEARCHES_MAX: Final = 4
"""Of customers at once; so many each wait for Elasticsearch only. A page of 500 rows takes the edge ~10 ms when it comes."""

STAFF_SEARCHES_MAX: Final = 4
"""Of staff at once."""

SEARCHES_OF_ASKER_MAX: Final = 2
"""Of one account, or one person, at once: nobody has all places."""

SEARCH_TIMEOUT_S: Final = 10.0
"""Elasticsearch has so long for a page; it ends by itself what takes a shard 5 s."""

STORE_TIMEOUT_S: Final = 3.0
"""MySQL has so long for one question, connecting included; then it is away. A page of orders takes it a few ms."""

CACHE_TIMEOUT_S: Final = 0.5
"""Redis has so long; a cache that is slower than MySQL is none."""

PING_TIMEOUT_S: Final = 1.0
"""A store is called away that does not answer within this."""

SHUTDOWN_GRACE_S: Final = 5.0
"""Open requests and the last frames have so long to finish."""

PERSON_IDLE_S: Final = 30 * 60
PERSON_SESSION_S: Final = 12 * 60 * 60
"""A session of somebody who works here ends after so long without work, and after so long in any case: a working day."""

PERSON_TOUCH_S: Final = 60
"""How exactly the last work of a session is known: one write to MySQL a minute."""

SIGN_IN_FREE: Final = 5
SIGN_IN_DELAY_MAX_S: Final = 900.0
"""Attempts to sign in by one name before each next one waits 1, 2, 4 ... 900 s. Then 96 guesses a day: of the codes of a second factor, three of
a million are right at a time, so somebody who has the password needs years."""

SIGN_INS_OF_ADDRESS_BURST: Final = 20
SIGN_INS_OF_ADDRESS_PER_S: Final = 0.1
"""Attempts from one address (of IPv6: one /64), whatever the name; a right one makes it full again."""

STRANGERS_KEPT: Final = 20_000
"""Names that nobody has, and addresses, whose attempts are remembered; ~300 B each."""

PASSWORDS_AT_ONCE: Final = 2
PASSWORDS_WAITING_MAX: Final = 20
"""Each takes 64 MiB and ~0.1 s of processor time: 128 MiB together, and the last of those that wait is answered within seconds."""

RECORD_TIMEOUT_S: Final = 3.0
"""The log has so long to take the record of a sign-in or an act; then it is not done."""

TRADER_SESSIONS_KEPT: Final = 20_000
"""Customers of the trading page that an edge remembers for when Redis is away, ~400 B each: 8 MB."""

ORIGINS_KEPT: Final = 100_000
"""Addresses of accounts that an edge has told surveillance of, ~250 B each: 25 MB. Beyond them the oldest is told again."""

ORIGINS_BURST: Final = 32
ORIGINS_PER_S: Final = 1 / 60
"""New addresses of one account: 32, then one a minute. Whoever changes addresses for each request fills no log."""

ORIGINS_UNDER_WAY_MAX: Final = 1_000
"""Records that wait for the log, ~2 KB each with their task."""
