//! The proof: what was built is downloaded and verified, and a forged copy is refused.
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use serde::Deserialize;

use super::follow::Job;
use super::paths;
use super::show::{Colour, Show, size};
use crate::artifacts::Digest;
use crate::cli::ground::{Api, Place, Refused, Server, address};
use crate::cli::verify::{self, VerifyArgs};
use crate::platform::{Clock, SystemClock};
use crate::provenance;

/// The artifact that the danubefile uploads.
const ARTIFACT: &str = "wheel";
/// `danube verify`: the file is not what the attestation speaks of.
const REFUSED: u8 = 2;

#[derive(Debug, Deserialize)]
struct Stored {
    name: String,
    size: u64,
    sha256: String,
}

/// Downloads and verifies; prints each check.
pub(super) async fn prove(api: &Api, show: &Show, server: &mut Server, place: &Place, job: &Job) -> anyhow::Result<()> {
    let at = format!("/api/v1/jobs/{}", job.id);
    let stored = stored(api, &at).await?;
    let envelope = server
        .until("the attestation was signed", Duration::from_secs(30), async || {
            match api.bytes(&format!("{at}/attestation")).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.downcast_ref::<Refused>().is_some_and(|e| e.status == StatusCode::NOT_FOUND) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
        .await?;
    let bytes = api.bytes(&format!("{at}/artifacts/{ARTIFACT}")).await?;
    let digest = Digest::of(&bytes).to_string();
    ensure!(digest == stored.sha256, "the server names {} for the artifact, but its bytes are {digest}", stored.sha256);
    show.line(&format!("artifact {}: {}, sha256 {}", stored.name, size(stored.size), stored.sha256));
    let files = Files::write(&paths::result(place), &bytes, &envelope)?;
    let args = arguments(place, &files)?;
    let (code, said) = verified(&args);
    for line in said.lines() {
        show.line(&painted(show, line));
    }
    if code != 0 {
        bail!("the artifact could not be verified (exit code {code})");
    }
    let forged = VerifyArgs { file: Some(files.forge(bytes)?), ..args };
    let (code, _) = verified(&forged);
    ensure!(code == REFUSED, "an artifact with one changed byte was not refused (exit code {code})");
    show.line(&format!("{} a copy with one byte changed is refused", show.paint("✓", Colour::Green)));
    Ok(())
}

/// The command with which a person checks the same again.
pub(super) fn command(place: &Place) -> anyhow::Result<String> {
    let (dir, key) = (paths::result(place), public_key(place));
    let program = std::env::current_exe().context("cannot find my own program")?;
    let (program, dir) = (program.display(), dir.display());
    Ok(format!("{program} verify {dir}/wheel --attestation {dir}/attestation.json --key {}", key.display()))
}

async fn stored(api: &Api, at: &str) -> anyhow::Result<Stored> {
    let mut answer = api.get(&format!("{at}/artifacts")).await?;
    let list: Vec<Stored> =
        serde_json::from_value(answer["artifacts"].take()).context("the list of artifacts cannot be read")?;
    list.into_iter().find(|one| one.name == ARTIFACT).context("the job kept no artifact named 'wheel'")
}

struct Files {
    artifact: PathBuf,
    attestation: PathBuf,
}

impl Files {
    fn write(dir: &Path, artifact: &[u8], envelope: &[u8]) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let files = Self { artifact: dir.join(ARTIFACT), attestation: dir.join("attestation.json") };
        fs::write(&files.artifact, artifact)?;
        fs::write(&files.attestation, envelope)?;
        Ok(files)
    }

    /// A copy that differs in its last byte.
    fn forge(&self, mut bytes: Vec<u8>) -> anyhow::Result<PathBuf> {
        let last = bytes.last_mut().context("the artifact is empty")?;
        *last ^= 1;
        let path = self.artifact.with_extension("forged");
        fs::write(&path, bytes)?;
        Ok(path)
    }
}

fn public_key(place: &Place) -> PathBuf {
    place.data().join("keys/signing.key.pub")
}

fn arguments(place: &Place, files: &Files) -> anyhow::Result<VerifyArgs> {
    let instance = fs::read_to_string(place.data().join("instance")).context("cannot read the server's instance")?;
    let source = format!("{}@refs/heads/main", address(&paths::program_repo(place)));
    Ok(VerifyArgs {
        file: Some(files.artifact.clone()),
        image: None,
        attestation: files.attestation.clone(),
        key: public_key(place),
        source: Some(source.parse()?),
        builder: Some(provenance::builder_id(None, instance.trim())),
        json: false,
    })
}

fn verified(args: &VerifyArgs) -> (u8, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = verify::run(args, SystemClock.now(), &mut out, &mut err);
    out.extend_from_slice(&err);
    (code, String::from_utf8_lossy(&out).into_owned())
}

fn painted(show: &Show, line: &str) -> String {
    let colours = [("✓", Colour::Green), ("✗", Colour::Red), ("–", Colour::Yellow)];
    let found = colours.iter().find_map(|(sign, colour)| Some((sign, *colour, line.strip_prefix(sign)?)));
    match found {
        Some((sign, colour, rest)) => format!("{}{rest}", show.paint(sign, colour)),
        None => show.bold(line),
    }
}
