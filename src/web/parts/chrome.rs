//! What stands around every page.
use crate::model::{Action, Principal};
use crate::store::{config_commits, teams};
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// Teams that the account's menu names; the rest is counted.
const TEAMS: usize = 8;

/// An entry of the navigation.
pub(in crate::web) struct Entry {
    pub(in crate::web) href: &'static str,
    pub(in crate::web) name: &'static str,
    /// The page that is shown belongs to it.
    pub(in crate::web) here: bool,
}

/// The head of every page.
pub(in crate::web) struct Chrome {
    /// Who is logged in.
    pub(in crate::web) who: String,
    /// The first letter of that.
    pub(in crate::web) initial: String,
    /// The teams of who is logged in, in words.
    pub(in crate::web) teams: String,
    /// The token of every form.
    pub(in crate::web) csrf: String,
    /// The key of the current page's entry.
    pub(in crate::web) here: &'static str,
    /// The navigation: only what the visitor may see.
    pub(in crate::web) nav: Vec<Entry>,
    /// Something that people should know.
    pub(in crate::web) banner: Option<String>,
    /// Where they see more of it; none: they may not.
    pub(in crate::web) more: Option<&'static str>,
    /// The running release.
    pub(in crate::web) version: &'static str,
}

/// Key, address, name, and whether an entry concerns everybody's things. The one list of the navigation.
const ENTRIES: &[(&str, &str, &str, bool)] = &[
    ("now", "/", "Now", false),
    ("pipelines", "/pipelines", "Pipelines", false),
    ("secrets", "/secrets", "Secrets", false),
    ("config", "/config", "Config", true),
    ("audit", "/audit", "Audit", true),
    ("system", "/system", "System", true),
];

/// The head for a visitor.
pub(in crate::web) async fn chrome(app: &AppState, visitor: &Visitor, here: &'static str) -> Answer<Chrome> {
    let global = access::may(visitor, Action::ReadConfigStatus);
    let data = (app.hooks.data)();
    let (banner, more) = match data {
        // Everybody's jobs wait for it.
        Some(trouble) => (Some(trouble), global.then_some("/system")),
        None if global && here != "config" => (banner(app).await?, Some("/config")),
        None => (None, None),
    };
    let (who, teams) = match &visitor.caller.principal {
        Principal::User { email, .. } => (email.clone(), teams_of(app, email.clone()).await?),
        other => (other.label(), "may do everything on this machine".to_owned()),
    };
    let nav = ENTRIES.iter().filter(|(.., only_global)| global || !only_global);
    Ok(Chrome {
        initial: who.chars().next().map(String::from).unwrap_or_default(),
        who,
        teams,
        csrf: visitor.csrf(),
        here,
        nav: nav.map(|&(key, href, name, _)| Entry { href, name, here: key == here }).collect(),
        banner,
        more,
        version: env!("CARGO_PKG_VERSION"),
    })
}

async fn teams_of(app: &AppState, email: String) -> Answer<String> {
    let rows = app.store.read(move |view| teams::of_email(view, &email)).await?;
    let names: Vec<&str> = rows.iter().take(TEAMS).map(|team| team.team.as_str()).collect();
    Ok(match rows.len() {
        0 => "in no team yet: teams stand in the config repository".to_owned(),
        n if n > TEAMS => format!("{} and {} more teams", names.join(", "), n - TEAMS),
        _ => format!("in {}", names.join(", ")),
    })
}

async fn banner(app: &AppState) -> Answer<Option<String>> {
    let last = app.store.read(config_commits::find_last).await?;
    Ok(match last {
        None => Some("No configuration has been applied yet.".to_owned()),
        Some(row) if row.errors.is_some() => {
            Some("The newest configuration commit is invalid; the last good one stays in force.".to_owned())
        }
        Some(_) => None,
    })
}
