use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde_json::json;

use crate::artifacts::Digest;
use crate::provenance::{self, Expected, ExpectedSource, MAX_ENVELOPE, Outcome, Report};

const WELL: u8 = 0;
const VERIFICATION_FAILED: u8 = 2;
const COULD_NOT_CHECK: u8 = 3;

/// Check a file or an image against its attestation and a public key, without any network.
///
/// For a directory that a job uploaded, FILE is the .tar that the server hands out. An image is known by the digest of
/// its manifest, as its registry or `skopeo inspect` tells it.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// The artifact
    #[arg(required_unless_present = "image", conflicts_with = "image")]
    pub file: Option<PathBuf>,
    /// An image by its digest, in place of FILE
    #[arg(long, value_name = "[NAME@]sha256:DIGEST")]
    pub image: Option<ImageDigest>,
    /// The attestation of the job that made it
    #[arg(long, value_name = "FILE")]
    pub attestation: PathBuf,
    /// The builder's public key (signing.key.pub)
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// The repository that it must come from, and if given the branch, refs/tags/TAG or full commit id
    #[arg(long, value_name = "URL[@REF]")]
    pub source: Option<ExpectedSource>,
    /// The id of the builder that it must come from
    #[arg(long, value_name = "ID", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub builder: Option<String>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// An image as people write it down; what counts is the digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageDigest {
    text: String,
    digest: Digest,
}

impl std::str::FromStr for ImageDigest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digest = text.rsplit_once('@').map_or(text, |(_, digest)| digest);
        let digest = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
        let wrong = "a tag can be moved: give the image by its digest, NAME@sha256:… with 64 hexadecimal digits";
        Ok(Self { text: text.to_owned(), digest: digest.ok_or_else(|| wrong.to_owned())? })
    }
}

impl VerifyArgs {
    /// What is verified, as it was given.
    fn subject(&self) -> String {
        match (&self.image, &self.file) {
            (Some(image), _) => image.text.clone(),
            (None, file) => file.as_ref().map(|file| file.display().to_string()).unwrap_or_default(),
        }
    }
}

/// Runs `danube verify` and returns its exit code: 0 verified, 2 verification failed, 3 could not check.
///
/// The result goes to `out`, what stopped the check to `err`.
pub fn run(args: &VerifyArgs, now: Timestamp, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let (text, code) = match check(args, now) {
        Ok((file, report)) => {
            let code = if report.accepted() { WELL } else { VERIFICATION_FAILED };
            let text = if args.json { as_json(args, &file, &report) } else { as_text(args, &report) };
            (text, code)
        }
        Err(error) => {
            let message = visible(&format!("{error:#}"));
            // A closed standard error changes nothing about the answer.
            let _ = writeln!(err, "danube verify: could not check: {message}");
            let text = json!({ "verdict": "could not check", "error": message, "checks": [] });
            (if args.json { format!("{text}\n") } else { String::new() }, COULD_NOT_CHECK)
        }
    };
    // Who saw no verdict must not read success from the exit code.
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => code.max(COULD_NOT_CHECK),
    }
}

fn check(args: &VerifyArgs, now: Timestamp) -> anyhow::Result<(Digest, Report)> {
    let key = provenance::load_public(&args.key)?;
    let envelope = read_attestation(&args.attestation)?;
    let file = match (&args.image, &args.file) {
        (Some(image), _) => image.digest,
        (None, Some(file)) => digest(file)?,
        (None, None) => bail!("give a file, or an image by --image"),
    };
    let expected = Expected { key: &key, file, source: args.source.as_ref(), builder: args.builder.as_deref(), now };
    Ok((file, provenance::verify(&envelope, &expected)))
}

fn read_attestation(path: &Path) -> anyhow::Result<Vec<u8>> {
    let tried = || format!("reading the attestation {}", path.display());
    let mut bytes = Vec::new();
    // One byte over the limit is enough for the refusal.
    File::open(path).and_then(|file| file.take(MAX_ENVELOPE as u64 + 1).read_to_end(&mut bytes)).with_context(tried)?;
    Ok(bytes)
}

fn digest(path: &Path) -> anyhow::Result<Digest> {
    let tried = || format!("reading the file {}", path.display());
    let file = File::open(path).with_context(tried)?;
    if file.metadata().with_context(tried)?.is_dir() {
        bail!("{} is a directory: give the .tar that the server handed out for it", path.display());
    }
    Digest::of_reader(&mut BufReader::new(file)).with_context(tried)
}

