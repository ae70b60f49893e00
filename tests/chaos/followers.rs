//! A long log is followed in three ways while the master is killed five times: each gets the bytes of the file.
use std::fs;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::follow::{Got, by_command, by_events, by_ranges};
use crate::kills::ended;
use crate::world::{World, until};

const KILLS: u64 = 5;
/// Longer than any machine needs for this.
const PATIENCE: Duration = Duration::from_secs(600);

/// Prints so many megabytes, of which no two lines are equal.
pub(crate) fn danubefile(megabytes: u64) -> String {
    format!(
        "from danube import pipeline, step\n\n\n@pipeline(name=\"app\")\ndef build():\n    step.run(\"\"\"exec python3 -uc '\nimport sys, \
         time\nn = 0\nfor part in range({megabytes} * 8):\n    text = \"\"\n    while len(text) < 131072:\n        n += 1\n        \
         text += \"line %d of a long log, with an umlaut: \\\\u00fc\\\\n\" % n\n    sys.stdout.write(text); \
         sys.stdout.flush()\n    time.sleep(0.01)\n'\"\"\", name=\"long\", image=\"host\", network=False)\n"
    )
}

/// The longest pause of each follower.
pub(crate) fn run(world: &World, megabytes: u64) -> Result<(), String> {
    let job = world.trigger("")?;
    let (socket, log) = (world.path("data/api.sock"), world.path("data/logs").join(&job).join("1.1.log"));
    let length = || fs::metadata(&log).map_or(0, |meta| meta.len());
    let got = std::thread::scope(|scope| {
        let events = scope.spawn(|| by_events(&socket, &job, PATIENCE));
        let command = scope.spawn(|| by_command(world.danube(&["logs", &job, "--step", "1", "-f"])));
        let ranges = scope.spawn(|| by_ranges(socket.clone(), &job, PATIENCE));
        for kill in 1..=KILLS {
            let at = megabytes * (1 << 20) * kill / (KILLS + 1);
            until("the log grows", || (length() >= at).then_some(()))?;
            until("the master runs", || world.master().kill().then_some(()))?;
        }
        ended(world, &job)?;
        let join = |name: &'static str, thread: std::thread::ScopedJoinHandle<'_, Result<Got, String>>| {
            let got = thread.join().map_err(|_| format!("{name} panicked"))?;
            got.map(|got| (name, got)).map_err(|error| format!("{name}: {error}"))
        };
        let joined = [join("events", events), join("danube logs -f", command), join("ranges", ranges)];
        joined.into_iter().collect::<Result<Vec<_>, String>>()
    })?;
    let bytes = fs::read(&log).map_err(|error| error.to_string())?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    for (name, got) in &got {
        if (got.bytes, &got.sha256) != (bytes.len() as u64, &sha256) {
            return Err(format!(
                "{name} got {} bytes ({}), the file has {} ({sha256})",
                got.bytes,
                got.sha256,
                bytes.len()
            ));
        }
        println!(
            "chaos: {name}: all {} bytes over {KILLS} kills, longest pause {:.2} s",
            got.bytes,
            got.pause.as_secs_f64()
        );
    }
    if bytes.len() as u64 <= megabytes << 20 {
        return Err(format!("the log has {} bytes only", bytes.len()));
    }
    Ok(())
}
