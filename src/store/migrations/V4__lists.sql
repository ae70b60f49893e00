-- Lists of one branch, over all pipelines and within one, with a million jobs. Nothing of the data changes.
-- The status stands behind the order of the list: a rare one is found without reading the rows of all others.
CREATE INDEX jobs_by_branch ON jobs (branch, id, status);
CREATE INDEX jobs_by_pipeline_branch ON jobs (pipeline_id, branch, id, status);
CREATE INDEX jobs_by_commit ON jobs (commit_sha, id);
CREATE INDEX jobs_by_actor ON jobs (actor, id);
CREATE INDEX jobs_by_creation ON jobs (created_at);
CREATE INDEX audit_log_by_label ON audit_log (label, seq);
CREATE INDEX audit_log_by_action ON audit_log (action, seq);
CREATE INDEX audit_log_by_decision ON audit_log (decision, seq);
CREATE INDEX audit_log_by_time ON audit_log (at);
