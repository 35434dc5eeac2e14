-- Format 5 of the ledger: how many texts a call embedded or ranked.
ALTER TABLE calls ADD COLUMN texts INTEGER NOT NULL DEFAULT 0;
