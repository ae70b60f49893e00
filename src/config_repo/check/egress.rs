//! DNS names that jobs may reach.
use std::net::IpAddr;

use super::Checking;
use super::words::some;
use crate::config_repo::issue::shown;
use crate::config_repo::node::way;
use crate::config_repo::raw::Items;

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
        if bad_name(&name).is_some() || ceiling.iter().any(|allowed| covers(allowed, &name)) {
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

/// Whether an entry of the ceiling allows all that `name` stands for.
fn covers(allowed: &str, name: &str) -> bool {
    if allowed == name {
        return true;
    }
    let below = |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1);
    allowed.strip_prefix("*.").is_some_and(below)
}

fn bad_name(name: &str) -> Option<&'static str> {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    if plain.is_empty() {
        return Some("it is empty");
    }
    if plain.contains('*') {
        return Some("'*' may stand only once, as '*.' at the start");
    }
    if plain.parse::<IpAddr>().is_ok() {
        return Some("it is an IP address");
    }
    if plain.contains(['/', ':', '@']) {
        return Some("it has a scheme, port or path");
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let numbers = plain.split('.').all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    if name.len() > 253 || numbers || !plain.split('.').all(label) {
        return Some("it is not a DNS name");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_what_is_below_it_and_nothing_beside_it() {
        for (allowed, name, expected) in [
            ("example.com", "example.com", true),
            ("example.com", "www.example.com", false),
            ("*.example.com", "www.example.com", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "*.example.com", true),
            ("*.example.com", "*.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "badexample.com", false),
            ("*.b.example.com", "*.example.com", false),
            ("www.example.com", "*.example.com", false),
        ] {
            assert_eq!(covers(allowed, name), expected, "{allowed} {name}");
        }
    }

    #[test]
    fn only_dns_names_pass() {
        for good in ["example.com", "*.example.com", "registry", "x-1.example.com", "_x.example.com"] {
            assert_eq!(bad_name(good), None, "{good}");
        }
        for bad in [
            "",
            "*",
            "*.",
            "*.*.com",
            "a.*.com",
            "10.0.0.1",
            "::1",
            "https://x.com",
            "x.com:443",
            "x.com/y",
            "x..com",
            "-x.com",
            "x.com.",
            "0x7f.1\u{e9}",
            "2130706433",
        ] {
            assert!(bad_name(bad).is_some(), "{bad}");
        }
    }
}
