-- Caches: which content a pipeline has under which name, and what each step found and left. Services are steps of a
-- kind of their own.

CREATE TABLE caches (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    pipeline_id  TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    -- Whose content it is: 'protected', 'branch:x', 'pull_request:7', 'tag:v1'.
    scope        TEXT NOT NULL,
    name         TEXT NOT NULL,
    -- Empty: replaced whenever the content changed.
    key          TEXT NOT NULL,
    -- JSON: the paths as they are written; content of other paths is of no use.
    paths        TEXT NOT NULL,
    digest       TEXT NOT NULL CHECK (length(digest) = 64),
    bytes        INTEGER NOT NULL CHECK (bytes >= 0),
    -- The job that stored it; no reference, for content outlives the rows of old jobs.
    job_id       TEXT NOT NULL,
    job_label    TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    UNIQUE (pipeline_id, scope, name, key)
);
CREATE INDEX caches_by_use ON caches (last_used_at);
CREATE INDEX caches_by_digest ON caches (digest);

CREATE TABLE cache_uses (
    step_id         TEXT NOT NULL REFERENCES steps (id) ON DELETE CASCADE,
    name            TEXT NOT NULL,
    key             TEXT NOT NULL,
    found           TEXT NOT NULL CHECK (found IN ('hit', 'miss', 'here')),
    -- Who stored what was found, or why nothing was.
    found_note      TEXT NOT NULL,
    found_bytes     INTEGER NOT NULL,
    found_millis    INTEGER NOT NULL,
    saved           TEXT CHECK (saved IN ('stored', 'unchanged', 'no')),
    saved_note      TEXT NOT NULL DEFAULT '',
    saved_bytes     INTEGER NOT NULL DEFAULT 0,
    saved_millis    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (step_id, name)
) WITHOUT ROWID;

ALTER TABLE steps ADD COLUMN kind TEXT NOT NULL DEFAULT 'step' CHECK (kind IN ('step', 'service'));
-- The number of a service within its job, from 0: its network has it.
ALTER TABLE steps ADD COLUMN service INTEGER;
