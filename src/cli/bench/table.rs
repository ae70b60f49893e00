//! A report for people, and for a README.
use super::report::{Bound, Goal, Of, Report};
use crate::cli::style::{Cell, Colour, Look, table};

/// The report as a terminal shows it.
pub(super) fn text(report: &Report, look: Look) -> String {
    let machine = &report.machine;
    let gigabytes = machine.memory >> 30;
    let mut text = format!(
        "{}  {}, {} CPUs, {gigabytes} GB, Linux {}, load {:.1}, {} build\n\n",
        title(report),
        machine.cpu,
        machine.cpus,
        machine.kernel,
        machine.load,
        machine.build
    );
    let rows: Vec<[Cell; 7]> = report
        .measures
        .iter()
        .map(|m| {
            let s = m.spread;
            let what = format!("{} [{}]", m.what, m.unit);
            [
                what.into(),
                s.n.to_string().into(),
                number(s.min).into(),
                number(s.p50).into(),
                number(s.p95).into(),
                number(s.p99).into(),
                number(s.max).into(),
            ]
        })
        .collect();
    text += &table(["MEASURED", "N", "MIN", "P50", "P95", "P99", "MAX"], &rows, look);
    if !report.goals.is_empty() {
        let rows: Vec<[Cell; 6]> = report.goals.iter().map(goal_row).collect();
        text.push('\n');
        text += &table(["GOAL", "WANTED", "SEEN", "MACHINE", "RATIO", ""], &rows, look);
    }
    for note in &report.notes {
        text += &format!("\n{note}\n");
    }
    text
}

fn goal_row(goal: &Goal) -> [Cell; 6] {
    let met = match goal.met {
        true => Cell::new("✓ met").colour(Colour::Good),
        false => Cell::new("✗ missed").colour(Colour::Bad),
    };
    [goal.what.as_str().into(), wanted(goal).into(), seen(goal).into(), limit(goal).into(), ratio(goal).into(), met]
}

/// The goals as rows of a Markdown table, without its head.
pub(super) fn markdown(report: &Report) -> String {
    let row = |goal: &Goal| {
        let met = if goal.met { "met" } else { "**missed**" };
        let cells = [title(report), goal.what.clone(), wanted(goal), seen(goal), limit(goal), ratio(goal)];
        format!("| {} | {met} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
    };
    report.goals.iter().map(row).collect()
}

fn title(report: &Report) -> String {
    let sizes: String = report.size.iter().map(|(name, n)| format!(" --{name} {n}")).collect();
    format!("{}{sizes}", report.bench)
}

fn wanted(goal: &Goal) -> String {
    let sign = if goal.bound == Bound::AtMost { "≤" } else { "≥" };
    match goal.of {
        Of::Ratio => format!("{sign} {} × machine", number(goal.goal)),
        Of::Count | Of::Time => format!("{sign} {} {}", number(goal.goal), goal.unit),
    }
}

fn seen(goal: &Goal) -> String {
    format!("{} {}", number(goal.seen), goal.unit)
}

fn limit(goal: &Goal) -> String {
    goal.limit.map(|limit| format!("{} {}", number(limit), goal.unit)).unwrap_or_default()
}

fn ratio(goal: &Goal) -> String {
    goal.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default()
}

/// Three digits that count.
fn number(n: f64) -> String {
    match n.abs() {
        size if size >= 100.0 || n.fract() == 0.0 => format!("{n:.0}"),
        size if size >= 10.0 => format!("{n:.1}"),
        _ => format!("{n:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_stands_beside_what_was_seen_and_what_the_machine_gave() {
        let mut report = Report::new("latency", [("steps", 10)]);
        report.goals.push(Goal::ratio("a further step", "ms", 30.26, 10.0, Bound::AtMost, 2.0));
        report.goals.push(Goal::count("gaps", "lines", 0.0, Bound::AtMost, 0.0));
        let want = "| latency --steps 10 | a further step | ≤ 2 × machine | 30.3 ms | 10 ms | 3.03 | **missed** |\n\
                    | latency --steps 10 | gaps | ≤ 0 lines | 0 lines |  |  | met |\n";
        assert_eq!(markdown(&report), want);
        let shown = text(&report, Look::bare());
        assert!(shown.contains("a further step  ≤ 2 × machine  30.3 ms  10 ms    3.03   ✗ missed"), "{shown}");
    }
}
