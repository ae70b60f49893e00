//! Many rows at once: copies of one job, so that they stay like the real ones whatever columns come.
use danube::model::JobId;
use jiff::Timestamp;
use rusqlite::{Connection, params};

/// Copies a finished job `each` times into every pipeline but its own, the past before `until`, numbered from 1.
pub(super) fn copy_job(db: &mut Connection, job: JobId, each: u32, until: Timestamp) {
    let columns = columns(db);
    let list = columns.join(", ");
    let values: Vec<&str> = columns.iter().map(|column| value(column)).collect();
    let copy = format!(
        "INSERT INTO jobs ({list}) SELECT {} FROM jobs CROSS JOIN pipelines AS p WHERE jobs.id = ?1 AND p.id = ?2",
        values.join(", ")
    );
    let tx = db.transaction().unwrap();
    let pipelines: Vec<String> = tx
        .prepare("SELECT id FROM pipelines WHERE id <> (SELECT pipeline_id FROM jobs WHERE id = ?1) ORDER BY name")
        .unwrap()
        .query_map([job], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let mut statement = tx.prepare(&copy).unwrap();
    for number in 1..=each {
        for (n, pipeline) in pipelines.iter().enumerate() {
            let ago = u64::from(each - number) * 3600 + (pipelines.len() - n) as u64;
            let at = until - std::time::Duration::from_secs(ago);
            let red = (n + number as usize).is_multiple_of(7);
            let (status, failure) = if red { ("failure", Some("pipeline")) } else { ("success", None) };
            let took = 5_000_000 * i64::from(1 + (number + n as u32) % 9);
            let values = params![job, pipeline, id_of(at, n), number, at.as_microsecond(), took, status, failure];
            statement.execute(values).unwrap();
        }
    }
    drop(statement);
    tx.execute("UPDATE pipelines SET last_number = MAX(last_number, ?1)", [each]).unwrap();
    tx.commit().unwrap();
}

fn columns(db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_info('jobs')").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What a copy has in a column.
fn value(column: &str) -> &str {
    match column {
        "id" => "?3",
        "pipeline_id" => "p.id",
        "pipeline_name" => "p.name",
        "team" => "p.team",
        "snapshot" => "p.document",
        "number" => "?4",
        "status" => "?7",
        "failure_kind" => "?8",
        "created_at" | "run_after" | "started_at" => "?5",
        "finished_at" | "recorded_at" => "?5 + ?6",
        "dedupe_key" => "NULL",
        same => same,
    }
}

/// An id as one made at that moment has it, so that lists are in order.
fn id_of(at: Timestamp, n: usize) -> String {
    let millis = u64::try_from(at.as_millisecond()).unwrap();
    let mut random = [0u8; 10];
    random[2..].copy_from_slice(&(n as u64).to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}
