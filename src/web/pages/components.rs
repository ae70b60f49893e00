//! `/about/components`: what the pages are made of, for the people who carry on. The examples are plain HTML in
//! `templates/components/examples.html`, shown and quoted from there, so that the two cannot differ.
use askama::Template;
use axum::extract::State;

use super::render;
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

const EXAMPLES: &str = include_str!("../../../templates/components/examples.html");

struct Example {
    id: String,
    name: &'static str,
    what: &'static str,
    html: &'static str,
}

#[derive(Template)]
#[template(path = "components.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    examples: Vec<Example>,
}

/// The page.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor) -> Answer {
    render(&Page { chrome: chrome(&app, &visitor, "components").await?, examples: examples(EXAMPLES) })
}

/// Examples begin with a comment `<!-- Name: what it is for -->`.
fn examples(text: &'static str) -> Vec<Example> {
    let parts = text.split("<!-- ").filter_map(|part| part.split_once(" -->"));
    parts
        .filter_map(|(head, html)| {
            let (name, what) = head.split_once(": ")?;
            Some(Example { id: name.to_lowercase(), name, what, html: html.trim() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_has_a_name_a_purpose_and_markup() {
        let all = examples(EXAMPLES);
        assert_eq!(all.len(), EXAMPLES.matches("<!-- ").count());
        for example in all {
            assert!(!example.html.is_empty() && example.what.ends_with('.'), "{}", example.name);
            assert!(example.id.bytes().all(|b| b.is_ascii_lowercase()), "{}", example.id);
        }
    }
}
