//! What a master finds in its directories at its start.
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::world::World;
use crate::model::JobId;
use crate::orchestrator::leftovers::remove_orphans;
use crate::platform::{Ids as _, SeededIds};
use crate::store::testing::pipeline;

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[tokio::test]
async fn logs_without_a_job_go_unless_the_database_seems_to_be_another() {
    let site = pipeline("site", "web");
    let world = World::new(site.clone()).await;
    let known = world.claim(&site).await.job.id;
    let engine = world.engine(Arc::new(|_, _, _| Box::pin(async {})));
    let logs = engine.dirs.logs.clone();
    let ids = SeededIds::new(3);
    fs::create_dir_all(logs.join(known.to_string())).unwrap();
    fs::create_dir_all(logs.join("lost+found")).unwrap();
    for _ in 0..3 {
        fs::create_dir(logs.join(JobId::from_uuid(ids.uuid()).to_string())).unwrap();
    }
    remove_orphans(&engine).await;
    assert_eq!(count(&logs), 2);
    assert!(logs.join(known.to_string()).exists());
    for _ in 0..11 {
        fs::create_dir(logs.join(JobId::from_uuid(ids.uuid()).to_string())).unwrap();
    }
    remove_orphans(&engine).await;
    assert_eq!(count(&logs), 13, "all are kept");
}
