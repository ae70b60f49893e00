-- Ids are UUIDv7 text, times are microseconds UTC, JSON is text. The schema only grows.

CREATE TABLE meta (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    schema     INTEGER NOT NULL,
    min_reader INTEGER NOT NULL
);
INSERT INTO meta (one, schema, min_reader) VALUES (1, 1, 1);

CREATE TABLE settings (
    name       TEXT PRIMARY KEY,
    value      TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) WITHOUT ROWID;

-- Configuration: applied from Git as a whole, deactivated and never deleted.

CREATE TABLE config_commits (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    sha        TEXT NOT NULL,
    seen_at    INTEGER NOT NULL,
    applied_at INTEGER,
    global     TEXT,
    changes    TEXT,
    errors     TEXT,
    CHECK ((applied_at IS NULL) = (global IS NULL)),
    CHECK ((applied_at IS NULL) = (errors IS NOT NULL))
);
CREATE INDEX config_commits_applied ON config_commits (id) WHERE applied_at IS NOT NULL;

CREATE TABLE teams (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    global_admin INTEGER NOT NULL CHECK (global_admin IN (0, 1)),
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at   INTEGER NOT NULL
);

CREATE TABLE team_members (
    team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    email   TEXT NOT NULL COLLATE NOCASE,
    role    TEXT NOT NULL CHECK (role IN ('member', 'admin')),
    PRIMARY KEY (team_id, email)
) WITHOUT ROWID;
CREATE INDEX team_members_email ON team_members (email);

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    email         TEXT NOT NULL COLLATE NOCASE,
    password_hash TEXT,
    active        INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at    INTEGER NOT NULL
);
CREATE UNIQUE INDEX users_email ON users (email) WHERE active = 1;

CREATE TABLE pipelines (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    team_id     TEXT NOT NULL REFERENCES teams (id) ON DELETE RESTRICT,
    team        TEXT NOT NULL,
    repository  TEXT NOT NULL,
    document    TEXT NOT NULL,
    last_number INTEGER NOT NULL DEFAULT 0,
    active      INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
);
CREATE INDEX pipelines_team ON pipelines (team_id);
CREATE INDEX pipelines_repository ON pipelines (repository) WHERE active = 1;

CREATE TABLE pipeline_permissions (
    pipeline_id TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    team_id     TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    level       TEXT NOT NULL CHECK (level IN ('read', 'write', 'admin')),
    PRIMARY KEY (pipeline_id, team_id)
) WITHOUT ROWID;
CREATE INDEX pipeline_permissions_team ON pipeline_permissions (team_id);

CREATE TABLE cron_ticks (
    pipeline_id TEXT NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    schedule    TEXT NOT NULL,
    last_tick   INTEGER NOT NULL,
    PRIMARY KEY (pipeline_id, schedule)
) WITHOUT ROWID;

-- Jobs.

