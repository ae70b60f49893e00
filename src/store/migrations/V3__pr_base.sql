-- The branch that a pull request is to be merged into: what `ctx.changed` takes the merge base with.
ALTER TABLE jobs ADD COLUMN pr_base TEXT;
UPDATE meta SET schema = 3 WHERE schema < 3;
