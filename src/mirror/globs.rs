//! Globs over paths of a repository: `*` stops at `/`, `**` does not.
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::MirrorError;

/// The most globs of one question.
const MAX_GLOBS: usize = 256;

pub(super) fn compile(patterns: &[String]) -> Result<GlobSet, MirrorError> {
    let bad =
        |pattern: &str, reason: String| MirrorError::BadGlob { pattern: pattern.chars().take(200).collect(), reason };
    if patterns.len() > MAX_GLOBS {
        return Err(bad("…", format!("more than {MAX_GLOBS} patterns at once")));
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        if pattern.is_empty() || pattern.len() > 1024 {
            return Err(bad(pattern, "it is empty or longer than 1024 bytes".to_owned()));
        }
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|e| bad(pattern, e.kind().to_string()))?);
    }
    set.build().map_err(|e| bad(e.glob().unwrap_or("…"), e.kind().to_string()))
}
