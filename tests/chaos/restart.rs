//! Many jobs run, the master is killed: how long until each is followed again, and how long a follower waits.
use std::fs;
use std::time::{Duration, Instant};

use crate::follow::by_events;
use crate::kills::{ended, open};
use crate::world::{World, until};

/// Jobs whose logs are followed.
const FOLLOWED: usize = 10;
/// A line each tenth of a second: a follower's pause is at least that.
pub(crate) const DANUBEFILE: &str = "from danube import pipeline, step\n\n\n@pipeline(name=\"app\")\ndef build():\n    \
    step.run('n=0; until test -e /ledger/open-all-1; do n=$((n+1)); echo $n; sleep 0.1; done', name='count', \
    image='host', network=False)\n";

/// Prints the two times; they are no threshold, because they are the machine's too.
pub(crate) fn run(world: &World, jobs: usize) -> Result<(), String> {
    let ids: Vec<String> = (0..jobs).map(|_| world.trigger("")).collect::<Result<_, _>>()?;
    for id in &ids {
        let log = world.path("data/logs").join(id).join("1.1.log");
        until("each job runs", || fs::metadata(&log).is_ok_and(|meta| meta.len() > 0).then_some(()))?;
    }
    println!("chaos: {jobs} jobs run");
    let (socket, log) = (world.path("data/api.sock"), world.path("server.log"));
    let pauses = std::thread::scope(|scope| {
        let followers: Vec<_> = ids
            .iter()
            .take(FOLLOWED)
            .map(|id| scope.spawn(|| by_events(&socket, id, Duration::from_secs(300))))
            .collect();
        std::thread::sleep(Duration::from_secs(2));
        let before = fs::metadata(&log).map_err(|error| error.to_string())?.len();
        until("the master runs", || world.master().kill().then_some(()))?;
        let since = Instant::now();
        let mut met = (0, 0);
        let counted = until("all are followed again", || {
            let text = fs::read(&log).ok()?;
            let text = String::from_utf8_lossy(&text[usize::try_from(before).ok()?..]).into_owned();
            met = (
                text.matches("a running job is followed again").count(),
                text.matches("a running step is followed again").count(),
            );
            (met.0 >= jobs && met.1 >= jobs).then(|| since.elapsed())
        });
        let all = counted.map_err(|error| format!("{error}: {met:?}"))?;
        println!(
            "chaos: from the kill until all {jobs} jobs and their steps are followed again: {:.2} s",
            all.as_secs_f64()
        );
        // Long enough for every follower to come back.
        std::thread::sleep(Duration::from_secs(3));
        open(world, "all", 1);
        ids.iter().try_for_each(|id| ended(world, id))?;
        let got = followers.into_iter().map(|thread| thread.join().map_err(|_| "a follower panicked".to_owned())?);
        got.map(|got| got.map(|got| got.pause)).collect::<Result<Vec<_>, String>>()
    })?;
    let longest = pauses.into_iter().max().unwrap_or_default();
    println!("chaos: longest pause of {FOLLOWED} followers: {:.2} s", longest.as_secs_f64());
    Ok(())
}
