//! The words of the command line with their examples: what help, man pages and completions are made of.
use clap::{Command, CommandFactory as _};

use super::examples::examples;

/// What the codes of the process mean.
pub(super) const EXIT_CODES: [(&str, &str); 7] = [
    ("0", "it went well"),
    ("1", "the job or the command failed"),
    ("2", "verification failed"),
    ("3", "it could not be checked: no server answers, a file cannot be read"),
    ("64", "wrong usage"),
    ("78", "wrong configuration"),
    ("130", "Ctrl-C ended the watching of a job; the job goes on"),
];

/// Variables that client commands look at.
pub(super) const ENVIRONMENT: [(&str, &str); 5] = [
    ("DANUBE_SERVER", "the address of the server to ask"),
    ("DANUBE_TOKEN", "the token for it"),
    ("DANUBE_SOCKET", "the socket of a server on this machine"),
    ("NO_COLOR", "no colours"),
    ("CLICOLOR_FORCE", "colours in pipes and files too"),
];

/// The whole command line.
pub(super) fn grammar() -> Command {
    let exits = list("Exit codes", &EXIT_CODES);
    let environment = list("Environment", &ENVIRONMENT);
    let first = "Begin with `danube demo`, `danube init` or `danube login`; `danube help COMMAND` has examples.";
    described(super::Cli::command(), "").max_term_width(100).after_help(format!("{exits}\n{environment}\n{first}"))
}

fn list(heading: &str, rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let rows: String = rows.iter().map(|(name, what)| format!("  {name:width$}  {what}\n")).collect();
    format!("{heading}:\n{rows}")
}

/// A command and those below it, each with its examples.
fn described(command: Command, path: &str) -> Command {
    let lines: String = examples(path).iter().map(|line| format!("\n  {line}")).collect();
    let command = if lines.is_empty() { command } else { command.after_help(format!("Examples:{lines}")) };
    let names: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    names.into_iter().fold(command, |command, name| {
        let path = if path.is_empty() { name.clone() } else { format!("{path} {name}") };
        command.mut_subcommand(name, |below| described(below, &path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command that does something, with its path.
    fn leaves(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        let below: Vec<&Command> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
        if below.is_empty() {
            found.push((path.to_owned(), command.clone()));
        }
        for command in below {
            leaves(command, format!("{path} {}", command.get_name()).trim_start(), found);
        }
    }

    /// Words as a shell parts them; what stands behind a `<`, `>` or `|` is the shell's.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                '<' | '>' | '|' | ';' if !quoted => break,
                c => words.last_mut().unwrap().push(c),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    #[test]
    fn every_command_has_an_example_and_every_example_is_understood() {
        let grammar = grammar();
        grammar.clone().debug_assert();
        let mut found = Vec::new();
        leaves(&grammar, "", &mut found);
        for (path, _) in found {
            let lines = examples(&path);
            assert!(!lines.is_empty(), "'{path}' has no example");
            for line in lines {
                let at = line.find("danube ").unwrap();
                let given = words(&line[at..]);
                assert!(line[at..].starts_with(&format!("danube {path}")), "'{line}' is no example of '{path}'");
                let read = grammar.clone().try_get_matches_from(&given);
                assert!(read.is_ok(), "{line}: {}", read.unwrap_err());
            }
        }
    }

    #[test]
    fn help_is_as_it_was_read_last() {
        let mut text = String::new();
        let mut grammar = grammar().term_width(80);
        grammar.build();
        help(&mut grammar, &mut text);
        crate::golden::check("src/cli/help.golden.txt", &text);
    }

    fn help(command: &mut Command, text: &mut String) {
        let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
        let shown = command.render_long_help().to_string();
        let lines: String = shown.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        text.push_str(&format!("==== {name}\n{lines}\n"));
        for below in command.get_subcommands_mut().filter(|below| below.get_name() != "help") {
            help(below, text);
        }
    }
}
