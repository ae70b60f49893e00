//! Which credential opens which repository, and how git is handed it.
use std::path::{Path, PathBuf};

use crate::model::Secret;
use crate::model::settings::{GitAuth, GitAuthMethod};
use crate::platform::git::{Access, Transport, check_url};

use super::MirrorError;
use super::scratch::Named;

/// An access that is ready for git; the key file it may need lives as long as it does.
#[derive(Debug, Default)]
pub struct Opened {
    access: Access,
    _key: Option<Named>,
}

impl Opened {
    /// What a call of git is given.
    pub const fn access(&self) -> &Access {
        &self.access
    }
}

/// The first entry of `git_authentication` whose patterns match the address. `*` crosses `/` here: an address is
/// no path.
pub fn choose<'a>(entries: &'a [GitAuth], url: &str) -> Option<&'a GitAuth> {
    let matches = |pattern: &String| globset::Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(url));
    entries.iter().find(|entry| entry.match_patterns.iter().any(matches))
}

/// Where SSH keeps its files.
#[derive(Debug, Clone, Copy)]
pub struct SshPlaces<'a> {
    /// A private folder for key files while git runs.
    pub scratch: &'a Path,
    /// The file of host keys that were seen; losing it loses the trust in them.
    pub known_hosts: &'a Path,
}

/// Makes the credential for an address ready. `secret` looks up a Danube secret by name.
pub fn open(
    entry: Option<&GitAuth>,
    url: &str,
    places: SshPlaces<'_>,
    secret: impl Fn(&str) -> Result<Secret<Vec<u8>>, String>,
) -> Result<Opened, MirrorError> {
    let Some(entry) = entry else { return Ok(Opened::default()) };
    let transport = check_url(url).map_err(|source| MirrorError::BadUrl { url: short(url), source })?;
    let refuse = |reason: String| MirrorError::Credential { name: entry.name.clone(), url: short(url), reason };
    match (&entry.method, transport) {
        (GitAuthMethod::HttpsToken { username, token_secret }, Transport::Http) => {
            token(url, username, &secret(token_secret).map_err(refuse)?).map_err(refuse)
        }
        (GitAuthMethod::GitlabToken { token_secret, .. }, Transport::Http) => {
            token(url, "oauth2", &secret(token_secret).map_err(refuse)?).map_err(refuse)
        }
        (GitAuthMethod::SshKey { private_key_path, private_key_secret }, Transport::Ssh) => {
            let known_hosts = places.known_hosts.to_owned();
            if let Some(path) = private_key_path {
                let access = Access::SshKey { file: PathBuf::from(path), known_hosts };
                return Ok(Opened { access, _key: None });
            }
            let name = private_key_secret.as_ref();
            let name = name.ok_or_else(|| refuse("it names neither private_key_path nor private_key_secret".into()))?;
            let value = secret(name).map_err(refuse)?;
            let key = Named::write(places.scratch, &with_line_end(value).expose()[..])
                .map_err(MirrorError::local(format!("writing a key file in {}", places.scratch.display())))?;
            let access = Access::SshKey { file: key.path().to_owned(), known_hosts };
            Ok(Opened { access, _key: Some(key) })
        }
        (GitAuthMethod::GithubApp { .. }, _) => {
            Err(refuse("this release does not sign in as a GitHub App; use https_token or ssh_key".into()))
        }
        (GitAuthMethod::HttpsToken { .. } | GitAuthMethod::GitlabToken { .. }, _) => {
            Err(refuse("a token opens https addresses only; use an ssh_key entry or an https address".into()))
        }
        (GitAuthMethod::SshKey { .. }, _) => {
            Err(refuse("an SSH key opens ssh addresses only; use an https_token entry or an ssh address".into()))
        }
    }
}

