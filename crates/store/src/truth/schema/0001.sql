-- Format 1 of a workspace's truth.
--
-- Spans (`start`, `stop`) are UTF-8 byte offsets into the version's text. Times are Unix milliseconds.
-- Lists that are only ever read and written whole (pages, headings, tags, warnings) are JSON.
-- Row ids are AUTOINCREMENT: an id that a view or a client remembers never comes to mean something else.

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

-- What happened, in order; followed by the views.
CREATE TABLE changes (
    seq  INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    row  INTEGER NOT NULL
);

-- Original bytes: owned by a job item until they are committed, then by the version.
CREATE TABLE originals (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    bytes BLOB NOT NULL
);

CREATE TABLE documents (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    public     TEXT NOT NULL UNIQUE,
    source     TEXT NOT NULL,
    name       TEXT NOT NULL,
    state      TEXT NOT NULL,
    problem    TEXT,
    tags       TEXT NOT NULL DEFAULT '[]',
    version    INTEGER,
    numbers    INTEGER NOT NULL DEFAULT 0, -- version numbers given so far
    job        INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX documents_name ON documents (name);
CREATE INDEX documents_state ON documents (state);
CREATE INDEX documents_updated ON documents (updated_at);

-- The current version of each document; a former one is removed by the transaction that replaces it.
CREATE TABLE versions (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    document    INTEGER NOT NULL UNIQUE,
    number      INTEGER NOT NULL,
    hash        BLOB NOT NULL,
    original    INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    title       TEXT,
    author      TEXT,
    date        TEXT,
    language    TEXT,
    characters  INTEGER NOT NULL,
    summary     TEXT NOT NULL,
    pages       INTEGER NOT NULL,
    chunks      INTEGER NOT NULL,
    first_chunk INTEGER NOT NULL, -- the chunks of a version have consecutive ids
    entities    INTEGER NOT NULL,
    warnings    TEXT NOT NULL,
    created_at  INTEGER NOT NULL
);
CREATE INDEX versions_hash ON versions (hash);

CREATE TABLE texts (
    version  INTEGER PRIMARY KEY,
    text     TEXT NOT NULL,
    pages    TEXT NOT NULL,
    headings TEXT NOT NULL
);

CREATE TABLE chunks (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    version      INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    start        INTEGER NOT NULL,
    stop         INTEGER NOT NULL,
    char_start   INTEGER NOT NULL,
    page         INTEGER,
    tokens       INTEGER NOT NULL,
    heading_path TEXT NOT NULL,
    headings     TEXT NOT NULL,
    text         TEXT NOT NULL
);

CREATE TABLE chunk_vectors (
    row   INTEGER PRIMARY KEY,
    scale REAL NOT NULL,
    bytes BLOB NOT NULL
);

-- `name`, `kind` and `description` are what readers see: the user's value where there is one.
CREATE TABLE entities (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    key                TEXT NOT NULL UNIQUE,
    name               TEXT NOT NULL,
    kind               TEXT NOT NULL,
    description        TEXT NOT NULL DEFAULT '',
    description_tokens INTEGER NOT NULL DEFAULT 0,
    user_name          TEXT,
    user_kind          TEXT,
    user_description   TEXT,
    made               INTEGER NOT NULL DEFAULT 0, -- created by a user: stays without any document
    kept               INTEGER NOT NULL DEFAULT 0, -- edited by a user: its row outlives its documents
    hidden             INTEGER NOT NULL DEFAULT 0,
    visible            INTEGER NOT NULL DEFAULT 1,
    degree             INTEGER NOT NULL DEFAULT 0, -- visible relations
    revision           INTEGER NOT NULL DEFAULT 1,
    created_at         INTEGER NOT NULL
);
CREATE INDEX entities_degree ON entities (degree) WHERE degree >= 8;

-- Former and merged names, by a user's decision: what is mentioned under the key belongs to the entity.
CREATE TABLE aliases (
    key    TEXT PRIMARY KEY,
    entity INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX aliases_entity ON aliases (entity);

-- Names that a document equates with an entity: for looking it up, not for joining nodes.
CREATE TABLE document_aliases (
    key     TEXT NOT NULL,
    entity  INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (key, entity, version)
) WITHOUT ROWID;
CREATE INDEX document_aliases_version ON document_aliases (version);
CREATE INDEX document_aliases_entity ON document_aliases (entity);

-- An entity as one version sees it.
CREATE TABLE contributions (
    entity   INTEGER NOT NULL,
    version  INTEGER NOT NULL,
    document INTEGER NOT NULL,
    name     TEXT NOT NULL,
    kind     TEXT NOT NULL,
    PRIMARY KEY (entity, version)
) WITHOUT ROWID;
CREATE INDEX contributions_version ON contributions (version);

CREATE TABLE mentions (
    chunk  INTEGER NOT NULL,
    entity INTEGER NOT NULL,
    start  INTEGER NOT NULL,
    stop   INTEGER NOT NULL,
    count  INTEGER NOT NULL,
    own    INTEGER NOT NULL,
    PRIMARY KEY (chunk, entity)
) WITHOUT ROWID;
CREATE INDEX mentions_entity ON mentions (entity, count DESC);

CREATE TABLE definitions (
    entity  INTEGER NOT NULL,
    quality INTEGER NOT NULL,
    chunk   INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    stop    INTEGER NOT NULL,
    PRIMARY KEY (entity, quality DESC, chunk, start)
) WITHOUT ROWID;
CREATE INDEX definitions_chunk ON definitions (chunk);

-- One row per unordered pair: `low` is the smaller entity id.
CREATE TABLE relations (
    id                 INTEGER PRIMARY KEY AUTOINCREMENT,
    low                INTEGER NOT NULL,
    high               INTEGER NOT NULL,
    sentences          INTEGER NOT NULL DEFAULT 0,
    keywords           TEXT NOT NULL DEFAULT '',
    description        TEXT NOT NULL DEFAULT '',
    description_tokens INTEGER NOT NULL DEFAULT 0,
    user_keywords      TEXT,
    user_description   TEXT,
    user_weight        REAL,
    made               INTEGER NOT NULL DEFAULT 0,
    kept               INTEGER NOT NULL DEFAULT 0,
    hidden             INTEGER NOT NULL DEFAULT 0,
    visible            INTEGER NOT NULL DEFAULT 0,
    revision           INTEGER NOT NULL DEFAULT 0,
    created_at         INTEGER NOT NULL
);
CREATE UNIQUE INDEX relations_pair ON relations (low, high);
CREATE INDEX relations_high ON relations (high);

CREATE TABLE evidence (
    chunk    INTEGER NOT NULL,
    relation INTEGER NOT NULL,
    start    INTEGER NOT NULL,
    stop     INTEGER NOT NULL,
    keywords TEXT NOT NULL,
    PRIMARY KEY (chunk, relation, start)
) WITHOUT ROWID;
CREATE INDEX evidence_relation ON evidence (relation);

CREATE TABLE entity_vectors (
    row   INTEGER PRIMARY KEY,
    scale REAL NOT NULL,
    bytes BLOB NOT NULL
);

CREATE TABLE relation_vectors (
    row   INTEGER PRIMARY KEY,
    scale REAL NOT NULL,
    bytes BLOB NOT NULL
);

-- Entities (kind 1) and relations (kind 2) whose text changed since it was embedded.
CREATE TABLE embed_queue (
    kind INTEGER NOT NULL,
    row  INTEGER NOT NULL,
    PRIMARY KEY (kind, row)
) WITHOUT ROWID;

CREATE TABLE jobs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    public     TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,
    state      TEXT NOT NULL,
    label      TEXT UNIQUE,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at   INTEGER,
    total      INTEGER NOT NULL DEFAULT 0,
    open       INTEGER NOT NULL DEFAULT 0,
    ready      INTEGER NOT NULL DEFAULT 0,
    duplicate  INTEGER NOT NULL DEFAULT 0,
    needs_ocr  INTEGER NOT NULL DEFAULT 0,
    failed     INTEGER NOT NULL DEFAULT 0,
    cancelled  INTEGER NOT NULL DEFAULT 0
);

-- An item keeps the document's public id and name: a job is still readable when the document is gone.
CREATE TABLE items (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    job          INTEGER NOT NULL,
    document     INTEGER NOT NULL,
    public       TEXT NOT NULL,
    name         TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    duplicate_of TEXT,
    problem      TEXT,
    original     INTEGER,
    hash         BLOB NOT NULL,
    bytes        INTEGER NOT NULL,
    tags         TEXT NOT NULL,
    metadata     TEXT NOT NULL
);
CREATE INDEX items_job ON items (job);
CREATE INDEX items_document ON items (document);
CREATE INDEX items_open ON items (outcome) WHERE outcome IN ('queued', 'processing');
