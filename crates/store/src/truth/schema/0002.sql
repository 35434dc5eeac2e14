-- Format 2: vectors that are made anew wait beside the present ones until all of them are there, and a job can say why
-- it failed as a whole.

CREATE TABLE fresh_chunk_vectors (
    row   INTEGER PRIMARY KEY,
    scale REAL NOT NULL,
    bytes BLOB NOT NULL
);

CREATE TABLE fresh_entity_vectors (
    row   INTEGER PRIMARY KEY,
    scale REAL NOT NULL,
    bytes BLOB NOT NULL
);

CREATE TABLE fresh_relation_vectors (
    row   INTEGER PRIMARY KEY,
    scale REAL NOT NULL,
    bytes BLOB NOT NULL
);

ALTER TABLE jobs ADD COLUMN problem TEXT;
