//! How the command line says which server is meant.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::error::ClientError;
use super::login::Login;
use super::network::Network;
use super::request::Client;
use crate::model::Secret;

/// Where a server on this machine listens, in the order of asking.
const SOCKETS: [&str; 2] = ["/run/danube/api.sock", "/var/lib/danube/api.sock"];

/// Which server to ask.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Server")]
pub struct Connection {
    /// A server on the network [env: DANUBE_SERVER] [default: the one of `danube login`, else the one on this machine]
    #[arg(long, global = true, value_name = "URL", conflicts_with = "socket")]
    server: Option<String>,
    /// The token for it; on shared machines rather by DANUBE_TOKEN, where others do not see it
    #[arg(long, global = true, value_name = "TOKEN", requires = "server", value_parser = secret)]
    token: Option<Secret<String>>,
    /// The socket of a server on this machine [env: DANUBE_SOCKET]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
}

fn secret(text: &str) -> Result<Secret<String>, std::convert::Infallible> {
    Ok(Secret::new(text.to_owned()))
}

/// What was chosen.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Server(String),
    Socket(PathBuf),
    Usual,
}

impl Connection {
    /// A client for it; nothing is sent yet.
    pub fn open(&self) -> Result<Client, ClientError> {
        let env = crate::cli::config::environment();
        let stored = || Login::path(&env).map_or(Ok(None), |path| Login::load(&path));
        match self.choose(&env) {
            Choice::Server(address) => {
                let from_env = || env.get("DANUBE_TOKEN").filter(|text| !text.is_empty()).cloned().map(Secret::new);
                let token = match self.token.clone().or_else(from_env) {
                    // A token goes to the server that it was kept for, and to no other.
                    None => stored()?.filter(|login| login.server == address).map(|login| login.token),
                    token => token,
                };
                Self::network(&address, token)
            }
            Choice::Socket(path) => Ok(Client::over_socket(path)),
            Choice::Usual => match stored()? {
                Some(login) => Self::network(&login.server, Some(login.token)),
                None => usual(&SOCKETS.map(Path::new)),
            },
        }
    }

    /// A client for a server on the network.
    pub fn network(address: &str, token: Option<Secret<String>>) -> Result<Client, ClientError> {
        let network = Network::new(address, token)?;
        if network.exposes_token() {
            eprintln!("danube: {address} is not encrypted: others on the way can read the token");
        }
        Ok(Client::over_network(network))
    }

    /// Flags before the environment; in each, one of the two ways.
    fn choose(&self, env: &BTreeMap<String, String>) -> Choice {
        let set = |name: &str| env.get(name).filter(|text| !text.is_empty()).cloned();
        match (&self.server, &self.socket) {
            (Some(address), _) => Choice::Server(address.clone()),
            (None, Some(path)) => Choice::Socket(path.clone()),
            (None, None) => match (set("DANUBE_SERVER"), set("DANUBE_SOCKET")) {
                (Some(address), _) => Choice::Server(address),
                (None, Some(path)) => Choice::Socket(path.into()),
                (None, None) => Choice::Usual,
            },
        }
    }
}

fn usual(sockets: &[&Path]) -> Result<Client, ClientError> {
    // A socket that may not be looked at is there: asking it says why not.
    let missing =
        |path: &Path| std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if let Some(path) = sockets.iter().find(|path| !missing(path)) {
        return Ok(Client::over_socket(*path));
    }
    let places: Vec<_> = sockets.iter().map(|path| path.display().to_string()).collect();
    Err(ClientError::Unreachable {
        place: places.join(" or "),
        why: "there is no socket".to_owned(),
        hint: "start the server (`systemctl start danube`), log in to one on the network (`danube login URL`), or name one with --socket PATH or --server URL"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_flag_beats_the_environment_and_the_machine_is_the_default() {
        let both = env(&[("DANUBE_SERVER", "https://a.example.com"), ("DANUBE_SOCKET", "/a.sock")]);
        let by_socket = Connection { socket: Some("/b.sock".into()), ..Connection::default() };
        assert_eq!(by_socket.choose(&both), Choice::Socket("/b.sock".into()));
        assert_eq!(Connection::default().choose(&both), Choice::Server("https://a.example.com".to_owned()));
        assert_eq!(
            Connection::default().choose(&env(&[("DANUBE_SOCKET", "/a.sock")])),
            Choice::Socket("/a.sock".into())
        );
        assert_eq!(Connection::default().choose(&env(&[("DANUBE_SERVER", "")])), Choice::Usual);
    }

    #[test]
    fn a_machine_without_a_server_says_how_to_start_one() {
        let error = usual(&[Path::new("/nonexistent/api.sock")]).unwrap_err();
        assert_eq!(error.code(), 3);
        assert!(error.text().contains("/nonexistent/api.sock") && error.text().contains("systemctl start danube"));
    }
}
