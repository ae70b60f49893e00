//! Why a job is slow: the steps on its critical path that took longer than they usually do.
use super::answer::{Slow, SlowStep};
use super::critical::critical;
use super::evidence::Evidence;
use super::usual::times_usual;
use crate::model::job::Status;
use crate::web::view::duration;

/// Steps that are named.
const NAMED: usize = 5;

pub(super) fn slow(evidence: &Evidence) -> Option<Slow> {
    let job = &evidence.job;
    let usual = evidence.usual.job?;
    let from = job.started_at?;
    let millis = job.finished_at.unwrap_or(evidence.now).as_millisecond() - from.as_millisecond();
    let path = critical(&evidence.spans);
    let on_path = evidence.spans.iter().filter(|span| path.contains(&span.seq));
    let mut steps: Vec<(i64, SlowStep)> = on_path
        .filter_map(|span| {
            let (took, usual) = (span.millis(), evidence.usual.step(&span.same)?);
            let times = times_usual(took, usual)?;
            let step = SlowStep {
                n: span.seq,
                name: span.same.name.clone(),
                seconds: seconds(took),
                usual_seconds: seconds(usual),
                times_usual: (times * 10.0).round() / 10.0,
            };
            Some((took - usual, step))
        })
        .collect();
    steps.sort_by_key(|(extra, _)| std::cmp::Reverse(*extra));
    // A job that broke off early cannot be compared as a whole.
    let whole = matches!(job.status, Status::Success | Status::Running | Status::Timeout);
    let whole = times_usual(millis, usual).filter(|_| whole);
    if whole.is_none() && steps.is_empty() {
        return None;
    }
    let mut sentence = match (whole, job.status) {
        (Some(times), Status::Running) => {
            format!("It has run for {}, {times:.1}× as long as usual ({}).", duration(millis), duration(usual))
        }
        (Some(times), _) => {
            format!("It took {}, {times:.1}× as long as usual ({}).", duration(millis), duration(usual))
        }
        (None, _) => String::new(),
    };
    if let Some((_, worst)) = steps.first() {
        let more = match steps.len() - 1 {
            0 => String::new(),
            1 => "; 1 further step was slower too".to_owned(),
            n => format!("; {n} further steps were slower too"),
        };
        let first = if sentence.is_empty() { "" } else { " Most of it: " };
        sentence.push_str(&format!(
            "{first}step \"{}\" took {:.1}× as long as usual ({} instead of {}){more}.",
            worst.name,
            worst.times_usual,
            human(worst.seconds),
            human(worst.usual_seconds)
        ));
        if let Some(rest) = sentence.strip_prefix("step") {
            sentence = format!("Step{rest}");
        }
    } else {
        sentence.push_str(" No step on its critical path stands out.");
    }
    Some(Slow {
        sentence,
        seconds: seconds(millis),
        usual_seconds: seconds(usual),
        steps: steps.into_iter().take(NAMED).map(|(_, step)| step).collect(),
    })
}

fn seconds(millis: i64) -> f64 {
    millis as f64 / 1000.0
}

fn human(seconds: f64) -> String {
    duration((seconds * 1000.0).round() as i64)
}