fn token(url: &str, username: &str, value: &Secret<Vec<u8>>) -> Result<Opened, String> {
    // In the open a token would belong to everybody on the way; a loopback address has no way.
    let parsed = url::Url::parse(url).map_err(|e| e.to_string())?;
    let loopback = matches!(parsed.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if parsed.scheme() != "https" && !loopback {
        return Err("a token is sent over https only, and the address says http".to_owned());
    }
    let text = std::str::from_utf8(value.expose()).map_err(|_| "the token is not text".to_owned())?.trim();
    if text.is_empty() || text.chars().any(char::is_control) || username.contains(':') {
        return Err("the token is empty or holds control characters, or the user name holds ':'".to_owned());
    }
    let origin = format!("{}/", parsed.origin().ascii_serialization());
    let token = Secret::new(text.to_owned());
    Ok(Opened { access: Access::Token { url: origin, username: username.to_owned(), token }, _key: None })
}

/// OpenSSH refuses a key whose last line has no end, which is what pasting yields.
fn with_line_end(value: Secret<Vec<u8>>) -> Secret<Vec<u8>> {
    if value.expose().ends_with(b"\n") {
        return value;
    }
    let mut bytes = Vec::with_capacity(value.expose().len() + 1);
    bytes.extend_from_slice(value.expose());
    bytes.push(b'\n');
    Secret::new(bytes)
}

pub(super) fn short(url: &str) -> String {
    url.chars().take(200).filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, pattern: &str, method: GitAuthMethod) -> GitAuth {
        GitAuth { name: name.into(), match_patterns: vec![pattern.into()], method }
    }

    fn https() -> GitAuthMethod {
        GitAuthMethod::HttpsToken { username: "bot".into(), token_secret: "GIT_TOKEN".into() }
    }

    fn ssh() -> GitAuthMethod {
        GitAuthMethod::SshKey { private_key_path: None, private_key_secret: Some("GIT_KEY".into()) }
    }

    fn places(dir: &Path) -> SshPlaces<'_> {
        SshPlaces { scratch: dir, known_hosts: dir }
    }

    fn secret(name: &str) -> Result<Secret<Vec<u8>>, String> {
        match name {
            "GIT_TOKEN" => Ok(Secret::new(b"hunter22\n".to_vec())),
            "GIT_KEY" => Ok(Secret::new(b"KEY".to_vec())),
            other => Err(format!("the secret {other} does not exist")),
        }
    }

    #[test]
    fn the_first_matching_entry_is_chosen() {
        let entries = [entry("web", "https://git.example.com/web/*", https()), entry("all", "*", ssh())];
        assert_eq!(choose(&entries, "https://git.example.com/web/shop.git").unwrap().name, "web");
        assert_eq!(choose(&entries, "git@git.example.com:web/shop.git").unwrap().name, "all");
        assert!(choose(&entries[..1], "https://evil.example.com/web/x").is_none());
    }

    #[test]
    fn a_token_goes_to_the_origin_of_its_address_alone() {
        let dir = tempfile::tempdir().unwrap();
        let entry = entry("web", "*", https());
        let opened =
            open(Some(&entry), "https://git.example.com:8443/web/shop.git", places(dir.path()), secret).unwrap();
        let Access::Token { url, token, .. } = opened.access() else { panic!("no token") };
        assert_eq!((url.as_str(), token.expose().as_str()), ("https://git.example.com:8443/", "hunter22"));
        let in_the_open = open(Some(&entry), "http://git.example.com/web/shop.git", places(dir.path()), secret);
        assert!(in_the_open.unwrap_err().to_string().contains("https only"));
    }

    #[test]
    fn a_key_is_in_a_private_file_only_while_it_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let entry = entry("all", "*", ssh());
        let opened = open(Some(&entry), "git@git.example.com:web/shop.git", places(dir.path()), secret).unwrap();
        let Access::SshKey { file, .. } = opened.access() else { panic!("no key") };
        assert_eq!(std::fs::read(file).unwrap(), b"KEY\n");
        drop(opened);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_credential_of_the_wrong_kind_or_without_its_secret_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let wrong_kind = open(Some(&entry("w", "*", https())), "git@git.example.com:a", places(dir.path()), secret);
        assert!(wrong_kind.unwrap_err().to_string().contains("'w'"));
        let method = GitAuthMethod::HttpsToken { username: "b".into(), token_secret: "NONE".into() };
        let missing = open(Some(&entry("w", "*", method)), "https://git.example.com/a", places(dir.path()), secret);
        assert!(missing.unwrap_err().to_string().contains("NONE does not exist"));
        assert!(matches!(open(None, "/srv/a", places(dir.path()), secret).unwrap().access(), Access::Open));
    }
}
