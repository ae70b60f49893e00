//! What the whole-program tests share.
pub(crate) mod executor;
pub(crate) mod http;
pub(crate) mod images;
pub(crate) mod machine;
pub(crate) mod registry;
pub(crate) mod repo;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod world;

use std::path::{Path, PathBuf};

/// The program under test.
pub(crate) fn danube() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_danube"))
}

/// The shim that `make test` built.
pub(crate) fn shim() -> PathBuf {
    let path = std::env::var_os("DANUBE_SHIM").expect("DANUBE_SHIM names the shim: run the tests by `make test`");
    PathBuf::from(path)
}

/// Layers of images and content of caches stay when an executor leaves, for the next one of the same instance. A test's
/// own has none: they are removed where nothing else is left.
pub(crate) fn forget_kept(tree: &Path) {
    let names: Vec<_> =
        std::fs::read_dir(tree).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    if !names.is_empty() && names.iter().all(|name| name == "images" || name == "caches") {
        let _gone = std::fs::remove_dir_all(tree);
        // As an executor does that leaves nothing.
        let _shared = tree.parent().map(std::fs::remove_dir);
    }
}
