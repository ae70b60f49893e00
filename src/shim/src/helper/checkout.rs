//! Filling a fresh workspace with one commit, or with a developer's working copy.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use danube_shim::frame;
use danube_shim::transfer;

use super::Problem;
use super::copy::copy_tree;
use super::git::{git, git_fed};
use super::unpack::{Links, unpack};

/// Reads header, pack and tar; leaves the files here and, where there is a place, in `source`.
pub(super) fn run(from: File, source: &Path) -> Result<(), Problem> {
    let workspace = Path::new(".");
    fill(from, workspace)?;
    match source.is_dir() {
        true => copy_tree(workspace, source),
        false => Ok(()),
    }
}

fn fill(mut from: File, workspace: &Path) -> Result<(), Problem> {
    let header: transfer::Checkout = frame::read(&mut from, frame::HEADER_LIMIT).map_err(|error| error.to_string())?;
    if let Some(commit) = &header.commit {
        repository(workspace, commit, &header, &mut from)?;
        let files = match header.tar_bytes {
            0 => git(workspace, &["reset", "--quiet", "--hard"]),
            _ => git(workspace, &["read-tree", "HEAD"]),
        };
        files?;
    }
    if header.tar_bytes > 0 {
        let root = super::workspace()?;
        let mut tar = from.take(header.tar_bytes);
        unpack(&mut tar, &root, Path::new("."), Links::Kept)?;
        // Cut at the border of an entry, a tar looks complete.
        std::io::copy(&mut tar, &mut std::io::sink()).map_err(|error| format!("cannot receive the files: {error}"))?;
        if tar.limit() > 0 {
            return Err(format!("{} bytes of the files did not arrive", tar.limit()));
        }
    }
    if header.commit.is_some() && header.tar_bytes > 0 {
        // Differences are what a working copy is about: git says so by its exit code.
        let _ = git(workspace, &["update-index", "-q", "--refresh"]);
    }
    Ok(())
}

/// A repository of this one commit, which knows no other place.
fn repository(workspace: &Path, commit: &str, header: &transfer::Checkout, from: &mut File) -> Result<(), Problem> {
    let format = match commit.len() {
        _ if !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) => None,
        40 => Some("--object-format=sha1"),
        64 => Some("--object-format=sha256"),
        _ => None,
    };
    let format = format.ok_or_else(|| format!("{commit:?} is not the name of a commit"))?;
    git(workspace, &["init", "--quiet", "--template=", format])?;
    let shallow = workspace.join(".git/shallow");
    fs::write(&shallow, format!("{commit}\n"))
        .map_err(|error| format!("cannot write {}: {error}", shallow.display()))?;
    git_fed(workspace, &["index-pack", "--stdin"], from, header.pack_bytes)?;
    match &header.ref_name {
        Some(name) => {
            let branch = format!("refs/heads/{name}");
            git(workspace, &["check-ref-format", &branch])
                .map_err(|_| format!("{name:?} is not a name of a branch"))?;
            git(workspace, &["update-ref", &branch, commit])?;
            git(workspace, &["symbolic-ref", "HEAD", &branch])
        }
        None => git(workspace, &["update-ref", "--no-deref", "HEAD", commit]),
    }
}
