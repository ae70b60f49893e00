//! How people name a job: `pipeline#42`, or its id.
use std::fmt;
use std::str::FromStr;

use super::request::Request;
use crate::model::JobId;

/// A job as somebody names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName(String);

/// A text names no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a job is named like web#42 (its pipeline and number) or by its id")]
pub struct NotAJob;

impl JobName {
    /// Asks for it, or with a `rest` like `/log` for something of it.
    pub fn get(&self, rest: &str) -> Request {
        Request::get(self.path(rest)).about(format!("job {self}"))
    }

    /// Asks for a change of it.
    pub fn post(&self, rest: &str) -> Request {
        Request::post(self.path(rest)).about(format!("job {self}"))
    }

    /// Where the API has it.
    pub(super) fn path(&self, rest: &str) -> String {
        format!("/api/v1/jobs/{}{rest}", segment(&self.0))
    }
}

impl FromStr for JobName {
    type Err = NotAJob;

    fn from_str(text: &str) -> Result<Self, NotAJob> {
        let known = match text.rsplit_once('#') {
            Some((pipeline, number)) => {
                let digits = number.bytes().all(|b| b.is_ascii_digit());
                !pipeline.is_empty() && digits && number.parse::<u64>().is_ok_and(|number| number > 0)
            }
            None => text.parse::<JobId>().is_ok(),
        };
        if known { Ok(Self(text.to_owned())) } else { Err(NotAJob) }
    }
}

impl From<JobId> for JobName {
    fn from(id: JobId) -> Self {
        Self(id.to_string())
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_in_the_path() {
        assert_eq!("web#42".parse::<JobName>().unwrap().path(""), "/api/v1/jobs/web%2342");
        assert_eq!("a/b c#1".parse::<JobName>().unwrap().path(""), "/api/v1/jobs/a%2Fb%20c%231");
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(id.parse::<JobName>().unwrap().path(""), format!("/api/v1/jobs/{id}"));
    }

    #[test]
    fn what_names_no_job_is_told_before_asking() {
        for wrong in ["", "web", "42", "#42", "web#", "web#0", "web#x", "web#-1", "web#+1", "../x"] {
            assert_eq!(wrong.parse::<JobName>(), Err(NotAJob), "{wrong}");
        }
    }
}
