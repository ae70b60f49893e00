//! `danube user`: helps to write users.yaml.
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::client::ClientError;
use super::input::{self, Ask};
use super::say::say;
use crate::model::Secret;
use crate::platform::{Ids, SystemIds};

/// Work per hash: some tenths of a second.
const COST: u32 = 12;
/// Shorter passwords are guessed.
const SHORTEST: usize = 8;
/// The longest that bcrypt takes in whole: 72 bytes with the final NUL.
const LONGEST: usize = 71;

/// Helpers for users.yaml
#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the bcrypt hash of a password from standard input, for password_hash
    HashPassword,
}

pub(super) fn run(args: &UserArgs) -> anyhow::Result<ExitCode> {
    let Command::HashPassword = args.command;
    let ask = Ask { prompt: "the password (it is not shown): ", most: LONGEST, twice: true };
    match input::read(&ask).and_then(|password| hash(&password, &SystemIds::new(), COST)) {
        Ok(hash) => {
            say(&format!("{hash}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            error.tell();
            Ok(error.exit_code())
        }
    }
}

fn hash(password: &Secret<Vec<u8>>, ids: &dyn Ids, cost: u32) -> Result<String, ClientError> {
    let bytes = password.expose();
    if std::str::from_utf8(bytes).is_err() || bytes.iter().any(u8::is_ascii_control) {
        return Err(ClientError::Usage("a password is one line of text".to_owned()));
    }
    if bytes.len() < SHORTEST {
        return Err(ClientError::Usage(format!("a password has at least {SHORTEST} characters")));
    }
    if bytes.len() > LONGEST {
        return Err(ClientError::Usage(format!("a password has at most {LONGEST} bytes: bcrypt looks at no more")));
    }
    let mut salt = [0; 16];
    ids.fill(&mut salt);
    let parts = bcrypt::non_truncating_hash_with_salt(bytes, cost, salt)
        .map_err(|error| ClientError::Failed(format!("the password cannot be hashed: {error}")))?;
    Ok(parts.format_for_version(bcrypt::Version::TwoB))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::SeededIds;

    fn of(password: &str) -> Result<String, ClientError> {
        hash(&Secret::new(password.as_bytes().to_vec()), &SeededIds::new(1), 4)
    }

    #[test]
    fn a_hash_verifies_its_password_alone() {
        let hash = of("correct horse battery").unwrap();
        assert!(hash.starts_with("$2b$04$"));
        assert!(bcrypt::verify("correct horse battery", &hash).unwrap());
        assert!(!bcrypt::verify("correct horse batterz", &hash).unwrap());
    }

    #[test]
    fn what_nobody_can_type_or_everybody_guesses_is_refused() {
        for wrong in ["short", "two\nlines here", "nul\0nul\0nul", &"x".repeat(72)] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
        assert!(of(&"x".repeat(71)).is_ok());
    }
}
