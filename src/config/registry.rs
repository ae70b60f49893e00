//! `[registry]`
use super::layers::Layers;
use super::units::parse_size;

/// The container registry beside the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// `auto`, `off`, or the program's absolute path.
    pub program: String,
    /// Bytes that each pipeline may keep.
    pub quota: u64,
}

pub(super) fn check(layers: &mut Layers) -> Option<Registry> {
    let place = "\"auto\", \"off\" or the absolute path of the program docker-registry";
    let program = layers.required("registry.program", place, |text| {
        (matches!(text, "auto" | "off") || text.starts_with('/')).then(|| text.to_owned())
    });
    let size = "a size such as \"20GiB\", at least 1MiB";
    let quota = layers.required("registry.quota", size, |text| parse_size(text).filter(|bytes| *bytes >= 1 << 20));
    Some(Registry { program: program?, quota: quota? })
}
