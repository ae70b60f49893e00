//! Manifests, indexes and configs, as registries and layouts hold them.
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::shown;
use super::reference::checked_digest;
use super::{Image, ImageError};

pub use crate::model::image::{Layer, Packing};

/// What is asked for, the best first.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
/// The most that a manifest, and a config, may be.
pub(super) const MANIFEST_LIMIT: u64 = 4 << 20;
pub(super) const CONFIG_LIMIT: u64 = 8 << 20;
/// The most layers, and the largest one as it is downloaded.
const LAYERS: usize = 200;
const LAYER_LIMIT: u64 = 64 << 30;
/// The most that an image says of how it is run: it is kept in a row and handed to the kernel.
const RUN_LIMIT: usize = 256 << 10;

/// The name of this machine's architecture in images.
pub(super) const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// How an image says that it is run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `name`, `uid`, `uid:gid`; empty: root.
    pub user: String,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Where its program starts.
    pub workdir: String,
    /// Its program; steps do not run it.
    pub entrypoint: Vec<String>,
    /// Arguments of that.
    pub cmd: Vec<String>,
}

/// What stands for something else by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    platform: Option<Platform>,
    #[serde(default)]
    pub(super) annotations: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// Whatever a manifest may be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Any {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

/// A manifest that was read.
#[derive(Debug)]
pub(super) enum Manifest {
    /// Of one image.
    Image(ImageManifest),
    /// Of several, one for each kind of machine.
    Index(Vec<Descriptor>),
}

