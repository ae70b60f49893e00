-- Rerun from failed: workspaces that jobs left, and what a rerun took over from its parent.

-- A row says what became of the workspace of a job that ended without success; without a row there was none.
CREATE TABLE kept_workspaces (
    job_id   TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    bytes    INTEGER NOT NULL CHECK (bytes >= 0),
    kept_at  INTEGER NOT NULL,
    gone_at  INTEGER,
    gone_why TEXT CHECK (gone_why IN ('off', 'nothing', 'failed', 'large', 'age', 'room', 'taken', 'missing')),
    -- The job that goes on in it.
    taken_by TEXT REFERENCES jobs (id) ON DELETE SET NULL,
    CHECK ((gone_at IS NULL) = (gone_why IS NULL))
) WITHOUT ROWID;
CREATE INDEX kept_workspaces_here ON kept_workspaces (kept_at) WHERE gone_at IS NULL;
CREATE INDEX kept_workspaces_taken ON kept_workspaces (taken_by) WHERE taken_by IS NOT NULL;

-- The job whose attempt this was, and whose log it has; no reference, for the log's own row may go first.
ALTER TABLE steps ADD COLUMN reused_from TEXT;
ALTER TABLE steps ADD COLUMN reused_label TEXT;

-- In a rerun from failed: answered by the parent ('taken'), made again without an end of that ('anew').
ALTER TABLE journal ADD COLUMN reused TEXT NOT NULL DEFAULT 'no' CHECK (reused IN ('no', 'taken', 'anew'));
