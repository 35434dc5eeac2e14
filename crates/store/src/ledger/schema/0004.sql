-- Format 4 of the ledger: up to where its journal is in this file.
CREATE TABLE journal (applied INTEGER NOT NULL);
INSERT INTO journal VALUES (0);
