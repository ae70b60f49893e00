//! An authority that the step trusts beside those of its image: both in one file, named by `SSL_CERT_FILE`.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use danube_shim::start::ContainerStart;

/// On the tmpfs of the step's files: no image that is built in the step gets it.
const BUNDLE: &str = "/danube/files/ca.pem";
/// What names the file of trusted authorities to OpenSSL and Go.
const VARIABLE: &str = "SSL_CERT_FILE";
/// Where images have their bundle.
const PLACES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The most that is read of a bundle that an image brought.
const LIMIT: u64 = 4 << 20;

/// Writes the file and names it, where an authority was given. The image's own authorities stay trusted; so do those
/// of a file that the step names itself.
pub(super) fn settle(start: &mut ContainerStart) -> Result<(), String> {
    settle_in(Path::new(BUNDLE), &PLACES.map(Path::new), start)
}

fn settle_in(bundle: &Path, places: &[&Path], start: &mut ContainerStart) -> Result<(), String> {
    let Some(authority) = &start.trust else { return Ok(()) };
    let named = start.env.iter().find(|(name, _)| name == VARIABLE).map(|(_, value)| value.clone());
    let own = match &named {
        Some(path) => read(Path::new(path)),
        None => places.iter().find_map(|path| read(path)),
    };
    write(bundle, authority.as_bytes(), &own.unwrap_or_default())
        .map_err(|error| format!("cannot write {}: {error}", bundle.display()))?;
    start.env.retain(|(name, _)| name != VARIABLE);
    start.env.push((VARIABLE.to_owned(), bundle.display().to_string()));
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
    fn without_an_authority_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join("ca.pem");
        let mut start = start(None, &[]);
        settle_in(&bundle, &[], &mut start).unwrap();
        assert!(!bundle.exists() && start.env.is_empty());
    }
}
