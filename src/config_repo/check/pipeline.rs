//! The `Pipeline` document.
use std::collections::BTreeSet;

use super::{Checking, World, cron, egress, params};
use crate::config_repo::issue::shown;
use crate::config_repo::node::way;
use crate::config_repo::raw::{
    CapabilityName, EventName, Items, PermissionEntry, PipelineDocument, PipelineSpec, SecretEntry, TriggerEntry,
};
use crate::model::settings::{Concurrency, Permission, Pipeline, SecretGrant, TriggerRule, usual_branches};
use crate::platform::git::{BadUrl, check_branch, check_url};

pub(super) fn check(at: &mut Checking<'_>, world: &World, document: PipelineDocument) -> Pipeline {
    let metadata = document.metadata.unwrap_or_default();
    let name = at.document_name(metadata.name.as_ref());
    let team = metadata.team.unwrap_or_default();
    at.known_team(world, way!["metadata", "team"], &team);
    let spec = document.spec.unwrap_or_default();
    if let Some(list) = &spec.egress_allowlist
        && !world.partial
    {
        egress::covered(at, list, &world.ceiling);
    }
    Pipeline {
        name,
        team,
        repository: repository(at, spec.repository.as_deref()),
        branch_filter: at.globs("branch_filter", spec.branch_filter.as_ref()),
        triggers: triggers(at, spec.triggers.as_ref()),
        paths: at.globs("paths", spec.paths.as_ref()),
        script: script(at, spec.script.as_deref()),
        max_duration_seconds: spec.max_duration_seconds.unwrap_or(3600),
        workspace_size_gb: spec.workspace_size_gb.unwrap_or(5),
        caps: caps(spec.caps.as_ref()),
        permissions: permissions(at, world, spec.permissions.as_ref()),
        egress_allowlist: spec.egress_allowlist.as_ref().map(|list| egress::names(at, list)),
        concurrency: concurrency(at, &spec),
        attempts: spec.attempts.unwrap_or(3),
        secrets: secrets(at, spec.secrets.as_ref()),
        params: params::check(at, &spec),
        protected_branches: match &spec.protected_branches {
            Some(globs) => at.globs("protected_branches", Some(globs)),
            None => usual_branches(),
        },
    }
}

fn caps(names: Option<&Items<CapabilityName>>) -> Vec<String> {
    let word = |name: &CapabilityName| match name {
        CapabilityName::Setfcap => "SETFCAP".to_owned(),
    };
    let words: BTreeSet<String> = names.into_iter().flat_map(Items::iter).map(|(_, name)| word(name)).collect();
    words.into_iter().collect()
}

fn repository(at: &mut Checking<'_>, address: Option<&str>) -> String {
    let Some(address) = address else { return String::new() };
    if let Err(reason) = check_url(address) {
        let fix = "write an address such as https://git.example.com/team/app.git";
        let message = match reason {
            // What is told here is stored and shown to everybody who may see the configuration.
            BadUrl::Password => format!("the address of the repository {reason}"),
            _ => format!("repository '{}' {reason}", shown(address)),
        };
        at.wrong(way!["spec", "repository"], message, fix);
    }
    address.to_owned()
}

fn script(at: &mut Checking<'_>, script: Option<&str>) -> String {
    let script = script.unwrap_or("danubefile.py");
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part != ".git";
    if script.len() > 255 || script.contains(['\\', '\n']) || script.starts_with('-') || !script.split('/').all(part) {
        let fix = "write a path inside the repository, such as ci/danubefile.py";
        at.wrong(
            way!["spec", "script"],
            format!("script '{}' is not a path inside the repository", shown(script)),
            fix,
        );
    }
    script.to_owned()
}

fn triggers(at: &mut Checking<'_>, entries: Option<&Items<TriggerEntry>>) -> Vec<TriggerRule> {
    let Some(entries) = entries else { return vec![TriggerRule::Manual] };
    let mut rules = Vec::new();
    for (index, entry) in entries.iter() {
        let Some(on) = entry.on else { continue };
        let rule = match on {
            EventName::Push => TriggerRule::Push,
            EventName::Tag => TriggerRule::Tag,
            EventName::PullRequest => TriggerRule::PullRequest,
            EventName::Manual => TriggerRule::Manual,
            EventName::Cron => schedule(at, index, entry),
        };
        if on != EventName::Cron {
            only_for_cron(at, index, entry);
        }
        if rules.contains(&rule) {
            at.wrong(way!["spec", "triggers", index], "this trigger stands twice", "remove one of them");
        }
        rules.push(rule);
    }
    rules
}

