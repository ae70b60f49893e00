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

use std::path::PathBuf;

/// The program under test.
pub(crate) fn danube() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_danube"))
}

/// The shim that `make test` built.
pub(crate) fn shim() -> PathBuf {
    let path = std::env::var_os("DANUBE_SHIM").expect("DANUBE_SHIM names the shim: run the tests by `make test`");
    PathBuf::from(path)
}
