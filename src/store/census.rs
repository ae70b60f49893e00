//! How many rows every table has: what a soak watches.
use std::collections::BTreeMap;

use super::{StoreError, View};

/// Rows by table.
pub fn rows(view: &View<'_>) -> Result<BTreeMap<String, u64>, StoreError> {
    let what = "count the rows of every table";
    let tables: Vec<String> = view.values(
        what,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
        [],
    )?;
    let count = |table: &String| {
        // The name comes from the schema, not from anybody outside.
        let rows: Option<i64> = view.value(what, &format!("SELECT COUNT(*) FROM \"{table}\""), [])?;
        Ok((table.clone(), rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0)))
    };
    tables.iter().map(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{pipeline, settings, with};

    #[tokio::test]
    async fn every_table_is_counted() {
        let test = with(settings(vec![pipeline("shop", "web")])).await;
        let rows = test.store.read(rows).await.unwrap();
        assert_eq!((rows["pipelines"], rows["jobs"], rows["meta"]), (1, 0, 1));
    }
}
