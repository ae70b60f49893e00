-- A rare status within one branch, far back in the list, is found without walking over the branch's other jobs.
CREATE INDEX jobs_by_branch_status ON jobs (branch, status, id);
CREATE INDEX jobs_by_pipeline_branch_status ON jobs (pipeline_id, branch, status, id);
