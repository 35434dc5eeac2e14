-- Format 2 of the cache: values may be compressed, and what there is of each kind is known without looking at all of
-- it. What format 1 kept stays readable.
ALTER TABLE entries ADD COLUMN packed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX entries_expire ON entries (expires) WHERE expires IS NOT NULL;
CREATE INDEX entries_kind ON entries (kind, used_at);

CREATE TABLE totals (
    kind    TEXT PRIMARY KEY,
    entries INTEGER NOT NULL,
    bytes   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO totals SELECT kind, count(*), sum(length(value)) FROM entries GROUP BY kind;

CREATE TRIGGER entry_added AFTER INSERT ON entries BEGIN
    INSERT INTO totals VALUES (new.kind, 1, length(new.value))
    ON CONFLICT (kind) DO UPDATE SET entries = entries + 1, bytes = bytes + excluded.bytes;
END;
CREATE TRIGGER entry_replaced AFTER UPDATE OF value ON entries BEGIN
    UPDATE totals SET bytes = bytes - length(old.value) + length(new.value) WHERE kind = new.kind;
END;
CREATE TRIGGER entry_removed AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1, bytes = bytes - length(old.value) WHERE kind = old.kind;
END;
