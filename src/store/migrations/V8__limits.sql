-- What holds a job to its limits on the machine where it runs.

CREATE TABLE job_limits (
    job_id          TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    workspace_bytes INTEGER NOT NULL CHECK (workspace_bytes >= 0),
    -- By the file system, by looking after it; NULL: nothing does.
    workspace_by    TEXT CHECK (workspace_by IN ('quota', 'watch'))
) WITHOUT ROWID;
