//! The authorities that this machine trusts: lent to steps whose image brings none.
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use danube_shim::start::BUNDLES;

/// The largest bundle that is lent; one of a distribution is a fifth of that.
const LIMIT: u64 = 1 << 20;

/// The machine's own bundle, PEM; none where it has none. Read anew each time: an administrator may change it.
pub(super) fn bundle() -> Option<String> {
    BUNDLES.iter().find_map(|path| read(Path::new(path)))
}

fn read(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut text = String::new();
    let bytes = file.take(LIMIT + 1).read_to_string(&mut text).ok()?;
    if bytes as u64 > LIMIT {
        tracing::warn!(path = %path.display(), "the bundle of authorities is larger than {LIMIT} bytes; no step gets it");
        return None;
    }
    text.contains("-----BEGIN CERTIFICATE-----").then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_read_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bundle");
        assert_eq!(read(&path), None);
        let text = format!("-----BEGIN CERTIFICATE-----\n{}", "A".repeat(1000));
        for (content, whole) in
            [(text.clone(), true), (String::new(), false), (format!("{text}{}", "A".repeat(1 << 20)), false)]
        {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(read(&path), whole.then_some(content));
        }
    }
}
