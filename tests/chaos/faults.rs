//! Each write of a job is refused once, as by a broken or a full disk: the job ends well, or says why it did not and
//! can be run again, and nothing is called a success that is none.
use std::fs;

use crate::kills::{self, ended, open};
use crate::picture::{Picture, nothing_left};
use crate::rng::Rng;
use crate::world::{World, until};

/// What a disk says.
const KINDS: [&str; 2] = ["eio", "enospc"];
/// Numbered lines without pauses.
const QUICK: &str = r#"{"params":{"pause":"0"}}"#;

/// What became of a job.
enum Came {
    /// It ended, with or without success.
    Ended(String, String),
    /// Its attempt was lost; it waits for the next one, and says why.
    Waits(String),
}

/// Refuses one write after another; the seed chooses which kind of refusal each gets, and at which meeting.
pub(crate) fn run(world: &mut World, seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    world.start("")?;
    (1..=4).for_each(|door| open(world, "all", door));
    let before = names(world);
    let good = kills::undisturbed(world, QUICK)?;
    let points: Vec<String> = names(world).into_iter().filter(|name| !before.contains(name)).collect();
    println!("chaos: {} points are met by a job", points.len());
    let (mut well, mut told) = (0, 0);
    for point in &points {
        let kind = KINDS[usize::from(rng.within(0, 2) == 0)];
        let meeting = rng.within(1, 3);
        let fault = format!("{point}:{kind}@{meeting}");
        match one(world, &fault, &good).map_err(|error| format!("{fault}: {error}"))? {
            None => well += 1,
            Some(why) => {
                told += 1;
                println!("chaos: {fault}: {why}");
            }
        }
    }
    println!("chaos: of {} refused writes {well} did no harm, {told} ended an attempt that says why", points.len());
    Ok(())
}

/// One job with one refused write; the reason where it did not end well.
fn one(world: &mut World, fault: &str, good: &Picture) -> Result<Option<String>, String> {
    world.again(fault)?;
    let job = world.trigger(QUICK)?;
    let why = match outcome(world, &job)? {
        Came::Ended(status, reason) => {
            let picture = Picture::of(world, &job)?;
            if status == "success" {
                let difference = good.difference(&picture);
                return difference.map_or(Ok(None), |difference| Err(format!("called a success: {difference}")));
            }
            nothing_left(world, &job)?;
            format!("{status}: {reason}")
        }
        Came::Waits(reason) => {
            until("the waiting job is cancelled", || {
                let reply = world.ask("POST", &format!("/api/v1/jobs/{job}/cancel"), b"")?;
                (reply.status == 200 || reply.status == 202).then_some(())
            })?;
            ended(world, &job)?;
            format!("tried again later: {reason}")
        }
    };
    if why.trim_end().ends_with(':') {
        return Err(format!("it does not say why: {why}"));
    }
    world.again("")?;
    let reply = until("it can be run again", || {
        world.ask("POST", &format!("/api/v1/jobs/{job}/rerun"), b"").filter(|reply| reply.status == 201)
    })?;
    let again = reply.json()["id"].as_str().ok_or("an id")?.to_owned();
    ended(world, &again)?;
    let difference = good.difference(&Picture::of(world, &again)?);
    difference.map_or(Ok(Some(why)), |difference| Err(format!("run again after '{fault}': {difference}")))
}

fn outcome(world: &World, job: &str) -> Result<Came, String> {
    let sql = "SELECT status, coalesce(reason, ''), finished_at IS NOT NULL, attempt, (SELECT count(*) FROM attestations \
               WHERE job_id = ?1) FROM jobs WHERE id = ?1";
    let look = || {
        let row = world.database().query_row(sql, [job], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?, row.get::<_, u32>(4)?))
        });
        let (status, reason, over, records) = row.ok()?;
        match status.as_str() {
            "pending" if !reason.is_empty() => Some(Came::Waits(reason)),
            _ if over && records > 0 => Some(Came::Ended(status, reason)),
            _ => None,
        }
    };
    until("the job ends or says why it waits", look).map_err(|error| {
        let shown = world.get(&format!("/api/v1/jobs/{job}")).map(|reply| reply.text()).unwrap_or_default();
        format!("{error}: {shown}")
    })
}

/// The points that were met so far, one side of each.
fn names(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.path("hits")).unwrap_or_default();
    let mut names: Vec<String> = text.lines().filter(|line| !line.ends_with(['+', '!'])).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}
