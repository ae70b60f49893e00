//! What stands around every page.
use crate::model::{Action, Principal};
use crate::store::config_commits;
use crate::web::access;
use crate::web::error::Answer;
use crate::web::state::AppState;
use crate::web::visitor::Visitor;

/// The head of every page.
pub(in crate::web) struct Chrome {
    /// Who is logged in.
    pub(in crate::web) who: String,
    /// The token of every form.
    pub(in crate::web) csrf: String,
    /// The current entry of the navigation.
    pub(in crate::web) here: &'static str,
    /// The visitor may see what concerns everybody.
    pub(in crate::web) global: bool,
    /// Something that every admin should know.
    pub(in crate::web) banner: Option<String>,
}

/// The head for a visitor.
pub(in crate::web) async fn chrome(app: &AppState, visitor: &Visitor, here: &'static str) -> Answer<Chrome> {
    let global = access::may(visitor, Action::ReadConfigStatus);
    let banner = if global && here != "config" { banner(app).await? } else { None };
    let who = match &visitor.caller.principal {
        Principal::User { email, .. } => email.clone(),
        other => other.label(),
    };
    Ok(Chrome { who, csrf: visitor.csrf(), here, global, banner })
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
