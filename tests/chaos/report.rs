//! What is asked for, how far it is, and what came out.
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::kills::{self, Tally};
use crate::machine::machine_snapshot;
use crate::rng::Rng;
use crate::world::World;
use crate::{faults, followers, points, restart};

pub(crate) const USAGE: &str = "\
--kills N     kill so often in all, at least 20 times per run of the pipeline (default 100)
--seed S      choose the same moments again (default: any, printed)
--resume      go on where a run with --kills was cut
--follow MB   follow a log of so many megabytes in three ways across five kills
--restart N   kill the master while N jobs run, and say how long that is felt
--points      let the process die on both sides of every fault point
--faults      refuse each write of a job once, as a broken or full disk does
--short       the round of `make test`: three fixed seeds and a random one";

/// What is built while it is disturbed.
const PIPELINE: &str = include_str!("pipeline.py");
/// Kills of one run of the pipeline.
const PER_RUN: u64 = 20;
/// The pace of the 60,000 lines: some seconds.
const PARAMS: &str = r#"{"params":{"pause":"0.05"}}"#;

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    kills: Option<u64>,
    seed: Option<u64>,
    resume: bool,
    short: bool,
    follow: Option<u64>,
    restart: Option<u64>,
    points: bool,
    faults: bool,
}

impl Wish {
    pub(crate) fn read(words: &[String]) -> Result<Self, String> {
        let mut wish = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut number = || {
                let value = words.next().and_then(|text| text.parse().ok());
                value.ok_or_else(|| format!("{word} takes a number"))
            };
            match word.as_str() {
                "--kills" => wish.kills = Some(number()?),
                "--seed" => wish.seed = Some(number()?),
                "--follow" => wish.follow = Some(number()?),
                "--restart" => wish.restart = Some(number()?),
                "--points" => wish.points = true,
                "--faults" => wish.faults = true,
                "--resume" => wish.resume = true,
                "--short" => wish.short = true,
                // What cargo passes on to every suite.
                "--quiet" => {}
                other => return Err(format!("unknown: {other}")),
            }
        }
        Ok(wish)
    }
}

/// How far a run with `--kills` is: kept, so that it can go on after a cut.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Progress {
    seed: u64,
    wanted: u64,
    tally: Tally,
    seconds: u64,
}

impl Progress {
    fn file() -> PathBuf {
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos.json")
    }

    fn load() -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::file()).ok()?).ok()
    }

    fn save(&self) {
        let text = serde_json::to_vec(self).expect("numbers can be written");
        fs::write(Self::file(), text).expect("the target directory can be written");
    }
}

