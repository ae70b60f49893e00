//! Whether new jobs are taken.
use crate::store::{StoreError, View, settings};

/// The setting that stands while Danube drains; its value is the moment and the reason, for people.
pub const SETTING: &str = "draining";

/// No new jobs are taken for now.
pub fn is_on(view: &View<'_>) -> Result<bool, StoreError> {
    Ok(settings::find(view, SETTING)?.is_some())
}
