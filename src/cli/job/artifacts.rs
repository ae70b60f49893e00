//! `danube job artifacts`: lists what a job kept, or fetches it.
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::artifacts::Name;
use crate::cli::client::{Artifact, Client, ClientError, JobName, segment};
use crate::cli::say::{say, say_json};
use crate::cli::style::{Cell, Look, plain, size, table};
use crate::cli::trigger::unsaid;

/// List what a job kept, or download it
#[derive(Debug, Args)]
pub(super) struct ArtifactsArgs {
    /// The job: web#42, or its id
    job: JobName,
    /// Download all of it into this folder, checked by digest; directories come as .tar
    #[arg(long, value_name = "DIR", conflicts_with = "json")]
    download: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Deserialize)]
struct List {
    artifacts: Vec<Artifact>,
}

pub(super) async fn run(client: &Client, args: &ArtifactsArgs) -> Result<ExitCode, ClientError> {
    let request = args.job.get("/artifacts");
    if args.json {
        let answer: Value = client.fetch(request).await?;
        say_json(&answer).map_err(unsaid)?;
        return Ok(ExitCode::SUCCESS);
    }
    let list: List = client.fetch(request).await?;
    match &args.download {
        None => say(&render(&list.artifacts, Look::of(&std::io::stdout()))).map_err(ClientError::output)?,
        Some(dir) => {
            for artifact in list.artifacts.iter().filter(|artifact| artifact.expired_at.is_none()) {
                let path = download(client, &args.job, artifact, dir).await?;
                say(&format!("{}\n", plain(&path.display().to_string()))).map_err(ClientError::output)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn render(artifacts: &[Artifact], look: Look) -> String {
    if artifacts.is_empty() {
        return "no artifacts\n".to_owned();
    }
    let row = |artifact: &Artifact| -> [Cell; 4] {
        let state = if artifact.expired_at.is_some() { "expired" } else { &artifact.kind };
        [artifact.name.as_str().into(), state.into(), size(artifact.size).into(), Cell::new(&artifact.sha256).whole()]
    };
    let rows: Vec<_> = artifacts.iter().map(row).collect();
    table(["NAME", "KIND", "SIZE", "SHA-256"], &rows, look)
}

/// The file appears whole and right, or not at all.
async fn download(client: &Client, job: &JobName, artifact: &Artifact, dir: &Path) -> Result<PathBuf, ClientError> {
    let path = dir.join(file_name(artifact)?);
    let part = path.with_file_name(format!(".{}.part", artifact.sha256.get(..16).unwrap_or("artifact")));
    let unwritten = |source| ClientError::Output { place: path.display().to_string(), source };
    let mut file = fs::create_dir_all(dir).and_then(|()| File::create(&part)).map_err(unwritten)?;
    let mut digest = Sha256::new();
    let request = job.get(&format!("/artifacts/{}", segment(&artifact.name)));
    let fetched = client.stream(request, |piece| {
        digest.update(piece);
        file.write_all(piece).map_err(unwritten)
    });
    let fetched = fetched.await.and_then(|()| {
        let found = hex::encode(digest.finalize());
        if found != artifact.sha256 {
            let text =
                format!("'{}' arrived with the digest {found}, not {}; try again", artifact.name, artifact.sha256);
            return Err(ClientError::Failed(text));
        }
        file.sync_all().and_then(|()| fs::rename(&part, &path)).map_err(unwritten)
    });
    if fetched.is_err() {
        // Of no use; why it is there was told already.
        let _left = fs::remove_file(&part);
    }
    fetched.map(|()| path)
}

/// Its name as a file of the folder: a server that lies does not reach outside it.
fn file_name(artifact: &Artifact) -> Result<String, ClientError> {
    let digest_fits = artifact.sha256.len() == 64 && artifact.sha256.bytes().all(|b| b.is_ascii_hexdigit());
    match Name::parse(&artifact.name) {
        Ok(name) if digest_fits && artifact.kind == "dir" && !name.as_str().ends_with(".tar") => {
            Ok(format!("{name}.tar"))
        }
        Ok(name) if digest_fits => Ok(name.to_string()),
        _ => Err(ClientError::Failed(format!(
            "'{}' is no name that an artifact may have; it was not saved",
            artifact.name
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(name: &str, kind: &str) -> Artifact {
        Artifact { name: name.into(), kind: kind.into(), size: 1536, sha256: "ab".repeat(32), expired_at: None }
    }

    #[test]
    fn a_name_stays_in_its_folder() {
        assert_eq!(file_name(&artifact("dist", "dir")).unwrap(), "dist.tar");
        assert_eq!(file_name(&artifact("app-1.0.whl", "file")).unwrap(), "app-1.0.whl");
        for name in ["../x", "/etc/passwd", "a/b", "", ".bashrc", "a\0b"] {
            assert!(file_name(&artifact(name, "file")).is_err(), "{name}");
        }
    }

    #[test]
    fn artifacts_are_listed_with_size_and_digest() {
        let digest = "ab".repeat(32);
        let expected = format!("NAME   KIND  SIZE     SHA-256\na.whl  file  1.5 KiB  {digest}\n");
        assert_eq!(render(&[artifact("a.whl", "file")], Look::bare()), expected);
    }
}
