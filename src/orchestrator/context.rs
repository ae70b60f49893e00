//! What `ctx` shows: the job, and recorded values of time, chance and the repository.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::canonical::Canonical;
use super::origin::OriginError;
use super::{CallError, LiveJob, bounds};
use crate::store::JobRow;

/// What `ctx` shows of the job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The job's id.
    pub job_id: String,
    /// Its number within the pipeline.
    pub number: u64,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// The built repository.
    pub repository: String,
    /// The job's page.
    pub url: String,
    /// The branch.
    pub branch: String,
    /// The tag; empty: none.
    pub tag: String,
    /// The commit.
    pub commit_sha: String,
    /// Its message.
    pub commit_message: String,
    /// Who wrote it.
    pub author: String,
    /// Who made the job.
    pub actor: String,
    /// Why it exists.
    pub trigger: String,
    /// What happened in the repository; empty: nothing.
    pub event: String,
    /// The pull request; 0: none.
    pub pr: u64,
    /// The branch that the pull request is to be merged into; empty: none.
    #[serde(default)]
    pub pr_base: String,
    /// It comes from a fork.
    pub is_fork: bool,
    /// Parameters of its start.
    pub params: BTreeMap<String, String>,
}

impl Context {
    /// What a job's row shows; `url` is the job's page.
    pub fn of(row: &JobRow, repository: &str, url: String) -> Self {
        Self {
            job_id: row.id.to_string(),
            number: row.number,
            attempt: row.attempt,
            pipeline: row.pipeline_name.clone(),
            repository: repository.to_owned(),
            url,
            branch: row.branch.clone(),
            tag: row.tag.clone().unwrap_or_default(),
            commit_sha: row.commit_sha.clone(),
            commit_message: row.message.clone(),
            author: row.author.clone(),
            actor: row.actor.clone(),
            trigger: row.trigger.as_str().to_owned(),
            event: row.event.map(|event| event.as_str().to_owned()).unwrap_or_default(),
            pr: row.pull_request.unwrap_or(0),
            pr_base: row.pr_base.clone().unwrap_or_default(),
            is_fork: row.fork,
            params: row.params.clone(),
        }
    }
}

impl LiveJob {
    /// The first call of a coordinator.
    pub async fn register(&self, call: &Call, sdk_version: &str) -> Result<(), CallError> {
        bounds::name("the SDK's version", sdk_version)?;
        self.recorded(call, &Canonical::register(), async { Ok(()) }).await
    }

    /// What `ctx` shows.
    pub async fn context(&self, call: &Call) -> Result<Context, CallError> {
        self.recorded(call, &Canonical::context(), async {
            Ok(Context::of(&self.row, &self.pipeline.repository, self.engine.job_url(self.row.id)))
        })
        .await
    }

    /// The time of the first call under this key, RFC 3339 in UTC.
    pub async fn now(&self, call: &Call) -> Result<String, CallError> {
        self.recorded(call, &Canonical::now(), async { Ok(self.engine.clock.now().to_string()) }).await
    }

    /// A number from 0 up to 1, the same each time for one key.
    pub async fn random(&self, call: &Call) -> Result<f64, CallError> {
        let number = async {
            let mut bytes = [0; 8];
            self.engine.ids.fill(&mut bytes);
            // 53 bits: every value is exact, and 1 is never reached.
            #[expect(clippy::cast_precision_loss, reason = "53 bits fit into a double exactly")]
            let high = (u64::from_le_bytes(bytes) >> 11) as f64;
            Ok(high / (1u64 << 53) as f64)
        };
        self.recorded(call, &Canonical::random(), number).await
    }

    /// A hash over the matching files of the commit.
    pub async fn hash(&self, call: &Call, globs: &[String]) -> Result<String, CallError> {
        bounds::globs(globs)?;
        let canonical = Canonical::files_hash(globs);
        let hash =
            async { self.origin.hash(self.row.commit_sha.clone(), globs.to_vec()).await.map_err(CallError::from) };
        self.recorded(call, &canonical, hash).await
    }
}

impl From<OriginError> for CallError {
    fn from(error: OriginError) -> Self {
        match error {
            OriginError::User(text) => Self::Invalid(text),
            OriginError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}
