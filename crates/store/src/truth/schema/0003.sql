-- Format 3: what models say of the graph, and the jobs that have them say it.

-- What a model says of an entity from one chunk.
CREATE TABLE descriptions (
    entity INTEGER NOT NULL,
    chunk  INTEGER NOT NULL,
    text   TEXT NOT NULL,
    PRIMARY KEY (entity, chunk)
) WITHOUT ROWID;
CREATE INDEX descriptions_chunk ON descriptions (chunk);

-- What a model made of an entity's descriptions where they are too long together: shown as long as they are the same,
-- which `made_of`, their hash, tells.
CREATE TABLE summaries (
    entity  INTEGER PRIMARY KEY,
    made_of BLOB NOT NULL,
    text    TEXT NOT NULL
);

-- How a model puts what the sentence says of the relation; empty where the sentence speaks for itself.
ALTER TABLE evidence ADD COLUMN description TEXT NOT NULL DEFAULT '';

-- What made the version's graph besides the built-in rules; NULL for those alone, or where a part is missing.
ALTER TABLE versions ADD COLUMN graph TEXT;

-- What a job may spend on models and has spent (JSON); NULL for a job that calls none.
ALTER TABLE jobs ADD COLUMN spending TEXT;

-- Documents of jobs that have a model make graphs; documents of the other jobs are in `items`.
CREATE TABLE graph_items (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    job      INTEGER NOT NULL,
    document INTEGER NOT NULL,
    public   TEXT NOT NULL,
    name     TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    problem  TEXT
);
CREATE INDEX graph_items_job ON graph_items (job);
CREATE INDEX graph_items_document ON graph_items (document);
CREATE INDEX graph_items_open ON graph_items (outcome) WHERE outcome IN ('queued', 'processing');
