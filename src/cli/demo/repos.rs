//! The two repositories: the configuration, and a real library with a danubefile.
use std::fs::{self, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::paths;
use crate::cli::ground::{Place, address, git};
use crate::model::Secret;
use crate::platform::Ids;

/// The library, as its authors published it.
const SOURCE: &[u8] = include_bytes!("../../../tests/fixtures/simplejson-3.19.2.tar.gz");
/// The name of the secret that the configuration gives to the webhook.
pub(super) const WEBHOOK_SECRET: &str = "PUSH_WEBHOOK";
/// The pipeline.
pub(super) const PIPELINE: &str = "simplejson";
/// Who logs in.
pub(super) const EMAIL: &str = "ada@example.com";
/// The cost of the password's hash: the least that a config repo may have. The password is random.
const COST: u32 = 10;

/// The files of the config repo, before the places in them are filled in.
const CONFIG: &[(&str, &str)] = &[
    ("config.yaml", include_str!("files/config.yaml")),
    ("users.yaml", include_str!("files/users.yaml")),
    ("teams.yaml", include_str!("files/teams.yaml")),
    ("pipelines/simplejson.yaml", include_str!("files/pipeline.yaml")),
];

/// Random text of 96 bits.
pub(super) fn fresh(ids: &dyn Ids) -> Secret<String> {
    let mut bytes = zeroize::Zeroizing::new([0; 12]);
    ids.fill(bytes.as_mut());
    Secret::new(URL_SAFE_NO_PAD.encode(bytes))
}

/// Makes the config repo and danube.toml.
pub(super) fn configuration(place: &Place, password: &Secret<String>) -> anyhow::Result<()> {
    let hash = bcrypt::hash(password.expose(), COST).context("the password could not be hashed")?;
    let checkout = place.path().join("config");
    write_config(&checkout, &hash, &address(&paths::program_repo(place)))?;
    git::repository(&place.config_repo(), &checkout, "Ada, her team and one pipeline")?;
    git::push(&checkout)?;
    let toml = include_str!("files/danube.toml").replace("@CONFIG_REPO@", &address(&place.config_repo()));
    fs::write(place.toml(), toml)?;
    Ok(())
}

fn write_config(checkout: &Path, hash: &str, repository: &str) -> anyhow::Result<()> {
    fs::create_dir_all(checkout.join("pipelines"))?;
    for (name, text) in CONFIG {
        let text = text.replace("@PASSWORD_HASH@", hash).replace("@REPOSITORY@", repository);
        fs::write(checkout.join(name), text)?;
    }
    Ok(())
}

/// Unpacks the library, adds the danubefile, commits both. Nothing is pushed yet.
pub(super) fn program(place: &Place) -> anyhow::Result<()> {
    let checkout = paths::checkout(place);
    fs::create_dir(&checkout)?;
    unpack(&checkout)?;
    fs::write(checkout.join("danubefile.py"), include_str!("files/danubefile.py"))?;
    git::repository(&paths::program_repo(place), &checkout, "simplejson 3.19.2 with a danubefile")
}

/// The hook that tells the server of every push.
pub(super) fn hook(place: &Place, server: SocketAddr, secret: &Secret<String>) -> anyhow::Result<()> {
    let repository = paths::program_repo(place);
    let secret_file = paths::webhook_secret(place);
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&secret_file)?;
    file.write_all(secret.expose().as_bytes())?;
    let settings = [
        ("danube.webhook", format!("http://{server}/webhooks/github")),
        ("danube.secretfile", secret_file.display().to_string()),
        ("danube.repository", repository.display().to_string()),
    ];
    for (name, value) in settings {
        git::git(&repository, &["config", name, &value])?;
    }
    let path = repository.join("hooks/post-receive");
    fs::create_dir_all(repository.join("hooks"))?;
    fs::write(&path, include_str!("files/post-receive"))?;
    fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(())
}

fn unpack(dir: &Path) -> anyhow::Result<()> {
    let mut tar = Command::new("tar")
        .args(["-xz", "--strip-components=1", "--no-same-owner", "--no-same-permissions"])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    let written = tar.stdin.take().map_or(Ok(()), |mut input| input.write_all(SOURCE));
    let status = tar.wait()?;
    if !status.success() {
        bail!("tar could not unpack the library into {}: {status}", dir.display());
    }
    written.context("tar did not take the library")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_repo::{check, from_dir};
    use crate::platform::SystemIds;

    #[test]
    fn the_configuration_has_no_mistakes() {
        let dir = tempfile::tempdir().unwrap();
        let hash = bcrypt::hash("correct horse", COST).unwrap();
        write_config(dir.path(), &hash, "file:///srv/simplejson.git").unwrap();
        let settings = check(from_dir(dir.path()).unwrap()).unwrap();
        let pipeline = &settings.pipelines[0];
        assert_eq!((pipeline.name.as_str(), pipeline.repository.as_str()), (PIPELINE, "file:///srv/simplejson.git"));
        assert_eq!(settings.global.webhooks[0].secret, WEBHOOK_SECRET);
        assert_eq!(settings.users[0].email, EMAIL);
        assert!(settings.teams[0].global_admin);
    }

    #[test]
    fn the_library_stands_in_a_repository_that_every_user_may_read() {
        let place = Place::make("danube-demo", None, &SystemIds::new()).unwrap();
        program(&place).unwrap();
        hook(&place, ([127, 0, 0, 1], 1).into(), &Secret::new("webhook-secret".to_owned())).unwrap();
        let said = git::push(&paths::checkout(&place)).unwrap();
        assert!(said.iter().any(|line| line.starts_with("danube answered:") && line.contains("refused")), "{said:?}");
        let files = git::git(&paths::program_repo(&place), &["ls-tree", "-r", "--name-only", "main"]).unwrap();
        assert!(files.lines().any(|name| name == "danubefile.py"), "{files}");
        assert!(files.lines().any(|name| name == "simplejson/_speedups.c"), "{files}");
        let pack = paths::program_repo(&place).join("objects");
        assert_eq!(fs::metadata(pack).unwrap().permissions().mode() & 0o555, 0o555);
        let secret = fs::metadata(paths::webhook_secret(&place)).unwrap();
        assert_eq!(secret.permissions().mode() & 0o777, 0o600);
        place.remove().unwrap();
    }
}
