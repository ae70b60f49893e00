//! DNS names that jobs may reach.
use super::Checking;
use super::words::some;
use crate::config_repo::issue::shown;
use crate::config_repo::node::way;
use crate::config_repo::raw::Items;
use crate::model::egress::{bad_name, is_covered};

/// The list under `spec.egress_allowlist`, in lower case.
pub(super) fn names(at: &mut Checking<'_>, list: &Items<String>) -> Vec<String> {
    let mut names = Vec::new();
    for (index, name) in list.iter() {
        match bad_name(name) {
            None => names.push(name.to_ascii_lowercase()),
            Some(reason) => {
                let fix = "write a DNS name such as example.com, or *.example.com for all names below it";
                let message = format!("'{}' cannot stand in egress_allowlist: {reason}", shown(name));
                at.wrong(way!["spec", "egress_allowlist", index], message, fix);
            }
        }
    }
    names
}

/// Checks that `Config` allows every name that a pipeline asks for.
pub(super) fn covered(at: &mut Checking<'_>, list: &Items<String>, ceiling: &[String]) {
    for (index, name) in list.iter() {
        let name = name.to_ascii_lowercase();
        if bad_name(&name).is_some() || is_covered(ceiling, &name) {
            continue;
        }
        let fix = if ceiling.is_empty() {
            "add it to egress_allowlist of the Config document, which is empty".to_owned()
        } else {
            format!("add it to egress_allowlist of the Config document, which has: {}", some(ceiling.iter()))
        };
        let message = format!("'{}' is not covered by egress_allowlist of the Config document", shown(&name));
        at.wrong(way!["spec", "egress_allowlist", index], message, fix);
    }
}