CREATE TABLE jobs (
    id                  TEXT PRIMARY KEY,
    pipeline_id         TEXT NOT NULL REFERENCES pipelines (id) ON DELETE RESTRICT,
    pipeline_name       TEXT NOT NULL,
    number              INTEGER NOT NULL CHECK (number > 0),
    team                TEXT NOT NULL,
    trigger             TEXT NOT NULL CHECK (trigger IN ('webhook', 'cron', 'manual', 'api', 'rerun')),
    event               TEXT CHECK (event IN ('push', 'tag', 'pull_request')),
    origin              TEXT,
    actor               TEXT NOT NULL,
    commit_sha          TEXT NOT NULL,
    branch              TEXT NOT NULL,
    tag                 TEXT,
    message             TEXT NOT NULL,
    author              TEXT NOT NULL,
    pull_request        INTEGER,
    fork                INTEGER NOT NULL CHECK (fork IN (0, 1)),
    params              TEXT NOT NULL,
    config_commit       TEXT NOT NULL,
    snapshot            TEXT NOT NULL,
    title               TEXT,
    parent              TEXT REFERENCES jobs (id) ON DELETE SET NULL,
    reuse               INTEGER NOT NULL CHECK (reuse IN (0, 1)),
    dedupe_key          TEXT,
    group_key           TEXT,
    max_running         INTEGER,
    max_duration        INTEGER NOT NULL CHECK (max_duration > 0),
    status              TEXT NOT NULL
        CHECK (status IN ('pending', 'running', 'success', 'failure', 'cancelled', 'timeout')),
    failure_kind        TEXT CHECK (failure_kind IN ('pipeline', 'configuration', 'infrastructure')),
    reason              TEXT,
    attempt             INTEGER NOT NULL,
    max_attempts        INTEGER NOT NULL CHECK (max_attempts > 0),
    created_at          INTEGER NOT NULL,
    run_after           INTEGER NOT NULL,
    started_at          INTEGER,
    finished_at         INTEGER,
    deadline            INTEGER,
    cancel_requested_at INTEGER,
    cancel_requested_by TEXT,
    parked_reason       TEXT,
    parked_since        INTEGER,
    lease_id            TEXT,
    lease_owner         TEXT,
    lease_expires_at    INTEGER,
    heartbeat_at        INTEGER,
    recorded_at         INTEGER,
    logs_expired_at     INTEGER,
    UNIQUE (pipeline_id, number),
    CHECK (attempt <= max_attempts),
    CHECK ((status = 'running') = (lease_id IS NOT NULL)),
    CHECK ((status = 'failure') = (failure_kind IS NOT NULL)),
    CHECK ((status IN ('pending', 'running')) = (finished_at IS NULL)),
    CHECK (parked_since IS NULL OR status = 'running')
);
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX jobs_running ON jobs (team, pipeline_id) WHERE status = 'running';
CREATE INDEX jobs_group ON jobs (group_key, status) WHERE group_key IS NOT NULL;
CREATE INDEX jobs_by_pipeline ON jobs (pipeline_id, id);
CREATE INDEX jobs_by_status ON jobs (status, id);
CREATE INDEX jobs_by_pipeline_status ON jobs (pipeline_id, status, id);
CREATE INDEX jobs_green ON jobs (pipeline_id, branch, id) WHERE status = 'success';
CREATE INDEX jobs_pull_request ON jobs (pipeline_id, pull_request) WHERE pull_request IS NOT NULL;
CREATE INDEX jobs_unrecorded ON jobs (finished_at) WHERE finished_at IS NOT NULL AND recorded_at IS NULL;
CREATE INDEX jobs_with_logs ON jobs (finished_at) WHERE finished_at IS NOT NULL AND logs_expired_at IS NULL;
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_parent ON jobs (parent) WHERE parent IS NOT NULL;

-- One row is one attempt of one step.
CREATE TABLE steps (
    id            TEXT PRIMARY KEY,
    job_id        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    job_attempt   INTEGER NOT NULL,
    seq           INTEGER NOT NULL CHECK (seq >= 0),
    attempt       INTEGER NOT NULL CHECK (attempt >= 1),
    branch        TEXT NOT NULL,
    key           TEXT NOT NULL,
    name          TEXT NOT NULL,
    image         TEXT NOT NULL,
    image_digest  TEXT,
    command       TEXT NOT NULL,
    status        TEXT NOT NULL
        CHECK (status IN ('pending', 'running', 'success', 'failure', 'cancelled', 'timeout', 'skipped')),
    cause         TEXT CHECK (cause IN ('success', 'exit', 'timeout', 'oom', 'infra')),
    exit_code     INTEGER,
    reason        TEXT,
    allow_failure INTEGER NOT NULL CHECK (allow_failure IN (0, 1)),
    log_stream    TEXT NOT NULL,
    log_sha256    TEXT,
    log_bytes     INTEGER,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    UNIQUE (job_id, seq, attempt),
    CHECK ((status IN ('pending', 'running')) = (finished_at IS NULL))
);

CREATE TABLE journal (
    job_id     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    key        TEXT NOT NULL,
    seq        INTEGER NOT NULL,
    call_hash  TEXT NOT NULL,
    file       TEXT NOT NULL,
    line       INTEGER NOT NULL,
    request    TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('open', 'done')),
    answer     BLOB,
    created_at INTEGER NOT NULL,
    done_at    INTEGER,
    PRIMARY KEY (job_id, key),
    CHECK ((state = 'done') = (answer IS NOT NULL)),
    CHECK ((state = 'done') = (done_at IS NOT NULL))
);
CREATE UNIQUE INDEX journal_order ON journal (job_id, seq);

