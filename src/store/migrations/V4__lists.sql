-- Lists of one branch, over all pipelines and within one, with a million jobs. Nothing of the data changes.
CREATE INDEX jobs_by_branch ON jobs (branch, id);
CREATE INDEX jobs_by_pipeline_branch ON jobs (pipeline_id, branch, id);
CREATE INDEX jobs_by_commit ON jobs (commit_sha, id);
CREATE INDEX jobs_by_actor ON jobs (actor, id);
CREATE INDEX jobs_by_creation ON jobs (created_at);
