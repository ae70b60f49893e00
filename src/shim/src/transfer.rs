//! The headers of what goes into and out of a job's workspace through `danube-shim helper`.
//!
//! Each is one frame in front of plain bytes. A sender that fails ends with an error code, so a
//! receiver believes a stream only after it has seen the helper succeed.

use serde::{Deserialize, Serialize};

/// The version of the headers in this file.
pub const VERSION: u32 = 1;

/// In front of what `helper checkout` reads: then the pack, then the tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// The commit, in hex; `None` for files that belong to no repository.
    pub commit: Option<String>,
    /// The branch that HEAD is on; `None` leaves it detached.
    pub ref_name: Option<String>,
    /// The length of the pack; 0 exactly when there is no commit.
    pub pack_bytes: u64,
    /// The length of the tar of a developer's working copy; 0 takes the files of the commit.
    pub tar_bytes: u64,
}

/// In front of what `helper export` writes and `helper import` reads: a stream that was taken out
/// goes in again as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// What follows.
    pub kind: Kind,
    /// The last part of its path. A file is written under this name, a directory needs none.
    pub name: String,
    /// The length of what follows; checked where it is told. A directory's is not known before it
    /// is packed.
    pub size: Option<u64>,
}

/// The two shapes in which something crosses the border of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A file, as it is.
    File,
    /// A directory, as a tar: sorted by bytes, times and owners 0, modes 0755 and 0644.
    Dir,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_of_the_headers_is_pinned() {
        let item = Item { version: 1, kind: Kind::Dir, name: "dist".into(), size: None };
        assert_eq!(serde_json::to_string(&item).unwrap(), r#"{"version":1,"kind":"dir","name":"dist","size":null}"#);
        let item = r#"{"version":1,"kind":"file","name":"a","size":3}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Item>(item).unwrap()).unwrap(), item);
        let checkout = r#"{"version":1,"commit":"ab","ref_name":"main","pack_bytes":1,"tar_bytes":2}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Checkout>(checkout).unwrap()).unwrap(), checkout);
    }
}
