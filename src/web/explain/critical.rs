//! The critical path: the steps that the job waited for, one after the other. Making any other step faster gains
//! nothing.
use std::collections::BTreeSet;

use super::span::Span;

/// Between two steps the danubefile itself runs; a longer gap was spent waiting for another branch.
const GAP: i64 = 100;

/// The places of the steps on the critical path.
///
/// The danubefile does not say what depends on what, so it is read from times, from the end backwards: a step
/// waited for the one that ended last before it, of its own line of branches if that explains its start.
pub(in crate::web) fn critical(spans: &[Span]) -> BTreeSet<u32> {
    let mut path = BTreeSet::new();
    let mut by_end: Vec<&Span> = spans.iter().filter(|span| !span.reused).collect();
    by_end.sort_by_key(|span| (span.to, span.seq));
    let mut current = by_end.pop();
    while let Some(span) = current {
        path.insert(span.seq);
        // The order is strict, so that steps of no length are passed once.
        let before = |other: &&Span| other.to <= span.from && (other.to, other.seq) < (span.to, span.seq);
        let ended = by_end.partition_point(before);
        by_end.truncate(ended);
        let any = by_end.last().copied();
        let own = by_end.iter().rev().find(|other| in_line(&other.same.branch, &span.same.branch)).copied();
        current = match (own, any) {
            (Some(own), Some(any)) if any.to.as_millisecond() - own.to.as_millisecond() > GAP => Some(any),
            (Some(own), _) => Some(own),
            (None, any) => any,
        };
    }
    path
}

/// Whether two branches can come one after the other: not two branches of the same call.
fn in_line(one: &str, other: &str) -> bool {
    let mut pairs = one.split('/').zip(other.split('/'));
    pairs.find(|(one, other)| one != other).is_none_or(|(one, other)| {
        let call = |part: &str| part.split('[').next().unwrap_or_default().to_owned();
        call(one) != call(other)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::job_past::StepTime;
    use crate::web::explain::span::past;
    use jiff::Timestamp;

    /// Spans of `(branch, from, to)`, in milliseconds.
    fn spans(steps: &[(&str, i64, i64)]) -> Vec<Span> {
        let at = |millis: i64| Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap();
        let id = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let time = |(place, (branch, from, to)): (u32, &(&str, i64, i64))| StepTime {
            job_id: id,
            seq: place,
            branch: (*branch).to_owned(),
            name: format!("step {place}"),
            status: crate::model::step::StepStatus::Success,
            started_at: at(*from),
            finished_at: at(*to),
        };
        past(&(1..).zip(steps).map(time).collect::<Vec<_>>())
    }

    fn path(steps: &[(&str, i64, i64)]) -> Vec<u32> {
        critical(&spans(steps)).into_iter().collect()
    }

    #[test]
    fn the_longest_branch_is_waited_for() {
        let steps = [("", 0, 10), ("/matrix#0[a=1]", 10, 30), ("/matrix#0[a=2]", 10, 90), ("", 90, 95)];
        assert_eq!(path(&steps), [1, 3, 4]);
        assert_eq!(path(&[]), [0; 0]);
    }

    #[test]
    fn a_step_waits_for_its_own_branch_before_another() {
        let steps = [("/parallel#0[0]", 0, 990), ("/parallel#0[1]", 0, 995), ("/parallel#0[0]", 998, 3000)];
        assert_eq!(path(&steps), [1, 3]);
    }

    #[test]
    fn a_branch_that_waits_for_a_place_waits_for_the_branch_that_had_it() {
        let steps = [("", 0, 10), ("/matrix#0[a=1]", 10, 2000), ("/matrix#0[a=2]", 2010, 4000)];
        assert_eq!(path(&steps), [1, 2, 3]);
    }
}
