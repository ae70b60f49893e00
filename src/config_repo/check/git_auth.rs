//! `git_authentication`: which credential opens which repository.
use std::collections::BTreeSet;

use super::Checking;
use super::global::is_http;
use crate::config_repo::issue::shown;
use crate::config_repo::node::{Step, way};
use crate::config_repo::raw::{GitAuthEntry, GitAuthType, Items};
use crate::model::settings::{GitAuth, GitAuthMethod};

/// The way to the list.
const LIST: [Step<'static>; 2] = [Step::Field("spec"), Step::Field("git_authentication")];

pub(super) fn check(at: &mut Checking<'_>, entries: &Items<GitAuthEntry>) -> Vec<GitAuth> {
    let mut names = BTreeSet::new();
    let mut checked = Vec::new();
    for (index, entry) in entries.iter() {
        let name_at = way![LIST[0], LIST[1], index, "name"];
        let name = at.name(name_at, entry.name.as_ref());
        if !name.is_empty() && !names.insert(name.clone()) {
            at.wrong(
                name_at,
                format!("'{name}' stands twice in git_authentication"),
                "give each entry a name of its own",
            );
        }
        let patterns_at = |glob: usize| way![LIST[0], LIST[1], index, "match_patterns", glob].to_vec();
        let match_patterns = at.globs_at(entry.match_patterns.as_ref(), patterns_at);
        if entry.match_patterns.as_ref().is_some_and(Items::is_empty) {
            let fix = "add a glob over repository addresses, such as https://git.example.com/**";
            at.wrong(way![LIST[0], LIST[1], index, "match_patterns"], "match_patterns is empty", fix);
        }
        let Some(method) = entry.method else { continue };
        foreign_fields(at, index, entry, method);
        if let Some(method) = read_method(at, index, entry, method) {
            checked.push(GitAuth { name, match_patterns, method });
        }
    }
    checked
}

const fn fields_of(method: GitAuthType) -> &'static [&'static str] {
    match method {
        GitAuthType::GithubApp => &["app_id", "installation_id", "private_key_secret"],
        GitAuthType::GitlabToken => &["url", "token_secret"],
        GitAuthType::SshKey => &["private_key_path", "private_key_secret"],
        GitAuthType::HttpsToken => &["username", "token_secret"],
    }
}

fn foreign_fields(at: &mut Checking<'_>, index: usize, entry: &GitAuthEntry, method: GitAuthType) {
    let given = [
        ("app_id", entry.app_id.is_some()),
        ("installation_id", entry.installation_id.is_some()),
        ("private_key_secret", entry.private_key_secret.is_some()),
        ("private_key_path", entry.private_key_path.is_some()),
        ("url", entry.url.is_some()),
        ("username", entry.username.is_some()),
        ("token_secret", entry.token_secret.is_some()),
    ];
    let valid = fields_of(method);
    for (field, _) in given.into_iter().filter(|(field, given)| *given && !valid.contains(field)) {
        let fix = format!("remove it; this type has: {}", valid.join(", "));
        at.wrong(way![LIST[0], LIST[1], index, field], format!("'{field}' does not belong to this type"), fix);
    }
}

fn read_method(
    at: &mut Checking<'_>,
    index: usize,
    entry: &GitAuthEntry,
    method: GitAuthType,
) -> Option<GitAuthMethod> {
    Some(match method {
        GitAuthType::GithubApp => {
            let app_id = given(at, index, "app_id", entry.app_id);
            let installation_id = given(at, index, "installation_id", entry.installation_id);
            let private_key_secret = secret(at, index, "private_key_secret", entry.private_key_secret.as_deref());
            GitAuthMethod::GithubApp {
                app_id: app_id?,
                installation_id: installation_id?,
                private_key_secret: private_key_secret?,
            }
        }
        GitAuthType::GitlabToken => {
            let url = given(at, index, "url", entry.url.clone());
            if let Some(url) = url.as_ref().filter(|url| !is_http(url)) {
                let message = format!("'{}' is not the address of a GitLab", shown(url));
                at.wrong(way![LIST[0], LIST[1], index, "url"], message, "write one such as https://gitlab.example.com");
            }
            let token_secret = secret(at, index, "token_secret", entry.token_secret.as_deref());
            GitAuthMethod::GitlabToken { url: url?, token_secret: token_secret? }
        }
        GitAuthType::HttpsToken => {
            let token_secret = secret(at, index, "token_secret", entry.token_secret.as_deref());
            let username = entry.username.clone().unwrap_or_else(|| "git".to_owned());
            if username.is_empty() || username.contains(':') || username.len() > 256 {
                at.wrong(way![LIST[0], LIST[1], index, "username"], "this is not a user name", "write it without ':'");
            }
            GitAuthMethod::HttpsToken { username, token_secret: token_secret? }
        }
        GitAuthType::SshKey => ssh_key(at, index, entry),
    })
}

fn ssh_key(at: &mut Checking<'_>, index: usize, entry: &GitAuthEntry) -> GitAuthMethod {
    if entry.private_key_path.is_some() == entry.private_key_secret.is_some() {
        let fix = "keep either private_key_path or private_key_secret";
        at.wrong(way![LIST[0], LIST[1], index], "an ssh_key needs exactly one place for its key", fix);
    }
    if let Some(path) = &entry.private_key_path
        && (!path.starts_with('/') || path.split('/').any(|part| part == ".."))
    {
        let message = format!("'{}' is not an absolute path", shown(path));
        at.wrong(way![LIST[0], LIST[1], index, "private_key_path"], message, "write one such as /etc/danube/ssh_key");
    }
    let name = entry.private_key_secret.as_deref();
    let private_key_secret = name.map(|name| at.secret(way![LIST[0], LIST[1], index, "private_key_secret"], name));
    GitAuthMethod::SshKey { private_key_path: entry.private_key_path.clone(), private_key_secret }
}

fn given<T>(at: &mut Checking<'_>, index: usize, field: &str, value: Option<T>) -> Option<T> {
    if value.is_none() {
        let message = format!("this type needs the field '{field}'");
        at.wrong(way![LIST[0], LIST[1], index], message, format!("add '{field}: …'"));
    }
    value
}

fn secret(at: &mut Checking<'_>, index: usize, field: &str, name: Option<&str>) -> Option<String> {
    let name = given(at, index, field, name)?;
    Some(at.secret(way![LIST[0], LIST[1], index, field], name))
}