/// Of one image.
#[derive(Debug)]
pub(super) struct ImageManifest {
    pub(super) digest: String,
    pub(super) config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    architecture: String,
    os: String,
    config: Option<Run>,
    rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Run {
    user: Option<String>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// `sha256:…` of some bytes.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Bytes that must have this digest.
pub(super) fn verified(bytes: Vec<u8>, digest: &str, what: &str) -> Result<Vec<u8>, ImageError> {
    let found = digest_of(&bytes);
    match found == digest {
        true => Ok(bytes),
        false => Err(ImageError::Damaged(format!("{what} {} came with the digest {found}", shown(digest)))),
    }
}

/// Reads a manifest.
pub(super) fn read(bytes: &[u8]) -> Result<Manifest, ImageError> {
    let damaged = |why: String| ImageError::Damaged(format!("its manifest can't be read: {why}"));
    let any: Any = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
    match (any.manifests, any.config, any.layers) {
        (Some(manifests), None, None) => Ok(Manifest::Index(manifests)),
        (None, Some(config), Some(layers)) => {
            Ok(Manifest::Image(ImageManifest { digest: digest_of(bytes), config, layers }))
        }
        _ if any.schema_version == 1 => Err(ImageError::Unfit(
            "its manifest is in Docker's first format, which is not read: push it again with a tool of this decade"
                .to_owned(),
        )),
        _ => Err(damaged("it is neither that of an image nor an index".to_owned())),
    }
}

/// The image for this machine among those of an index.
pub(super) fn choose(manifests: &[Descriptor]) -> Result<&Descriptor, ImageError> {
    let fits = |one: &&Descriptor| {
        one.platform.as_ref().is_none_or(|platform| platform.os == "linux" && platform.architecture == ARCHITECTURE)
    };
    manifests.iter().filter(|one| checked_digest(&one.digest).is_ok()).find(fits).ok_or_else(|| {
        let others = manifests.iter().filter_map(|one| one.platform.as_ref());
        let mut others: Vec<String> = others
            .filter(|platform| platform.os != "unknown")
            .map(|platform| shown(&format!("{}/{}", platform.os, platform.architecture)))
            .take(16)
            .collect();
        others.sort();
        others.dedup();
        let others = if others.is_empty() { "nothing".to_owned() } else { others.join(", ") };
        ImageError::Unfit(format!("there is none for linux/{ARCHITECTURE}: it is made for {others}"))
    })
}

/// An image of its manifest and its config.
pub(super) fn image(manifest: ImageManifest, config: &[u8]) -> Result<Image, ImageError> {
    let damaged = |why: String| ImageError::Damaged(format!("its config can't be read: {why}"));
    let kind = &manifest.config.media_type;
    if !kind.is_empty() && !kind.contains("container.image.v1+json") && !kind.contains("image.config.v1+json") {
        return unfit(format!("it is no image of a container: its config is '{}'", shown(kind)));
    }
    let config: Config = serde_json::from_slice(config).map_err(|e| damaged(e.to_string()))?;
    if !(config.os == "linux" && config.architecture == ARCHITECTURE) {
        let own = shown(&format!("{}/{}", config.os, config.architecture));
        return unfit(format!("it is made for {own}, and this machine is linux/{ARCHITECTURE}"));
    }
    let diff_ids = config.rootfs.diff_ids;
    if manifest.layers.is_empty() || manifest.layers.len() > LAYERS {
        return unfit(format!("it has {} layers; 1 to {LAYERS} can be put together", manifest.layers.len()));
    }
    if diff_ids.len() != manifest.layers.len() {
        return Err(damaged(format!(
            "it tells of {} layers, the manifest of {}",
            diff_ids.len(),
            manifest.layers.len()
        )));
    }
    let layers = manifest.layers.iter().zip(diff_ids).map(|(layer, diff_id)| {
        let checked = |text: &str| checked_digest(text).map_err(damaged);
        if layer.size > LAYER_LIMIT {
            return unfit(format!("a layer of it has {} bytes; {LAYER_LIMIT} are taken", layer.size));
        }
        let packing = packing(&layer.media_type)?;
        Ok(Layer { digest: checked(&layer.digest)?, size: layer.size, diff_id: checked(&diff_id)?, packing })
    });
    let layers = layers.collect::<Result<Vec<_>, ImageError>>()?;
    let run = config.config.unwrap_or_default();
    let config = ImageConfig {
        user: run.user.unwrap_or_default(),
        env: run.env.unwrap_or_default(),
        workdir: run.working_dir.unwrap_or_default(),
        entrypoint: run.entrypoint.unwrap_or_default(),
        cmd: run.cmd.unwrap_or_default(),
    };
    let lists = [&config.env, &config.entrypoint, &config.cmd];
    // A word takes room of its own, also an empty one.
    let words = lists.into_iter().flatten().chain([&config.user, &config.workdir]);
    let size: usize = words.map(|word| word.len() + 1).sum();
    if size > RUN_LIMIT {
        return unfit(format!(
            "its user, env, workdir, entrypoint and cmd have {size} bytes together; {RUN_LIMIT} are taken"
        ));
    }
    Ok(Image { digest: manifest.digest, layers, config })
}

fn unfit<T>(why: String) -> Result<T, ImageError> {
    Err(ImageError::Unfit(why))
}

fn packing(media_type: &str) -> Result<Packing, ImageError> {
    if media_type.contains("encrypted") {
        return Err(ImageError::Unfit("a layer of it is encrypted".to_owned()));
    }
    if media_type.ends_with("+gzip") || media_type.ends_with(".gzip") {
        return Ok(Packing::Gzip);
    }
    if media_type.ends_with("+zstd") {
        return Ok(Packing::Zstd);
    }
    if media_type.ends_with(".tar") {
        return Ok(Packing::Tar);
    }
    Err(ImageError::Unfit(format!("a layer of it is of a kind that is not known: '{}'", shown(media_type))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(platforms: &[(&str, &str)]) -> Vec<Descriptor> {
        let one = |(os, architecture): &(&str, &str)| Descriptor {
            media_type: String::new(),
            digest: format!("sha256:{}", "0".repeat(64)),
            size: 1,
            platform: Some(Platform { architecture: (*architecture).into(), os: (*os).into() }),
            annotations: Default::default(),
        };
        platforms.iter().map(one).collect()
    }

    #[test]
    fn an_image_for_other_machines_names_them() {
        let error = choose(&index(&[("linux", "s390x"), ("unknown", "unknown"), ("linux", "riscv64")])).unwrap_err();
        assert!(error.to_string().ends_with("it is made for linux/riscv64, linux/s390x"), "{error}");
        assert!(choose(&index(&[("linux", "s390x"), ("linux", ARCHITECTURE)])).is_ok());
    }

    #[test]
    fn layers_are_packed_as_their_kind_says() {
        for (kind, wanted) in [
            ("application/vnd.oci.image.layer.v1.tar", Packing::Tar),
            ("application/vnd.oci.image.layer.v1.tar+gzip", Packing::Gzip),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Packing::Gzip),
            ("application/vnd.oci.image.layer.v1.tar+zstd", Packing::Zstd),
        ] {
            assert_eq!(packing(kind).unwrap(), wanted);
        }
        assert!(packing("application/vnd.cncf.helm.chart.content.v1.tar+bz2").is_err());
        assert!(packing("application/vnd.oci.image.layer.v1.tar+gzip+encrypted").is_err());
    }

    #[test]
    fn an_image_that_says_too_much_of_itself_is_refused() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let of = |run: serde_json::Value| {
            let layer = serde_json::json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 1,
            });
            let manifest = serde_json::json!({ "config": { "digest": digest, "size": 1 }, "layers": [layer] });
            let Manifest::Image(manifest) = read(manifest.to_string().as_bytes()).unwrap() else { panic!("no image") };
            let config = serde_json::json!({
                "architecture": ARCHITECTURE, "os": "linux", "config": run, "rootfs": { "diff_ids": [digest] },
            });
            image(manifest, config.to_string().as_bytes())
        };
        let half = "x".repeat(RUN_LIMIT / 2);
        assert!(of(serde_json::json!({ "Env": [half], "Cmd": ["sh"] })).is_ok());
        for run in [
            serde_json::json!({ "Env": [half], "Cmd": [half] }),
            serde_json::json!({ "User": half, "WorkingDir": half }),
            serde_json::json!({ "Entrypoint": vec![""; RUN_LIMIT] }),
        ] {
            let error = of(run).unwrap_err().to_string();
            assert!(error.contains("262144 are taken"), "{error}");
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for wrong in [
            "",
            "{}",
            "[]",
            r#"{"schemaVersion":1,"fsLayers":[]}"#,
            r#"{"config":{"digest":"x","size":-1},"layers":[]}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
