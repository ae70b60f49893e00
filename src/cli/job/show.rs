//! `danube job show`: the answer first, then the steps.
use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde_json::Value;

use super::bars;
use crate::cli::client::{Client, ClientError, FailedTest, Job, JobName, LogEnd, Summary, log_end, read, summary};
use crate::cli::say::{say, say_json};
use crate::cli::style::{Colour, Look, ago, exact, plain, size, state, took};
use crate::cli::trigger::unsaid;
use crate::model::job::Status;
use crate::platform::{Clock as _, SystemClock};

/// Show a job: how it stands and why, its steps
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The job: web#42, or its id
    job: JobName,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(client: &Client, args: &ShowArgs) -> Result<ExitCode, ClientError> {
    let mut answer: Value = client.fetch(args.job.get("")).await?;
    let explained = summary(client, &args.job).await?;
    if args.json {
        answer["summary"] = explained.unwrap_or_default();
        say_json(&answer).map_err(unsaid)?;
        return Ok(ExitCode::SUCCESS);
    }
    // A newer server may say more of them: the job itself is told all the same.
    let used: Vec<CacheUse> =
        answer.get("caches").and_then(|used| serde_json::from_value(used.clone()).ok()).unwrap_or_default();
    let job: Job = read(client, answer)?;
    // A newer server may explain in other words: the job itself is told all the same.
    let why: Summary = explained.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    let end = match (LogEnd::of(&why), job.culprit()) {
        (None, Some(step)) => log_end(client, &args.job, step).await?,
        (end, _) => end,
    };
    let mut text = render(&job, &why, end.as_ref(), SystemClock.now(), Look::of(&std::io::stdout()));
    text.push_str(&caches(&used));
    say(&text).map_err(ClientError::output)?;
    Ok(ExitCode::SUCCESS)
}

/// What a step found of a cache.
#[derive(serde::Deserialize)]
struct CacheUse {
    step: u32,
    name: String,
    key: Option<String>,
    found: String,
    found_note: String,
    restored_bytes: u64,
    restored_seconds: f64,
    saved: Option<String>,
    saved_note: String,
    saved_bytes: u64,
    saved_seconds: f64,
}