fn only_for_cron(at: &mut Checking<'_>, index: usize, entry: &TriggerEntry) {
    let fields = [
        ("schedule", entry.schedule.is_some()),
        ("timezone", entry.timezone.is_some()),
        ("branch", entry.branch.is_some()),
    ];
    for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
        let place = way!["spec", "triggers", index, field];
        at.wrong(place, format!("'{field}' belongs to 'on: cron'"), "remove it, or write 'on: cron'");
    }
}

fn schedule(at: &mut Checking<'_>, index: usize, entry: &TriggerEntry) -> TriggerRule {
    match &entry.schedule {
        None => at.wrong(
            way!["spec", "triggers", index],
            "'on: cron' needs the field 'schedule'",
            "add 'schedule: \"0 3 * * *\"'",
        ),
        Some(schedule) => {
            if let Some(reason) = cron::bad_schedule(schedule) {
                let message = format!("'{}' is not a schedule: {reason}", shown(schedule));
                let fix = "write minute, hour, day of month, month, day of week, such as \"0 3 * * *\"";
                at.wrong(way!["spec", "triggers", index, "schedule"], message, fix);
            }
        }
    }
    if let Some(zone) = &entry.timezone
        && let Some(fix) = cron::bad_zone(zone, at.suggest)
    {
        let message = format!("'{}' is not a time zone", shown(zone));
        at.wrong(way!["spec", "triggers", index, "timezone"], message, fix);
    }
    let branch = entry.branch.clone().unwrap_or_else(|| "main".to_owned());
    if !check_branch(&branch) {
        let message = format!("'{}' cannot be a branch", shown(&branch));
        at.wrong(way!["spec", "triggers", index, "branch"], message, "write the name of a branch, such as main");
    }
    let schedule = entry.schedule.clone().unwrap_or_default();
    TriggerRule::Cron { schedule, timezone: entry.timezone.clone(), branch }
}

fn permissions(at: &mut Checking<'_>, world: &World, entries: Option<&Items<PermissionEntry>>) -> Vec<Permission> {
    let mut seen = BTreeSet::new();
    let mut permissions = Vec::new();
    for (index, entry) in entries.into_iter().flat_map(Items::iter) {
        let place = way!["spec", "permissions", index, "team"];
        let Some(team) = &entry.team else { continue };
        at.known_team(world, place, team);
        if !seen.insert(team.as_str()) {
            at.wrong(place, format!("team '{}' stands twice in permissions", shown(team)), "remove one of them");
        }
        if let Some(level) = entry.level {
            permissions.push(Permission { team: team.clone(), level });
        }
    }
    permissions
}

fn concurrency(at: &mut Checking<'_>, spec: &PipelineSpec) -> Concurrency {
    let Some(entry) = &spec.concurrency else { return Concurrency::default() };
    if let Some(group) = &entry.group
        && (group.is_empty() || group.len() > 100)
    {
        let fix = "write a name, such as deploy or deploy-{branch}";
        at.wrong(way!["spec", "concurrency", "group"], "group must have 1 to 100 characters", fix);
    }
    let cancel_superseded = entry.cancel_superseded.unwrap_or(false);
    if cancel_superseded && entry.group.is_none() {
        let fix = "add 'group: …', such as NAME-{branch}";
        at.wrong(way!["spec", "concurrency", "cancel_superseded"], "cancel_superseded needs a group", fix);
    }
    Concurrency { group: entry.group.clone(), cancel_superseded, max_running: entry.max_running }
}

fn secrets(at: &mut Checking<'_>, entries: Option<&Items<SecretEntry>>) -> Vec<SecretGrant> {
    let mut seen = BTreeSet::new();
    let mut grants = Vec::new();
    for (index, entry) in entries.into_iter().flat_map(Items::iter) {
        let Some(key) = &entry.key else { continue };
        let place = way!["spec", "secrets", index, "key"];
        let key = at.secret(place, key);
        if !seen.insert(key.clone()) {
            at.wrong(place, "this secret stands twice in secrets", "remove one of them");
        }
        let branches_at = |glob: usize| way!["spec", "secrets", index, "branches", glob].to_vec();
        let branches = at.globs_at(entry.branches.as_ref(), branches_at);
        grants.push(SecretGrant { key, branches, reveal: entry.reveal.unwrap_or(false) });
    }
    grants
}
