//! Small things that occur in several kinds: names, secrets, addresses, globs.
use globset::GlobBuilder;

use super::Checking;
use crate::config_repo::issue::shown;
use crate::config_repo::node::{Step, way};
use crate::config_repo::raw::Items;

/// The most entries of one list of globs or names.
const MAX_LIST: usize = 1000;
/// The longest glob.
const MAX_GLOB: usize = 256;

impl Checking<'_> {
    /// A name of a document.
    pub(super) fn name(&mut self, path: &[Step<'_>], name: Option<&String>) -> String {
        let Some(name) = name else { return String::new() };
        if !is_name(name) {
            let fix = "use lower-case letters, digits, '-', '_' and '.', starting with a letter or digit, at most 63";
            self.wrong(path, format!("'{}' is not a valid name", shown(name)), fix);
            return String::new();
        }
        name.clone()
    }

    /// The name of a Danube secret.
    pub(super) fn secret(&mut self, path: &[Step<'_>], name: &str) -> String {
        if name.is_empty() {
            let fix = "write the name of the secret that `danube secret set` stored";
            self.wrong(path, "the name of the secret is empty", fix);
        } else if !is_secret(name) {
            let fix = "write the name of the secret, not its value: letters, digits, '_', '-' and '.', at most 128";
            // It may be the value itself, so it is not shown.
            self.wrong(path, "this is not the name of a secret", fix);
        }
        name.to_owned()
    }

    /// An e-mail address, in lower case.
    pub(super) fn email(&mut self, path: &[Step<'_>], email: Option<&String>) -> String {
        let Some(email) = email else { return String::new() };
        if !is_email(email) {
            let fix = "write an address such as ana@example.com";
            self.wrong(path, format!("'{}' is not an e-mail address", shown(email)), fix);
            return String::new();
        }
        email.to_ascii_lowercase()
    }

    /// Globs under `spec.<field>`.
    pub(super) fn globs(&mut self, field: &str, globs: Option<&Items<String>>) -> Vec<String> {
        self.globs_at(globs, |index| vec![Step::from("spec"), Step::from(field), Step::from(index)])
    }

    /// Globs of a list, where `at` gives the way to each.
    pub(super) fn globs_at<'p>(
        &mut self,
        globs: Option<&Items<String>>,
        at: impl Fn(usize) -> Vec<Step<'p>>,
    ) -> Vec<String> {
        let mut checked = Vec::new();
        for (index, glob) in globs.into_iter().flat_map(Items::iter) {
            if let Err(reason) = check_glob(glob) {
                let fix =
                    "use '*' within a part, '**' across parts, '?' for one character, [ab] and {a,b} for a choice";
                self.wrong(&at(index), format!("'{}' is not a valid glob: {reason}", shown(glob)), fix);
            }
            if index == MAX_LIST {
                self.wrong(&at(index), format!("the list has more than {MAX_LIST} entries"), "use fewer, wider globs");
            }
            checked.push(glob.clone());
        }
        checked
    }

    /// The name of a team that another document declares.
    pub(super) fn known_team(&mut self, world: &super::World, path: &[Step<'_>], team: &str) {
        if team.is_empty() || world.partial || world.teams.contains_key(team) {
            return;
        }
        let near = self.suggest.nearest(team, world.teams.keys().map(String::as_str));
        let fix = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None if world.teams.is_empty() => "declare the team in teams.yaml; there is none yet".to_owned(),
            None => format!("declare it in teams.yaml, or use one of: {}", some(world.teams.keys())),
        };
        self.wrong(path, format!("unknown team '{}'", shown(team)), fix);
    }

    /// The address of a user that another document declares.
    pub(super) fn known_user(&mut self, world: &super::World, path: &[Step<'_>], email: &str) {
        if email.is_empty() || world.partial || world.emails.contains_key(email) {
            return;
        }
        let near = self.suggest.nearest(email, world.emails.keys().map(String::as_str));
        let fix = match near {
            Some(near) => format!("did you mean '{near}'?"),
            None => "declare the user in users.yaml".to_owned(),
        };
        self.wrong(path, format!("unknown user '{}'", shown(email)), fix);
    }

    /// The way to `metadata.name`.
    pub(super) fn document_name(&mut self, name: Option<&String>) -> String {
        self.name(way!["metadata", "name"], name)
    }
}

/// The first names of a list that may be long.
pub(super) fn some<'n>(names: impl Iterator<Item = &'n String>) -> String {
    let mut names = names.map(|name| shown(name));
    let first: Vec<_> = names.by_ref().take(10).collect();
    let more = if names.next().is_some() { ", …" } else { "" };
    first.join(", ") + more
}

fn is_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    bytes.len() <= 63 && bytes.iter().all(|b| inner(*b)) && edge(bytes.first()) && edge(bytes.last())
}

fn is_secret(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

fn is_email(email: &str) -> bool {
    let Some((local, domain)) = email.rsplit_once('@') else { return false };
    let local_byte = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    email.len() <= 254
        && !local.is_empty()
        && local.bytes().all(local_byte)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.split('.').all(label)
}

fn check_glob(glob: &str) -> Result<(), String> {
    if glob.is_empty() {
        return Err("it is empty".into());
    }
    if glob.len() > MAX_GLOB {
        return Err(format!("it is longer than {MAX_GLOB} characters"));
    }
    GlobBuilder::new(glob).literal_separator(true).build().map(|_| ()).map_err(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_addresses_and_files() {
        for good in ["web", "web-2", "a", "7", "team.web_app"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "Web", "-web", "web-", ".", "..", "a/b", "a b", "wéb", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_told_from_noise() {
        for good in ["ana@example.com", "ana.maria+ci@mail.example.com", "admin@localhost"] {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "ana",
            "@example.com",
            "ana@",
            "a b@example.com",
            "ana@-x.com",
            "ana@@example.com",
            "a@x..y",
            "ana@exämple.com\n",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
