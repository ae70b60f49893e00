//! `/pipelines/{name}/tests`: the tests of a pipeline, what failed last first, each with its past.
use askama::Template;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::render;
use crate::model::Action;
use crate::store::test_history::{self, Which};
use crate::web::access;
use crate::web::api::Cases;
use crate::web::api::tests::which;
use crate::web::error::Answer;
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{DOTS, Dots, dots, pipeline_href, seconds};
use crate::web::visitor::Visitor;

const PAGE: u32 = 50;

struct Line {
    href: String,
    suite: String,
    name: String,
    report: String,
    dots: Dots,
    took: String,
}

struct Choice {
    href: String,
    name: &'static str,
    here: bool,
}

#[derive(Template)]
#[template(path = "test_history.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    pipeline: String,
    pipeline_href: String,
    choices: Vec<Choice>,
    empty: &'static str,
    tests: Vec<Line>,
    more: Option<String>,
}

/// Which tests, and where the list goes on.
#[derive(Deserialize)]
pub(in crate::web) struct Look {
    show: Option<String>,
    cursor: Option<String>,
}

/// The tests of a pipeline.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(look): Query<Look>,
) -> Answer {
    let (_read, row) = access::pipeline(&app, &visitor, name, Action::ReadPipeline).await?;
    let which = which(look.show.as_deref())?;
    let list = Cases::of(row.id, which);
    let after = list.read(look.cursor.as_deref())?;
    let rows = app
        .store
        .read(move |view| {
            let cases = test_history::page(view, row.id, which, after, PAGE)?;
            cases
                .into_iter()
                .map(|case| Ok((test_history::of_case(view, case.id, None, DOTS)?, case)))
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    let href = pipeline_href(&row.name);
    let here = |which: Which| format!("{href}/tests?show={}", which.as_str());
    let full = rows.len() == PAGE as usize;
    let next = rows.last().filter(|_| full).map(|(_, case)| list.behind(case));
    let choice = |other, name| Choice { href: here(other), name, here: other == which };
    let page = Page {
        chrome: chrome(&app, &visitor, "pipelines").await?,
        more: next.map(|cursor| format!("{}&cursor={cursor}", here(which))),
        choices: vec![choice(Which::Failed, "Failed"), choice(Which::Flaky, "Flaky"), choice(Which::All, "All")],
        empty: match which {
            Which::Failed => "No test has failed in the jobs that are kept.",
            Which::Flaky => "No test was flaky in the jobs that are kept.",
            Which::All => "No job of this pipeline has reported tests. A danubefile does it by tests.junit(…).",
        },
        tests: rows
            .into_iter()
            .map(|(past, case)| Line {
                href: format!("{href}/tests/{}", case.id),
                suite: case.suite,
                name: case.name,
                report: case.report,
                took: past.first().map_or_else(String::new, |result| seconds(result.millis)),
                dots: dots(&past),
            })
            .collect(),
        pipeline: row.name,
        pipeline_href: href,
    };
    render(&page)
}
