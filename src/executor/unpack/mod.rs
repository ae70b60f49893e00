//! Unpacks one layer of an image, in a process of its own that is locked into the layer's directory.
//!
//! The executor starts it as `danube unpack-layer` with the directory on descriptor 3 and the layer on standard input;
//! its user is the root of a user namespace whose users are nobody's. What it reads is hostile: whatever goes wrong in
//! here reaches no other file, process or network. The digest of the stream is the executor's to verify, outside.

mod confine;
mod stream;
mod tar;
mod tree;

use std::fs::File;
use std::io::{self, Write as _};

use serde::{Deserialize, Serialize};

use stream::Decoded;
use tree::Tree;

use crate::model::image::Packing;

/// The most that one layer may unpack to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Bytes of its tar.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { bytes: 20 << 30, entries: 2_000_000 }
    }
}

/// What the process is told, as its one argument.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// How the stream is packed.
    pub packing: Packing,
    /// `sha256:…` of the tar in it.
    pub diff_id: String,
    /// The most that it may be.
    pub bounds: Bounds,
}

/// What the process says on standard output.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// The directory holds the layer.
    Done(Unpacked),
    /// The layer is not one that may be used.
    Refused(String),
    /// No space, or no more files, are left.
    Full(String),
    /// The machine refused something.
    Failed(String),
}

/// What a layer came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Bytes in its files.
    pub bytes: u64,
    /// Entries.
    pub entries: u64,
    /// Directories that it names only as parts of paths: in a layer beneath, each may be a link.
    pub implied: Vec<String>,
}

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("{0}")]
    Refused(String),
    #[error("{0}: {1}")]
    Io(String, io::Error),
}

impl Problem {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |error| Self::Io(what, error)
    }

    fn refused<T>(why: impl Into<String>) -> Result<T, Self> {
        Err(Self::Refused(why.into()))
    }

    fn said(self) -> Said {
        match self {
            Self::Refused(why) => Said::Refused(why),
            Self::Io(what, error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Said::Full(format!("{what}: {error}")),
                _ => Said::Failed(format!("{what}: {error}")),
            },
        }
    }
}

/// The process: reads, unpacks, says how it went. Never returns an error: what it says is the answer.
pub fn run(order: &str) -> i32 {
    let said = match unpack(order) {
        Ok(unpacked) => Said::Done(unpacked),
        Err(problem) => problem.said(),
    };
    let text = serde_json::to_vec(&said).unwrap_or_default();
    let told = io::stdout().lock().write_all(&text).and_then(|()| io::stdout().lock().flush());
    i32::from(told.is_err())
}

fn unpack(order: &str) -> Result<Unpacked, Problem> {
    let order: Order = serde_json::from_str(order).map_err(|e| Problem::Refused(format!("no order: {e}")))?;
    let input = rustix::io::dup(io::stdin()).map_err(|e| Problem::Io("read the layer".to_owned(), e.into()))?;
    // Its thread waits for the lock: what it reads is hostile as well.
    let decoder = stream::Decoder::start(File::from(input), order.packing)?;
    confine::lock_in(order.bounds.bytes).map_err(Problem::io("give up what unpacking needs not"))?;
    let mut decoded = Decoded::new(decoder.go(), order.bounds.bytes);
    let mut tree = Tree::new(order.bounds.entries);
    tar::read(&mut decoded, &mut tree)?;
    let found = decoded.finish()?;
    if found != order.diff_id {
        return Problem::refused(format!(
            "its content is {found}, and the image's config says {}: the image is damaged or was tampered with",
            order.diff_id
        ));
    }
    tree.finish()
}
