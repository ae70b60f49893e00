//! cron_ticks: how far each schedule was looked at, so that missed ticks run once.
use jiff::Timestamp;
use rusqlite::params;

use super::sql::micros;
use super::{StoreError, Tx, View};
use crate::model::PipelineId;

/// The last tick that was looked at.
pub fn find(view: &View<'_>, pipeline: PipelineId, schedule: &str) -> Result<Option<Timestamp>, StoreError> {
    let what = "read the last tick of a schedule";
    let at: Option<i64> = view.value(
        what,
        "SELECT last_tick FROM cron_ticks WHERE pipeline_id = ?1 AND schedule = ?2",
        params![pipeline, schedule],
    )?;
    at.map(|at| Timestamp::from_microsecond(at).map_err(|e| StoreError::corrupt(what, e))).transpose()
}

/// Moves a schedule on; in the transaction that enqueues the tick's job. It never moves back.
pub fn set(tx: &Tx<'_>, pipeline: PipelineId, schedule: &str, tick: Timestamp) -> Result<(), StoreError> {
    tx.run(
        "store the last tick of a schedule",
        "INSERT INTO cron_ticks (pipeline_id, schedule, last_tick) VALUES (?1, ?2, ?3)
         ON CONFLICT (pipeline_id, schedule) DO UPDATE SET last_tick = MAX(last_tick, excluded.last_tick)",
        params![pipeline, schedule, micros(tick)],
    )?;
    Ok(())
}
