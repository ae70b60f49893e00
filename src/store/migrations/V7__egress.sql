-- Egress: which names jobs may reach, and which they asked for.

-- What is in force for a job, as JSON; fixed when its danubefile has declared what it wants.
CREATE TABLE egress_names (
    job_id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    names  TEXT NOT NULL
) WITHOUT ROWID;

-- Names that steps of a job asked for, each once for every step.
CREATE TABLE egress_hosts (
    job_id    TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    step      INTEGER NOT NULL,
    name      TEXT NOT NULL,
    verdict   TEXT NOT NULL CHECK (verdict IN ('allowed', 'denied')),
    -- For 'allowed', the addresses that it led to, with spaces between; for 'denied', why, where it was not the name.
    detail    TEXT NOT NULL DEFAULT '',
    asked_at  INTEGER NOT NULL,
    PRIMARY KEY (job_id, step, name, verdict)
) WITHOUT ROWID;
