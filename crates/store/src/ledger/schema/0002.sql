-- Format 2 of the ledger: what calls that a cache answered took when the cache got them.
ALTER TABLE calls ADD COLUMN saved_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN saved_cost   INTEGER NOT NULL DEFAULT 0;
