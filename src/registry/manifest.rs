//! What a manifest says of itself.
use serde::Deserialize;

use crate::artifacts::Digest;

#[derive(Deserialize)]
struct Part {
    digest: String,
    #[serde(default)]
    size: u64,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    config: Option<Part>,
    #[serde(default)]
    layers: Vec<Part>,
    /// Of an index: the manifests of each platform.
    #[serde(default)]
    manifests: Vec<Part>,
}

/// Bytes of layers and configuration, as the manifest has it; 0 where it says nothing.
pub(super) fn bytes(manifest: &[u8]) -> u64 {
    let Ok(read) = serde_json::from_slice::<Manifest>(manifest) else { return 0 };
    let parts = read.config.iter().chain(&read.layers);
    parts.fold(0, |sum: u64, part| sum.saturating_add(part.size))
}

/// The manifests that an index names.
pub(super) fn children(manifest: &[u8]) -> Vec<Digest> {
    let Ok(read) = serde_json::from_slice::<Manifest>(manifest) else { return Vec::new() };
    read.manifests.iter().filter_map(|part| part.digest.strip_prefix("sha256:")?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_summed_and_children_found() {
        let image = br#"{"config":{"digest":"sha256:x","size":2},"layers":[{"digest":"sha256:y","size":40}]}"#;
        assert_eq!(bytes(image), 42);
        let child = Digest::of(b"child");
        let index = format!(r#"{{"manifests":[{{"digest":"sha256:{child}","size":9}},{{"digest":"sha512:1"}}]}}"#);
        assert_eq!((children(index.as_bytes()), bytes(index.as_bytes())), (vec![child], 0));
        let greedy =
            format!(r#"{{"layers":[{{"digest":"a","size":{max}}},{{"digest":"b","size":{max}}}]}}"#, max = u64::MAX);
        assert_eq!(bytes(greedy.as_bytes()), u64::MAX);
        assert_eq!((bytes(b"no json"), children(b"[]").len()), (0, 0));
    }
}
