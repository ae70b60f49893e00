//! What opens a repository. Nothing of it is ever on a command line.
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::model::Secret;

/// How a call of git proves who it is.
#[derive(Clone, Default)]
pub enum Access {
    /// Not at all.
    #[default]
    Open,
    /// A repository on this machine that belongs to another user, trusted by the administrator.
    Local {
        /// The repository.
        path: PathBuf,
    },
    /// An SSH key.
    SshKey {
        /// Its file, mode 0600.
        file: PathBuf,
        /// Where host keys are remembered: a host's first key is kept, another one later is refused.
        known_hosts: PathBuf,
    },
    /// A user name and token for HTTPS.
    Token {
        /// The address (or a prefix of it) that gets the token; no other address does.
        url: String,
        /// The user name; many forges ignore it.
        username: String,
        /// The token.
        token: Secret<String>,
    },
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Local { .. } => "Local",
            Self::SshKey { .. } => "SshKey",
            Self::Token { .. } => "Token",
        })
    }
}

impl Access {
    /// The ssh that git starts: no questions, no configuration of a person, no agent.
    pub(super) fn ssh_command(&self) -> String {
        let common = "ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 \
                      -o IdentityAgent=none -o IdentitiesOnly=yes -o StrictHostKeyChecking=";
        match self {
            Self::SshKey { file, known_hosts } => {
                let known = quote(&format!("UserKnownHostsFile=\"{}\"", known_hosts.display()));
                format!("{common}accept-new -o {known} -i {}", quote_path(file))
            }
            Self::Open | Self::Local { .. } | Self::Token { .. } => format!("{common}yes"),
        }
    }

    /// Settings of git that go into the environment of the call.
    pub(super) fn settings(&self) -> Vec<(String, String)> {
        match self {
            Self::Open | Self::SshKey { .. } => Vec::new(),
            Self::Local { path } => vec![("safe.directory".into(), path.display().to_string())],
            Self::Token { url, username, token } => {
                let pair = STANDARD.encode(format!("{username}:{}", token.expose()));
                vec![(format!("http.{url}.extraHeader"), format!("Authorization: Basic {pair}"))]
            }
        }
    }
}

fn quote_path(path: &Path) -> String {
    quote(&path.display().to_string())
}

/// One word of a POSIX shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_printed_and_goes_to_its_address_alone() {
        let access = Access::Token {
            url: "https://git.example.com/".into(),
            username: "bot".into(),
            token: Secret::new("hunter22".into()),
        };
        assert_eq!(format!("{access:?}"), "Token");
        assert!(!access.ssh_command().contains("hunter22"));
        let settings = access.settings();
        assert_eq!(settings[0].0, "http.https://git.example.com/.extraHeader");
        assert_eq!(settings[0].1, "Authorization: Basic Ym90Omh1bnRlcjIy");
    }

    #[test]
    fn a_key_path_is_one_word_for_the_shell() {
        let access = Access::SshKey { file: "/keys/it's".into(), known_hosts: "/keys/known hosts".into() };
        let command = access.ssh_command();
        assert!(command.ends_with(r#"-o 'UserKnownHostsFile="/keys/known hosts"' -i '/keys/it'\''s'"#), "{command}");
    }
}
