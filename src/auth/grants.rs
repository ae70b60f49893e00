//! What the store says that somebody may do.
use super::{Caller, Grants, Scope};
use crate::model::{Principal, UserId};
use crate::store::{StoreError, View, pipelines, teams, users};

/// The caller for a user of the configuration in force; none where it is not in it any more.
pub(super) fn of_user(view: &View<'_>, id: UserId) -> Result<Option<Caller>, StoreError> {
    let Some(user) = users::find(view, id)?.filter(|user| user.active) else { return Ok(None) };
    let grants = Grants {
        global_admin: teams::of_email(view, &user.email)?.iter().any(|team| team.global_admin),
        levels: pipelines::levels_of_email(view, &user.email)?.into_iter().collect(),
        scope: Scope::default(),
    };
    Ok(Some(Caller { principal: Principal::User { id, email: user.email }, grants }))
}