pub(crate) fn run(wish: &Wish) -> ExitCode {
    let began = Instant::now();
    let before = machine_snapshot();
    let done = match wish {
        Wish { short: true, .. } => short(),
        Wish { follow: Some(megabytes), .. } => follow(*megabytes),
        Wish { restart: Some(jobs), .. } => restart(usize::try_from(*jobs).unwrap_or(usize::MAX)),
        Wish { points: true, .. } => alone(points::run),
        Wish { faults: true, .. } => {
            let seed = wish.seed.unwrap_or_else(Rng::any_seed);
            println!("chaos: --faults --seed {seed}");
            alone(|world| faults::run(world, seed))
        }
        wish => long(wish),
    };
    if let Err(error) = done {
        eprintln!("chaos: {error}");
        return ExitCode::FAILURE;
    }
    let mut left = Vec::new();
    for _ in 0..100 {
        left = machine_snapshot().difference(&before).cloned().collect::<Vec<_>>();
        if left.is_empty() {
            println!("chaos: nothing is left on the machine; {:.0} s", began.elapsed().as_secs_f64());
            return ExitCode::SUCCESS;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    eprintln!("chaos: left on the machine: {left:#?}");
    ExitCode::FAILURE
}

/// Three seeds that are always the same, and one that never is.
fn short() -> Result<(), String> {
    let any = Rng::any_seed();
    println!("chaos: seeds 1, 2, 3 and {any} (again: --kills {PER_RUN} --seed {any})");
    in_a_world(PIPELINE, |world| {
        let good = kills::undisturbed(world, PARAMS)?;
        for seed in [1, 2, 3, any] {
            let tally =
                kills::round(world, seed, PER_RUN, &good, PARAMS).map_err(|error| format!("seed {seed}: {error}"))?;
            println!("chaos: seed {seed}: {}", shown(&tally));
        }
        Ok(())
    })?;
    follow(8)
}

fn follow(megabytes: u64) -> Result<(), String> {
    in_a_world(&followers::danubefile(megabytes), |world| followers::run(world, megabytes))
}

/// A world that is started by the work itself.
fn alone(work: impl FnOnce(&mut World) -> Result<(), String>) -> Result<(), String> {
    let mut world = World::new(PIPELINE, "2MiB");
    match work(&mut world) {
        Ok(()) => world.end(),
        Err(error) => Err(world.fail(&error)),
    }
}

fn restart(jobs: usize) -> Result<(), String> {
    in_a_world(restart::DANUBEFILE, |world| restart::run(world, jobs))
}

fn long(wish: &Wish) -> Result<(), String> {
    let kept = wish.resume.then(Progress::load).flatten();
    let mut progress = kept.unwrap_or_else(|| Progress {
        seed: wish.seed.unwrap_or_else(Rng::any_seed),
        wanted: wish.kills.unwrap_or(100),
        ..Progress::default()
    });
    let (seed, wanted, earlier) = (progress.seed, progress.wanted, progress.seconds);
    println!("chaos: --kills {wanted} --seed {seed}, {} done before", progress.tally.kills);
    let began = Instant::now();
    in_a_world(PIPELINE, |world| {
        let good = kills::undisturbed(world, PARAMS)?;
        println!("chaos: the undisturbed run took {:.1} s", began.elapsed().as_secs_f64());
        while progress.tally.kills < wanted {
            let own = seed.wrapping_add(progress.tally.runs);
            let kills = PER_RUN.min(wanted - progress.tally.kills).max(1);
            let tally =
                kills::round(world, own, kills, &good, PARAMS).map_err(|error| format!("seed {own}: {error}"))?;
            progress.tally.add(&tally);
            progress.seconds = earlier + began.elapsed().as_secs();
            progress.save();
            println!(
                "chaos: seed {own}: {} (in all {} of {wanted}, {} s)",
                shown(&tally),
                progress.tally.kills,
                progress.seconds
            );
        }
        Ok(())
    })?;
    let tally = &progress.tally;
    println!("\n| runs | kills | of the master | of the executor | of the coordinator | several at once | minutes |");
    println!("|---|---|---|---|---|---|---|");
    println!(
        "| {} | {} | {} | {} | {} | {} | {:.1} |\n",
        tally.runs,
        tally.kills,
        tally.master,
        tally.executor,
        tally.coordinator,
        tally.several,
        progress.seconds as f64 / 60.0
    );
    println!(
        "Each run: the same result, ledger, logs, artifacts and rows as the undisturbed one; attestations verify."
    );
    Ok(())
}

fn shown(tally: &Tally) -> String {
    let Tally { kills, master, executor, coordinator, several, .. } = tally;
    format!(
        "{kills} kills (master {master}, executor {executor}, coordinator {coordinator}, several at once {several})"
    )
}

/// A world for `work`; where that fails, it is kept to be looked at.
fn in_a_world(danubefile: &str, work: impl FnOnce(&World) -> Result<(), String>) -> Result<(), String> {
    let mut world = World::new(danubefile, "1GiB");
    match world.start("").and_then(|()| work(&world)) {
        Ok(()) => world.end(),
        Err(error) => Err(world.fail(&error)),
    }
}
