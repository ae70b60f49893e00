//! At every fault point the process dies once before the write and once after it, before anybody is told.
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::kept;
use crate::kills::{self, ended, open};
use crate::picture::{Picture, ledger, nothing_left};
use crate::visit;
use crate::world::{World, until};

/// All names; `tests/it/points.rs` keeps the list.
const GOLDEN: &str = include_str!("../it/points.golden");
/// Of the step's supervisor: each death costs one attempt of one step.
const SHIM: &str = "shim.";
/// Met by what no command and no page calls yet: this program does, on the stopped server's data.
const LIBRARY: [&str; 3] = ["queue.park", "secrets.rotate", "secrets.settle"];

/// Both sides of a point.
fn sides(name: &str) -> [String; 2] {
    [name.to_owned(), format!("{name}+")]
}

fn armed(names: impl Iterator<Item = String>) -> String {
    names.map(|name| format!("{name}:kill")).collect::<Vec<_>>().join(",")
}

/// Visits everything with every point armed, then meets the shim's points one by one.
pub(crate) fn run(world: &mut World) -> Result<(), String> {
    visit::prepare(world);
    let names: Vec<&str> = GOLDEN.lines().collect();
    let of_others = names.iter().filter(|name| !name.starts_with(SHIM));
    let faults = armed(of_others.flat_map(|name| sides(name)));
    world.start(&faults)?;
    world.deploy_key(&faults)?;
    println!("chaos: every point of master and executor is armed");
    // What dies here is everything that a job writes, each once.
    let first = world.trigger("")?;
    (1..=4).for_each(|door| open(world, "all", door));
    ended(world, &first)?;
    let disturbed = Picture::of(world, &first)?;
    let good = kills::undisturbed(world, "")?;
    if let Some(difference) = good.difference(&disturbed) {
        return Err(difference);
    }
    nothing_left(world, &first)?;
    (1..=4).for_each(|door| {
        let _closed = fs::remove_file(world.path("ledger").join(format!("open-all-{door}")));
    });
    let session = visit::people(world)?;
    visit::tokens(world)?;
    visit::secrets(world)?;
    visit::deliveries(world)?;
    visit::mistakes(world)?;
    visit::cancelled(world)?;
    visit::full(world)?;
    visit::lost(world)?;
    kept::visit(world)?;
    visit::absent(world)?;
    visit::beside(world)?;
    visit::registry(world)?;
    visit::run(world)?;
    visit::bench(world)?;
    visit::late(world, &session)?;
    println!("chaos: master and executor died {} times", deaths(world));
    for name in names.iter().filter(|name| name.starts_with(SHIM)) {
        for side in sides(name) {
            shim(world, &side)?;
        }
    }
    world.arm("")?;
    library(world)?;
    let met = hits(world);
    let never: Vec<String> = names.iter().flat_map(|name| sides(name)).filter(|name| !met.contains(name)).collect();
    let spared: Vec<String> =
        names.iter().flat_map(|name| sides(name)).filter(|name| !met.contains(&format!("{name}:kill!"))).collect();
    println!("chaos: {} points, {} deaths at them", names.len(), deaths(world));
    if never.is_empty() && spared.is_empty() {
        return Ok(());
    }
    Err(format!("points that were never met: {never:#?}; at which nothing died: {spared:#?}"))
}

fn hits(world: &World) -> BTreeSet<String> {
    fs::read_to_string(world.path("hits")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn deaths(world: &World) -> usize {
    hits(world).iter().filter(|line| line.ends_with('!')).count()
}

/// One supervisor dies at this point: the attempt is lost, the next one does the work, and nothing runs twice in it.
fn shim(world: &mut World, side: &str) -> Result<(), String> {
    // A disk that is full is told by the log's own write; each of the two sides needs one.
    let cause = if side.starts_with("shim.disk_full") { ",shim.log:enospc@3" } else { "" };
    let kept = fs::read_to_string(world.path("hits")).unwrap_or_default().replace("shim.log:enospc!\n", "");
    fs::write(world.path("hits"), kept).map_err(|error| error.to_string())?;
    world.arm(&format!("{side}:kill{cause}"))?;
    // Only a service gets ready.
    let of_services = side.starts_with("shim.ready");
    let path = format!("/api/v1/pipelines/{}/trigger", if of_services { "beside" } else { "small" });
    let reply = until("a small job is started", || world.ask("POST", &path, b"").filter(|reply| reply.status == 201))?;
    let job = reply.json()["id"].as_str().ok_or("an id")?.to_owned();
    ended(world, &job)?;
    let (status, attempts) = visit::attempts(world, &job)?;
    if status != "success" {
        return Err(format!("{side}: the job ended as {status}: {attempts:?}"));
    }
    if of_services {
        return nothing_left(world, &job);
    }
    let ran = ledger(world, &job)?;
    for (name, tries) in &attempts {
        let times = ran.iter().filter(|line| *line == name).count();
        if times > *tries || (times == 0 && ["plain", "made", "much", "last"].contains(&name.as_str())) {
            return Err(format!("{side}: '{name}' ran {times} times in {tries} attempts"));
        }
    }
    nothing_left(world, &job)
}

/// What the library offers and no command calls: this program again, on the data of the stopped server.
fn library(world: &mut World) -> Result<(), String> {
    world.stop_master();
    let faults = armed(LIBRARY.iter().flat_map(|name| sides(name)));
    until("the library's own writes", || {
        let mut command = Command::new("setpriv");
        let uid = world.uid.to_string();
        command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups"]).arg(std::env::current_exe().ok()?);
        command.arg("--library").arg(world.path("data"));
        command.env("DANUBE_FAULT", &faults).env("DANUBE_FAULT_HITS", world.path("hits"));
        command.status().ok()?.success().then_some(())
    })?;
    world.start_master();
    world.fetch("/health/ready").map(drop)
}

/// The other side of `library`: rotates the key of secrets, parks a job and lets it go on.
pub(crate) fn in_the_library(data: &std::path::Path) -> Result<(), String> {
    use danube::platform::{Ids, SystemClock, SystemIds, fault};
    use std::sync::Arc;
    let text = |error: &dyn std::fmt::Display| error.to_string();
    fault::arm_by_environment().map_err(|error| text(&error))?;
    let ids: Arc<dyn Ids> = Arc::new(SystemIds::new());
    let runtime = tokio::runtime::Runtime::new().map_err(|error| text(&error))?;
    runtime.block_on(async {
        let store = danube::store::Store::open(data, Arc::new(SystemClock), Arc::clone(&ids)).map_err(|e| text(&e))?;
        let vault = danube::secrets::open(&store, &data.join("keys"), ids).await.map_err(|e| text(&e))?;
        let limits = danube::queue::Limits { max_running: 100 };
        let claimed = danube::queue::claim(&store, "the harness", limits).await.map_err(|e| text(&e))?;
        if let Some(claimed) = claimed {
            danube::queue::park(&store, claimed.lease, "it waits".to_owned()).await.map_err(|e| text(&e))?;
        } else {
            for claimed in danube::queue::adopt(&store, "the harness").await.map_err(|e| text(&e))? {
                danube::queue::park(&store, claimed.lease, "it waits".to_owned()).await.map_err(|e| text(&e))?;
                danube::queue::unpark(&store, claimed.lease).await.map_err(|e| text(&e))?;
            }
        }
        danube::secrets::rotate_key(&store, &vault).await.map_err(|e| text(&e))?;
        Ok(())
    })
}
