//! Users and teams.
use super::{Checking, World};
use crate::config_repo::node::way;
use crate::config_repo::raw::{Items, TeamDocument, UserDocument};
use crate::model::settings::{Team, User};

pub(super) fn user(at: &mut Checking<'_>, document: UserDocument) -> User {
    let name = at.document_name(document.metadata.unwrap_or_default().name.as_ref());
    let spec = document.spec.unwrap_or_default();
    let email = at.email(way!["spec", "email"], spec.email.as_ref());
    if let Some(reason) = spec.password_hash.as_deref().and_then(bad_hash) {
        // Never shown: people paste passwords here.
        let fix = "write what `danube user hash-password` prints";
        at.wrong(way!["spec", "password_hash"], format!("password_hash is not a usable bcrypt hash: {reason}"), fix);
    }
    User { name, email, password_hash: spec.password_hash }
}

pub(super) fn team(at: &mut Checking<'_>, world: &World, document: TeamDocument) -> Team {
    let name = at.document_name(document.metadata.unwrap_or_default().name.as_ref());
    let spec = document.spec.unwrap_or_default();
    let mut members = addresses(at, world, "members", spec.members);
    let admins = addresses(at, world, "admins", spec.admins);
    for admin in &admins {
        if !members.contains(admin) {
            members.push(admin.clone());
        }
    }
    Team { name, members, admins, global_admin: spec.global_admin.unwrap_or(false) }
}

fn addresses(at: &mut Checking<'_>, world: &World, field: &str, list: Option<Items<String>>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let mut addresses = Vec::new();
    for (index, email) in list.unwrap_or_default().iter() {
        let path = way!["spec", field, index];
        let email = at.email(path, Some(email));
        if email.is_empty() {
            continue;
        }
        if seen.insert(email.clone()) {
            at.known_user(world, path, &email);
            addresses.push(email);
        } else {
            at.wrong(path, format!("'{email}' stands twice in {field}"), "remove one of them");
        }
    }
    addresses
}

/// Why a text is no hash that the login takes.
fn bad_hash(hash: &str) -> Option<&'static str> {
    let mut parts = hash.split('$');
    let (Some(""), Some(version), Some(cost), Some(rest), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Some("it does not have the form $2b$12$…");
    };
    if !matches!(version, "2a" | "2b" | "2y") {
        return Some("it does not start with $2a$, $2b$ or $2y$");
    }
    if hash.len() != 60 || !rest.bytes().all(|b| b.is_ascii_alphanumeric() || b"./".contains(&b)) {
        return Some("it does not have 60 characters of the bcrypt alphabet");
    }
    match cost.parse::<u32>() {
        Ok(10..=14) => None,
        Ok(..10) => Some("its cost is below 10, which is too easy to guess"),
        _ => Some("its cost is not from 10 to 14; above that each login takes seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hashes_that_bcrypt_makes_pass() {
        let tail = "abcdefghijklmnopqrstuvABCDEFGHIJKLMNOPQRSTUVWXYZ01234";
        assert_eq!(bad_hash(&format!("$2b$12${tail}")), None);
        assert_eq!(bad_hash(&format!("$2y$10${tail}")), None);
        let bad = [
            String::new(),
            "hunter22".into(),
            format!("$1$12${tail}"),
            format!("$2b$09${tail}"),
            format!("$2b$15${tail}"),
            format!("$2b$1x${tail}"),
            format!("$2b$12${}", &tail[1..]),
            format!("$2b$12$!{}", &tail[1..]),
            format!("$2b$12${tail}$"),
        ];
        for hash in bad {
            assert!(bad_hash(&hash).is_some(), "{hash}");
        }
    }
}
