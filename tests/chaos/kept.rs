//! Workspaces that outlive their job: taken by a rerun from where it stopped, lost behind the server's back, evicted.
use std::fs;

use crate::kills::{ended, open};
use crate::picture::nothing_left;
use crate::visit::{attempts, has_met, met, must};
use crate::world::{World, until};

/// A step of the pipeline that runs after its first artifacts were stored.
const AFTER_ARTIFACTS: &str = "door 3";

/// Meets every point of a kept workspace, on both sides.
pub(crate) fn visit(world: &mut World) -> Result<(), String> {
    // One point lies within another: an executor that died at the inner one does not come to the end of the outer one.
    while !has_met(world, "executor.adopt+") {
        let stopped = stop_late(world)?;
        goes_on(world, &stopped)?;
    }
    let lost = stop_late(world)?;
    fs::remove_dir_all(world.tree().join("jobs").join(&lost)).map_err(|error| error.to_string())?;
    // Only a start looks for what went away by itself.
    until("the master is killed", || world.master().kill().then_some(()))?;
    met(world, "orchestrator.workspace_missing")?;
    let kept = stop_late(world)?;
    evicted(world, &kept)
}

/// A job that is cancelled when it has artifacts already.
fn stop_late(world: &World) -> Result<String, String> {
    let job = world.trigger("")?;
    (1..=2).for_each(|door| open(world, &job, door));
    let sql = "SELECT count(started_at) FROM steps WHERE job_id = ?1 AND name = ?2";
    let runs = || world.database().query_row(sql, [job.as_str(), AFTER_ARTIFACTS], |row| row.get::<_, u32>(0));
    until("it has stored its artifacts", || runs().is_ok_and(|n| n > 0).then_some(()))?;
    must(world, "POST", &format!("/api/v1/jobs/{job}/cancel"), b"", &[200, 202])?;
    ended(world, &job)?;
    Ok(job)
}

/// A rerun takes the workspace, and does only what was not done.
fn goes_on(world: &World, stopped: &str) -> Result<(), String> {
    let path = format!("/api/v1/jobs/{stopped}/rerun");
    // A server that died before it told has made the job: then the workspace waits for that one.
    let child = "SELECT id FROM jobs WHERE parent = ?1 AND reuse = 1";
    let job = until("a rerun from where it stopped", || {
        let known = || world.database().query_row(child, [stopped], |row| row.get::<_, String>(0)).ok();
        known().or_else(|| {
            world.ask("POST", &path, br#"{"from":"failed"}"#)?;
            known()
        })
    })?;
    (1..=4).for_each(|door| open(world, &job, door));
    ended(world, &job)?;
    let (status, steps) = attempts(world, &job)?;
    if status != "success" {
        return Err(format!("the rerun of {stopped} ended as {status}: {steps:?}"));
    }
    let ran = crate::picture::ledger(world, &job)?;
    if ran.iter().any(|name| name == "first") || !ran.iter().any(|name| name == "last") {
        return Err(format!("the rerun of {stopped} ran {ran:?}"));
    }
    nothing_left(world, &job)
}

/// With nothing to be kept any more, what is kept goes.
fn evicted(world: &mut World, kept: &str) -> Result<(), String> {
    let file = world.path("danube.toml");
    let toml = fs::read_to_string(&file).map_err(|error| error.to_string())?;
    let off = toml.replace("[executor]\n", "[executor]\nkeep_workspaces_for = \"0\"\n");
    fs::write(&file, off).map_err(|error| error.to_string())?;
    world.stop_master();
    world.start_master();
    met(world, "orchestrator.evict")?;
    let dir = world.tree().join("jobs").join(kept);
    until("the workspace is removed", || (!dir.exists()).then_some(()))?;
    world.stop_master();
    fs::write(&file, toml).map_err(|error| error.to_string())?;
    world.start_master();
    world.fetch("/health/ready").map(drop)
}