fn as_text(args: &VerifyArgs, report: &Report) -> String {
    let mut text = String::new();
    for (check, outcome) in report.answers() {
        let (sign, detail) = match outcome {
            Outcome::Passed(found) => ('✓', found.clone()),
            Outcome::Failed(refusal) => ('✗', refusal.to_string()),
            Outcome::NotChecked(why) => ('–', why.clone()),
        };
        writeln!(text, "{sign} {:<15} {}", check.name(), visible(&detail)).expect("a string takes any text");
    }
    let file = visible(&args.subject());
    let verdict = match (report.refusal(), unchecked(report)) {
        (Some((check, _)), _) => format!("NOT verified: {file} (failed: {})", check.name()),
        (None, 0) => format!("verified: {file}"),
        (None, n) => {
            format!("verified: {file} ({n} not checked: give --source and --builder to check them)")
        }
    };
    writeln!(text, "{verdict}").expect("a string takes any text");
    text
}

fn as_json(args: &VerifyArgs, file: &Digest, report: &Report) -> String {
    let checks: Vec<_> = report
        .answers()
        .iter()
        .map(|(check, outcome)| {
            let (result, detail) = match outcome {
                Outcome::Passed(found) => ("passed", found.clone()),
                Outcome::Failed(refusal) => ("failed", refusal.to_string()),
                Outcome::NotChecked(why) => ("not checked", why.clone()),
            };
            json!({ "name": check.name(), "result": result, "detail": detail })
        })
        .collect();
    let verdict = if report.accepted() { "verified" } else { "not verified" };
    let result = json!({
        "verdict": verdict,
        "file": args.subject(),
        "sha256": file.to_string(),
        "checks": checks,
    });
    format!("{result}\n")
}

fn unchecked(report: &Report) -> usize {
    report.answers().iter().filter(|(_, outcome)| matches!(outcome, Outcome::NotChecked(_))).count()
}

/// Names in an attestation may hold what moves a cursor or turns text around: spell it out.
fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        if hidden(c) {
            shown.extend(c.escape_unicode())
        } else {
            shown.push(c)
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        verify: VerifyArgs,
    }

    fn line(words: &[&str]) -> Result<VerifyArgs, clap::Error> {
        let given = ["verify", "app.tar", "--attestation", "a.json", "--key", "k.pub"];
        Line::try_parse_from(given.iter().chain(words)).map(|line| line.verify)
    }

    #[test]
    fn the_words_of_the_contract_are_read() {
        let args = line(&["--source", "https://git.example.com/a@main", "--builder", "b", "--json"]).unwrap();
        assert_eq!(args.source, Some("https://git.example.com/a@main".parse().unwrap()));
        assert_eq!((args.builder.as_deref(), args.json), (Some("b"), true));
        for wrong in [["--source", ""], ["--source", "https://git.example.com/a@"], ["--builder", ""]] {
            assert!(line(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named_and_is_no_verdict() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run(&line(&["--json"]).unwrap(), Timestamp::UNIX_EPOCH, &mut out, &mut err);
        assert_eq!(code, 3);
        let err = String::from_utf8(err).unwrap();
        assert!(err.contains("k.pub") && err.contains("could not check"), "{err}");
        let out: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(out["verdict"], "could not check");
    }

    #[test]
    fn an_image_is_given_by_its_digest_in_place_of_a_file() {
        let image = |words: &[&str]| {
            let given = ["verify", "--attestation", "a.json", "--key", "k.pub"];
            Line::try_parse_from(given.iter().chain(words)).map(|line| line.verify)
        };
        let digest = Digest::of(b"manifest");
        let args = image(&["--image", &format!("registry.example.com/web/app@sha256:{digest}")]).unwrap();
        assert_eq!(args.image.as_ref().unwrap().digest, digest);
        assert!(args.subject().starts_with("registry.example.com/web/app@"));
        assert!(image(&["--image", &format!("sha256:{digest}")]).is_ok());
        for wrong in [&["--image", "web/app:1"][..], &["--image", "web/app@sha256:12"], &[]] {
            assert!(image(wrong).is_err(), "{wrong:?}");
        }
        assert!(line(&["--image", &format!("sha256:{digest}")]).is_err(), "a file beside an image");
    }

    #[test]
    fn hostile_names_cannot_move_the_cursor() {
        assert_eq!(visible("a\u{1b}[2Jb\n\u{202e}ü"), "a\\u{1b}[2Jb\\u{a}\\u{202e}ü");
    }
}
