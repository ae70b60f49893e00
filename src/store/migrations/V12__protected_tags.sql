-- Tags that jobs of protected branches pushed, with the image that each names: other jobs do not move them. They stay
-- until that image is gone, whatever becomes of the job.
CREATE TABLE protected_tags (
    repository TEXT NOT NULL,
    tag        TEXT NOT NULL,
    digest     TEXT NOT NULL CHECK (length(digest) = 64),
    pushed_at  INTEGER NOT NULL,
    PRIMARY KEY (repository, tag)
) WITHOUT ROWID;
CREATE INDEX protected_tags_by_image ON protected_tags (repository, digest);
