-- Format 1 of the ledger.
--
-- Times are Unix milliseconds, money is nano-USD.

-- One row per call. Numbers are never reused.
CREATE TABLE calls (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    state           TEXT NOT NULL CHECK (state IN ('open', 'closed', 'lost')),
    opened_at       INTEGER NOT NULL,
    closed_at       INTEGER,
    lease_until     INTEGER NOT NULL,
    request         TEXT NOT NULL,
    provider        TEXT NOT NULL,
    model           TEXT NOT NULL,
    operation       TEXT NOT NULL,
    workspace       TEXT NOT NULL,
    principal       TEXT,
    streamed        INTEGER NOT NULL,
    estimate        INTEGER,
    reserved        INTEGER NOT NULL, -- what budgets set aside; stays when the call is closed
    charged         INTEGER,          -- what budgets were charged
    status          TEXT NOT NULL,
    prompt          INTEGER NOT NULL DEFAULT 0,
    completion      INTEGER NOT NULL DEFAULT 0,
    cached          INTEGER NOT NULL DEFAULT 0,
    cache_written   INTEGER NOT NULL DEFAULT 0,
    reasoning       INTEGER NOT NULL DEFAULT 0,
    searches        INTEGER NOT NULL DEFAULT 0,
    estimated       INTEGER NOT NULL DEFAULT 0,
    reported_cost   INTEGER,
    cost            INTEGER,
    finish          TEXT,
    total_ms        REAL,
    api_ms          REAL,
    first_token_ms  REAL,
    retries         INTEGER NOT NULL DEFAULT 0,
    fallback_from   TEXT,
    fallback_reason TEXT,
    cache_hit       INTEGER NOT NULL DEFAULT 0,
    provider_model  TEXT
);
CREATE INDEX calls_opened ON calls (opened_at);
CREATE INDEX calls_open ON calls (lease_until) WHERE state = 'open';

-- Sums over the calls of a scope that were opened in a window, kept by the transactions that change them. A row is
-- made when a budget first asks for it; the calls are the truth.
CREATE TABLE counters (
    scope       TEXT NOT NULL,
    name        TEXT NOT NULL,
    span        TEXT NOT NULL,
    start       INTEGER NOT NULL,
    settled     INTEGER NOT NULL,
    reserved    INTEGER NOT NULL,
    alerted     INTEGER NOT NULL DEFAULT 0, -- the highest level that was announced
    alert_limit INTEGER NOT NULL DEFAULT 0, -- of this limit
    PRIMARY KEY (scope, name, span, start)
) WITHOUT ROWID;

-- Alerts that nobody has taken yet.
CREATE TABLE alerts (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    scope   TEXT NOT NULL,
    name    TEXT NOT NULL,
    span    TEXT NOT NULL,
    start   INTEGER NOT NULL,
    percent INTEGER NOT NULL,
    most    INTEGER NOT NULL,
    settled INTEGER NOT NULL
);
