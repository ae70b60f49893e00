-- The registry beside the server: what jobs pushed, and when each image was used last.

-- Every manifest that was pushed and is there, by what the server hashed.
CREATE TABLE registry_images (
    repository   TEXT NOT NULL,
    digest       TEXT NOT NULL CHECK (length(digest) = 64),
    media_type   TEXT NOT NULL,
    -- Of its layers and configuration, as its manifest says.
    bytes        INTEGER NOT NULL CHECK (bytes >= 0),
    pushed_at    INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    PRIMARY KEY (repository, digest)
) WITHOUT ROWID;

-- Which job pushed what under which name; a tag that moved within the job has two.
CREATE TABLE pushed_images (
    job_id     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    repository TEXT NOT NULL,
    -- Empty where it was pushed by its digest alone.
    tag        TEXT NOT NULL,
    digest     TEXT NOT NULL CHECK (length(digest) = 64),
    bytes      INTEGER NOT NULL CHECK (bytes >= 0),
    pushed_at  INTEGER NOT NULL,
    -- When the garbage collection removed it.
    expired_at INTEGER,
    PRIMARY KEY (job_id, repository, tag, digest)
) WITHOUT ROWID;
CREATE INDEX pushed_images_there ON pushed_images (repository, digest) WHERE expired_at IS NULL;
