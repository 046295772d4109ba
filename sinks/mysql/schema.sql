-- Tables of the system of record, version 10 (tables of before have fewer columns: see ADDED_COLUMNS in sinks/mysql/schema.py). Only what MySQL 8 and MariaDB 10.6 share.
--
-- Numbers are the integers of the log: times ns since 1970 UTC, prices ticks, quantities lots, cash minor units (1/10,000). Ids are
-- unsigned as in the frames. Text that the exchange makes or checks (cl_ord_id, key_id, ...) is ASCII and compared byte by byte: a
-- client's "a" and "A" are two ids, and an index entry takes one byte a character. Words for people are utf8mb4.

CREATE TABLE IF NOT EXISTS instruments (
    instrument INT UNSIGNED NOT NULL PRIMARY KEY,
    symbol VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE,
    name VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL,
    tick_size DECIMAL(20, 10) NOT NULL,
    lot_size DECIMAL(20, 10) NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS orders (
    order_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    account BIGINT UNSIGNED NOT NULL,
    instrument INT UNSIGNED NOT NULL,
    side TINYINT UNSIGNED NOT NULL,
    ord_type TINYINT UNSIGNED NOT NULL,
    time_in_force TINYINT UNSIGNED NOT NULL,
    order_qty BIGINT NOT NULL,
    price BIGINT NOT NULL COMMENT '0: market order',
    ord_status TINYINT UNSIGNED NOT NULL,
    leaves_qty BIGINT NOT NULL,
    cum_qty BIGINT NOT NULL,
    cum_cost BIGINT NOT NULL COMMENT 'sum of last_px x last_qty, ticks x lots',
    reason SMALLINT UNSIGNED NOT NULL COMMENT 'why it ended without being filled',
    submitted_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT UNSIGNED NOT NULL COMMENT 'seq of the account shard that made this state; an older one never overwrites it',
    cl_ord_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    stop_px BIGINT NOT NULL DEFAULT 0,
    display_qty BIGINT NOT NULL DEFAULT 0,
    price_offset BIGINT NOT NULL DEFAULT 0 COMMENT 'offset of the log: a trail, or what is added to a peg',
    offset_type TINYINT UNSIGNED NOT NULL DEFAULT 0,
    peg_price_type TINYINT UNSIGNED NOT NULL DEFAULT 0,
    exec_inst TINYINT UNSIGNED NOT NULL DEFAULT 0,
    expire_time BIGINT NOT NULL DEFAULT 0,
    contingency_type TINYINT UNSIGNED NOT NULL DEFAULT 0,
    list_id BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'order_id of the first order of its list; the others have the next numbers',
    -- not unique: the id of an order that was done long ago is free again
    KEY by_cl_ord_id (account, cl_ord_id),
    KEY by_submission (account, submitted_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS trades (
    trd_match_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    instrument INT UNSIGNED NOT NULL,
    price BIGINT NOT NULL,
    qty BIGINT NOT NULL,
    aggressor_side TINYINT UNSIGNED NOT NULL COMMENT '0: traded in an auction',
    order_id BIGINT UNSIGNED NOT NULL COMMENT 'the incoming order; in an auction the buy',
    account BIGINT UNSIGNED NOT NULL,
    contra_order_id BIGINT UNSIGNED NOT NULL COMMENT 'the resting order; in an auction the sell',
    contra_account BIGINT UNSIGNED NOT NULL,
    rpt_seq BIGINT UNSIGNED NOT NULL,
    transact_time BIGINT NOT NULL,
    KEY by_instrument (instrument, trd_match_id)
) ENGINE = InnoDB;

-- Trades that were undone. The trade itself stays in `trades`: it was told.
CREATE TABLE IF NOT EXISTS trade_busts (
    trd_match_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    instrument INT UNSIGNED NOT NULL,
    price BIGINT NOT NULL,
    qty BIGINT NOT NULL,
    reason SMALLINT UNSIGNED NOT NULL,
    rpt_seq BIGINT UNSIGNED NOT NULL,
    transact_time BIGINT NOT NULL
) ENGINE = InnoDB;

-- The minutes of each instrument, of its trades without the busted ones. first_trade and last_trade (with the busted ones) lead from a time to the trades.
CREATE TABLE IF NOT EXISTS bars (
    instrument INT UNSIGNED NOT NULL,
    started_at BIGINT NOT NULL,
    open_px BIGINT NOT NULL,
    high_px BIGINT NOT NULL,
    low_px BIGINT NOT NULL,
    close_px BIGINT NOT NULL,
    qty BIGINT NOT NULL,
    trades BIGINT NOT NULL COMMENT '0: every trade of the minute was busted; the prices mean nothing',
    notional BIGINT NOT NULL COMMENT 'ticks x lots',
    first_trade BIGINT UNSIGNED NOT NULL,
    last_trade BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (instrument, started_at)
) ENGINE = InnoDB;

-- The phases of each instrument, from when on.
CREATE TABLE IF NOT EXISTS phases (
    instrument INT UNSIGNED NOT NULL,
    transact_time BIGINT NOT NULL,
    rpt_seq BIGINT UNSIGNED NOT NULL COMMENT 'in the order of the log where times are equal',
    phase TINYINT UNSIGNED NOT NULL,
    reason SMALLINT UNSIGNED NOT NULL,
    PRIMARY KEY (instrument, transact_time, rpt_seq)
) ENGINE = InnoDB;

-- One side of a trade, as settled by the account shard.
CREATE TABLE IF NOT EXISTS executions (
    trd_match_id BIGINT UNSIGNED NOT NULL,
    side TINYINT UNSIGNED NOT NULL,
    order_id BIGINT UNSIGNED NOT NULL,
    account BIGINT UNSIGNED NOT NULL,
    instrument INT UNSIGNED NOT NULL,
    last_px BIGINT NOT NULL,
    last_qty BIGINT NOT NULL,
    aggressor TINYINT UNSIGNED NOT NULL,
    cum_qty BIGINT NOT NULL,
    leaves_qty BIGINT NOT NULL,
    transact_time BIGINT NOT NULL,
    PRIMARY KEY (trd_match_id, side),
    KEY by_order (order_id, trd_match_id)
) ENGINE = InnoDB;

-- The ledger: what was added to (or taken from) an account. instrument 0 is cash in minor units, else shares in lots.
CREATE TABLE IF NOT EXISTS postings (
    shard SMALLINT UNSIGNED NOT NULL,
    seq BIGINT UNSIGNED NOT NULL COMMENT 'of the account event',
    leg TINYINT UNSIGNED NOT NULL COMMENT '1 cash, 2 shares, 3 fee, 4 the fee taken by account 0',
    account BIGINT UNSIGNED NOT NULL,
    instrument INT UNSIGNED NOT NULL,
    amount BIGINT NOT NULL,
    kind TINYINT UNSIGNED NOT NULL COMMENT 'AccountEventKind',
    trd_match_id BIGINT UNSIGNED NOT NULL COMMENT '0: from or to outside',
    transact_time BIGINT NOT NULL,
    PRIMARY KEY (shard, seq, leg),
    KEY by_trade (trd_match_id),
    -- the rows of an account are of one shard, so this is the order of its log
    KEY by_account (account, transact_time)
) ENGINE = InnoDB;

-- Requests that an account shard refused; nothing else has a trace of them. Columns are as the customer sent them.
CREATE TABLE IF NOT EXISTS rejects (
    shard SMALLINT UNSIGNED NOT NULL,
    seq BIGINT UNSIGNED NOT NULL,
    kind TINYINT UNSIGNED NOT NULL COMMENT 'AccountEventKind',
    reason SMALLINT UNSIGNED NOT NULL,
    account BIGINT UNSIGNED NOT NULL,
    order_id BIGINT UNSIGNED NOT NULL,
    instrument INT UNSIGNED NOT NULL,
    side TINYINT UNSIGNED NOT NULL,
    ord_type TINYINT UNSIGNED NOT NULL,
    time_in_force TINYINT UNSIGNED NOT NULL,
    order_qty BIGINT NOT NULL,
    price BIGINT NOT NULL,
    transact_time BIGINT NOT NULL,
    cl_ord_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    PRIMARY KEY (shard, seq),
    KEY by_account (account, transact_time)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS alerts (
    alert_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    pattern VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    instrument INT UNSIGNED NOT NULL,
    account BIGINT UNSIGNED NOT NULL,
    side TINYINT UNSIGNED NOT NULL,
    score DOUBLE NOT NULL,
    explanation TEXT CHARACTER SET utf8mb4 NOT NULL,
    window_start BIGINT NOT NULL,
    window_end BIGINT NOT NULL,
    detected_at BIGINT NOT NULL,
    source VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    evidence JSON NOT NULL COMMENT 'list as in schemas/avro/alert.avsc',
    revision INT NOT NULL DEFAULT 1,
    status VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'CLOSED',
    revised_at BIGINT NOT NULL DEFAULT 0,
    severity VARCHAR(8) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    occurrences INT NOT NULL DEFAULT 1,
    episode_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '',
    details JSON NOT NULL DEFAULT '{}' COMMENT 'the fields of alert.avsc that no query asks for',
    KEY by_time (detected_at),
    KEY by_account (account, detected_at)
) ENGINE = InnoDB;

-- What the records of the topic cases have made: of each case and suppression its newest state, of each alert the case that took it last.
CREATE TABLE IF NOT EXISTS cases (
    case_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    version INT NOT NULL,
    status VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    owner VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'empty: nobody',
    pattern VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    updated_at BIGINT NOT NULL,
    closed_at BIGINT NOT NULL COMMENT '0: it is open',
    due_at BIGINT NOT NULL,
    state JSON NOT NULL COMMENT 'as surveillance/cases has it',
    KEY by_status (status),
    KEY by_time (updated_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS case_alerts (
    alert_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    case_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    KEY by_case (case_id)
) ENGINE = InnoDB;

-- Every record of the topic cases: actions that were taken, that were refused, and reads of evidence.
CREATE TABLE IF NOT EXISTS case_actions (
    log_offset BIGINT NOT NULL PRIMARY KEY,
    case_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    action VARCHAR(32) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    actor VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    at BIGINT NOT NULL,
    refusal VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'empty: it was taken',
    body JSON NOT NULL COMMENT 'the record, as schemas/avro/case_action.avsc',
    KEY by_case (case_id, log_offset),
    KEY by_actor (actor, log_offset)
) ENGINE = InnoDB;

-- News that operators have published, one row an instrument. Rows of one act have the same told_at, public_at and headline.
CREATE TABLE IF NOT EXISTS news (
    log_offset BIGINT NOT NULL PRIMARY KEY,
    told_at BIGINT NOT NULL COMMENT 'when it was published here',
    public_at BIGINT NOT NULL COMMENT 'when it became public',
    instrument INT NOT NULL,
    headline VARCHAR(500) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    KEY by_time (told_at),
    KEY by_instrument (instrument, told_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS api_keys (
    key_id VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    secret_sha256 BINARY(32) NOT NULL,
    account BIGINT UNSIGNED NOT NULL,
    created_at BIGINT NOT NULL,
    scopes VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT 'read,trade',
    networks VARCHAR(1000) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '' COMMENT 'from where it may be used; empty: from everywhere',
    ends_at BIGINT NOT NULL DEFAULT 0 COMMENT '0: never',
    version INT NOT NULL DEFAULT 1,
    label VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL DEFAULT '',
    changed_at BIGINT NOT NULL DEFAULT 0 COMMENT 'us since 1970 by the clock of this server; 0: never changed',
    public_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL DEFAULT '' COMMENT 'Ed25519, hexadecimal; empty: a key with a secret',
    KEY by_account (account),
    KEY by_change (changed_at),
    KEY by_creation (created_at)
) ENGINE = InnoDB;

-- Who works on the exchange. Passwords as argon2id hashes; attempts: to sign in, since the last that succeeded.
CREATE TABLE IF NOT EXISTS people (
    name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    password_hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    totp_secret VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'empty: no second factor',
    totp_step BIGINT NOT NULL DEFAULT 0 COMMENT 'of the code that was used last',
    roles VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    enabled BOOLEAN NOT NULL DEFAULT TRUE,
    attempts INT NOT NULL DEFAULT 0,
    attempted_at BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS people_sessions (
    digest BINARY(32) NOT NULL PRIMARY KEY COMMENT 'SHA-256 of the word in the cookie',
    name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    began_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    address VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    KEY by_name (name, began_at)
) ENGINE = InnoDB;

-- What programs show in a person's name.
CREATE TABLE IF NOT EXISTS operator_tokens (
    token_id VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    name VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    digest BINARY(32) NOT NULL,
    roles VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    read_only BOOLEAN NOT NULL,
    label VARCHAR(200) CHARACTER SET utf8mb4 NOT NULL,
    created_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    KEY by_name (name)
) ENGINE = InnoDB;

-- What customers keep with the exchange. Not of the log: a rebuild leaves it as it is.
CREATE TABLE IF NOT EXISTS watchlists (
    watchlist_id CHAR(36) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    account BIGINT UNSIGNED NOT NULL,
    name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    instruments JSON NOT NULL COMMENT 'their numbers, in the order of the list',
    UNIQUE KEY by_name (account, name),
    KEY by_update (updated_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS account_configurations (
    account BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    configuration JSON NOT NULL COMMENT 'what differs from the defaults',
    updated_at BIGINT NOT NULL,
    KEY by_update (updated_at)
) ENGINE = InnoDB;

-- How far a sink has come, written in the transaction of the rows: the next offset of the partition (source ''), and of each source
-- the newest frame. mark_ns: of source '' the append time of the record before next_offset, of another its even_ns (schemas/marks.py). Whoever writes a batch locks the partition's rows first, so two workers cannot both believe to own it.
CREATE TABLE IF NOT EXISTS sink_marks (
    sink VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    topic VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    part SMALLINT UNSIGNED NOT NULL,
    source VARCHAR(160) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    next_offset BIGINT NOT NULL,
    source_offset BIGINT NOT NULL,
    source_index INT NOT NULL,
    mark_ns BIGINT NOT NULL DEFAULT 0,
    last_seq BIGINT UNSIGNED NOT NULL DEFAULT 0 COMMENT 'of source empty: seq of the last row of the partition that is stored',
    db_epoch BIGINT NOT NULL DEFAULT 0 COMMENT 'of source empty: which primary it was written to (docs/replicas.md); 0: there are no replicas',
    PRIMARY KEY (sink, topic, part, source)
) ENGINE = InnoDB;
