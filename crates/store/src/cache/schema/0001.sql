-- Format 1 of the cache. Everything in it can be made again.

CREATE TABLE entries (
    id        INTEGER PRIMARY KEY,
    workspace TEXT NOT NULL,
    kind      TEXT NOT NULL,
    hash      BLOB NOT NULL,
    value     BLOB NOT NULL,
    used_at   INTEGER NOT NULL, -- Unix milliseconds
    expires   INTEGER,          -- Unix milliseconds
    UNIQUE (workspace, kind, hash)
);
CREATE INDEX entries_used ON entries (used_at);
