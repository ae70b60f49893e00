-- What the names of images stood for when a job first asked: the same for all of its steps, whatever restarts.
CREATE TABLE job_images (
    job_id      TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    reference   TEXT NOT NULL,
    digest      TEXT NOT NULL,
    image       TEXT NOT NULL,
    resolved_at INTEGER NOT NULL,
    PRIMARY KEY (job_id, reference)
) WITHOUT ROWID;
