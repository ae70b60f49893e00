//! Plain `git`, as a person would type it, without this machine's settings.
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// The person who commits and pushes.
const PERSON: (&str, &str) = ("Ada", "ada@example.com");

/// Runs git in a directory; what it printed on both channels, trimmed.
pub(in crate::cli) fn git(dir: &Path, args: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git")
        .args(["-c", "init.defaultBranch=main", "-c", "init.templateDir=", "-c", "commit.gpgSign=false"])
        .args(args)
        .current_dir(dir)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs([("GIT_AUTHOR_NAME", PERSON.0), ("GIT_COMMITTER_NAME", PERSON.0)])
        .envs([("GIT_AUTHOR_EMAIL", PERSON.1), ("GIT_COMMITTER_EMAIL", PERSON.1)])
        .stdin(Stdio::null())
        .output()
        .context("cannot run git")?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("`git {}` failed: {}", args.join(" "), said.trim());
    }
    Ok(said.trim().to_owned())
}

/// Makes a bare repository that every user of the machine may read, and a commit of everything in
/// `checkout` that is ready to be pushed there.
pub(in crate::cli) fn repository(bare: &Path, checkout: &Path, message: &str) -> anyhow::Result<()> {
    let target = bare.display().to_string();
    git(checkout, &["init", "-q", "--bare", "--shared=0644", &target])?;
    git(checkout, &["init", "-q"])?;
    git(checkout, &["config", "user.name", PERSON.0])?;
    git(checkout, &["config", "user.email", PERSON.1])?;
    git(checkout, &["remote", "add", "origin", &target])?;
    // Everything, whatever a .gitignore of the published source says.
    git(checkout, &["add", "--all", "--force"])?;
    git(checkout, &["commit", "-q", "-m", message])?;
    Ok(())
}

/// Pushes the branch; what the other side's hook said.
pub(in crate::cli) fn push(checkout: &Path) -> anyhow::Result<Vec<String>> {
    let said = git(checkout, &["push", "--set-upstream", "origin", "HEAD:main"])?;
    Ok(said.lines().filter_map(|line| line.strip_prefix("remote:")).map(|line| line.trim().to_owned()).collect())
}
