//! `danube logout`: forgets what `danube login` kept.
use std::process::ExitCode;

use clap::Args;

use super::client::Login;
use super::say::say;

/// Forget the server and the token of the login
///
/// The token itself goes on working: `danube token revoke` ends it.
#[derive(Debug, Args)]
pub(super) struct LogoutArgs {}

pub(super) fn run(_none: &LogoutArgs) -> anyhow::Result<ExitCode> {
    let Some(path) = Login::path(&super::config::environment()) else {
        say("nobody was logged in\n")?;
        return Ok(ExitCode::SUCCESS);
    };
    match Login::forget(&path) {
        Ok(true) => say(&format!("{} is gone; the token still works until it is revoked\n", path.display()))?,
        Ok(false) => say("nobody was logged in\n")?,
        Err(error) => {
            error.tell();
            return Ok(error.exit_code());
        }
    }
    Ok(ExitCode::SUCCESS)
}
