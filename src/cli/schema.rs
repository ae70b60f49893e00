//! `danube schema`: the JSON Schemas of the config repo, for editors.
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::USAGE;
use super::say::say_json;
use crate::config_repo::{Kind, schema};
use crate::model::nearest;

/// Print the JSON Schema of a kind of document, or of all of them as one
#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Config, User, Team or Pipeline
    kind: Option<String>,
}

pub(super) fn run(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let wanted = match args.kind.as_deref() {
        None => all(),
        Some(word) => match find(word) {
            Some(kind) => schema(kind).clone(),
            None => {
                let words = Kind::ALL.map(Kind::as_str);
                let near = nearest(word, words).map(|near| format!(" Did you mean '{near}'?")).unwrap_or_default();
                eprintln!("danube: there is no kind '{word}'.{near} Kinds are: {}", words.join(", "));
                return Ok(ExitCode::from(USAGE));
            }
        },
    };
    say_json(&wanted)?;
    Ok(ExitCode::SUCCESS)
}

fn find(word: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(word))
}

/// One schema that a document of any kind fits.
fn all() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Danube config repo",
        "oneOf": Kind::ALL.map(schema),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_in_any_case_and_all_of_them_stand_in_one_schema() {
        assert_eq!(find("pipeline"), Some(Kind::Pipeline));
        assert_eq!(find("pipelines"), None);
        assert_eq!(all()["oneOf"].as_array().unwrap().len(), 4);
    }
}
