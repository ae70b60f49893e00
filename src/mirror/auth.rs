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

/// The Danube secret that an entry needs.
pub fn secret_of(entry: &GitAuth) -> Option<&str> {
    match &entry.method {
        GitAuthMethod::HttpsToken { token_secret, .. } | GitAuthMethod::GitlabToken { token_secret, .. } => {
            Some(token_secret)
        }
        GitAuthMethod::SshKey { private_key_path: None, private_key_secret } => private_key_secret.as_deref(),
        GitAuthMethod::SshKey { .. } | GitAuthMethod::GithubApp { .. } => None,
    }
}

/// Makes an entry ready for an address; `secret` is the value of `secret_of`. Writes a key file: not for async
/// threads.
pub fn open(
    entry: &GitAuth,
    url: &str,
    places: SshPlaces<'_>,
    secret: Option<Secret<Vec<u8>>>,
) -> Result<Opened, MirrorError> {
    let transport = check_url(url).map_err(|source| MirrorError::BadUrl { url: short(url), source })?;
    let refuse = |reason: &str| credential(entry, url, reason);
    let known_hosts = places.known_hosts.to_owned();
    match (&entry.method, transport, secret) {
        (GitAuthMethod::HttpsToken { username, .. }, Transport::Http, Some(secret)) => {
            token(url, username, &secret).map_err(|reason| refuse(&reason))
        }
        (GitAuthMethod::GitlabToken { .. }, Transport::Http, Some(secret)) => {
            token(url, "oauth2", &secret).map_err(|reason| refuse(&reason))
        }
        (GitAuthMethod::SshKey { private_key_path: Some(path), .. }, Transport::Ssh, _) => {
            Ok(Opened { access: Access::SshKey { file: PathBuf::from(path), known_hosts }, _key: None })
        }
        (GitAuthMethod::SshKey { .. }, Transport::Ssh, Some(secret)) => {
            let key = Named::write(places.scratch, &with_line_end(secret).expose()[..])
                .map_err(MirrorError::local(format!("writing a key file in {}", places.scratch.display())))?;
            Ok(Opened { access: Access::SshKey { file: key.path().to_owned(), known_hosts }, _key: Some(key) })
        }
        (GitAuthMethod::GithubApp { .. }, _, _) => {
            Err(refuse("this release does not sign in as a GitHub App; use https_token or ssh_key"))
        }
        (
            GitAuthMethod::HttpsToken { .. } | GitAuthMethod::GitlabToken { .. },
            Transport::Ssh | Transport::Local,
            _,
        ) => Err(refuse("a token opens https addresses only; use an ssh_key entry or an https address")),
        (GitAuthMethod::SshKey { .. }, Transport::Http | Transport::Local, _) => {
            Err(refuse("an SSH key opens ssh addresses only; use an https_token entry or an ssh address"))
        }
        (_, _, None) => Err(refuse("it names no secret and no file")),
    }
}

/// The error for an entry that cannot open an address.
pub fn credential(entry: &GitAuth, url: &str, reason: &str) -> MirrorError {
    MirrorError::Credential { name: entry.name.clone(), url: short(url), reason: reason.to_owned() }
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

    fn opened(entry: &GitAuth, url: &str, dir: &Path, secret: Option<&[u8]>) -> Result<Opened, MirrorError> {
        let places = SshPlaces { scratch: dir, known_hosts: dir };
        open(entry, url, places, secret.map(|value| Secret::new(value.to_vec())))
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
        assert_eq!(secret_of(&entry), Some("GIT_TOKEN"));
        let value = Some(&b"hunter22\n"[..]);
        let ready = opened(&entry, "https://git.example.com:8443/web/shop.git", dir.path(), value).unwrap();
        let Access::Token { url, token, .. } = ready.access() else { panic!("no token") };
        assert_eq!((url.as_str(), token.expose().as_str()), ("https://git.example.com:8443/", "hunter22"));
        let in_the_open = opened(&entry, "http://git.example.com/web/shop.git", dir.path(), value);
        assert!(in_the_open.unwrap_err().to_string().contains("https only"));
        let split = opened(&entry, "https://git.example.com/a", dir.path(), Some(b"a\nHost: evil"));
        assert!(!split.unwrap_err().to_string().contains("evil"));
    }

    #[test]
    fn a_key_is_in_a_private_file_only_while_it_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let entry = entry("all", "*", ssh());
        assert_eq!(secret_of(&entry), Some("GIT_KEY"));
        let ready = opened(&entry, "git@git.example.com:web/shop.git", dir.path(), Some(b"KEY")).unwrap();
        let Access::SshKey { file, .. } = ready.access() else { panic!("no key") };
        assert_eq!(std::fs::read(file).unwrap(), b"KEY\n");
        drop(ready);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_credential_of_the_wrong_kind_or_without_its_secret_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let wrong_kind = opened(&entry("w", "*", https()), "git@git.example.com:a", dir.path(), Some(b"t"));
        assert!(wrong_kind.unwrap_err().to_string().contains("'w'"));
        let wrong_kind = opened(&entry("w", "*", ssh()), "https://git.example.com/a", dir.path(), Some(b"t"));
        assert!(wrong_kind.unwrap_err().to_string().contains("ssh addresses only"));
        let nothing = opened(&entry("w", "*", ssh()), "git@git.example.com:a", dir.path(), None);
        assert!(nothing.unwrap_err().to_string().contains("no secret"));
    }
}
