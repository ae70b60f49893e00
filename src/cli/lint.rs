//! `danube lint`: checks a checkout of the config repo as the server does.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::say::{say, say_json};
use crate::config_repo::{ConfigIssue, check, from_dir, is_private};
use crate::model::settings::Settings;

/// The checkout could not be looked at.
const COULD_NOT_CHECK: u8 = 3;
/// Characters of a line that are shown.
const WIDTH: usize = 120;

/// Check a checkout of the config repo: the same errors as the server, all at once
#[derive(Debug, Args)]
pub(super) struct LintArgs {
    /// The checkout
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let files = match from_dir(&args.dir) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("danube: {:#}", anyhow::Error::new(error));
            return Ok(ExitCode::from(COULD_NOT_CHECK));
        }
    };
    let texts: BTreeMap<String, String> =
        files.list.iter().map(|file| (file.path.clone(), file.text.clone())).collect();
    let checked = check(files);
    let code = if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.json {
        let issues = checked.err().unwrap_or_default();
        say_json(&json!({ "ok": issues.is_empty(), "issues": issues }))?;
    } else {
        match checked {
            Ok(settings) => say(&format!("{}\n", summary(&settings)))?,
            Err(issues) => say(&report(&issues, &texts))?,
        }
    }
    Ok(code)
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn summary(settings: &Settings) -> String {
    let users = count(settings.users.len(), "user");
    let teams = count(settings.teams.len(), "team");
    format!("well: {users}, {teams}, {}", count(settings.pipelines.len(), "pipeline"))
}

fn report(issues: &[ConfigIssue], texts: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let lines: BTreeMap<&str, Vec<&str>> =
        texts.iter().map(|(path, text)| (path.as_str(), text.lines().collect())).collect();
    for issue in issues {
        let line = lines.get(issue.file.as_str()).and_then(|lines| lines.get((issue.line as usize).saturating_sub(1)));
        let excerpt = line.map(|line| excerpt(line, issue)).unwrap_or_default();
        let _always = writeln!(text, "{issue}\n{excerpt}  fix: {}\n", issue.fix);
    }
    let files: BTreeSet<&str> = issues.iter().map(|issue| issue.file.as_str()).collect();
    let _always = writeln!(text, "{} in {}", count(issues.len(), "mistake"), count(files.len(), "file"));
    text
}

/// The line with a caret under the place; nothing where the line may hold a secret.
fn excerpt(line: &str, issue: &ConfigIssue) -> String {
    if line.trim().is_empty() || is_private(line) {
        return String::new();
    }
    let column = (issue.column as usize).saturating_sub(1);
    let start = if column > WIDTH / 2 && line.chars().count() > WIDTH { column - WIDTH / 2 } else { 0 };
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = line.chars().skip(start).take(WIDTH).map(clean).collect();
    let number = issue.line.to_string();
    let margin = " ".repeat(number.len());
    let caret = " ".repeat(column - start);
    format!("  {margin} |\n  {number} | {}\n  {margin} | {caret}^\n", shown.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issue(line: u32, column: u32) -> ConfigIssue {
        let (message, fix) = ("unknown team 'platfrom'".to_owned(), "did you mean 'platform'?".to_owned());
        ConfigIssue { file: "pipelines/web.yaml".into(), line, column, message, fix, text: String::new() }
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_a_caret_and_the_fix() {
        let source = "kind: Pipeline\nmetadata: {name: web,\tteam: platfrom}\n";
        let texts = BTreeMap::from([("pipelines/web.yaml".to_owned(), source.to_owned())]);
        assert_eq!(
            report(&[issue(2, 29)], &texts),
            "pipelines/web.yaml:2:29: error: unknown team 'platfrom'\n    \
             |\n  2 | metadata: {name: web, team: platfrom}\n    |                             ^\n  \
             fix: did you mean 'platform'?\n\n1 mistake in 1 file\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place_and_a_missing_one_is_left_out() {
        let source = format!("{}x{}", " a".repeat(500), " b".repeat(500));
        let shown = excerpt(&source, &issue(1, 1001));
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH + 10), "{shown}");
        let lines: Vec<_> = shown.lines().collect();
        assert_eq!(lines[1].chars().nth(lines[2].chars().count() - 1), Some('x'));
        let texts = BTreeMap::from([("pipelines/web.yaml".to_owned(), "a: 1\n".to_owned())]);
        assert_eq!(
            report(&[issue(7, 1)], &texts),
            "pipelines/web.yaml:7:1: error: unknown team 'platfrom'\n  fix: did you mean 'platform'?\n\n1 mistake in 1 file\n"
        );
    }

    #[test]
    fn a_line_that_may_hold_a_password_is_not_shown() {
        assert_eq!(excerpt("  password_hash: hunter22", &issue(1, 3)), "");
        assert_eq!(excerpt("  repository: https://a:b@git.example.com/x", &issue(1, 3)), "");
    }
}
