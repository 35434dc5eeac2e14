-- Format 4: entities that mean one thing are told from those that do not.

-- What was decided of two names, by their keys; `low` is the smaller one.
CREATE TABLE verdicts (
    low  TEXT NOT NULL,
    high TEXT NOT NULL,
    same INTEGER NOT NULL,
    PRIMARY KEY (low, high)
) WITHOUT ROWID;
CREATE INDEX verdicts_high ON verdicts (high);

-- Whether the entities like it have been looked through.
ALTER TABLE entities ADD COLUMN compared INTEGER NOT NULL DEFAULT 0;
