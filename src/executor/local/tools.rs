//! The tools of workspace helpers: git, from the image of coordinators that root names, so that nothing of the
//! machine's own is needed. Root's configuration says where it is; no master and no job has a word in it.
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::job::{make_dir, remove_tree};
use crate::artifacts::Digest;

/// Reading an image's own description stops here.
const DESCRIPTION: u64 = 1 << 20;

#[derive(Deserialize)]
struct Part {
    digest: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Part>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Part>,
}

/// Unpacks the image of an OCI layout below `root`, once; gives its `/usr`. Others that lie there go.
pub(super) fn install(layout: &Path, root: &Path) -> io::Result<PathBuf> {
    let index: Index = described(&layout.join("index.json"))?;
    let [image] = &index.manifests[..] else {
        return Err(io::Error::other("its index.json must name one image"));
    };
    let digest = parse(&image.digest)?;
    let manifest: Manifest = described(&blob(layout, &digest))?;
    let all = root.join("tools");
    make_dir(&all, 0o755)?;
    let place = all.join(digest.to_string());
    if !place.exists() {
        let half = all.join("tmp");
        remove_tree(&half)?;
        make_dir(&half, 0o755)?;
        for layer in &manifest.layers {
            unpack(&blob(layout, &parse(&layer.digest)?), &parse(&layer.digest)?, &half)?;
        }
        if !half.join("usr/bin/git").exists() {
            return Err(io::Error::other("it has no /usr/bin/git; `make coordinator-image` makes one that has"));
        }
        fs::rename(&half, &place)?;
    }
    for other in fs::read_dir(&all)?.flatten().filter(|entry| entry.path() != place) {
        remove_tree(&other.path())?;
    }
    Ok(place.join("usr"))
}

fn parse(digest: &str) -> io::Result<Digest> {
    let hex = digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    hex.ok_or_else(|| io::Error::other(format!("{digest} is not a sha256 digest")))
}

fn blob(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs/sha256").join(digest.to_string())
}

fn described<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<T> {
    let named = |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", path.display()));
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| named(&error))?;
    io::Read::read_to_end(&mut io::Read::take(file, DESCRIPTION), &mut text).map_err(|error| named(&error))?;
    serde_json::from_slice(&text).map_err(|error| named(&error))
}

/// By `tar`, as root's own files are: what is unpacked came from the same hands as this program.
fn unpack(layer: &Path, digest: &Digest, to: &Path) -> io::Result<()> {
    let found = Digest::of_reader(&mut BufReader::new(File::open(layer)?))?;
    if found != *digest {
        return Err(io::Error::other(format!("{} does not have the digest of its name", layer.display())));
    }
    let output = Command::new("/bin/tar")
        .args(["--extract", "--gzip", "--no-same-owner", "--preserve-permissions", "--directory"])
        .arg(to)
        .arg("--file")
        .arg(layer)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{}: {}", layer.display(), said.lines().next().unwrap_or("tar failed"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dir: &Path, program: &str) -> PathBuf {
        let (root, layout) = (dir.join("root"), dir.join("layout"));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin").join(program), "#!/bin/sh\n").unwrap();
        fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
        let tar = dir.join("layer.tgz");
        let packed = Command::new("/bin/tar").arg("-czf").arg(&tar).arg("-C").arg(&root).arg(".").status().unwrap();
        assert!(packed.success());
        let put = |bytes: &[u8]| {
            let digest = Digest::of(bytes);
            fs::write(layout.join("blobs/sha256").join(digest.to_string()), bytes).unwrap();
            digest
        };
        let layer = put(&fs::read(&tar).unwrap());
        let manifest = put(format!(r#"{{"layers":[{{"digest":"sha256:{layer}"}}]}}"#).as_bytes());
        fs::write(layout.join("index.json"), format!(r#"{{"manifests":[{{"digest":"sha256:{manifest}"}}]}}"#)).unwrap();
        layout
    }

    #[test]
    fn an_image_is_unpacked_once_and_takes_the_place_of_another() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("executor");
        fs::create_dir_all(root.join("tools/0ld")).unwrap();
        let layout = layout(dir.path(), "git");
        let usr = install(&layout, &root).unwrap();
        assert!(usr.join("bin/git").exists() && !root.join("tools/0ld").exists());
        let made = fs::metadata(&usr).unwrap().modified().unwrap();
        assert_eq!(install(&layout, &root).unwrap(), usr);
        assert_eq!(fs::metadata(&usr).unwrap().modified().unwrap(), made);
    }

    #[test]
    fn what_is_no_such_image_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        let said = |layout: &Path| install(layout, dir.path()).unwrap_err().to_string();
        assert!(said(dir.path()).contains("index.json"), "{}", said(dir.path()));
        let other = layout(dir.path(), "python3");
        assert!(said(&other).contains("no /usr/bin/git"), "{}", said(&other));
        for blob in fs::read_dir(other.join("blobs/sha256")).unwrap().flatten() {
            let mut bytes = fs::read(blob.path()).unwrap();
            if bytes.starts_with(&[0x1f, 0x8b]) {
                bytes.push(0);
                fs::write(blob.path(), bytes).unwrap();
            }
        }
        assert!(said(&other).contains("digest of its name"), "{}", said(&other));
    }
}
