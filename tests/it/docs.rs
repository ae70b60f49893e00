//! The pages of the SDK do what they say: every danubefile on them is run, every document of a config repo is checked.
//!
//! A code block with a path behind its language is a file. A danubefile is run with all other files of its page, by the
//! `danube run` of the next `sh` block where there is one; the next `output` block is what it must print, line by line,
//! in any order and with other lines between.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::danube;
use crate::support::run::Run;

/// A fenced block of a page.
pub(crate) struct Block {
    language: String,
    /// What stands behind the language.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The page whose danubefile fails.
const REPLAYED: &str = "debug";
/// The page whose example needs a server, and is run with the builder: `registry::kaniko`.
pub(crate) const BUILT: &str = "images";
/// Its services are images of a registry; `services` has tests of its own.
const SERVED: &str = "services";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk/docs")
}

pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(docs().join(format!("{page}.md"))).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(head), None) => {
                let (language, path) = head.split_once(' ').unwrap_or((head, ""));
                open = Some(Block { language: language.into(), path: path.into(), text: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.extend([line, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page} has a block without an end");
    blocks
}

/// The block of that language before the next danubefile.
fn following<'a>(after: &'a [Block], language: &str) -> Option<&'a Block> {
    let own = after.iter().take_while(|block| block.path != "danubefile.py");
    own.into_iter().find(|block| block.language == language && block.path.is_empty())
}

/// Runs every danubefile of a page.
fn works(page: &str) {
    let blocks = blocks(page);
    let files: Vec<(&str, &str)> = blocks
        .iter()
        .filter(|block| !block.path.is_empty() && block.path != "danubefile.py" && block.language != "yaml")
        .map(|block| (block.path.as_str(), block.text.as_str()))
        .collect();
    let mut ran = 0;
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.path == "danubefile.py") {
        let mut all = files.clone();
        all.push(("danubefile.py", &block.text));
        let (mut run, mut arguments) = (Run::with(&all).shown(), Vec::new());
        if let Some(command) = following(&blocks[at + 1..], "sh") {
            let (variables, rest) = command.text.split_once("danube run").expect("a `danube run`");
            for variable in variables.split_whitespace() {
                let (name, value) = variable.split_once('=').expect("NAME=VALUE before `danube run`");
                run = run.env(name, value);
            }
            arguments.extend(rest.split_whitespace());
        }
        let mut command = run.command();
        command.args(arguments);
        let end = run.start(command).end();
        assert_eq!(end.code, 0, "{page}: {}{}", end.out, end.err);
        let promised = following(&blocks[at + 1..], "output").unwrap_or_else(|| panic!("{page} promises no output"));
        let printed: Vec<&str> = end.out.lines().map(str::trim).collect();
        for line in promised.text.lines() {
            assert!(printed.contains(&line), "{page} promises `{line}`, printed is:\n{}", end.out);
        }
        ran += 1;
    }
    assert!(ran > 0, "{page} has no danubefile");
}

macro_rules! pages {
    ($($name:ident: $page:literal,)*) => {
        const PAGES: &[&str] = &[$($page),*];
        $(#[test]
        fn $name() {
            works($page);
        })*
    };
}

pages! {
    the_first_pipeline_works: "first-pipeline",
    the_matrix_works: "matrix",
    the_steps_side_by_side_work: "side-by-side",
    the_use_of_a_secret_works: "secrets",
    the_masked_value_works: "mask",
    the_retries_work: "retry",
    the_question_for_changes_works: "changed",
    the_shared_files_work: "files",
    the_cache_works: "caches",
    the_parameters_work: "params",
    the_values_between_steps_work: "values",
    the_way_to_the_network_works: "network",
    the_test_results_work: "test-results",
    the_note_on_the_job_works: "annotate",
}

/// The page about failed runs: its danubefile fails, and the debugger's session is the one that the page shows.
#[test]
fn the_replay_of_a_failed_run_works() {
    let blocks = blocks(REPLAYED);
    let files: Vec<(&str, &str)> = blocks
        .iter()
        .filter(|block| !block.path.is_empty())
        .map(|block| (block.path.as_str(), block.text.as_str()))
        .collect();
    let run = Run::with(&files);
    assert_eq!(run.end().code, 1);
    let mut command = Command::new(danube());
    command.arg("replay").arg(run.repo()).arg("--data-dir").arg(run.data());
    let session = &blocks.iter().find(|block| block.language == "pdb").expect("a session").text;
    let lines: Vec<&str> = session.lines().filter_map(|line| line.strip_prefix("(Pdb) ")).collect();
    let seen = crate::replay::typed(&command, &lines);
    let printed: Vec<&str> = seen.text.lines().collect();
    for line in session.lines() {
        assert!(printed.contains(&line), "{REPLAYED} promises `{line}`, printed is:\n{}", seen.text);
    }
    assert_eq!(seen.code, 0);
}

#[test]
fn every_page_is_run_and_listed() {
    let index = fs::read_to_string(docs().join("README.md")).unwrap();
    for entry in fs::read_dir(docs()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = name.strip_suffix(".md").unwrap_or_else(|| panic!("{name} is no page"));
        if page != "README" {
            assert!(index.contains(&format!("]({name})")), "the index does not list {name}");
            assert!(
                page == "reference" || page == REPLAYED || page == BUILT || page == SERVED || PAGES.contains(&page),
                "{name} is not run"
            );
        }
    }
}

#[test]
fn every_document_of_a_config_repo_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("config");
    let succeeds = |arguments: &[&str]| {
        let output = Command::new(danube()).args(arguments).arg(&repo).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    };
    succeeds(&["init"]);
    let mut documents = 0;
    for page in PAGES {
        for block in blocks(page).into_iter().filter(|block| block.language == "yaml") {
            fs::remove_dir_all(repo.join("pipelines")).unwrap();
            fs::create_dir(repo.join("pipelines")).unwrap();
            fs::write(repo.join(&block.path), &block.text).unwrap();
            succeeds(&["lint"]);
            documents += 1;
        }
    }
    assert!(documents >= 3, "{documents}");
}
