//! The one decision: may this caller do that.
use std::collections::BTreeMap;

use super::{Caller, Scope};
use crate::model::settings::Level;
use crate::model::{Action, PipelineId, Principal};

/// What the store says about a caller at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// Member of a team with `global_admin`, or root on the machine.
    pub global_admin: bool,
    /// The highest level on each pipeline, from owning teams and permissions.
    pub levels: BTreeMap<PipelineId, Level>,
    /// What a token was narrowed to.
    pub scope: Scope,
}

/// Proof that a caller may do one thing. Only `authorize` makes it.
#[derive(Debug, Clone)]
pub struct Authorized {
    principal: Principal,
    action: Action,
}

impl Authorized {
    /// Who may.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What may be done.
    pub fn action(&self) -> Action {
        self.action
    }
}

/// The caller may not. The edge says "not found": whoever may not see a thing does not learn that it exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who} may not {}", .action.as_str())]
pub struct Denied {
    /// Who asked.
    pub who: String,
    /// For what.
    pub action: Action,
}

/// What an action asks of a caller.
enum Need {
    On(PipelineId, Level),
    GlobalAdmin { reads: bool },
    Person,
    Machine,
}

const fn need(action: Action) -> Need {
    match action {
        Action::ReadPipeline(id) => Need::On(id, Level::Read),
        Action::Trigger(id) | Action::Cancel(id) | Action::Rerun(id) | Action::Replay(id) => Need::On(id, Level::Write),
        Action::ManageSecrets(id) | Action::ManageCaches(id) => Need::On(id, Level::Admin),
        Action::ReadConfigStatus | Action::ReadAudit | Action::ReadHealth => Need::GlobalAdmin { reads: true },
        Action::ManageGlobalSecrets | Action::SyncConfig | Action::CollectRegistry => {
            Need::GlobalAdmin { reads: false }
        }
        Action::ManageOwnTokens => Need::Person,
        Action::MakeLoginLink => Need::Machine,
    }
}

/// Decides. Pure: everything it looks at is in its arguments.
pub fn authorize(caller: &Caller, action: Action) -> Result<Authorized, Denied> {
    if allowed(&caller.principal, &caller.grants, action) {
        Ok(Authorized { principal: caller.principal.clone(), action })
    } else {
        Err(Denied { who: caller.principal.label(), action })
    }
}

fn allowed(principal: &Principal, grants: &Grants, action: Action) -> bool {
    let (machine, person) = match principal {
        Principal::LocalAdmin => (true, true),
        Principal::User { .. } => (false, true),
        // A token never makes tokens: a stolen one must end with its own expiry.
        Principal::Token { .. } => (false, false),
        // Jobs speak to the coordinator alone; the system asks nobody.
        Principal::Job { .. } | Principal::System => return false,
    };
    let everything = machine || grants.global_admin;
    match need(action) {
        Need::On(pipeline, level) => {
            let level_held = if everything { Some(Level::Admin) } else { grants.levels.get(&pipeline).copied() };
            level_held.is_some_and(|held| held >= level) && grants.scope.covers(pipeline, level)
        }
        Need::GlobalAdmin { reads } => everything && grants.scope.covers_global(reads),
        Need::Person => person,
        Need::Machine => machine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::{Ids, SeededIds};

    const WORDS: [&str; 15] = [
        "read",
        "trigger",
        "cancel",
        "rerun",
        "replay",
        "secrets",
        "caches",
        "global secrets",
        "config status",
        "sync",
        "audit",
        "health",
        "registry",
        "tokens",
        "login link",
    ];

    fn actions(id: PipelineId) -> [Action; 15] {
        [
            Action::ReadPipeline(id),
            Action::Trigger(id),
            Action::Cancel(id),
            Action::Rerun(id),
            Action::Replay(id),
            Action::ManageSecrets(id),
            Action::ManageCaches(id),
            Action::ManageGlobalSecrets,
            Action::ReadConfigStatus,
            Action::SyncConfig,
            Action::ReadAudit,
            Action::ReadHealth,
            Action::CollectRegistry,
            Action::ManageOwnTokens,
            Action::MakeLoginLink,
        ]
    }

    /// What a caller may do, as words.
    fn may(principal: Principal, grants: Grants, id: PipelineId) -> Vec<&'static str> {
        let caller = Caller { principal, grants };
        actions(id)
            .into_iter()
            .zip(WORDS)
            .filter(|(action, _)| authorize(&caller, *action).is_ok())
            .map(|(_, word)| word)
            .collect()
    }

    #[test]
    fn the_whole_matrix() {
        let ids = SeededIds::new(1);
        let here = PipelineId::from_uuid(ids.uuid());
        let there = PipelineId::from_uuid(ids.uuid());
        let user =
            || Principal::User { id: crate::model::UserId::from_uuid(ids.uuid()), email: "a@example.com".into() };
        let token = || Principal::Token {
            id: crate::model::TokenId::from_uuid(ids.uuid()),
            name: "ci".into(),
            user: Some(crate::model::UserId::from_uuid(ids.uuid())),
        };
        let on = |pipeline, level| Grants { levels: [(pipeline, level)].into(), ..Grants::default() };
        let admin = |scope| Grants { global_admin: true, scope, ..Grants::default() };
        let all = Scope::default();
        let reads = Scope { read_only: true, pipeline: None };
        let only_here = Scope { read_only: false, pipeline: Some(here) };
        let only_there = Scope { read_only: false, pipeline: Some(there) };
        let on_pipeline = ["read", "trigger", "cancel", "rerun", "replay", "secrets", "caches"];

        assert_eq!(may(user(), Grants::default(), here), ["tokens"]);
        assert_eq!(may(user(), on(there, Level::Admin), here), ["tokens"]);
        assert_eq!(may(user(), on(here, Level::Read), here), ["read", "tokens"]);
        assert_eq!(
            may(user(), on(here, Level::Write), here),
            ["read", "trigger", "cancel", "rerun", "replay", "tokens"]
        );
        assert_eq!(
            may(user(), on(here, Level::Admin), here),
            ["read", "trigger", "cancel", "rerun", "replay", "secrets", "caches", "tokens"]
        );
        assert_eq!(may(user(), admin(all), here), WORDS[..14]);
        assert_eq!(may(Principal::LocalAdmin, Grants::default(), here), WORDS);

        assert_eq!(may(token(), on(here, Level::Write), here), ["read", "trigger", "cancel", "rerun", "replay"]);
        assert_eq!(may(token(), admin(all), here), WORDS[..13]);
        assert_eq!(may(token(), admin(reads), here), ["read", "config status", "audit", "health"]);
        assert_eq!(may(token(), admin(only_here), here), on_pipeline);
        assert!(may(token(), admin(only_there), here).is_empty());
        assert_eq!(may(token(), Grants { scope: reads, ..on(here, Level::Admin) }, here), ["read"]);
        assert!(may(token(), Grants::default(), here).is_empty());

        assert!(may(Principal::System, admin(all), here).is_empty());
        let job = Principal::Job { id: crate::model::JobId::from_uuid(ids.uuid()) };
        assert!(may(job, admin(all), here).is_empty());
    }
}
