//! `/pipelines`: every pipeline that the visitor may see, and how it does.
use std::collections::BTreeSet;

use askama::Template;
use axum::extract::{Query, State};
use serde::Deserialize;

use super::render;
use crate::model::job::Status;
use crate::store::pipelines::PipelineRow;
use crate::store::{JobHead, StoreError, job_heads};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::parts::{Chrome, PipelineLine, chrome, lines};
use crate::web::state::AppState;
use crate::web::view::{Pager, Tab, address};
use crate::web::visitor::Visitor;

/// Pipelines of one page.
const PAGE: usize = 40;
/// Characters of a filter that are read.
const LONGEST: usize = 100;
/// Newest jobs that tell whether a pipeline is red: a running one does not hide the result before.
const LOOKED_AT: u32 = 4;
/// The cuts by state: the word of the address, and how it is called.
const STATES: [(&str, &str); 5] =
    [("", "all"), ("red", "red"), ("green", "green"), ("running", "running or waiting"), ("never", "never run")];

#[derive(Template)]
#[template(path = "pipelines.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    total: usize,
    found: usize,
    asked: Filter,
    teams: Vec<String>,
    states: Vec<Tab>,
    pipelines: Vec<PipelineLine>,
    pager: Pager,
}

/// The cut of the list; `after` is the last name of the page before.
#[derive(Default, Deserialize)]
pub(in crate::web) struct Filter {
    #[serde(default)]
    q: String,
    #[serde(default)]
    team: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    after: String,
}

/// The list.
pub(in crate::web) async fn show(State(app): State<AppState>, visitor: Visitor, Query(asked): Query<Filter>) -> Answer {
    let asked = asked.bounded();
    let rows = access::readable(&app, &visitor).await?;
    let total = rows.len();
    let teams: BTreeSet<String> = rows.iter().map(|row| row.team.clone()).collect();
    let mut rows: Vec<PipelineRow> = rows.into_iter().filter(|row| asked.fits(row)).collect();
    if !asked.state.is_empty() {
        rows = in_state(&app, rows, asked.state.clone()).await?;
    }
    let found = rows.len();
    let mut rest = rows.into_iter().filter(|row| row.name > asked.after);
    let shown: Vec<PipelineRow> = rest.by_ref().take(PAGE).collect();
    let last = rest.next().and(shown.last()).map(|row| row.name.clone());
    let pager = Pager {
        first: (!asked.after.is_empty()).then(|| asked.address(&asked.state, "")),
        next: last.map(|name| asked.address(&asked.state, &name)),
        label: "Next pipelines",
    };
    let states = STATES.map(|(word, name)| Tab {
        href: asked.address(word, ""),
        name: name.to_owned(),
        here: asked.state == word,
    });
    let page = Page {
        chrome: chrome(&app, &visitor, "pipelines").await?,
        total,
        found,
        teams: teams.into_iter().collect(),
        states: states.into(),
        pipelines: lines(&app, shown, app.now()).await?,
        pager,
        asked,
    };
    render(&page)
}

impl Filter {
    fn bounded(self) -> Self {
        let cut = |text: String| text.trim().chars().take(LONGEST).collect::<String>();
        let state = cut(self.state);
        let known = STATES.iter().any(|(word, _)| *word == state);
        Self {
            q: cut(self.q),
            team: cut(self.team),
            state: if known { state } else { String::new() },
            after: self.after.chars().take(LONGEST * 2).collect(),
        }
    }

    fn fits(&self, row: &PipelineRow) -> bool {
        let text = self.q.to_lowercase();
        let has = |value: &str| value.to_lowercase().contains(&text);
        (self.team.is_empty() || row.team == self.team) && (text.is_empty() || has(&row.name) || has(&row.repository))
    }

    fn address(&self, state: &str, after: &str) -> String {
        address("/pipelines", &[("q", &self.q), ("team", &self.team), ("state", state), ("after", after)])
    }
}

async fn in_state(app: &AppState, rows: Vec<PipelineRow>, state: String) -> Answer<Vec<PipelineRow>> {
    let read = app.store.read(move |view| {
        let mut kept = Vec::new();
        for row in rows {
            if is_in(&job_heads::newest(view, row.id, LOOKED_AT)?, &state) {
                kept.push(row);
            }
        }
        Ok::<_, StoreError>(kept)
    });
    Ok(read.await?)
}

fn is_in(heads: &[JobHead], state: &str) -> bool {
    let result = heads.iter().map(|job| job.status).find(|status| status.is_terminal());
    match state {
        "red" => matches!(result, Some(Status::Failure | Status::Timeout)),
        "green" => result == Some(Status::Success),
        "running" => heads.iter().any(|job| !job.status.is_terminal()),
        _ => heads.is_empty(),
    }
}