CREATE TABLE artifacts (
    id         TEXT PRIMARY KEY,
    job_id     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    size       INTEGER NOT NULL CHECK (size >= 0),
    kind       TEXT NOT NULL CHECK (kind IN ('file', 'dir')),
    keep_when  TEXT NOT NULL CHECK (keep_when IN ('success', 'failure', 'always')),
    provenance INTEGER NOT NULL CHECK (provenance IN (0, 1)),
    stored_at  INTEGER NOT NULL,
    expired_at INTEGER,
    UNIQUE (job_id, name)
);
CREATE INDEX artifacts_sha256 ON artifacts (sha256);
CREATE INDEX artifacts_kept ON artifacts (stored_at) WHERE expired_at IS NULL;

CREATE TABLE attestations (
    job_id         TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    predicate_type TEXT NOT NULL,
    key_id         TEXT NOT NULL,
    envelope       TEXT NOT NULL,
    created_at     INTEGER NOT NULL
) WITHOUT ROWID;

-- Secrets: value = version byte | key id | nonce | ciphertext.

CREATE TABLE secrets (
    id              TEXT PRIMARY KEY,
    scope           TEXT NOT NULL CHECK (scope IN ('global', 'team', 'pipeline')),
    team_id         TEXT REFERENCES teams (id) ON DELETE CASCADE,
    pipeline_id     TEXT REFERENCES pipelines (id) ON DELETE CASCADE,
    key             TEXT NOT NULL,
    version         INTEGER NOT NULL CHECK (version > 0),
    value_encrypted BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    updated_by      TEXT NOT NULL,
    CHECK ((scope = 'team') = (team_id IS NOT NULL)),
    CHECK ((scope = 'pipeline') = (pipeline_id IS NOT NULL))
);
CREATE UNIQUE INDEX secrets_global ON secrets (key) WHERE scope = 'global';
CREATE UNIQUE INDEX secrets_team ON secrets (team_id, key) WHERE scope = 'team';
CREATE UNIQUE INDEX secrets_pipeline ON secrets (pipeline_id, key) WHERE scope = 'pipeline';

-- Values that a job made at run time: masks and captured secrets.
CREATE TABLE job_secrets (
    job_id          TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    key             TEXT NOT NULL,
    value_encrypted BLOB NOT NULL,
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (job_id, key)
) WITHOUT ROWID;

-- Doors to the outside.

CREATE TABLE webhook_deliveries (
    id           TEXT PRIMARY KEY,
    forge        TEXT NOT NULL,
    name         TEXT NOT NULL,
    delivery_id  TEXT NOT NULL,
    event        TEXT NOT NULL,
    payload      BLOB NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('received', 'processed', 'ignored', 'failed')),
    outcome      TEXT,
    received_at  INTEGER NOT NULL,
    processed_at INTEGER,
    UNIQUE (forge, name, delivery_id),
    CHECK ((state = 'received') = (processed_at IS NULL))
);
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (received_at) WHERE state = 'received';
CREATE INDEX webhook_deliveries_age ON webhook_deliveries (received_at);

CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT NOT NULL,
    dedupe_key   TEXT NOT NULL UNIQUE,
    job_id       TEXT REFERENCES jobs (id) ON DELETE CASCADE,
    payload      TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('waiting', 'delivered', 'failed')),
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_at      INTEGER NOT NULL,
    last_error   TEXT,
    created_at   INTEGER NOT NULL,
    ended_at     INTEGER
);
CREATE INDEX outbox_due ON outbox (next_at) WHERE state = 'waiting';
CREATE INDEX outbox_job ON outbox (job_id) WHERE job_id IS NOT NULL;

-- Identity.

CREATE TABLE tokens (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    hash         TEXT NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    user_id      TEXT REFERENCES users (id) ON DELETE CASCADE,
    scopes       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
);
CREATE INDEX tokens_user ON tokens (user_id);

CREATE TABLE sessions (
    id           TEXT PRIMARY KEY,
    hash         TEXT NOT NULL UNIQUE,
    user_id      TEXT REFERENCES users (id) ON DELETE CASCADE,
    csrf         TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE login_links (
    hash       TEXT PRIMARY KEY,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER
) WITHOUT ROWID;

CREATE TABLE audit_log (
    seq         INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    principal   TEXT NOT NULL,
    label       TEXT NOT NULL,
    action      TEXT NOT NULL,
    resource    TEXT NOT NULL,
    decision    TEXT NOT NULL CHECK (decision IN ('allowed', 'denied')),
    detail      TEXT NOT NULL,
    pipeline_id TEXT,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL
);
CREATE INDEX audit_log_pipeline ON audit_log (pipeline_id, seq) WHERE pipeline_id IS NOT NULL;
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
