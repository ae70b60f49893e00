//! How requests name a job: by id, or `pipeline#42`.
use crate::model::JobId;

/// A job as somebody names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum JobRef {
    /// By id.
    Id(JobId),
    /// By number.
    Number {
        /// The pipeline's name.
        pipeline: String,
        /// From 1.
        number: u64,
    },
}

impl JobRef {
    /// Reads a name; none where it can be no job's.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.rsplit_once('#') {
            None => text.parse().ok().map(Self::Id),
            Some((pipeline, number)) => {
                let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                let number = number.parse().ok().filter(|n: &u64| digits && *n > 0 && i64::try_from(*n).is_ok())?;
                let named = !pipeline.is_empty() && pipeline.len() <= 200;
                named.then(|| Self::Number { pipeline: pipeline.to_owned(), number })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_numbers_are_told_apart() {
        let number = |pipeline: &str, number| Some(JobRef::Number { pipeline: pipeline.to_owned(), number });
        assert_eq!(JobRef::parse("web#42"), number("web", 42));
        assert_eq!(JobRef::parse("we#b#42"), number("we#b", 42));
        assert!(matches!(JobRef::parse("01890a5d-ac96-774b-bcce-b302099a8057"), Some(JobRef::Id(_))));
        for wrong in ["", "web", "web#", "#1", "web#0", "web#-1", "web#+1", "web#99999999999999999999", "../x"] {
            assert_eq!(JobRef::parse(wrong), None, "{wrong}");
        }
    }
}
