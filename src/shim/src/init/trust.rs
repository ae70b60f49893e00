//! An authority that the step trusts beside those of its image: both in one file, named by `SSL_CERT_FILE`. That variable
//! replaces what programs trust otherwise, so it never leads to our authority alone where others are needed.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use danube_shim::start::{BUNDLES, ContainerStart};

/// On the tmpfs of the step's files: no image that is built in the step gets it.
const BUNDLE: &str = "/danube/files/ca.pem";
/// What names the file of trusted authorities to OpenSSL and Go.
const VARIABLE: &str = "SSL_CERT_FILE";
/// What names further authorities to them, one a file.
const DIRECTORY: &str = "SSL_CERT_DIR";
/// The most that is read of a bundle that an image brought.
const LIMIT: u64 = 4 << 20;

/// Writes the file, where an authority was given, and names it. The image's own authorities stay trusted; so do those of
/// a file that the step names itself. An image that brings none gets those of the machine; where that has none either,
/// the variable stays as it is, unless our authority alone is what the step needs.
pub(super) fn settle(start: &mut ContainerStart) -> Result<(), String> {
    settle_in(Path::new(BUNDLE), &BUNDLES.map(Path::new), start)
}

fn settle_in(bundle: &Path, places: &[&Path], start: &mut ContainerStart) -> Result<(), String> {
    let Some(authority) = &start.trust else { return Ok(()) };
    let value = |variable: &str| start.env.iter().find(|(name, _)| name == variable).map(|(_, value)| value.clone());
    let own = match value(VARIABLE) {
        Some(path) => Some(read(Path::new(&path)).unwrap_or_default()),
        None => places.iter().find_map(|path| read(path)),
    };
    // Authorities of a directory stay trusted beside those of the file.
    let in_directory = || value(DIRECTORY).map(|_| Vec::new());
    let machine = || start.roots.as_ref().map(|roots| roots.clone().into_bytes());
    let others = own.or_else(in_directory).or_else(machine);
    write(bundle, authority.as_bytes(), others.as_deref().unwrap_or_default())
        .map_err(|error| format!("cannot write {}: {error}", bundle.display()))?;
    if others.is_some() {
        start.env.retain(|(name, _)| name != VARIABLE);
        start.env.push((VARIABLE.to_owned(), bundle.display().to_string()));
    }
    Ok(())
}

/// A file of the image, whatever it made of the name: it opens nothing that would wait, and reads no more than a bundle.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn write(bundle: &Path, authority: &[u8], own: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(bundle)?;
    for part in [authority, b"\n", own] {
        file.write_all(part)?;
    }
    // Authorities are no secret, and the step may run as anybody.
    file.set_permissions(Permissions::from_mode(0o644))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(trust: Option<&str>, env: &[(&str, &str)]) -> ContainerStart {
        ContainerStart {
            user: None,
            ready: None,
            argv: vec!["true".into()],
            env: env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            files: Vec::new(),
            workdir: "/".into(),
            uid: None,
            gid: None,
            trust: trust.map(Into::into),
            roots: None,
        }
    }

    #[test]
    fn the_image_s_own_authorities_stay_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, image) = (dir.path().join("ca.pem"), dir.path().join("image.crt"));
        std::fs::write(&image, "THEIRS\n").unwrap();
        let mut start = start(Some("OURS"), &[("A", "b")]);
        settle_in(&bundle, &[Path::new("/nonexistent"), dir.path(), &image], &mut start).unwrap();
        assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "OURS\nTHEIRS\n");
        assert_eq!(start.env[1], (VARIABLE.to_owned(), bundle.display().to_string()));
    }

    #[test]
    fn a_file_that_the_step_names_is_taken_instead() {
        let dir = tempfile::tempdir().unwrap();
        let (bundle, image, named) = (dir.path().join("ca.pem"), dir.path().join("image"), dir.path().join("named"));
        std::fs::write(&image, "THEIRS").unwrap();
        std::fs::write(&named, "COMPANY").unwrap();
        let mut start = start(Some("OURS"), &[(VARIABLE, named.to_str().unwrap())]);
        settle_in(&bundle, &[&image], &mut start).unwrap();
        assert_eq!(std::fs::read_to_string(&bundle).unwrap(), "OURS\nCOMPANY");
        assert_eq!(start.env.len(), 1);
    }

    #[test]
    fn an_image_without_authorities_gets_those_of_the_machine() {
        let dir = tempfile::tempdir().unwrap();
        let settled = |name: &str, roots: Option<&str>, env: &[(&str, &str)]| {
            let bundle = dir.path().join(name);
            let mut start = ContainerStart { roots: roots.map(Into::into), ..start(Some("OURS"), env) };
            settle_in(&bundle, &[Path::new("/nonexistent")], &mut start).unwrap();
            let named =
                start.env.iter().any(|(name, value)| name == VARIABLE && *value == bundle.display().to_string());
            (std::fs::read_to_string(&bundle).unwrap(), named)
        };
        assert_eq!(settled("1", Some("PUBLIC\n"), &[]), ("OURS\nPUBLIC\n".to_owned(), true));
        let there_are_none = "what the step trusts by itself stays trusted";
        assert_eq!(settled("2", None, &[]), ("OURS\n".to_owned(), false), "{there_are_none}");
        assert_eq!(settled("3", Some(""), &[]), ("OURS\n".to_owned(), true), "it needs no other");
        let directory = [(DIRECTORY, "/kaniko/ssl/certs")];
        assert_eq!(settled("4", Some("PUBLIC"), &directory), ("OURS\n".to_owned(), true), "the image brings its own");
    }

    #[test]
    fn without_an_authority_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("ca.pem");
        let mut start = start(None, &[]);
        settle_in(&bundle, &[], &mut start).unwrap();
        assert!(!bundle.exists() && start.env.is_empty());
    }
}