fn caches(used: &[CacheUse]) -> String {
    let mut text = String::new();
    for one in used {
        let key = one.key.as_ref().map(|key| format!(" ({key})")).unwrap_or_default();
        let found = match one.found.as_str() {
            "hit" => {
                format!("restored {} of {} in {:.1} s", size(one.restored_bytes), one.found_note, one.restored_seconds)
            }
            _ if one.found_note.is_empty() => "nothing was stored".to_owned(),
            _ => one.found_note.clone(),
        };
        let saved = match one.saved.as_deref() {
            None => String::new(),
            Some("stored") => format!("; stored {} in {:.1} s", size(one.saved_bytes), one.saved_seconds),
            Some("no") => format!("; not stored: {}", one.saved_note),
            Some(word) => format!("; {word}"),
        };
        let line = format!("  cache {}{key} of step {}: {found}{saved}", one.name, one.step);
        let _always = writeln!(text, "{}", plain(&line));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn render(job: &Job, why: &Summary, end: Option<&LogEnd>, now: Timestamp, look: Look) -> String {
    let mut text = String::new();
    let dim = |text: &str| look.paint(Colour::Dim, text);
    let label = look.paint(Colour::Bold, &plain(&job.label()));
    let mut put = |line: String| {
        let _always = writeln!(text, "{line}");
    };
    put(format!("{} {label}{}", state(job.status).paint(look), reason(job, why)));
    if let Some(end) = end {
        put(String::new());
        end.shown(&job.label(), look).into_iter().for_each(&mut put);
    }
    let told = remarks(why);
    if !told.is_empty() {
        put(String::new());
        told.iter().for_each(|line| put(format!("  {}", plain(line))));
    }
    put(String::new());
    for (name, value) in facts(job, now) {
        put(format!("  {} {}", dim(&format!("{name:<8}")), plain(&value)));
    }
    if !job.steps.is_empty() {
        put(String::new());
        text.push_str(&bars::steps(job, why, now, look));
    }
    let commands: Vec<_> =
        why.next.iter().filter_map(|action| Some((&action.text, action.command.as_ref()?))).collect();
    if !commands.is_empty() {
        text.push('\n');
    }
    for (what, command) in commands {
        let _always = writeln!(text, "  {} {}", dim(&format!("{}:", plain(what))), plain(command));
    }
    text
}

/// What else failed, what tests say, what changed, what was slow, what helps.
fn remarks(why: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(why) = &why.why {
        if why.failed_too.is_empty() && !why.also.is_empty() {
            lines.push(format!("also failed: {}", why.also.join(", ")));
        }
        for step in &why.failed_too {
            let line = step.line.as_ref().map(|line| format!(" Line {}: {}", line.number, line.text.trim()));
            lines.push(format!("also failed: {}{}", step.sentence, line.unwrap_or_default()));
        }
    }
    if let Some(tests) = &why.tests {
        lines.push(format!("tests: {}", tests.sentence));
        lines.extend(tests.first.iter().map(failed_test));
        let more = tests.failed.saturating_sub(tests.first.len() as u64);
        lines.extend((more > 0).then(|| format!("  and {more} more")));
    }
    lines.extend(why.changed.as_ref().map(|said| said.sentence.clone()));
    lines.extend(why.slow.as_ref().map(|slow| slow.sentence.clone()));
    let change = why.next.iter().filter(|action| action.what == "change");
    lines.extend(change.map(|action| action.text.clone()));
    lines
}

fn failed_test(test: &FailedTest) -> String {
    let suite = if test.suite.is_empty() { String::new() } else { format!("{}: ", test.suite) };
    let said = if test.message.is_empty() { String::new() } else { format!(": {}", test.message) };
    format!("  ✗ {suite}{} ({}){said}", test.name, test.state)
}

fn reason(job: &Job, explained: &Summary) -> String {
    let sentence = explained.why.as_ref().map(|why| why.sentence.as_str());
    let why = match job.status {
        Status::Pending => job.waiting.as_deref().or(job.reason.as_deref()),
        Status::Running => job.parked.as_deref(),
        _ => sentence.or(job.reason.as_deref()),
    };
    // A step may be green although a test of it is red.
    let red = explained.tests.as_ref().filter(|tests| job.status == Status::Success && tests.failed > 0);
    match (why, red) {
        (Some(why), _) => format!(": {}", plain(why)),
        (None, Some(tests)) => format!(", but tests failed: {}", plain(&tests.sentence)),
        (None, None) => String::new(),
    }
}

fn facts(job: &Job, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("commit", format!("{} {}", job.short_commit(), job.subject())),
        if job.tag.is_some() { ("tag", job.line().to_owned()) } else { ("branch", job.branch.clone()) },
    ];
    if !job.author.is_empty() {
        facts.push(("author", job.author.clone()));
    }
    facts.push((
        "asked",
        format!("{} ({}), by {} ({})", ago(job.created_at, now), exact(job.created_at), job.actor, job.trigger),
    ));
    if let Some(from) = job.started_at {
        let word = if job.finished_at.is_some() { "took" } else { "runs" };
        facts.push((word, took(from, job.finished_at.unwrap_or(now))));
    }
    if job.attempt > 1 {
        facts.push(("attempt", job.attempt.to_string()));
    }
    let not_from_there = job.rerun_from_failed.as_ref().and_then(|from| from.why.as_ref());
    if let Some(why) = not_from_there.filter(|_| job.status != Status::Success) {
        facts.push(("again", format!("only all of it: {why}")));
    }
    if let Some(workspace) = &job.workspace {
        facts.push(("disk", workspace.said.clone()));
    }
    for image in &job.images {
        let tag = image.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        facts.push(("pushed", format!("{}{tag}@{}", image.repository, image.digest)));
    }
    facts.push(("id", job.id.to_string()));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::tests::{at, job, step};
    use crate::cli::client::{FromFailed, Step};
    use crate::model::step::StepStatus;
    use serde_json::json;

    #[test]
    fn the_answer_comes_first_then_the_facts_then_the_steps() {
        let mut job = job(Status::Failure);
        job.rerun_from_failed = Some(FromFailed { why: Some("none of its steps had ended well".to_owned()) });
        (job.started_at, job.finished_at) = (Some(at(0)), Some(at(16)));
        job.reason = Some("step \"test\" failed: exit code 1".to_owned());
        job.message = "Reject\u{1b}[2J it\n\nmore".to_owned();
        job.steps =
            vec![Step { finished_at: Some(at(16)), exit_code: Some(1), ..step(1, "test", StepStatus::Failure) }];
        let explained = json!({
            "why": {
                "kind": "exit", "sentence": "step \"test\" failed: exit code 1", "step": "test", "exit_code": 1,
                "lines": [{ "number": 9, "text": "a\u{1b}[2J" }, { "number": 10, "text": "not raised" }],
                "log": { "step": 1, "line": 9, "error": true, "url": "/x" }, "also": ["lint"],
            },
            "changed": { "sentence": "1 commit since web#41" },
            "slow": { "sentence": "slower than usual", "steps": [{ "n": 1, "name": "test", "times_usual": 2.04 }] },
            "next": [{ "do": "rerun", "text": "run it again", "url": null, "command": "danube job rerun web#42" }],
        });
        let why: Summary = serde_json::from_value(explained).unwrap();
        let end = LogEnd::of(&why).unwrap();
        let expected = "\
✗ failure web#42: step \"test\" failed: exit code 1

  the first failing lines of step 1, test:
  │  9  a\u{fffd}[2J
  │ 10  not raised
  all of it: danube logs 'web#42' --step 1

  also failed: lint
  1 commit since web#41
  slower than usual

  commit   9f3c1ab0 Reject\u{fffd}[2J it
  branch   main
  author   Mina Ito <mina@example.com>
  asked    1 min ago (2027-01-15 08:00:00 UTC), by mina@example.com (manual)
  took     16.0 s
  again    only all of it: none of its steps had ended well
  id       01890a5d-ac96-774b-bcce-b302099a8057

#  STATE      STEP  TOOK    0 … 16.0 s
1  ✗ failure  test  16.0 s  ████████████████████████████████  exit code 1, 2.0× usual

  run it again: danube job rerun web#42
";
        assert_eq!(render(&job, &why, Some(&end), at(60), Look::bare()), expected);
    }

    #[test]
    fn failed_tests_are_named_also_of_a_green_job_and_what_helps_is_said() {
        let explained = json!({
            "tests": { "sentence": "12 tests, 7 failed, 1 of them newly", "failed": 7, "first": [
                { "suite": "comment", "name": "bare_cr", "state": "newly failing", "message": "not\u{1b} raised" },
                { "suite": "", "name": "crlf", "state": "failed, flaky", "message": "" },
            ] },
            "next": [{ "do": "change", "text": "give the step more", "url": null, "command": null }],
        });
        let why: Summary = serde_json::from_value(explained).unwrap();
        let text = render(&job(Status::Success), &why, None, at(60), Look::bare());
        let expected = "\
✓ success web#42, but tests failed: 12 tests, 7 failed, 1 of them newly

  tests: 12 tests, 7 failed, 1 of them newly
    ✗ comment: bare_cr (newly failing): not\u{fffd} raised
    ✗ crlf (failed, flaky)
    and 5 more
  give the step more
";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_further_failed_step_says_its_line() {
        let explained = json!({ "why": { "sentence": "x", "also": ["lint"], "failed_too": [
            { "step": 2, "name": "lint", "sentence": "Step \"lint\" exited with code 1 after 1 s.",
              "line": { "number": 3, "text": "x.py:1: error: no" }, "url": "/x" },
        ] } });
        let why: Summary = serde_json::from_value(explained).unwrap();
        let text = render(&job(Status::Failure), &why, None, at(60), Look::bare());
        let said = "  also failed: Step \"lint\" exited with code 1 after 1 s. Line 3: x.py:1: error: no\n";
        assert!(text.contains(said), "{text}");
    }

    #[test]
    fn a_waiting_job_says_what_for() {
        let mut job = job(Status::Pending);
        job.waiting = Some("10 jobs run already".to_owned());
        assert!(
            render(&job, &Summary::default(), None, at(1), Look::bare())
                .starts_with("◌ pending web#42: 10 jobs run already\n")
        );
    }
}
