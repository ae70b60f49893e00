//! Log streams of steps, read off the async threads.
use axum::http::StatusCode;

use super::blocking;
use super::error::{Answer, WebError};
use super::state::AppState;
use crate::logs::StreamFile;
use crate::store::{JobRow, StepRow};

/// The stream of a step attempt.
pub(super) fn file(app: &AppState, step: &StepRow) -> Answer<StreamFile> {
    let name = step.log_stream.parse().map_err(|e| WebError::internal(&e))?;
    // What a rerun took over, it did not copy.
    Ok(StreamFile::new(app.logs_of(step.reused_from.unwrap_or(step.job_id)), name))
}

/// Its length now; a stream without a file is empty.
pub(super) async fn length(file: &StreamFile) -> Answer<u64> {
    let file = file.clone();
    blocking::run(move || file.len()).await
}

/// At most `most` bytes from an offset.
pub(super) async fn read(file: &StreamFile, from: u64, most: usize) -> Answer<Vec<u8>> {
    let file = file.clone();
    blocking::run(move || file.read_range(from, most)).await
}

/// Refuses logs whose files were deleted by retention.
pub(super) fn kept(job: &JobRow) -> Answer<()> {
    match job.logs_expired_at {
        None => Ok(()),
        Some(at) => Err(WebError::new(
            StatusCode::GONE,
            "The logs have expired",
            format!("The logs of {} were deleted on {} by retention.", job.label(), at.strftime("%Y-%m-%d")),
        )),
    }
}
