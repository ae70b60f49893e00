//! Images by name: what a name means, where it is fetched, what it consists of.
//!
//! Owns: references, the client of OCI and Docker registries, OCI layouts and archives. May use: model, platform.
//! Must not touch: containers, SQL. It runs without privileges, parses what registries send, and unpacks nothing: the
//! bytes of layers are passed on as they are, to be verified where they are unpacked.

mod docker_config;
mod error;
mod layout;
mod manifest;
mod reference;
mod registry;
mod settings;

pub use docker_config::logins;
pub use error::ImageError;
pub use layout::Layout;
pub use manifest::{ImageConfig, Layer, Packing};
pub use reference::{Place, Reference, without_password};
pub use registry::{Blob, Fetcher, Patience, Pull};
pub use settings::{Direct, Login, Registry, Settings, is_loopback, mirror_host};

use serde::{Deserialize, Serialize};

/// What a name was resolved to: enough to run it, and to fetch what is missing of it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `sha256:…` of the manifest for this machine.
    pub digest: String,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
    /// What it says about how it is run.
    pub config: ImageConfig,
}

impl Image {
    /// Bytes of all layers as they are downloaded.
    pub fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }
}
