-- Format 3 of the ledger: alerts stay when they were taken, and what was set while the program ran stays set.
ALTER TABLE alerts ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
