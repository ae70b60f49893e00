//! `/secrets`: which secrets there are, never what they say; set, replaced, deleted.
use askama::Template;
use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect};
use serde::{Deserialize, Deserializer};

use super::render;
use crate::model::{Action, Secret};
use crate::store::teams;
use crate::web::access;
use crate::web::api::secrets::{self as api, Place};
use crate::web::error::{Answer, WebError};
use crate::web::parts::{Chrome, chrome};
use crate::web::state::AppState;
use crate::web::view::{When, path_segment, when};
use crate::web::visitor::Visitor;

/// A scope that may be opened.
struct Door {
    href: String,
    kind: &'static str,
    name: String,
}

struct Line {
    key: String,
    version: u32,
    updated: When,
    by: String,
    delete: String,
}

/// The scope that is open.
struct Open {
    label: String,
    action: String,
    lines: Vec<Line>,
    /// Why what was sent was not stored.
    problem: Option<String>,
    /// The key that was sent.
    key: String,
    /// The secret that is about to be deleted.
    asks: Option<String>,
    /// Where that is done.
    confirm: String,
}

#[derive(Template)]
#[template(path = "secrets.html", config = "templates/askama.toml")]
struct Page {
    chrome: Chrome,
    doors: Vec<Door>,
    open: Option<Open>,
}

/// What the form sends.
#[derive(Deserialize)]
pub(in crate::web) struct Fields {
    key: String,
    #[serde(deserialize_with = "hidden")]
    value: Secret<String>,
    #[serde(default)]
    replace: Option<String>,
}

fn hidden<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(from).map(Secret::new)
}

/// The scopes.
pub(in crate::web) async fn start(State(app): State<AppState>, visitor: Visitor) -> Answer {
    page(&app, &visitor, None).await
}

/// The secrets of a scope, with the form.
pub(in crate::web) async fn show(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((scope, owner)): Path<(String, String)>,
) -> Answer {
    let place = api::place(&app, &visitor, &scope, &owner).await?;
    let open = open(&app, place, &href(&scope, &owner)).await?;
    page(&app, &visitor, Some(open)).await
}

/// Sets a secret; one that is there already only where that is meant.
pub(in crate::web) async fn set(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((scope, owner)): Path<(String, String)>,
    form: Result<Form<Fields>, FormRejection>,
) -> Answer {
    // Who may not set anything here learns nothing from how the form is read.
    let place = api::place(&app, &visitor, &scope, &owner).await?;
    let Form(fields) =
        form.map_err(|_| WebError::bad_request("The form needs a name and a value, of 64 KiB at most."))?;
    let href = href(&scope, &owner);
    let key = fields.key.trim().to_owned();
    let known = api::names(&app, &place).await?.into_iter().find(|row| row.key == key);
    let problem = match known {
        Some(row) if fields.replace.is_none() => Some(format!(
            "{key} is there already, in version {}. Tick “replace” and enter the value again to replace it.",
            row.version
        )),
        _ => {
            // Browsers send line ends of forms as CR LF; keys and certificates are written with LF.
            let value = Secret::new(fields.value.expose().replace("\r\n", "\n").into_bytes());
            match api::put(&app, place, key.clone(), value).await {
                Ok(()) => return Ok(Redirect::to(&href).into_response()),
                Err(error) => Some(error.sentence_of_request()?),
            }
        }
    };
    let place = api::place(&app, &visitor, &scope, &owner).await?;
    let open = Open { problem, key, ..open(&app, place, &href).await? };
    page(&app, &visitor, Some(open)).await
}

/// Asks before a secret is deleted.
pub(in crate::web) async fn ask(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((scope, owner, key)): Path<(String, String, String)>,
) -> Answer {
    let place = api::place(&app, &visitor, &scope, &owner).await?;
    let open = open(&app, place, &href(&scope, &owner)).await?;
    let confirm = format!("{}/{}/delete", open.action, path_segment(&key));
    page(&app, &visitor, Some(Open { asks: Some(key), confirm, ..open })).await
}

/// Deletes a secret; one that is gone already is no error.
pub(in crate::web) async fn delete(
    State(app): State<AppState>,
    visitor: Visitor,
    Path((scope, owner, key)): Path<(String, String, String)>,
) -> Answer {
    let place = api::place(&app, &visitor, &scope, &owner).await?;
    api::remove(&app, place, key).await?;
    Ok(Redirect::to(&href(&scope, &owner)).into_response())
}

async fn open(app: &AppState, place: Place, action: &str) -> Answer<Open> {
    let now = app.now();
    let names = api::names(app, &place).await?;
    let lines = names.into_iter().map(|row| Line {
        delete: format!("{action}/{}/delete", path_segment(&row.key)),
        key: row.key,
        version: row.version,
        updated: when(row.updated_at, now),
        by: row.updated_by,
    });
    Ok(Open {
        label: place.label,
        action: action.to_owned(),
        lines: lines.collect(),
        problem: None,
        key: String::new(),
        asks: None,
        confirm: String::new(),
    })
}

/// The scopes that the visitor may manage.
async fn doors(app: &AppState, visitor: &Visitor) -> Answer<Vec<Door>> {
    let mut doors = Vec::new();
    let door = |kind, name: &str| Door { href: href(kind, name), kind, name: name.to_owned() };
    if access::may(visitor, Action::ManageGlobalSecrets) {
        doors.push(Door { name: "all pipelines".to_owned(), ..door("global", "all") });
        let teams = app.store.read(teams::active).await?;
        doors.extend(teams.iter().map(|team| door("team", &team.name)));
    }
    let pipelines = access::readable(app, visitor).await?;
    let own = pipelines.iter().filter(|row| access::may(visitor, Action::ManageSecrets(row.id)));
    doors.extend(own.map(|row| door("pipeline", &row.name)));
    Ok(doors)
}

/// `/secrets/pipeline/web`; the scope without an owner has a word in its place.
fn href(scope: &str, owner: &str) -> String {
    if scope == "global" {
        return "/secrets/global/all".to_owned();
    }
    format!("/secrets/{scope}/{}", path_segment(owner))
}

async fn page(app: &AppState, visitor: &Visitor, open: Option<Open>) -> Answer {
    render(&Page { chrome: chrome(app, visitor, "secrets").await?, doors: doors(app, visitor).await?, open })
}
