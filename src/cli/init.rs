//! `danube init`: writes a config repo to start from.
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::say::say;

/// What is written, by path.
const STARTER: &[(&str, &str)] = &[
    ("README.md", include_str!("init/starter/README.md")),
    ("config.yaml", include_str!("init/starter/config.yaml")),
    ("users.yaml", include_str!("init/starter/users.yaml")),
    ("teams.yaml", include_str!("init/starter/teams.yaml")),
    ("pipelines/example.yaml", include_str!("init/starter/pipelines/example.yaml")),
    ("examples/danubefile.py", include_str!("init/starter/examples/danubefile.py")),
];

/// Write a config repo to start from into an empty folder
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// The folder; it may hold a fresh clone
    dir: PathBuf,
}

pub(super) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    write(&args.dir)?;
    say(&next_steps(&args.dir))?;
    Ok(ExitCode::SUCCESS)
}

fn write(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    let names = fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    for name in names {
        let name = name?.file_name();
        if name != ".git" {
            bail!("{} is not empty: it holds '{}'. Name an empty folder", dir.display(), name.to_string_lossy());
        }
    }
    for (path, text) in STARTER {
        let path = dir.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, text));
        written.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

fn next_steps(dir: &Path) -> String {
    let files: String = STARTER.iter().map(|(path, _)| format!("  {path}\n")).collect();
    let dir = dir.display();
    format!(
        "A config repo to start from is in {dir}:\n{files}\n\
         Next:\n  \
         1. Put your address into users.yaml and teams.yaml, and your first repository into pipelines/example.yaml\n  \
         2. danube lint {dir}\n  \
         3. git -C {dir} init -b main && git -C {dir} add . && git -C {dir} commit -m 'Start'\n  \
         4. Push it, and name the repository as config_repo.url in /etc/danube/danube.toml\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_repo::{check, from_dir};

    #[test]
    fn what_it_writes_has_no_mistakes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("new");
        write(&dir).unwrap();
        let settings = check(from_dir(&dir).unwrap()).unwrap();
        assert_eq!((settings.users.len(), settings.pipelines.len()), (1, 1));
        assert!(settings.teams.iter().any(|team| team.global_admin && !team.members.is_empty()));
        for (path, _) in STARTER {
            assert!(next_steps(&dir).contains(path) && dir.join(path).is_file(), "{path}");
        }
    }

    #[test]
    fn a_folder_with_anything_in_it_is_refused_but_a_fresh_clone_is_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".git")).unwrap();
        write(dir.path()).unwrap();
        let before = fs::read(dir.path().join("config.yaml")).unwrap();
        let refused = write(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("is not empty"), "{refused}");
        assert_eq!(fs::read(dir.path().join("config.yaml")).unwrap(), before);
    }
}
