//! `danube man`: manual pages, made of what `--help` is made of.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::examples::examples;
use super::grammar::{ENVIRONMENT, EXIT_CODES, grammar};
use super::say::say;

/// Print the manual page, or write one for every command
#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write danube.1, danube-job-list.1 and all the others into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let mut grammar = grammar().disable_help_subcommand(true);
    grammar.build();
    match &args.out {
        None => say(&page(&grammar, "")?)?,
        Some(dir) => {
            fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
            write(&grammar, "", dir)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(command: &Command, path: &str, dir: &Path) -> anyhow::Result<()> {
    let file = dir.join(format!("{}.1", name(command)));
    fs::write(&file, page(command, path)?).with_context(|| format!("cannot write {}", file.display()))?;
    for below in command.get_subcommands() {
        write(below, format!("{path} {}", below.get_name()).trim_start(), dir)?;
    }
    Ok(())
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(command: &Command, path: &str) -> anyhow::Result<String> {
    let man = Man::new(command.clone()).source(format!("danube {}", env!("CARGO_PKG_VERSION"))).manual("Danube");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let lines = examples(path);
    let mut more = Roff::new();
    if !lines.is_empty() {
        more.control("SH", ["EXAMPLES"]).control("nf", []);
        lines.iter().for_each(|line| {
            more.text([roman(*line)]);
        });
        more.control("fi", []);
    }
    for (heading, rows) in [("EXIT STATUS", &EXIT_CODES[..]), ("ENVIRONMENT", &ENVIRONMENT[..])] {
        more.control("SH", [heading]);
        for (name, what) in rows {
            more.control("TP", []).text([bold(*name)]).text([roman(*what)]);
        }
    }
    more.to_writer(&mut text)?;
    Ok(String::from_utf8(text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options_examples_and_codes() {
        let dir = tempfile::tempdir().unwrap();
        let args = ManArgs { out: Some(dir.path().join("man1")) };
        run(&args).unwrap();
        let page = |name: &str| fs::read_to_string(dir.path().join("man1").join(name)).unwrap();
        let list = page("danube-job-list.1");
        for word in [".TH danube-job-list", "EXAMPLES", "danube job list", "EXIT STATUS", "pipeline"] {
            assert!(list.contains(word), "{word} is not in\n{list}");
        }
        assert!(page("danube.1").contains("danube\\-trigger(1)"), "{}", page("danube.1"));
    }
}
